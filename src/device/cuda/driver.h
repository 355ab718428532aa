/* SPDX-License-Identifier: MIT
 *
 * driver.h - NVIDIA's driver, found when a device is opened.
 *
 * No header and no library of NVIDIA's is needed to build: the calls that are used are declared
 * here, in one table, each under the name that the driver exports. A name with a suffix is one
 * version of a call, whose arguments never change; the plain one is the first version.
 */
#ifndef DEVICE_CUDA_DRIVER_H
#define DEVICE_CUDA_DRIVER_H

#include <dataflow/error.h>

/* ---- its types and constants --------------------------------------------- */

typedef int cu_result;
typedef int cu_device;
typedef uintptr_t cu_address;
typedef struct CUctx_st *cu_context;
typedef struct CUstream_st *cu_stream;
typedef struct CUevent_st *cu_event;
typedef struct CUmod_st *cu_module;
typedef struct CUfunc_st *cu_function;
typedef struct cu_uuid {
    unsigned char bytes[16];
} cu_uuid;

enum {
    CU_SUCCESS = 0,
    CU_OUT_OF_MEMORY = 2,
    CU_NOT_INITIALIZED = 3,
    CU_DEINITIALIZED = 4,
    CU_STUB_LIBRARY = 34,
    CU_DEVICE_UNAVAILABLE = 46,
    CU_NO_DEVICE = 100,
    CU_INVALID_CONTEXT = 201,
    CU_ECC_UNCORRECTABLE = 214,
    CU_NVLINK_UNCORRECTABLE = 220,
    CU_CONTAINED = 226,
    CU_NOT_FOUND = 500,
    CU_NOT_READY = 600,
    CU_ILLEGAL_ADDRESS = 700,
    CU_LAUNCH_TIMEOUT = 702,
    CU_PEER_ACCESS_ALREADY_ENABLED = 704,
    CU_CONTEXT_IS_DESTROYED = 709,
    CU_ASSERT = 710,
    CU_HOST_MEMORY_ALREADY_REGISTERED = 712,
    CU_HARDWARE_STACK_ERROR = 714,
    CU_LAUNCH_FAILED = 719,
    CU_TENSOR_MEMORY_LEAK = 721,
    CU_UNKNOWN = 999
};
enum { CU_ATTRIBUTE_MAJOR = 75, CU_ATTRIBUTE_MINOR = 76 }; /* of the compute capability */
enum { CU_HOST_PORTABLE = 1 };
enum { CU_STREAM_NON_BLOCKING = 1 };
enum { CU_EVENT_BLOCKING_SYNC = 1, CU_EVENT_DISABLE_TIMING = 2 };
enum { CU_JIT_ERROR_LOG = 5, CU_JIT_ERROR_LOG_BYTES = 6 };
enum { CU_CAPTURE_MODE_RELAXED = 2 };

/* ---- its calls ----------------------------------------------------------- */

/* X(the name here, the name exported, is it needed?, arguments): those that may be missing are
 * NULL then. */
