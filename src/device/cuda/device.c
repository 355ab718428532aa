/* SPDX-License-Identifier: MIT
 *
 * A GPU of NVIDIA's, by its driver.
 *
 * 1. The context is the device's primary one, which is shared with everybody in the process: it is
 *    never reset, and its flags are left alone. Whatever context a thread had when it called, it
 *    has again when the call returns.
 * 2. Some errors end a context for good. The first is kept in `lost`; from then on nothing is asked
 *    of the device but to take back what it gave, and every call answers UNAVAILABLE.
 * 3. A child of fork has the memory, but not the driver. It must not call it, as a thread that is
 *    not there may hold its locks ("device/fork.h").
 * 4. What the driver says when it is asked to take something back is nobody's concern; it may have
 *    ended before us.
 */
#include "device/cuda/cuda.h"

#include "base/alloc.h"
#include "base/error.h"

#include <stdio.h>
#include <string.h>

/* ---- results ------------------------------------------------------------- */

/* The context that gave it can do nothing any more. */
static bool is_final(cu_result r) {
    switch (r) {
    case CU_NOT_INITIALIZED: /* of a child of fork */
    case CU_DEINITIALIZED:
    case CU_DEVICE_UNAVAILABLE:
    case CU_INVALID_CONTEXT: /* somebody has reset it */
    case CU_ECC_UNCORRECTABLE:
    case CU_NVLINK_UNCORRECTABLE:
    case CU_CONTAINED:
    case CU_ILLEGAL_ADDRESS:
    case CU_LAUNCH_TIMEOUT:
    case CU_CONTEXT_IS_DESTROYED:
    case CU_ASSERT:
    case CU_TENSOR_MEMORY_LEAK:
    case CU_UNKNOWN:
        return true;
    default:
        return r >= CU_HARDWARE_STACK_ERROR && r <= CU_LAUNCH_FAILED;
    }
}

static df_code lost(cuda_device *d, df_error *err) {
    cu_result r = atomic_get(&d->lost, RELAXED);
    if (!fork_is_here(&d->here) || r == CU_NOT_INITIALIZED)
        return error_set(err, DF_UNAVAILABLE,
                         "device %s was opened before this process was forked, and CUDA does not "
                         "work in the child: open it after fork, or start another program",
                         d->name);
    cuda_words w = cuda_driver_words(&d->driver, r);
    return error_set(err, DF_UNAVAILABLE,
                     "device %s is lost: %s (%s); only a new process can use it again", d->name,
                     w.name, w.text);
}

df_code cuda_check(cuda_device *d, cu_result result, cuda_call call, df_error *err) {
    int none = CU_SUCCESS;
    if (result == CU_SUCCESS) return DF_OK;
    if (is_final(result)) {
        (void)atomic_cas(&d->lost, &none, result, RELAXED, RELAXED);
        return lost(d, err);
    }
    cuda_words w = cuda_driver_words(&d->driver, result);
    df_code code = result == CU_OUT_OF_MEMORY                    ? DF_RESOURCE_EXHAUSTED
                   : result == CU_HOST_MEMORY_ALREADY_REGISTERED ? DF_ALREADY_EXISTS
                   : result == CU_NOT_FOUND                      ? DF_NOT_FOUND
                                                                 : DF_INTERNAL;
    return error_set(err, code, "device %s: %s: %s (%s)", d->name, cuda_call_name(call), w.name,
                     w.text);
}

/* ---- the current context ------------------------------------------------- */

static void swap_capture_mode(cuda_device *d, int *mode) {
    if (d->driver.capture_mode) (void)d->driver.capture_mode(mode);
}

bool cuda_visit_any(cuda_device *d, cuda_visit *v) {
    if (!fork_is_here(&d->here)) return false;
    v->context = NULL;
    v->capture_mode = CU_CAPTURE_MODE_RELAXED;
    swap_capture_mode(d, &v->capture_mode);
    (void)d->driver.context_get(&v->context);
    if (v->context != d->context) (void)d->driver.context_set(d->context);
    return true;
}

void cuda_leave(cuda_device *d, const cuda_visit *v) {
    int mode = v->capture_mode;
    if (v->context != d->context) (void)d->driver.context_set(v->context);
    swap_capture_mode(d, &mode);
}

df_code cuda_enter(cuda_device *d, cuda_visit *v, df_error *err) {
    if (atomic_get(&d->lost, RELAXED) != CU_SUCCESS || !cuda_visit_any(d, v)) return lost(d, err);
    return DF_OK;
}

/* For kernels. What they capture is theirs. */
static df_code kernel_enter(void *device, void **before, df_error *err) {
    cuda_device *d = device;
    cu_context context = NULL;
    if (atomic_get(&d->lost, RELAXED) != CU_SUCCESS || !fork_is_here(&d->here)) return lost(d, err);
    (void)d->driver.context_get(&context);
    if (context != d->context) {
        df_code rc = cuda_check(d, d->driver.context_set(d->context), CUDA_CALL_context_set, err);
        if (rc != DF_OK) return rc;
    }
    *before = context;
    return DF_OK;
}

