/* SPDX-License-Identifier: MIT
 *
 * A device of any kind, by a driver of OpenCL's.
 *
 * 1. Each has a context of its own. In a context of several, drivers move buffers between them as
 *    they see fit; and those of different platforms cannot have one. So a queue can wait for events
 *    of its own device only (DF_DEVICE_ALONE), and what goes from one to another goes by way of the
 *    host.
 * 2. A command that fails takes its context with it: by the standard all that is left there
 *    may be refused, or not. So it loses the device: the first result that says so is kept in
 * `lost`, and from then on nothing is asked of the device but to take back what it gave. PoCL in
 * addition never ends what waits for a command that has failed.
 * 3. A child of fork must not call the driver ("device/fork.h").
 */
#include "device/opencl/opencl.h"

#include "base/alloc.h"
#include "base/error.h"

#include <stdio.h>
#include <string.h>

/* ---- results ------------------------------------------------------------- */

static bool is_final(cl_result r) {
    return r == CL_DEVICE_NOT_AVAILABLE || r == CL_EXEC_STATUS_ERROR || r == CL_INVALID_DEVICE ||
           r == CL_INVALID_CONTEXT || r == CL_INVALID_COMMAND_QUEUE;
}

static bool is_exhausted(cl_result r) {
    return r == CL_MEM_OBJECT_ALLOCATION_FAILURE || r == CL_OUT_OF_RESOURCES ||
           r == CL_OUT_OF_HOST_MEMORY || r == CL_INVALID_BUFFER_SIZE;
}

df_code opencl_alive(opencl_device *d, df_error *err) {
    cl_result r = atomic_get(&d->lost, RELAXED);
    if (!fork_is_here(&d->here))
        return error_set(err, DF_UNAVAILABLE,
                         "device %s was opened before this process was forked, and OpenCL does not "
                         "work in the child: open it after fork, or start another program",
                         d->name);
    if (r == CL_SUCCESS) return DF_OK;
    return error_set(err, DF_UNAVAILABLE, "device %s is lost: a command has failed: %s (%d)",
                     d->name, opencl_result_name(r), r);
}

df_code opencl_lose(opencl_device *d, cl_result result, df_error *err) {
    int none = CL_SUCCESS;
    (void)atomic_cas(&d->lost, &none, result, RELAXED, RELAXED);
    return opencl_alive(d, err);
}

df_code opencl_check(opencl_device *d, cl_result result, opencl_call call, df_error *err) {
    if (result == CL_SUCCESS) return DF_OK;
    if (is_final(result)) return opencl_lose(d, result, err);
    return error_set(err, is_exhausted(result) ? DF_RESOURCE_EXHAUSTED : DF_INTERNAL,
                     "device %s: %s: %s (%d)", d->name, opencl_call_name(call),
                     opencl_result_name(result), result);
}

/* ---- finding ------------------------------------------------------------- */

enum { PLATFORMS = 16, DEVICES = 64 };

/* Those of all platforms, in the order in which the loader has them. */
static df_code find_device(opencl_device *d, const df_device_request *request, df_error *err) {
    cl_platform platforms[PLATFORMS];
    cl_device devices[DEVICES];
    unsigned n_platforms = 0, n, before = 0, index = (unsigned)request->index;
    cl_result r = d->driver.platforms(PLATFORMS, platforms, &n_platforms);
    if (r != CL_SUCCESS) n_platforms = 0;
    if (n_platforms > PLATFORMS) n_platforms = PLATFORMS;
    for (unsigned p = 0; p < n_platforms; p++, before += n) {
        n = 0;
        r = d->driver.devices(platforms[p], CL_ALL_DEVICES, DEVICES, devices, &n);
        if (r != CL_SUCCESS) n = 0;
        if (n > DEVICES) n = DEVICES;
        if (index - before >= n) continue;
        d->platform = platforms[p];
        d->handle = devices[index - before];
        return DF_OK;
    }
    if (before)
        return error_set(err, DF_NOT_FOUND,
                         "device %s: there is no such OpenCL device, of %u that the loader has",
                         request->name, before);
    return error_set(err, DF_NOT_FOUND,
                     "device %s: OpenCL's loader has %u platforms, and no device (%s): install a "
                     "driver (Debian: pocl-opencl-icd), or leave OPENCL out of the devices",
                     request->name, n_platforms, opencl_result_name(r));
}

/* "OpenCL 1.2 ..." */
static df_code check_version(opencl_device *d, df_error *err) {
    char version[128] = "";
    int major = 0, minor = 0;
    (void)d->driver.device_info(d->handle, CL_DEVICE_VERSION, sizeof version, version, NULL);
    version[sizeof version - 1] = '\0';
    (void)sscanf(version, "OpenCL %3d.%3d", &major, &minor);
    if (major > 1 || (major == 1 && minor >= 2)) return DF_OK;
    return error_set(err, DF_NOT_FOUND, "device %s: its version is \"%.60s\", and 1.2 is needed",
                     d->name, version);
}

