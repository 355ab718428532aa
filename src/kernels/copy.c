/* SPDX-License-Identifier: MIT
 *
 * The loops: runs, planes, and one element many times.
 */
#include "kernels/copy.h"

#include <string.h>

/* A plane is turned in square pieces, so that neither side jumps through memory for long. A run
 * of fewer bytes is not worth a call. What is filled is copied from its own first bytes, which
 * stay in the nearest cache. */
enum { PIECE = 16, SHORT_RUN = 32, PATTERN = 16384 };

/* A row of n elements; steps are bytes. */
typedef void (*row_loop)(int64_t n, int64_t from_step, int64_t to_step, const char *from, char *to);

#define ROW(SIZE)                                                                                  \
    static void copy_row_##SIZE(int64_t n, int64_t from_step, int64_t to_step, const char *from,   \
                                char *to) {                                                        \
        for (; n > 0; n--, from += from_step, to += to_step) memcpy(to, from, SIZE);               \
    }
ROW(1)
ROW(2)
ROW(4)
ROW(8)

/* A copy with its dimensions joined, the target's innermost first; steps are bytes. There are at
 * least two. */
typedef struct job {
    copy_dim dims[COPY_RANK];
    int rank;
    size_t run;   /* bytes of dims[0], which memcpy moves; or 0: */
    row_loop row; /* for dims[0], which is a plane with dims[1] */
} job;

/* A dimension outside of those there are. */
static void add_dim(job *b, copy_dim dim) {
    copy_dim *last = b->rank ? &b->dims[b->rank - 1] : NULL;
    if (dim.n == 1) return;
    if (last && dim.from == last->from * last->n && dim.to == last->to * last->n)
        last->n *= dim.n;
    else
        b->dims[b->rank++] = dim;
}

static void copy_plane(const job *b, const char *from, char *to) {
    const copy_dim *j = &b->dims[0], *i = &b->dims[1];
    for (int64_t i0 = 0; i0 < i->n; i0 += PIECE)
        for (int64_t j0 = 0; j0 < j->n; j0 += PIECE)
            for (int64_t k = i0; k < i->n && k < i0 + PIECE; k++)
                b->row(j->n - j0 < PIECE ? j->n - j0 : PIECE, j->from, j->to,
                       from + k * i->from + j0 * j->from, to + k * i->to + j0 * j->to);
}

/* All positions of dimension d and those within. */
static void copy_dims(const job *b, int d, const char *from, char *to) {
    const copy_dim dim = b->dims[d];
    if (d == 1 && b->run == 0) {
        copy_plane(b, from, to);
        return;
    }
    for (int64_t k = 0; k < dim.n; k++, from += dim.from, to += dim.to)
        if (d == 1)
            memcpy(to, from, b->run);
        else
            copy_dims(b, d - 1, from, to);
}

void copy_strided(size_t size, const copy_dim *dims, int rank, const void *from, void *to) {
    const int64_t width = (int64_t)size;
    job b;
    b.rank = 0;
    b.run = 0;
    for (int d = rank - 1; d >= 0; d--) {
        if (dims[d].n == 0) return;
        add_dim(&b, (copy_dim){dims[d].n, dims[d].from * width, dims[d].to * width});
    }
    while (b.rank < 2) b.dims[b.rank++] = (copy_dim){1, 0, 0};
    const copy_dim *j = &b.dims[0];
    b.row = size == 1 ? copy_row_1 : size == 2 ? copy_row_2 : size == 4 ? copy_row_4 : copy_row_8;
    if (j->from == width && j->to == width && j->n * width >= SHORT_RUN)
        b.run = (size_t)(j->n * width);
    for (int d = 2; d < b.rank && b.run == 0; d++) {
        copy_dim outer = b.dims[d]; /* the source's innermost but for j becomes dims[1] */
        if (outer.from == 0 || outer.from >= b.dims[1].from) continue;
        b.dims[d] = b.dims[1];
        b.dims[1] = outer;
    }
    copy_dims(&b, b.rank - 1, from, to);
}

void copy_fill(size_t size, const void *element, int64_t n, void *to) {
    if (n == 0) return;
    size_t bytes = size * (size_t)n;
    memcpy(to, element, size);
    for (size_t done = size; done < bytes;) {
        size_t part = done < PATTERN ? done : PATTERN;
        if (part > bytes - done) part = bytes - done;
        memcpy((char *)to + done, to, part);
        done += part;
    }
}

/* A copy of a size that the compiler knows is no call. */
void copy_rows(size_t bytes, const df_tensor *indices, const void *from, void *to) {
    char *target = to;
    for (int64_t i = 0; i < indices->elements; i++, target += bytes) {
        const char *row = (const char *)from + copy_index(indices, i) * (int64_t)bytes;
        if (bytes == 4)
            memcpy(target, row, 4);
        else
            memcpy(target, row, bytes);
    }
}