static void kernel_leave(void *device, void *before) {
    cuda_device *d = device;
    if (fork_is_here(&d->here)) (void)d->driver.context_set(before);
}

/* ---- memory -------------------------------------------------------------- */

/* Takes bytes of the limit. */
static bool take(cuda_device *d, size_t bytes) {
    size_t used = atomic_get(&d->used, RELAXED);
    do {
        if (bytes > d->limit - used) return false;
    } while (!atomic_cas(&d->used, &used, used + bytes, RELAXED, RELAXED));
    return true;
}

static df_code memory_alloc(void *device, size_t bytes, void **address, df_error *err) {
    cuda_device *d = device;
    cu_address at = 0;
    df_code rc;
    if (!take(d, bytes))
        return error_set(err, DF_RESOURCE_EXHAUSTED,
                         "device %s: %zu bytes more would be above its limit of %zu", d->name,
                         bytes, d->limit);
    CUDA_ASK(rc, d, err, alloc, &at, bytes);
    if (rc == DF_OK)
        *address = (void *)at;
    else
        (void)atomic_sub(&d->used, bytes, RELAXED);
    return rc;
}

static void memory_give(void *device, void *address, size_t bytes) {
    cuda_device *d = device;
    (void)atomic_sub(&d->used, bytes, RELAXED);
    CUDA_GIVE(d, free, (cu_address)address);
}

static df_code host_alloc(void *device, size_t bytes, void **block, df_error *err) {
    cuda_device *d = device;
    void *at = NULL;
    df_code rc;
    CUDA_ASK(rc, d, err, host_alloc, &at, bytes, CU_HOST_PORTABLE);
    if (rc == DF_OK) *block = at;
    return rc;
}

static void host_free(void *device, void *block, size_t bytes) {
    cuda_device *d = device;
    (void)bytes;
    CUDA_GIVE(d, host_free, block);
}

static df_code host_register(void *device, void *block, size_t bytes, df_error *err) {
    cuda_device *d = device;
    df_code rc;
    CUDA_ASK(rc, d, err, host_register, block, bytes, CU_HOST_PORTABLE);
    return rc;
}

static void host_unregister(void *device, void *block) {
    cuda_device *d = device;
    CUDA_GIVE(d, host_unregister, block);
}

static df_code memory_free(void *device, uint64_t *bytes, df_error *err) {
    cuda_device *d = device;
    size_t free = 0, total = 0;
    df_code rc;
    CUDA_ASK(rc, d, err, memory_info, &free, &total);
    if (rc != DF_OK) return rc;
    size_t left = d->limit - atomic_get(&d->used, RELAXED);
    *bytes = free < left ? free : left;
    return DF_OK;
}

/* ---- other devices ------------------------------------------------------- */

/* Each must see the other's memory: the copy may be the work of either. */
static bool see(cuda_device *d, cuda_device *other) {
    cuda_visit v;
    int can = 0;
    if (!d->driver.device_reaches || !d->driver.context_peer) return false;
    if (cuda_enter(d, &v, NULL) != DF_OK) return false;
    cu_result r = d->driver.device_reaches(&can, d->handle, other->handle);
    if (r == CU_SUCCESS && can) r = d->driver.context_peer(other->context, 0);
    cuda_leave(d, &v);
    return can && (r == CU_SUCCESS || r == CU_PEER_ACCESS_ALREADY_ENABLED);
}

/* Without it the driver would bring the bytes through host memory; so does the library, which
 * knows better how much of it may be taken. */
static bool reaches(void *device, void *other) {
    return see(device, other) && see(other, device);
}

/* ---- opening and closing ------------------------------------------------- */

static df_code not_there(const df_device_request *request, cu_result r, const cuda_driver *driver,
                         df_error *err) {
    cuda_words w = cuda_driver_words(driver, r);
    if (r == CU_STUB_LIBRARY)
        return error_set(
            err, DF_NOT_FOUND,
            "device %s: the driver that was found is the toolkit's stub, which programs "
            "are linked with where there is no driver: have the true one found before",
            request->name);
    if (r == CU_NOT_INITIALIZED)
        return error_set(err, DF_UNAVAILABLE,
                         "device %s: CUDA was in use before this process was forked, and does not "
                         "work in the child: use it after fork only, or start another program",
                         request->name);
    return error_set(err, DF_NOT_FOUND, "device %s: no CUDA device can be used: %s (%s)",
                     request->name, w.name, w.text);
}