static void describe(opencl_device *d, const df_device_request *request, df_device_traits *traits) {
    char model[64] = "a device", platform[40] = "OpenCL";
    uint64_t total = 0;
    uint32_t unified = 0;
    size_t limit = request->memory_limit;
    (void)d->driver.device_info(d->handle, CL_DEVICE_NAME, sizeof model, model, NULL);
    (void)d->driver.platform_info(d->platform, CL_PLATFORM_NAME, sizeof platform, platform, NULL);
    (void)d->driver.device_info(d->handle, CL_DEVICE_MEMORY, sizeof total, &total, NULL);
    (void)d->driver.device_info(d->handle, CL_DEVICE_UNIFIED, sizeof unified, &unified, NULL);
    d->limit = limit ? limit : SIZE_MAX;
    traits->flags = DF_DEVICE_ALONE | (unified ? DF_DEVICE_PAGEABLE : 0);
    traits->memory = limit && limit < total ? limit : total;
    (void)snprintf(traits->text, sizeof traits->text, "%.63s, %.39s", model, platform);
}

/* ---- opening and closing ------------------------------------------------- */

static df_code locks_open(opencl_device *d, df_error *err) {
    if (mutex_init(&d->blocks_lock)) {
        if (mutex_init(&d->kernels_lock)) {
            if (fork_page_open(&d->here)) return DF_OK;
            mutex_fini(&d->kernels_lock);
        }
        mutex_fini(&d->blocks_lock);
    }
    return error_set(err, DF_RESOURCE_EXHAUSTED, "device %s: the system has no more locks or pages",
                     d->name);
}

static void locks_close(opencl_device *d) {
    fork_page_close(&d->here);
    mutex_fini(&d->kernels_lock);
    mutex_fini(&d->blocks_lock);
}

static df_code context_open(opencl_device *d, df_error *err) {
    const intptr_t properties[] = {CL_CONTEXT_PLATFORM, (intptr_t)d->platform, 0};
    df_code rc;
    OPENCL_MAKE(rc, d->context, d, err, context_create, properties, 1, &d->handle, NULL, NULL);
    if (rc == DF_OK) {
        OPENCL_MAKE(rc, d->maps, d, err, queue_create, d->context, d->handle, 0);
        if (rc == DF_OK) return rc;
        OPENCL_GIVE(d, context_release, d->context);
    }
    locks_close(d);
    return rc;
}

static df_code device_open(void *user, const df_device_request *request, void **device,
                           df_device_traits *traits, df_error *err) {
    opencl_device *d = alloc_zeroed(request->allocator, sizeof *d);
    if (!d) return error_memory(err, request->name);
    d->alloc = request->allocator;
    d->name = request->name;
    df_code rc = opencl_driver_open(user ? user : "libOpenCL.so.1", &d->driver, err);
    if (rc != DF_OK) error_prefix(err, "device %s: ", d->name);
    if (rc == DF_OK) rc = find_device(d, request, err);
    if (rc == DF_OK) rc = check_version(d, err);
    if (rc == DF_OK) rc = locks_open(d, err);
    if (rc == DF_OK) rc = context_open(d, err);
    if (rc != DF_OK) {
        alloc_free(d->alloc, d, sizeof *d);
        return rc;
    }
    describe(d, request, traits);
    *device = d;
    return DF_OK;
}

static void device_close(void *device) {
    opencl_device *d = device;
    opencl_kernels_close(d);
    opencl_memory_close(d);
    OPENCL_GIVE(d, queue_release, d->maps);
    OPENCL_GIVE(d, context_release, d->context);
    locks_close(d);
    alloc_free(d->alloc, d, sizeof *d);
}

const df_device_ops opencl_ops = {
    .struct_size = sizeof opencl_ops,
    .kind = "OPENCL",
    .open = device_open,
    .close = device_close,
    .alloc = opencl_alloc,
    .free = opencl_free,
    .host_alloc = opencl_host_alloc,
    .host_free = opencl_host_free,
    .queue_new = opencl_queue_new,
    .queue_free = opencl_queue_free,
    .queue_flush = opencl_queue_flush,
    .copy_in = opencl_copy_in,
    .copy_out = opencl_copy_out,
    .copy_within = opencl_copy_within,
    .event_new = opencl_event_new,
    .event_free = opencl_event_free,
    .record = opencl_record,
    .wait = opencl_wait,
    .event_ended = opencl_event_ended,
    .event_wait = opencl_event_wait,
};
