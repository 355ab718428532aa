/* SPDX-License-Identifier: MIT
 *
 * 1. A kernel is built by its first launch on a device, and kept until that is closed.
 * 2. A kernel object holds its arguments until it is launched; so one lock is held from the first
 *    argument to the launch, and from a report's zeros to the copy of what became of them.
 * 3. Reports of a queue share one block, since its commands run one after the other.
 */
#include "device/opencl/launch.h"

#include "base/alloc.h"
#include "base/error.h"
#include "device/opencl/opencl.h"

#include <string.h>

struct opencl_kernel {
    opencl_kernel *next;
    const char *name; /* in the same block */
    size_t bytes;
    cl_program program;
    cl_kernel kernel;
};

/* ---- building ------------------------------------------------------------ */

enum { LOG_SHOWN = 300 };

/* The first lines of what the compiler said. */
static void add_log(opencl_device *d, cl_program program, df_error *err) {
    size_t bytes = 0;
    if (!err) return;
    (void)d->driver.program_info(program, d->handle, CL_BUILD_LOG, 0, NULL, &bytes);
    char *log = bytes ? alloc_zeroed(d->alloc, bytes + 1) : NULL;
    if (!log) return;
    (void)d->driver.program_info(program, d->handle, CL_BUILD_LOG, bytes, log, NULL);
    error_prefix(err, "the driver refuses the kernel's text: %.*s: ", LOG_SHOWN, log);
    alloc_free(d->alloc, log, bytes + 1);
}

static df_code build(opencl_device *d, const opencl_launch *l, opencl_kernel *k, df_error *err) {
    unsigned n = 0;
    df_code rc;
    while (n < OPENCL_TEXTS && l->texts[n]) n++;
    OPENCL_MAKE(rc, k->program, d, err, program_create, d->context, n, l->texts, NULL);
    if (rc != DF_OK) return rc;
    OPENCL_ASK(rc, d, err, program_build, k->program, 1, &d->handle, l->options, NULL, NULL);
    if (rc != DF_OK && rc != DF_UNAVAILABLE) add_log(d, k->program, err);
    if (rc == DF_OK) OPENCL_MAKE(rc, k->kernel, d, err, kernel_create, k->program, l->entry);
    if (rc != DF_OK) OPENCL_GIVE(d, program_release, k->program);
    return rc;
}

static df_code find_locked(opencl_device *d, const opencl_launch *l, opencl_kernel **out,
                           df_error *err) DF_REQUIRES(&d->kernels_lock);

static df_code find_locked(opencl_device *d, const opencl_launch *l, opencl_kernel **out,
                           df_error *err) {
    for (opencl_kernel **at = &d->kernels; *at; at = &(*at)->next) {
        opencl_kernel *k = *at;
        if (strcmp(k->name, l->name) != 0) continue;
        *at = k->next; /* to the front: a step asks for few */
        k->next = d->kernels;
        *out = d->kernels = k;
        return DF_OK;
    }
    size_t length = strlen(l->name) + 1, bytes = sizeof(opencl_kernel) + length;
    opencl_kernel *k = alloc_zeroed(d->alloc, bytes);
    if (!k) return error_memory(err, d->name);
    df_code rc = build(d, l, k, err);
    if (rc != DF_OK) {
        alloc_free(d->alloc, k, bytes);
        return rc;
    }
    memcpy(k + 1, l->name, length);
    k->name = (const char *)(k + 1);
    k->bytes = bytes;
    k->next = d->kernels;
    *out = d->kernels = k;
    return DF_OK;
}

void opencl_kernels_close(opencl_device *d) {
    for (opencl_kernel *k = d->kernels, *next; k; k = next) {
        next = k->next;
        OPENCL_GIVE(d, kernel_release, k->kernel);
        OPENCL_GIVE(d, program_release, k->program);
        alloc_free(d->alloc, k, k->bytes);
    }
}

