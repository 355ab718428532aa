/* SPDX-License-Identifier: MIT
 *
 * driver.h - OpenCL's loader, found when a device is opened.
 *
 * No header and no library of OpenCL's is needed to build: the calls that are used are declared
 * here, in one table. They are those of OpenCL 1.2, which every later version has.
 */
#ifndef DEVICE_OPENCL_DRIVER_H
#define DEVICE_OPENCL_DRIVER_H

#include <dataflow/error.h>

/* ---- its types and constants --------------------------------------------- */

typedef int32_t cl_result;
typedef struct cl_platform_st *cl_platform;
typedef struct cl_device_st *cl_device;
typedef struct cl_context_st *cl_context;
typedef struct cl_queue_st *cl_queue;
typedef struct cl_buffer_st *cl_buffer;
typedef struct cl_event_st *cl_event;
typedef struct cl_program_st *cl_program;
typedef struct cl_kernel_st *cl_kernel;

enum {
    CL_SUCCESS = 0,
    CL_DEVICE_NOT_FOUND = -1,
    CL_DEVICE_NOT_AVAILABLE = -2,
    CL_MEM_OBJECT_ALLOCATION_FAILURE = -4,
    CL_OUT_OF_RESOURCES = -5,
    CL_OUT_OF_HOST_MEMORY = -6,
    CL_BUILD_PROGRAM_FAILURE = -11,
    CL_EXEC_STATUS_ERROR = -14,
    CL_INVALID_VALUE = -30,
    CL_INVALID_DEVICE = -33,
    CL_INVALID_CONTEXT = -34,
    CL_INVALID_COMMAND_QUEUE = -36,
    CL_INVALID_BUFFER_SIZE = -61,
    CL_PLATFORM_NOT_FOUND = -1001
};
enum { CL_PLATFORM_VERSION = 0x0901, CL_PLATFORM_NAME = 0x0902 };
enum {
    CL_DEVICE_MEMORY = 0x101F, /* bytes, of all of it */
    CL_DEVICE_NAME = 0x102B,
    CL_DEVICE_VERSION = 0x102F,
    CL_DEVICE_UNIFIED = 0x1035 /* its memory is the host's */
};
enum { CL_CONTEXT_PLATFORM = 0x1084 };
enum { CL_COMPLETE = 0, CL_EVENT_STATUS = 0x11D3 };
enum { CL_BUILD_LOG = 0x1183 };
enum { CL_READ_WRITE = 1 << 0, CL_ALLOC_HOST = 1 << 4 }; /* of a buffer */
enum { CL_MAP_READ = 1 << 0, CL_MAP_WRITE = 1 << 1 };
#define CL_ALL_DEVICES UINT64_C(0xFFFFFFFF)

/* ---- its calls ----------------------------------------------------------- */

/* Commands end with the events that they wait for, and the event that tells of them. */
#define CL_WAITS unsigned n, const cl_event *waits, cl_event *event

