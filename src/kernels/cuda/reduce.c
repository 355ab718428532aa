/* SPDX-License-Identifier: MIT
 *
 * The reductions: which dimensions stay, which disappear, and how a block's threads are shared out.
 */
#include "kernels/reduce.h"

#include "kernels/cuda/host.h"
#include "op/number.h"

/* Threads that fold one result, at most, where neighbours in memory belong to different results:
 * 32 of these are read at once. */
enum { SIDE_BY_SIDE = 32, LONG = 8192 /* elements, for which the largest block is worth it */ };

static void add_dim(int32_t *rank, int64_t *dims, int64_t *steps, int64_t n, int64_t step) {
    int last = *rank - 1;
    if (n == 1) return;
    if (last >= 0 && step == steps[last] * dims[last]) {
        dims[last] *= n;
        return;
    }
    dims[*rank] = n;
    steps[(*rank)++] = step;
}

static void cut(cuda_fold *a, const df_tensor *x, uint32_t mask) {
    int64_t step = 1;
    for (int d = x->rank - 1; d >= 0; d--) {
        int64_t n = x->dims[d];
        if (mask >> d & 1) {
            add_dim(&a->reduced_rank, a->reduced, a->reduced_steps, n, step);
            a->count *= n;
        } else {
            add_dim(&a->kept_rank, a->kept, a->kept_steps, n, step);
        }
        step *= n;
    }
}

/* Results that a block has side by side: the more threads fold one, the fewer. */
static int32_t lanes_of(const cuda_fold *a, unsigned threads) {
    bool apart = a->kept_rank && a->kept_steps[0] == 1; /* neighbours belong to different ones */
    unsigned least = 1;
    while (apart && least < SIDE_BY_SIDE && least < a->results) least *= 2;
    return (int32_t)(threads / cuda_threads(a->count, 1, threads / least));
}

df_code cuda_reduce(df_kernel *c, df_error *err) {
    const df_tensor *x = kernel_input(c, 0), *out = kernel_output(c, 0);
    reduction r = (reduction)kernel_which(c);
    df_code code = reduction_check(c, r, err);
    if (code != DF_OK || out->elements == 0) return code;
    cuda_fold a = {.in = x->data,
                   .out = out->data,
                   .results = out->elements,
                   .count = 1,
                   .from = (int32_t)x->dtype,
                   .to = (int32_t)out->dtype,
                   .kind = (int32_t)reduction_fold(r),
                   .mean = r == MEAN,
                   .smallest = reduction_is_smallest(r),
                   .arg = reduction_is_arg(r)};
    if (x->elements)
        cut(&a, x, reduction_mask(c, r, x->rank));
    else
        a.count = 0;
    unsigned threads = a.count < LONG || cuda_with(c)->small_blocks ? CUDA_BLOCK : CUDA_FOLD_BLOCK;
    a.lanes = lanes_of(&a, threads);
    return cuda_blocks(c, number_is_float(x->dtype) ? "fold_float" : "fold_int",
                       (a.results - 1) / a.lanes + 1, threads, &a, err);
}