#define CUDA_DRIVER(X)                                                                             \
    X(init, cuInit, true, (unsigned flags))                                                        \
    X(get_version, cuDriverGetVersion, true, (int *version))                                       \
    X(error_name, cuGetErrorName, true, (cu_result result, const char **name))                     \
    X(error_text, cuGetErrorString, true, (cu_result result, const char **text))                   \
    X(device_count, cuDeviceGetCount, true, (int *n))                                              \
    X(device_get, cuDeviceGet, true, (cu_device * device, int ordinal))                            \
    X(device_name, cuDeviceGetName, true, (char *name, int size, cu_device device))                \
    X(device_attribute, cuDeviceGetAttribute, true, (int *value, int which, cu_device device))     \
    X(device_memory, cuDeviceTotalMem_v2, true, (size_t * bytes, cu_device device))                \
    X(device_uuid, cuDeviceGetUuid_v2, false, (cu_uuid * uuid, cu_device device))                  \
    X(device_reaches, cuDeviceCanAccessPeer, false, (int *can, cu_device device, cu_device peer))  \
    X(context_retain, cuDevicePrimaryCtxRetain, true, (cu_context * context, cu_device device))    \
    X(context_release, cuDevicePrimaryCtxRelease_v2, true, (cu_device device))                     \
    X(context_get, cuCtxGetCurrent, true, (cu_context * context))                                  \
    X(context_set, cuCtxSetCurrent, true, (cu_context context))                                    \
    X(context_peer, cuCtxEnablePeerAccess, false, (cu_context peer, unsigned flags))               \
    X(capture_mode, cuThreadExchangeStreamCaptureMode, false, (int *mode))                         \
    X(memory_info, cuMemGetInfo_v2, true, (size_t * free, size_t * total))                         \
    X(alloc, cuMemAlloc_v2, true, (cu_address * address, size_t bytes))                            \
    X(free, cuMemFree_v2, true, (cu_address address))                                              \
    X(host_alloc, cuMemHostAlloc, true, (void **block, size_t bytes, unsigned flags))              \
    X(host_free, cuMemFreeHost, true, (void *block))                                               \
    X(host_register, cuMemHostRegister_v2, true, (void *block, size_t bytes, unsigned flags))      \
    X(host_unregister, cuMemHostUnregister, true, (void *block))                                   \
    X(copy_in, cuMemcpyHtoDAsync_v2, true,                                                         \
      (cu_address to, const void *from, size_t bytes, cu_stream stream))                           \
    X(copy_out, cuMemcpyDtoHAsync_v2, true,                                                        \
      (void *to, cu_address from, size_t bytes, cu_stream stream))                                 \
    X(copy_within, cuMemcpyDtoDAsync_v2, true,                                                     \
      (cu_address to, cu_address from, size_t bytes, cu_stream stream))                            \
    X(copy_peer, cuMemcpyPeerAsync, true,                                                          \
      (cu_address to, cu_context there, cu_address from, cu_context here, size_t bytes,            \
       cu_stream stream))                                                                          \
    X(stream_create, cuStreamCreate, true, (cu_stream * stream, unsigned flags))                   \
    X(stream_destroy, cuStreamDestroy_v2, true, (cu_stream stream))                                \
    X(stream_wait, cuStreamWaitEvent, true, (cu_stream stream, cu_event event, unsigned flags))    \
    X(event_create, cuEventCreate, true, (cu_event * event, unsigned flags))                       \
    X(event_destroy, cuEventDestroy_v2, true, (cu_event event))                                    \
    X(event_record, cuEventRecord, true, (cu_event event, cu_stream stream))                       \
    X(event_query, cuEventQuery, true, (cu_event event))                                           \
    X(event_elapsed, cuEventElapsedTime, true, (float *ms, cu_event from, cu_event to))            \
    X(event_synchronize, cuEventSynchronize, true, (cu_event event))                               \
    X(module_load, cuModuleLoadDataEx, true,                                                       \
      (cu_module * module, const void *image, unsigned n, int *options, void **values))            \
    X(module_unload, cuModuleUnload, true, (cu_module module))                                     \
    X(module_function, cuModuleGetFunction, true,                                                  \
      (cu_function * function, cu_module module, const char *name))                                \
    X(launch, cuLaunchKernel, true,                                                                \
      (cu_function function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,  \
       unsigned block_y, unsigned block_z, unsigned shared, cu_stream stream, void **params,       \
       void **extra))

typedef struct cuda_driver {
    int version; /* 1000 * major + 10 * minor, of the CUDA that it is made for */
#define CUDA_MEMBER(name, symbol, needed, arguments) cu_result(*name) arguments;
    CUDA_DRIVER(CUDA_MEMBER)
#undef CUDA_MEMBER
} cuda_driver;

/* Each call as a number, for messages. */
typedef enum cuda_call {
#define CUDA_NUMBER(name, symbol, needed, arguments) CUDA_CALL_##name,
    CUDA_DRIVER(CUDA_NUMBER)
#undef CUDA_NUMBER
        CUDA_CALLS
} cuda_call;
const char *cuda_call_name(cuda_call call); /* as it is exported */

/* Loads the library at `path`, for good: a driver cannot be unloaded. It is not initialised yet.
 * NOT_FOUND: there is none, or it lacks a call, or is too old; the message tells which. */
df_code cuda_driver_open(const char *path, cuda_driver *out, df_error *err);

/* "CUDA_ERROR_OUT_OF_MEMORY (out of memory)", for printf as two strings. */
typedef struct cuda_words {
    const char *name, *text;
} cuda_words;
cuda_words cuda_driver_words(const cuda_driver *driver, cu_result result);

#endif /* DEVICE_CUDA_DRIVER_H */
