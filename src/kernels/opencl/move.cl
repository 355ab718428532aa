/* SPDX-License-Identifier: MIT
 *
 * All that only moves elements, by their size: "kernels/cuda/move.cu".
 */

KERNEL(df_copy)(const cuda_copy a, global const char *from_, global char *to_) {
    EACH(i, a.n) {
        global const T *source = AT(const T, from_, a.from);
        int64_t at = i, from = 0, to = 0;
        for (int d = 0; d < a.rank; d++) {
            int64_t here = d + 1 < a.rank ? take(&at, a.dims[d]) : at;
            from += here * a.from_steps[d];
            to += here * a.to_steps[d];
        }
        AT(T, to_, a.to)[to] = source ? source[from] : (T)a.bits;
    }
}

/* Through local memory, so that neighbours are read and written by neighbours. */
KERNEL(df_turn)(const cuda_copy a, global const char *from_, global char *to_) {
    local T tile[CUDA_TURN][CUDA_TURN + 1];
    const int64_t across = (a.dims[0] - 1) / CUDA_TURN + 1, down = (a.dims[1] - 1) / CUDA_TURN + 1;
    const int64_t tiles = a.n / (a.dims[0] * a.dims[1]) * across * down;
    const uint lane = get_local_id(0) % CUDA_TURN, line = get_local_id(0) / CUDA_TURN;
    const uint lines = get_local_size(0) / CUDA_TURN;
    ROWS(t, tiles) {
        int64_t at = t, j = take(&at, across) * CUDA_TURN, i = take(&at, down) * CUDA_TURN;
        global const T *from =
            AT(const T, from_, a.from) + offset_of(a.rank - 2, a.dims + 2, a.from_steps + 2, at);
        global T *to = AT(T, to_, a.to) + offset_of(a.rank - 2, a.dims + 2, a.to_steps + 2, at);
        for (uint r = line; r < CUDA_TURN; r += lines) {
            if (j + r < a.dims[0] && i + lane < a.dims[1])
                tile[r][lane] = from[(j + r) * a.from_steps[0] + (i + lane) * a.from_steps[1]];
        }
        SYNCHRONISE;
        for (uint r = line; r < CUDA_TURN; r += lines) {
            if (i + r < a.dims[1] && j + lane < a.dims[0])
                to[(i + r) * a.to_steps[1] + (j + lane) * a.to_steps[0]] = tile[lane][r];
        }
        SYNCHRONISE;
    }
}

KERNEL(df_gather)
(const cuda_gather a, global const char *x_, global const char *indices_, global char *out_,
 global cuda_fault *fault) {
    EACH(i, a.n) {
        global const T *x = AT(const T, x_, a.x);
        int64_t outer = i, r = take(&outer, a.row), k = take(&outer, a.count);
        int64_t index = index_at(AT(const char, indices_, a.indices), a.wide, k);
        bool there = index >= 0 && index < a.size;
        if (!there) tell(fault, CUDA_WRONG_INDEX, k, index, a.size);
        AT(T, out_, a.out)[i] = there ? x[(outer * a.size + index) * a.row + r] : (T)0;
    }
}
