/* SPDX-License-Identifier: MIT
 *
 * MatMul of elements of type T: "kernels/cuda/matmul.cu". Each element is the CPU's plain sum.
 */
#define MATMUL                                                                                     \
    KERNEL(df_matmul)                                                                              \
    (const cuda_matmul a, global const char *a_, global const char *b_, global char *c_)

#ifdef FLOATS
#define JOIN(a, b)    a##b
#define FOUR_OF(type) JOIN(type, 4)
typedef FOUR_OF(T) four; /* neighbours in a row: CUDA_TILE_EACH */

enum { SIDE = CUDA_TILE / CUDA_TILE_EACH }; /* work items along each */

/* CUDA_TILE lines of CUDA_TILE_K from k on. Neighbours in memory are read by neighbours among the
 * work items. */
void load(global const T *from, int64_t line, int64_t lines, int64_t k, int64_t size,
          int64_t line_step, int64_t k_step, local T (*to)[CUDA_TILE + 1]) {
    const bool along = k_step == 1;
    for (uint i = get_local_id(0); i < CUDA_TILE * CUDA_TILE_K; i += CUDA_BLOCK) {
        uint l = along ? i / CUDA_TILE_K : i % CUDA_TILE;
        uint p = along ? i % CUDA_TILE_K : i / CUDA_TILE;
        bool inside = line + l < lines && k + p < size;
        to[p][l] = inside ? from[(line + l) * line_step + (k + p) * k_step] : (T)0;
    }
}

MATMUL {
    local T ta[CUDA_TILE_K][CUDA_TILE + 1], tb[CUDA_TILE_K][CUDA_TILE + 1];
    const int64_t across = (a.n - 1) / CUDA_TILE + 1, down = (a.m - 1) / CUDA_TILE + 1;
    const uint row = get_local_id(0) / SIDE, col = get_local_id(0) % SIDE * CUDA_TILE_EACH;
    ROWS(at, a.tiles) {
        const int64_t batch = at / (across * down), tile = at % (across * down);
        global const T *from_a = AT(const T, a_, a.a) + offset_of(a.rank, a.dims, a.a_steps, batch);
        global const T *from_b = AT(const T, b_, a.b) + offset_of(a.rank, a.dims, a.b_steps, batch);
        global T *to = AT(T, c_, a.c) + batch * a.m * a.n;
        const int64_t m = tile / across * CUDA_TILE, n = tile % across * CUDA_TILE;
        const int64_t rows = a.m - m - row,
                      cols = a.n - n - col; /* from here on; or fewer than 1 */
        four sums[CUDA_TILE_EACH] = {0};
        for (int64_t k = 0; k < a.k; k += CUDA_TILE_K) {
            const int depth = a.k - k < CUDA_TILE_K ? a.k - k : CUDA_TILE_K;
            load(from_a, m, a.m, k, a.k, a.a_row, a.a_col, ta);
            load(from_b, n, a.n, k, a.k, a.b_col, a.b_row, tb);
            SYNCHRONISE;
            for (int p = 0; p < depth && rows > 0 && cols > 0; p++) {
                const four y = vload4(0, tb[p] + col);
                for (int i = 0; i < CUDA_TILE_EACH; i++) sums[i] += ta[p][row + i * SIDE] * y;
            }
            SYNCHRONISE;
        }
        for (int i = 0; i < CUDA_TILE_EACH && i * SIDE < rows; i++) {
            const T out[] = {sums[i].x, sums[i].y, sums[i].z, sums[i].w};
            for (int j = 0; j < CUDA_TILE_EACH && j < cols; j++)
                to[(m + row + i * SIDE) * a.n + n + col + j] = out[j];
        }
    }
}
#else
/* Integers, which are seldom many: an element a work item. */
MATMUL {
    EACH(i, a.batches * a.m * a.n) {
        int64_t at = i, col = take(&at, a.n), row = take(&at, a.m);
        global const W *x =
            AT(const W, a_, a.a) + offset_of(a.rank, a.dims, a.a_steps, at) + row * a.a_row;
        global const W *y =
            AT(const W, b_, a.b) + offset_of(a.rank, a.dims, a.b_steps, at) + col * a.b_col;
        W sum = 0;
        for (int64_t k = 0; k < a.k; k++) sum += x[k * a.a_col] * y[k * a.b_row];
        AT(W, c_, a.c)[i] = sum;
    }
}
#endif
