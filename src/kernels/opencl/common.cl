/* SPDX-License-Identifier: MIT
 *
 * common.cl - what all text for OpenCL has in common: "kernels/cuda/device.cuh", in OpenCL C.
 *
 * What is a template there is compiled here once for each type ("kernels/opencl/launch.c"): T, the
 * type of elements; A, what they are computed as; and W, what they are added and multiplied as,
 * where integers wrap around.
 *
 * A kernel's buffers have the names of what lies in them, with a _ behind.
 */
#if defined(DOUBLES) && !defined(HAS_DOUBLE)
#error "this device computes no double, which this kernel needs"
#endif

#define KERNEL(name)             kernel void name
/* The buffer's elements of a type, from where they begin; NULL if there are none. */
#define AT(type, buffer, offset) ((buffer) ? (global type *)((buffer) + (offset)) : 0)

/* Every i below n has a work item. */
#define EACH(i, n)                                                                                 \
    const int64_t i = get_global_id(0);                                                            \
    if (i < (n))
/* Every row has a group; or every r-th, where rows are more than groups can be. */
#define ROWS(row, n) for (int64_t row = get_group_id(0); row < (n); row += get_num_groups(0))
/* Every j of a row, for one work item of a group. */
#define ALONG(j, n)  for (int64_t j = get_local_id(0); j < (n); j += get_local_size(0))
#define SYNCHRONISE  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE)

/* A double's bits, of a number that a float has. */
float float_of(ulong bits) {
    if (bits << 1 == 0) return 0;
    uint exponent = (uint)(bits >> 52 & 0x7ff) - 1023 + 127;
    return as_float((uint)(bits >> 32 & 0x80000000) | exponent << 23 |
                    (uint)(bits >> 29 & 0x7fffff));
}

/* Takes the coordinate along a dimension of n out of *at. Most numbers fit 32 bits, which divide
 * much faster. */
int64_t take(int64_t *at, int64_t n) {
    if ((uint64_t)*at >> 32 || (uint64_t)n >> 32) {
        int64_t rest = *at % n;
        *at /= n;
        return rest;
    }
    uint32_t all = (uint32_t)*at, size = (uint32_t)n, whole = all / size;
    *at = whole;
    return all - whole * size;
}

/* Where position `at` of these dimensions lies. */
int64_t offset_of(int32_t rank, const int64_t *dims, const int64_t *steps, int64_t at) {
    int64_t offset = 0;
    for (int d = 0; d < rank - 1; d++) offset += take(&at, dims[d]) * steps[d];
    return rank ? offset + at * steps[rank - 1] : 0;
}

void tell(global cuda_fault *fault, int mistake, int64_t element, int64_t value, int64_t limit) {
    if (!fault || atomic_cmpxchg((volatile global uint *)&fault->state, 0u, 1u) != 0u) return;
    fault->mistake = mistake;
    fault->element = element;
    fault->value = value;
    fault->limit = limit;
    fault->state = 2;
}

int64_t index_at(global const char *indices, int32_t wide, int64_t i) {
    return wide ? ((global const int64_t *)indices)[i] : ((global const int32_t *)indices)[i];
}
