/* SPDX-License-Identifier: MIT
 *
 * cuBLAS stores matrices by columns. By columns, our a, b and c by rows are their transposes; so
 * it is asked for c' = b' a'.
 *
 * A handle has a workspace of some MB and belongs to one context: there is one for each queue, made
 * when it is first used. To set its stream and to call it are two calls, between which nobody else
 * may come.
 */
#include "kernels/cuda/cublas.h"

#include <dlfcn.h>
#include <limits.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/mutex.h"

enum { QUEUES = 64, AS_IT_IS = 0, TURNED = 1, DONE = 0 /* of cuBLAS */ };

typedef int gemm_f32(void *handle, int turn_a, int turn_b, int m, int n, int k, const float *alpha,
                     const float *a, int a_apart, long long a_step, const float *b, int b_apart,
                     long long b_step, const float *beta, float *c, int c_apart, long long c_step,
                     int batches);
typedef int gemm_f64(void *handle, int turn_a, int turn_b, int m, int n, int k, const double *alpha,
                     const double *a, int a_apart, long long a_step, const double *b, int b_apart,
                     long long b_step, const double *beta, double *c, int c_apart, long long c_step,
                     int batches);

struct cublas {
    const df_allocator *alloc; /* (c), as all up to the lock */
    void *library;             /* of dlopen */
    int (*create)(void **handle);
    int (*destroy)(void *handle);
    int (*set_stream)(void *handle, void *stream);
    gemm_f32 *f32;
    gemm_f64 *f64;
    mutex lock; /* guards what follows */
    int n_queues;
    struct {
        void *queue, *handle;
    } queues[QUEUES];
};

/* ---- loading ------------------------------------------------------------- */

static void *load(const char *file) {
    static const char names[][16] = {"libcublas.so.13", "libcublas.so.12", "libcublas.so.11"};
    void *library = file ? dlopen(file, RTLD_NOW | RTLD_LOCAL) : NULL;
    for (size_t i = 0; !file && !library && i < sizeof names / sizeof *names; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    return library;
}

/* to: a pointer to a function, which C does not make of one to an object. */
static bool find(void *library, const char *name, void *to) {
    void *at = dlsym(library, name);
    memcpy(to, &at, sizeof at);
    return at != NULL;
}

static bool find_all(cublas *b) {
    return find(b->library, "cublasCreate_v2", &b->create) &&
           find(b->library, "cublasDestroy_v2", &b->destroy) &&
           find(b->library, "cublasSetStream_v2", &b->set_stream) &&
           find(b->library, "cublasSgemmStridedBatched", &b->f32) &&
           find(b->library, "cublasDgemmStridedBatched", &b->f64);
}

df_code cublas_open(const df_allocator *alloc, const char *file, cublas **out, df_error *err) {
    void *library = load(file);
    if (!library) return error_set(err, DF_NOT_FOUND, "cuBLAS cannot be loaded: %.250s", dlerror());
    cublas *b = alloc_zeroed(alloc, sizeof *b);
    if (b) *b = (cublas){.alloc = alloc, .library = library};
    if (b && find_all(b) && mutex_init(&b->lock)) {
        *out = b;
        return DF_OK;
    }
    if (!b) return error_memory(err, "cuBLAS");
    alloc_free(alloc, b, sizeof *b);
    return error_set(err, DF_NOT_FOUND, "cuBLAS lacks a function; it takes version 11 or later");
}

void cublas_close(cublas *b, bool lost) {
    if (!b) return;
    for (int i = 0; i < b->n_queues && !lost; i++) (void)b->destroy(b->queues[i].handle);
    mutex_fini(&b->lock); /* the library stays: it does not give back all that it has taken */
    alloc_free(b->alloc, b, sizeof *b);
}

/* ---- a product ----------------------------------------------------------- */

/* rows x cols with these steps: rows one after another, or else columns. */
static bool lies(int64_t rows, int64_t cols, int64_t row, int64_t col, int *turn, int *apart) {
    *turn = col == 1 && row >= cols ? AS_IT_IS : TURNED;
    int64_t step = *turn == AS_IT_IS ? row : col;
    *apart = (int)step;
    return step <= INT_MAX && (*turn == AS_IT_IS || (row == 1 && col >= rows));
}

static void *handle_of_locked(cublas *b, void *queue) DF_REQUIRES(&b->lock) {
    for (int i = 0; i < b->n_queues; i++)
        if (b->queues[i].queue == queue) return b->queues[i].handle;
    void *handle = NULL;
    if (b->n_queues == QUEUES || b->create(&handle) != DONE) return NULL;
    b->queues[b->n_queues].queue = queue;
    b->queues[b->n_queues++].handle = handle;
    return handle;
}

typedef struct call {
    int m, n, k, batches, turn_a, turn_b, a_apart, b_apart;
    int64_t a_step, b_step, c_step;
} call;

static int gemm(const cublas *b, void *handle, df_dtype dtype, const cuda_matmul *m,
                const call *c) {
    const float one = 1, zero = 0;
    const double one_f64 = 1, zero_f64 = 0;
    if (dtype == DF_FLOAT32)
        return b->f32(handle, c->turn_b, c->turn_a, c->n, c->m, c->k, &one, m->b, c->b_apart,
                      c->b_step, m->a, c->a_apart, c->a_step, &zero, m->c, c->n, c->c_step,
                      c->batches);
    return b->f64(handle, c->turn_b, c->turn_a, c->n, c->m, c->k, &one_f64, m->b, c->b_apart,
                  c->b_step, m->a, c->a_apart, c->a_step, &zero_f64, m->c, c->n, c->c_step,
                  c->batches);
}

/* What cuBLAS is to be asked; false: it cannot be. */
static bool set_call(call *c, df_dtype dtype, const cuda_matmul *m) {
    *c = (call){.m = (int)m->m,
                .n = (int)m->n,
                .k = (int)m->k,
                .batches = (int)m->batches,
                .a_step = m->rank ? m->a_steps[0] : 0,
                .b_step = m->rank ? m->b_steps[0] : 0,
                .c_step = m->m * m->n};
    if ((dtype != DF_FLOAT32 && dtype != DF_FLOAT64) || m->rank > 1) return false;
    if (c->m != m->m || c->n != m->n || c->k != m->k || c->batches != m->batches || c->k < 1)
        return false;
    return lies(m->m, m->k, m->a_row, m->a_col, &c->turn_a, &c->a_apart) &&
           lies(m->k, m->n, m->b_row, m->b_col, &c->turn_b, &c->b_apart);
}

bool cublas_multiply(cublas *b, void *queue, void *stream, df_dtype dtype, const cuda_matmul *m,
                     df_code *code, df_error *err) {
    call c;
    if (!set_call(&c, dtype, m)) return false;
    mutex_lock(&b->lock);
    void *handle = handle_of_locked(b, queue);
    int status = handle ? b->set_stream(handle, stream) : DONE;
    if (handle && status == DONE) status = gemm(b, handle, dtype, m, &c);
    mutex_unlock(&b->lock);
    *code = status == DONE
                ? DF_OK
                : error_set(err, DF_INTERNAL, "cuBLAS: a product fails with status %d", status);
    return handle != NULL;
}