/* X(the name here, the name exported, what it returns, arguments) */
#define OPENCL_DRIVER(X)                                                                           \
    X(platforms, clGetPlatformIDs, cl_result, (unsigned room, cl_platform *out, unsigned *n))      \
    X(platform_info, clGetPlatformInfo, cl_result,                                                 \
      (cl_platform platform, unsigned which, size_t size, void *value, size_t *needed))            \
    X(devices, clGetDeviceIDs, cl_result,                                                          \
      (cl_platform platform, uint64_t types, unsigned room, cl_device *out, unsigned *n))          \
    X(device_info, clGetDeviceInfo, cl_result,                                                     \
      (cl_device device, unsigned which, size_t size, void *value, size_t *needed))                \
    X(context_create, clCreateContext, cl_context,                                                 \
      (const intptr_t *properties, unsigned n, const cl_device *devices,                           \
       void (*notify)(const char *words, const void *data, size_t size, void *user), void *user,   \
       cl_result *result))                                                                         \
    X(context_release, clReleaseContext, cl_result, (cl_context context))                          \
    X(queue_create, clCreateCommandQueue, cl_queue,                                                \
      (cl_context context, cl_device device, uint64_t properties, cl_result * result))             \
    X(queue_release, clReleaseCommandQueue, cl_result, (cl_queue queue))                           \
    X(flush, clFlush, cl_result, (cl_queue queue))                                                 \
    X(buffer_create, clCreateBuffer, cl_buffer,                                                    \
      (cl_context context, uint64_t flags, size_t bytes, void *host, cl_result *result))           \
    X(buffer_release, clReleaseMemObject, cl_result, (cl_buffer buffer))                           \
    X(map, clEnqueueMapBuffer, void *,                                                             \
      (cl_queue queue, cl_buffer buffer, unsigned blocks, uint64_t flags, size_t offset,           \
       size_t bytes, CL_WAITS, cl_result *result))                                                 \
    X(unmap, clEnqueueUnmapMemObject, cl_result,                                                   \
      (cl_queue queue, cl_buffer buffer, void *at, CL_WAITS))                                      \
    X(write, clEnqueueWriteBuffer, cl_result,                                                      \
      (cl_queue queue, cl_buffer to, unsigned blocks, size_t offset, size_t bytes,                 \
       const void *from, CL_WAITS))                                                                \
    X(read, clEnqueueReadBuffer, cl_result,                                                        \
      (cl_queue queue, cl_buffer from, unsigned blocks, size_t offset, size_t bytes, void *to,     \
       CL_WAITS))                                                                                  \
    X(copy, clEnqueueCopyBuffer, cl_result,                                                        \
      (cl_queue queue, cl_buffer from, cl_buffer to, size_t from_offset, size_t to_offset,         \
       size_t bytes, CL_WAITS))                                                                    \
    X(fill, clEnqueueFillBuffer, cl_result,                                                        \
      (cl_queue queue, cl_buffer to, const void *pattern, size_t pattern_bytes, size_t offset,     \
       size_t bytes, CL_WAITS))                                                                    \
    X(marker, clEnqueueMarkerWithWaitList, cl_result, (cl_queue queue, CL_WAITS))                  \
    X(barrier, clEnqueueBarrierWithWaitList, cl_result, (cl_queue queue, CL_WAITS))                \
    X(event_info, clGetEventInfo, cl_result,                                                       \
      (cl_event event, unsigned which, size_t size, void *value, size_t *needed))                  \
    X(event_wait, clWaitForEvents, cl_result, (unsigned n, const cl_event *events))                \
    X(event_release, clReleaseEvent, cl_result, (cl_event event))                                  \
    X(program_create, clCreateProgramWithSource, cl_program,                                       \
      (cl_context context, unsigned n, const char *const *texts, const size_t *lengths,            \
       cl_result *result))                                                                         \
    X(program_build, clBuildProgram, cl_result,                                                    \
      (cl_program program, unsigned n, const cl_device *devices, const char *options,              \
       void (*notify)(cl_program program, void *user), void *user))                                \
    X(program_info, clGetProgramBuildInfo, cl_result,                                              \
      (cl_program program, cl_device device, unsigned which, size_t size, void *value,             \
       size_t *needed))                                                                            \
    X(program_release, clReleaseProgram, cl_result, (cl_program program))                          \
    X(kernel_create, clCreateKernel, cl_kernel,                                                    \
      (cl_program program, const char *name, cl_result *result))                                   \
    X(kernel_argument, clSetKernelArg, cl_result,                                                  \
      (cl_kernel kernel, unsigned i, size_t size, const void *value))                              \
    X(kernel_release, clReleaseKernel, cl_result, (cl_kernel kernel))                              \
    X(launch, clEnqueueNDRangeKernel, cl_result,                                                   \
      (cl_queue queue, cl_kernel kernel, unsigned rank, const size_t *first, const size_t *items,  \
       const size_t *group, CL_WAITS))

typedef struct opencl_driver {
#define OPENCL_MEMBER(name, symbol, result, arguments) result(*name) arguments;
    OPENCL_DRIVER(OPENCL_MEMBER)
#undef OPENCL_MEMBER
} opencl_driver;

/* Each call as a number, for messages. */
typedef enum opencl_call {
#define OPENCL_NUMBER(name, symbol, result, arguments) OPENCL_CALL_##name,
    OPENCL_DRIVER(OPENCL_NUMBER)
#undef OPENCL_NUMBER
        OPENCL_CALLS
} opencl_call;
const char *opencl_call_name(opencl_call call); /* as it is exported */

/* Loads the library at `path`, for good: drivers behind it have threads. NOT_FOUND: there is none,
 * or it lacks a call; the message tells which. */
df_code opencl_driver_open(const char *path, opencl_driver *out, df_error *err);

/* "CL_OUT_OF_RESOURCES", or "an error without a name". */
const char *opencl_result_name(cl_result result);

#endif /* DEVICE_OPENCL_DRIVER_H */
