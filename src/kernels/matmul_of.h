/* SPDX-License-Identifier: MIT
 *
 * matmul_of.h - the product of two matrices of one type, included once for each with
 *
 *   MATMUL_T     the type of an element
 *   MATMUL_TAG   what its functions' names end in
 *
 * The output is cut into tiles of ROWS x COLS, each held in registers while it runs
 * through a block of k; the part of b that it needs, a panel of COLS columns, is
 * first copied to the stack, where its rows lie side by side, stored transposed or not. Blocks
 * of k come in ascending order and a tile goes on from what the last one left, so
 * every element is the plain sum in ascending order of k, the tile's edges included.
 */
#define MATMUL_JOIN2(NAME, TAG) NAME##_##TAG
#define MATMUL_JOIN(NAME, TAG)  MATMUL_JOIN2(NAME, TAG)
#define NAMED(NAME)             MATMUL_JOIN(NAME, MATMUL_TAG)

static void NAMED(pack)(const matmul *m, int64_t p0, int64_t np, int64_t j0, int64_t nj,
                        MATMUL_T *panel) {
    const MATMUL_T *b = (const MATMUL_T *)m->b + p0 * m->b_row + j0 * m->b_col;
    for (int64_t p = 0; p < np; p++) {
        for (int64_t j = 0; j < nj; j++) panel[p * COLS + j] = b[p * m->b_row + j * m->b_col];
        for (int64_t j = nj; j < COLS; j++) panel[p * COLS + j] = 0;
    }
}

/* A whole tile: all bounds are constants, so that it stays in registers. */
static void NAMED(whole_tile)(const matmul *m, const MATMUL_T *a, const MATMUL_T *panel, int64_t np,
                              MATMUL_T *c) {
    MATMUL_T sum[ROWS][COLS];
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < COLS; j++) sum[i][j] = c[i * m->n + j];
    for (int64_t p = 0; p < np; p++)
        for (int i = 0; i < ROWS; i++)
            for (int j = 0; j < COLS; j++)
                sum[i][j] += a[i * m->a_row + p * m->a_col] * panel[p * COLS + j];
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < COLS; j++) c[i * m->n + j] = sum[i][j];
}

/* One row of a tile of at most COLS columns. */
static void NAMED(part_row)(const matmul *m, const MATMUL_T *a, const MATMUL_T *panel, int64_t np,
                            int64_t nj, MATMUL_T *c) {
    MATMUL_T sum[COLS] = {0};
    for (int64_t j = 0; j < nj; j++) sum[j] = c[j];
    for (int64_t p = 0; p < np; p++)
        for (int j = 0; j < COLS; j++) sum[j] += a[p * m->a_col] * panel[p * COLS + j];
    for (int64_t j = 0; j < nj; j++) c[j] = sum[j];
}

static void NAMED(multiply)(const matmul *m) {
    MATMUL_T panel[BLOCK * COLS];
    for (int64_t p = 0; p < m->k; p += BLOCK) {
        int64_t np = m->k - p < BLOCK ? m->k - p : BLOCK;
        for (int64_t j = 0; j < m->n; j += COLS) {
            int64_t nj = m->n - j < COLS ? m->n - j : COLS, i = 0;
            const MATMUL_T *a = (const MATMUL_T *)m->a + p * m->a_col;
            MATMUL_T *c = (MATMUL_T *)m->c + j;
            NAMED(pack)(m, p, np, j, nj, panel);
            for (; nj == COLS && i + ROWS <= m->m; i += ROWS)
                NAMED(whole_tile)(m, a + i * m->a_row, panel, np, c + i * m->n);
            for (; i < m->m; i++) NAMED(part_row)(m, a + i * m->a_row, panel, np, nj, c + i * m->n);
        }
    }
}

#undef NAMED
#undef MATMUL_JOIN
#undef MATMUL_JOIN2
#undef MATMUL_T
#undef MATMUL_TAG
