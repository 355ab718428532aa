/* SPDX-License-Identifier: MIT
 *
 * 1. Kernels are loaded, all together, by the first launch on a device, and looked up once each.
 * 2. What was found is kept in lists by the hash of its name. They only grow, at their heads, so
 *    who looks for a kernel that is there takes no lock.
 */
#include "device/cuda/launch.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/hash.h"
#include "device/cuda/cuda.h"

#include <string.h>

struct cuda_kernel {
    cuda_kernel *next;
    const char *name; /* in the same block */
    size_t bytes;
    cu_function function;
};

/* ---- finding ------------------------------------------------------------- */

static cuda_kernel *find(cuda_kernel *first, const char *name) {
    while (first && strcmp(first->name, name) != 0) first = first->next;
    return first;
}

static df_code load_locked(cuda_device *d, df_error *err) DF_REQUIRES(&d->lock);
static df_code add_locked(cuda_device *d, const char *name, cuda_kernel *_Atomic *list,
                          cuda_kernel **out, df_error *err) DF_REQUIRES(&d->lock);

static df_code load_locked(cuda_device *d, df_error *err) {
    char log[256] = "";
    int options[] = {CU_JIT_ERROR_LOG, CU_JIT_ERROR_LOG_BYTES};
    void *values[] = {log, (void *)(uintptr_t)sizeof log};
    cu_module module = NULL;
    if (d->module) return DF_OK;
    cu_result r = d->driver.module_load(&module, cuda_ptx, 2, options, values);
    df_code rc = cuda_check(d, r, CUDA_CALL_module_load, err);
    if (rc == DF_OK) {
        d->module = module;
    } else if (log[0]) {
        log[sizeof log - 1] = '\0';
        error_prefix(err, "the driver refuses the library's kernels: %s: ", log);
    }
    return rc;
}

static df_code add_locked(cuda_device *d, const char *name, cuda_kernel *_Atomic *list,
                          cuda_kernel **out, df_error *err) {
    size_t length = strlen(name) + 1, bytes = sizeof(cuda_kernel) + length;
    cu_function function = NULL;
    df_code rc = load_locked(d, err);
    if (rc != DF_OK) return rc;
    cu_result r = d->driver.module_function(&function, d->module, name);
    rc = cuda_check(d, r, CUDA_CALL_module_function, err);
    if (rc != DF_OK) {
        error_prefix(err, "kernel %s: ", name);
        return rc;
    }
    cuda_kernel *k = alloc_bytes(d->alloc, bytes);
    if (!k) return error_memory(err, d->name);
    memcpy(k + 1, name, length);
    *k = (cuda_kernel){atomic_get(list, RELAXED), (const char *)(k + 1), bytes, function};
    atomic_put(list, k, RELEASE);
    *out = k;
    return DF_OK;
}

/* The device is the current one. */
static df_code lookup(cuda_device *d, const char *name, cu_function *out, df_error *err) {
    uint64_t h = hash_bytes(name, strlen(name));
    cuda_kernel *_Atomic *list = &d->kernels[h % CUDA_BUCKETS];
    cuda_kernel *k = find(atomic_get(list, ACQUIRE), name);
    df_code rc = DF_OK;
    if (!k) {
        mutex_lock(&d->lock);
        k = find(atomic_get(list, RELAXED), name); /* somebody else was as far */
        if (!k) rc = add_locked(d, name, list, &k, err);
        mutex_unlock(&d->lock);
    }
    if (rc == DF_OK) *out = k->function;
    return rc;
}

void cuda_kernels_close(cuda_device *d) {
    for (int i = 0; i < CUDA_BUCKETS; i++) {
        for (cuda_kernel *k = atomic_get(&d->kernels[i], RELAXED), *next; k; k = next) {
            next = k->next;
            alloc_free(d->alloc, k, k->bytes);
        }
    }
    if (d->module) CUDA_GIVE(d, module_unload, d->module);
}

/* ---- launching ----------------------------------------------------------- */

static df_code put(cuda_queue *q, const cuda_launch *l, df_error *err) {
    cuda_device *d = q->device;
    cu_function f = NULL;
    df_code rc = lookup(d, l->kernel, &f, err);
    if (rc != DF_OK) return rc;
    cu_result r = d->driver.launch(f, l->grid[0], l->grid[1], l->grid[2], l->block[0], l->block[1],
                                   l->block[2], l->shared, q->stream, l->params, NULL);
    rc = cuda_check(d, r, CUDA_CALL_launch, err);
    if (rc != DF_OK) error_prefix(err, "kernel %s: ", l->kernel);
    return rc;
}

df_code cuda_queue_launch(void *queue, const cuda_launch *l, df_error *err) {
    cuda_queue *q = queue;
    cuda_visit v;
    df_code rc = cuda_enter(q->device, &v, err);
    if (rc != DF_OK) return rc;
    rc = put(q, l, err);
    cuda_leave(q->device, &v);
    return rc;
}
