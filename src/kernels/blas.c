/* SPDX-License-Identifier: MIT
 *
 * A BLAS ends the process when it is called wrongly: so it is asked only for what it allows.
 */
#include "kernels/blas.h"

#include <dlfcn.h>
#include <limits.h>
#include <string.h>

#include "base/error.h"
#include "kernels/matmul.h"

enum { ROW_MAJOR = 101, AS_IT_IS = 111, TURNED = 112 }; /* of CBLAS */

/* ---- loading ------------------------------------------------------------- */

/* to: a pointer to a function, which C does not make of one to an object. */
static df_code find(const char *file, void *library, const char *name, void *to, df_error *err) {
    void *at = dlsym(library, name);
    memcpy(to, &at, sizeof at);
    if (at) return DF_OK;
    return error_set(err, DF_NOT_FOUND,
                     "cblas \"%.100s\" has no %s; name one that has, such as \"libopenblas.so.0\"",
                     file, name);
}

df_code blas_open(const char *file, blas *out, df_error *err) {
    blas b = {.library = dlopen(file, RTLD_NOW | RTLD_LOCAL)};
    if (!b.library)
        return error_set(err, DF_NOT_FOUND, "cblas \"%.100s\" cannot be loaded: %.250s", file,
                         dlerror());
    df_code code = find(file, b.library, "cblas_sgemm", &b.sgemm, err);
    if (code == DF_OK) code = find(file, b.library, "cblas_dgemm", &b.dgemm, err);
    if (code == DF_OK)
        *out = b;
    else
        blas_close(&b);
    return code;
}

void blas_close(blas *b) {
    if (b->library) (void)dlclose(b->library);
}

/* ---- a product ----------------------------------------------------------- */

/* An operand, by strides in bytes. */
typedef struct operand {
    int64_t rows, cols, row, col;
} operand;

/* What CBLAS calls a leading dimension: rows so many elements apart, each at least `n` long. */
static bool apart(int64_t bytes, int64_t size, int64_t n, int *out) {
    int64_t elements = bytes / size;
    *out = (int)elements;
    return elements >= n && elements <= INT_MAX;
}

/* Do its rows, or else its columns, lie one after another? */
static bool lies(const operand *o, int64_t size, int *turn, int *step) {
    *turn = AS_IT_IS;
    if (o->col == size && apart(o->row, size, o->cols, step)) return true;
    *turn = TURNED;
    return o->row == size && apart(o->col, size, o->rows, step);
}

bool blas_add(const blas *b, df_dtype dtype, const struct matmul *p) {
    int64_t size = (int64_t)df_dtype_size(dtype);
    const operand first = {p->m, p->k, p->a_row, p->a_col};
    const operand second = {p->k, p->n, p->b_row, p->b_col};
    int turn_a, turn_b, a, b_, c, m = (int)p->m, n = (int)p->n, k = (int)p->k;
    if (dtype != DF_FLOAT32 && dtype != DF_FLOAT64) return false;
    if (m != p->m || n != p->n || k != p->k || m < 1 || n < 1 || k < 1) return false;
    if (!lies(&first, size, &turn_a, &a) || !lies(&second, size, &turn_b, &b_)) return false;
    if (!apart(p->c_row, size, n, &c)) return false;
    if (dtype == DF_FLOAT32)
        b->sgemm(ROW_MAJOR, turn_a, turn_b, m, n, k, 1, p->a, a, p->b, b_, 1, p->c, c);
    else
        b->dgemm(ROW_MAJOR, turn_a, turn_b, m, n, k, 1, p->a, a, p->b, b_, 1, p->c, c);
    return true;
}
