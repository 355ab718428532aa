/* SPDX-License-Identifier: MIT
 *
 * 1. What has no clGetPlatformIDs is some other library; what lacks another call is older than
 *    OpenCL 1.2.
 * 2. A library that was loaded stays, even where it was not what was looked for.
 */
#include "device/opencl/driver.h"

#include "base/error.h"

#include <dlfcn.h>
#include <string.h>

#define MEND                                                                                       \
    "install OpenCL's loader and a driver (Debian: ocl-icd-libopencl1, pocl-opencl-icd), or "      \
    "leave OPENCL out of the devices"

/* One behind the other, in the order of opencl_driver, which has nothing but calls. */
static const char symbols[] =
#define SYMBOL(name, symbol, result, arguments) #symbol "\0"
    OPENCL_DRIVER(SYMBOL)
#undef SYMBOL
    ;
_Static_assert(sizeof(opencl_driver) == OPENCL_CALLS * sizeof(void *), "calls are all it has");

const char *opencl_call_name(opencl_call call) {
    const char *name = symbols;
    for (opencl_call i = 0; i < call; i++) name += strlen(name) + 1;
    return name;
}

/* What is missing; NULL: nothing. */
static const char *find_all(void *library, opencl_driver *out) {
    const char *missing = NULL, *symbol = symbols;
    for (size_t i = 0; i < OPENCL_CALLS; i++, symbol += strlen(symbol) + 1) {
        void *at = dlsym(library, symbol);
        memcpy((char *)out + i * sizeof at, &at, sizeof at);
        if (!at && !missing) missing = symbol;
    }
    return missing;
}

df_code opencl_driver_open(const char *path, opencl_driver *out, df_error *err) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) return error_set(err, DF_NOT_FOUND, "no OpenCL loader: %.150s: " MEND, dlerror());
    const char *missing = find_all(library, out);
    if (!out->platforms)
        return error_set(err, DF_NOT_FOUND,
                         "%.100s is no OpenCL loader, it has no clGetPlatformIDs: " MEND, path);
    if (!missing) return DF_OK;
    return error_set(err, DF_NOT_FOUND,
                     "the OpenCL loader %.100s has no %s, so it is older than OpenCL 1.2: " MEND,
                     path, missing);
}

const char *opencl_result_name(cl_result result) {
    switch (result) {
#define NAME(r)                                                                                    \
    case r:                                                                                        \
        return #r;
        NAME(CL_DEVICE_NOT_FOUND)
        NAME(CL_DEVICE_NOT_AVAILABLE)
        NAME(CL_MEM_OBJECT_ALLOCATION_FAILURE)
        NAME(CL_OUT_OF_RESOURCES)
        NAME(CL_OUT_OF_HOST_MEMORY)
        NAME(CL_BUILD_PROGRAM_FAILURE)
        NAME(CL_EXEC_STATUS_ERROR)
        NAME(CL_INVALID_VALUE)
        NAME(CL_INVALID_DEVICE)
        NAME(CL_INVALID_CONTEXT)
        NAME(CL_INVALID_COMMAND_QUEUE)
        NAME(CL_INVALID_BUFFER_SIZE)
        NAME(CL_PLATFORM_NOT_FOUND)
#undef NAME
    default:
        return "an error that CL/cl.h has the name of";
    }
}
