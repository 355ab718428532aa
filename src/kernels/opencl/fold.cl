/* SPDX-License-Identifier: MIT
 *
 * The reductions, in T, which is double or long, behind number.cl: "kernels/cuda/fold.cu".
 */
typedef struct folded {
    T value;
    int64_t at; /* of the largest: its number; LONG_MAX: there is none yet */
} folded;

#ifdef FLOATS
#define LOWEST          (-INFINITY)
#define NEGATED(x)      (-(x))
#define LOADED(data, i) load_real(a->from, data, i)
#define STORE           store_real
#else
#define LOWEST          LONG_MIN
#define NEGATED(x)      (~(x))
#define LOADED(data, i) load_int(a->from, data, i)
#define STORE           store_bits
#endif

/* Does y take the place of x? NaN is larger than all; of equals the first counts. */
bool is_larger(folded x, folded y) {
    bool x_nan = x.value != x.value, y_nan = y.value != y.value;
    if (y.value > x.value || (y_nan && !x_nan)) return true;
    return y.at < x.at && (y.value == x.value || (x_nan && y_nan));
}

folded fold_two(int kind, folded x, folded y) {
    if (kind == FOLD_LARGEST) return is_larger(x, y) ? y : x;
    x.value = (T)(kind == FOLD_SUM ? (W)x.value + (W)y.value : (W)x.value * (W)y.value);
    return x;
}

/* What work item `part` of `parts` has of the result that begins at `base`. */
folded fold_part(const cuda_fold *a, global const char *in, int64_t base, int part, int parts) {
    folded all = {a->kind == FOLD_SUM ? 0 : a->kind == FOLD_PROD ? 1 : LOWEST, LONG_MAX};
    for (int64_t k = part; k < a->count; k += parts) {
        T x = LOADED(in, base + offset_of(a->reduced_rank, a->reduced, a->reduced_steps, k));
        folded one = {a->smallest ? NEGATED(x) : x, k};
        all = fold_two(a->kind, all, one);
    }
    return all;
}

void put(const cuda_fold *a, global char *out, int64_t i, folded all) {
    T x = a->smallest ? NEGATED(all.value) : all.value;
    if (a->arg)
        ((global int64_t *)out)[i] = all.at;
    else
        STORE(a->to, out, i, a->mean ? x / (T)a->count : x);
}

KERNEL(df_fold)(const cuda_fold a, global const char *in_, global char *out_) {
    local folded shared[CUDA_BLOCK];
    const int id = get_local_id(0), lane = id % a.lanes, part = id / a.lanes;
    const int parts = get_local_size(0) / a.lanes;
    for (int64_t first = (int64_t)get_group_id(0) * a.lanes; first < a.results;
         first += (int64_t)get_num_groups(0) * a.lanes) {
        const int64_t i = first + lane;
        if (i < a.results)
            shared[id] = fold_part(&a, AT(const char, in_, a.in),
                                   offset_of(a.kept_rank, a.kept, a.kept_steps, i), part, parts);
        for (int both = parts / 2; both > 0; both /= 2) {
            SYNCHRONISE;
            if (part < both && i < a.results)
                shared[id] = fold_two(a.kind, shared[id], shared[id + both * a.lanes]);
        }
        if (part == 0 && i < a.results) put(&a, AT(char, out_, a.out), i, shared[lane]);
        SYNCHRONISE;
    }
}
