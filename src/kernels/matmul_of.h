/* SPDX-License-Identifier: MIT
 *
 * matmul_of.h - the product of two matrices of one type, included once for each with
 *
 *   MATMUL_T     the type of an element
 *   MATMUL_TAG   what its functions' names end in
 *
 * The output is cut into tiles of ROWS x COLS, each held in registers while it runs
 * through a block of k; the part of b that it needs, a panel of COLS columns, is
 * first copied to the stack, where its rows lie side by side, stored transposed or not.
 * Blocks of k come in ascending order and a tile goes on from what the last one left, so
 * every element is the plain sum in ascending order of k, the tile's edges included.
 *
 * Vectors are written out, four or two elements each: left to itself gcc shuffles them
 * between rows instead of keeping a tile in place, at less than half the speed.
 */
#define MATMUL_JOIN2(NAME, TAG) NAME##_##TAG
#define MATMUL_JOIN(NAME, TAG)  MATMUL_JOIN2(NAME, TAG)
#define NAMED(NAME)             MATMUL_JOIN(NAME, MATMUL_TAG)
#define LANES                   ((int)(VECTOR_BYTES / sizeof(MATMUL_T)))
#define COLS                    (VECTORS * LANES)

typedef MATMUL_T NAMED(lanes) __attribute__((vector_size(VECTOR_BYTES)));

/* One row of a panel, or of a tile. */
typedef struct NAMED(strip) {
    NAMED(lanes) v[VECTORS];
} NAMED(strip);

/* Columns from nj on are zero: what they give is not stored. */
static void NAMED(pack)(const matmul *m, int64_t p0, int64_t np, int64_t j0, int64_t nj,
                        NAMED(strip) * panel) {
    const MATMUL_T *b = (const MATMUL_T *)m->b + p0 * m->b_row + j0 * m->b_col;
    if (nj == COLS && m->b_col == 1) {
        for (int64_t p = 0; p < np; p++) memcpy(&panel[p], b + p * m->b_row, sizeof *panel);
        return;
    }
    for (int64_t p = 0; p < np; p++) {
        MATMUL_T row[COLS] = {0};
        for (int64_t j = 0; j < nj; j++) row[j] = b[p * m->b_row + j * m->b_col];
        memcpy(&panel[p], row, sizeof row);
    }
}

static inline void NAMED(add_product)(NAMED(strip) * sum, MATMUL_T a, const NAMED(strip) * b) {
    for (int v = 0; v < VECTORS; v++) sum->v[v] += a * b->v[v];
}

/* A whole tile. */
static void NAMED(whole_tile)(const matmul *m, const MATMUL_T *a, const NAMED(strip) * panel,
                              int64_t np, MATMUL_T *c) {
    const MATMUL_T *a0 = a, *a1 = a + m->a_row, *a2 = a1 + m->a_row, *a3 = a2 + m->a_row;
    int64_t step = m->a_col;
    NAMED(strip) s0, s1, s2, s3;
    memcpy(&s0, c, sizeof s0);
    memcpy(&s1, c + m->n, sizeof s1);
    memcpy(&s2, c + m->n * 2, sizeof s2);
    memcpy(&s3, c + m->n * 3, sizeof s3);
    for (int64_t p = 0; p < np; p++) {
        NAMED(add_product)(&s0, a0[p * step], &panel[p]);
        NAMED(add_product)(&s1, a1[p * step], &panel[p]);
        NAMED(add_product)(&s2, a2[p * step], &panel[p]);
        NAMED(add_product)(&s3, a3[p * step], &panel[p]);
    }
    memcpy(c, &s0, sizeof s0);
    memcpy(c + m->n, &s1, sizeof s1);
    memcpy(c + m->n * 2, &s2, sizeof s2);
    memcpy(c + m->n * 3, &s3, sizeof s3);
}

/* One row of a tile, nj columns wide. */
static void NAMED(part_row)(const matmul *m, const MATMUL_T *a, const NAMED(strip) * panel,
                            int64_t np, int64_t nj, MATMUL_T *c) {
    NAMED(strip) sum = {0};
    memcpy(&sum, c, (size_t)nj * sizeof *c);
    for (int64_t p = 0; p < np; p++) NAMED(add_product)(&sum, a[p * m->a_col], &panel[p]);
    memcpy(c, &sum, (size_t)nj * sizeof *c);
}

static void NAMED(multiply)(const matmul *m) {
    NAMED(strip) panel[BLOCK];
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

#undef COLS
#undef LANES
#undef NAMED
#undef MATMUL_JOIN
#undef MATMUL_JOIN2
#undef MATMUL_T
#undef MATMUL_TAG
