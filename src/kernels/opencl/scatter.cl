/* SPDX-License-Identifier: MIT
 *
 * ScatterAdd, of elements of type T: "kernels/cuda/move.cu".
 */

/* Of all updates with one index the first has a work item, which adds all of them: so the order is
 * the CPU's. It looks through the indices, which all work items do alike. */
bool is_first(global const char *indices, int32_t wide, int64_t i, int64_t index) {
    for (int64_t k = 0; k < i; k++)
        if (index_at(indices, wide, k) == index) return false;
    return true;
}

KERNEL(df_scatter_add)
(const cuda_scatter a, global const char *indices_, global const char *updates_, global char *out_,
 global cuda_fault *fault) {
    EACH(at, a.count * a.row) {
        global const char *indices = AT(const char, indices_, a.indices);
        global const T *updates = AT(const T, updates_, a.updates);
        global T *out = AT(T, out_, a.out);
        int64_t i = at, r = take(&i, a.row), index = index_at(indices, a.wide, i);
        bool there = index >= 0 && index < a.size;
        if (!there) tell(fault, CUDA_WRONG_INDEX, i, index, a.size);
        if (there && is_first(indices, a.wide, i, index)) {
            W sum = (W)out[index * a.row + r];
            for (int64_t k = i; k < a.count; k++)
                if (index_at(indices, a.wide, k) == index) sum += (W)updates[k * a.row + r];
            out[index * a.row + r] = (T)sum;
        }
    }
}