/* ---- launching ----------------------------------------------------------- */

/* Makes an offset of each address. */
static df_code find_all(opencl_device *d, const opencl_launch *l, cl_buffer *buffers,
                        df_error *err) {
    for (unsigned i = 0; i < l->n_addresses; i++) {
        char *at = (char *)l->args + l->addresses[i];
        const void *address;
        uint64_t offset = 0;
        opencl_place place = {0};
        memcpy(&address, at, sizeof address);
        df_code rc = address ? opencl_find(d, address, 0, &place, err) : DF_OK;
        if (rc != DF_OK) return rc;
        offset = place.offset;
        memcpy(at, &offset, sizeof offset);
        buffers[i] = place.buffer;
    }
    return DF_OK;
}

static df_code set_all(opencl_device *d, cl_kernel k, const opencl_launch *l,
                       const cl_buffer *buffers, df_error *err) {
    df_code rc;
    OPENCL_ASK(rc, d, err, kernel_argument, k, 0, l->bytes, l->args);
    unsigned n = l->n_addresses + (l->report_bytes != 0);
    for (unsigned i = 0; i < n && rc == DF_OK; i++)
        OPENCL_ASK(rc, d, err, kernel_argument, k, i + 1, sizeof *buffers, &buffers[i]);
    return rc;
}

static df_code begin_report_locked(opencl_device *d, opencl_queue *q, const opencl_launch *l,
                                   cl_buffer *out, df_error *err) DF_REQUIRES(&d->kernels_lock);

static df_code begin_report_locked(opencl_device *d, opencl_queue *q, const opencl_launch *l,
                                   cl_buffer *out, df_error *err) {
    const uint32_t nothing = 0;
    df_code rc = DF_OK;
    *out = NULL;
    if (!l->report) return rc;
    if (!q->report)
        OPENCL_MAKE(rc, q->report, d, err, buffer_create, d->context, CL_READ_WRITE, OPENCL_REPORT,
                    NULL);
    if (rc != DF_OK) return rc;
    *out = q->report;
    OPENCL_ASK(rc, d, err, fill, q->queue, q->report, &nothing, sizeof nothing, 0, OPENCL_REPORT, 0,
               NULL, NULL);
    return rc;
}

static df_code put_locked(opencl_device *d, opencl_queue *q, const opencl_launch *l,
                          cl_buffer *buffers, df_error *err) DF_REQUIRES(&d->kernels_lock);

static df_code put_locked(opencl_device *d, opencl_queue *q, const opencl_launch *l,
                          cl_buffer *buffers, df_error *err) {
    opencl_kernel *k = NULL;
    size_t items = l->groups * l->group;
    df_code rc = find_locked(d, l, &k, err);
    if (rc == DF_OK) rc = begin_report_locked(d, q, l, &buffers[l->n_addresses], err);
    if (rc == DF_OK) rc = set_all(d, k->kernel, l, buffers, err);
    if (rc != DF_OK) return rc;
    OPENCL_ASK(rc, d, err, launch, q->queue, k->kernel, 1, NULL, &items, &l->group, 0, NULL, NULL);
    if (rc == DF_OK && l->report)
        OPENCL_ASK(rc, d, err, read, q->queue, q->report, false, 0, l->report_bytes, l->report, 0,
                   NULL, NULL);
    return rc;
}

df_code opencl_queue_launch(void *queue, const opencl_launch *l, df_error *err) {
    opencl_queue *q = queue;
    opencl_device *d = q->device;
    cl_buffer buffers[OPENCL_ADDRESSES + 1];
    df_code rc = find_all(d, l, buffers, err);
    if (rc == DF_OK) {
        mutex_lock(&d->kernels_lock);
        rc = put_locked(d, q, l, buffers, err);
        mutex_unlock(&d->kernels_lock);
    }
    if (rc != DF_OK) error_prefix(err, "kernel %s: ", l->name);
    return rc;
}