/* Kernels are compiled for 5.0 and later. */
static df_code check_capability(cuda_device *d, df_error *err) {
    int major = 0, minor = 0;
    (void)d->driver.device_attribute(&major, CU_ATTRIBUTE_MAJOR, d->handle);
    (void)d->driver.device_attribute(&minor, CU_ATTRIBUTE_MINOR, d->handle);
    d->info.capability = 10 * major + minor;
    if (major >= 5) return DF_OK;
    return error_set(err, DF_NOT_FOUND, "device %s has compute capability %d.%d, and 5.0 is needed",
                     d->name, major, minor);
}

static df_code find_device(cuda_device *d, const df_device_request *request, df_error *err) {
    int n = 0;
    cu_result r = d->driver.init(0);
    if (r == CU_SUCCESS) r = d->driver.device_count(&n);
    if (r != CU_SUCCESS) return not_there(request, r, &d->driver, err);
    if (request->index >= n)
        return error_set(err, DF_NOT_FOUND,
                         "device %s: there is no such CUDA device, of %d that this process may see",
                         request->name, n);
    r = d->driver.device_get(&d->handle, request->index);
    if (r != CU_SUCCESS) return not_there(request, r, &d->driver, err);
    return check_capability(d, err);
}

static void describe(cuda_device *d, const df_device_request *request, df_device_traits *traits) {
    char model[80] = "a GPU";
    size_t total = 0, memory_limit = request->memory_limit;
    cu_uuid uuid = {{0}};
    (void)d->driver.device_name(model, sizeof model, d->handle);
    (void)d->driver.device_memory(&total, d->handle);
    if (d->driver.device_uuid) (void)d->driver.device_uuid(&uuid, d->handle);
    memcpy(d->info.uuid, uuid.bytes, sizeof uuid.bytes);
    d->info.ordinal = request->index;
    d->info.driver = d->driver.version;
    d->info.context = d->context;
    d->limit = memory_limit ? memory_limit : SIZE_MAX;
    traits->flags = 0;
    traits->memory = memory_limit && memory_limit < total ? memory_limit : total;
    (void)snprintf(traits->text, sizeof traits->text, "%s, driver for CUDA %d.%d", model,
                   d->driver.version / 1000, d->driver.version % 1000 / 10);
}

static df_code context_open(cuda_device *d, df_error *err) {
    cu_result r = d->driver.context_retain(&d->context, d->handle);
    df_code rc = cuda_check(d, r, CUDA_CALL_context_retain, err);
    if (rc == DF_OK) return rc;
    fork_page_close(&d->here);
    mutex_fini(&d->lock);
    return rc;
}

static df_code locks_open(cuda_device *d, df_error *err) {
    if (mutex_init(&d->lock)) {
        if (fork_page_open(&d->here)) return DF_OK;
        mutex_fini(&d->lock);
    }
    return error_set(err, DF_RESOURCE_EXHAUSTED, "device %s: the system has no more locks or pages",
                     d->name);
}

static df_code device_open(void *user, const df_device_request *request, void **device,
                           df_device_traits *traits, df_error *err) {
    cuda_device *d = alloc_zeroed(request->allocator, sizeof *d);
    if (!d) return error_memory(err, request->name);
    d->alloc = request->allocator;
    d->name = request->name;
    df_code rc = cuda_driver_open(user ? user : "libcuda.so.1", &d->driver, err);
    if (rc != DF_OK) error_prefix(err, "device %s: ", d->name);
    if (rc == DF_OK) rc = find_device(d, request, err);
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
    cuda_device *d = device;
    cuda_kernels_close(d);
    if (fork_is_here(&d->here)) (void)d->driver.context_release(d->handle);
    fork_page_close(&d->here);
    mutex_fini(&d->lock);
    alloc_free(d->alloc, d, sizeof *d);
}

const df_device_ops cuda_ops = {
    .struct_size = sizeof cuda_ops,
    .kind = "CUDA",
    .open = device_open,
    .close = device_close,
    .alloc = memory_alloc,
    .free = memory_give,
    .host_alloc = host_alloc,
    .host_free = host_free,
    .host_register = host_register,
    .host_unregister = host_unregister,
    .memory_free = memory_free,
    .queue_new = cuda_queue_new,
    .queue_free = cuda_queue_free,
    .copy_in = cuda_copy_in,
    .copy_out = cuda_copy_out,
    .copy_within = cuda_copy_within,
    .reaches = reaches,
    .copy_peer = cuda_copy_peer,
    .enter = kernel_enter,
    .leave = kernel_leave,
    .event_new = cuda_event_new,
    .timed_event_new = cuda_timed_event_new,
    .event_elapsed = cuda_event_elapsed,
    .event_free = cuda_event_free,
    .record = cuda_record,
    .wait = cuda_wait,
    .event_ended = cuda_event_ended,
    .event_wait = cuda_event_wait,
};
