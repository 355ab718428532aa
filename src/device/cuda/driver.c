/* SPDX-License-Identifier: MIT
 *
 * 1. A version that is too old is told before a call that is missing: it is why.
 * 2. What has no cuInit is some other library.
 * 3. A library that was loaded stays, even where it was not what was looked for: a driver that has
 *    begun to run has threads.
 */
#include "device/cuda/driver.h"

#include "base/error.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <string.h>

enum { OLDEST = 11000 };

#define MEND "install NVIDIA's driver, or leave CUDA out of the devices"

typedef struct entry {
    const char *symbol;
    size_t offset;
    bool needed;
} entry;

static const entry entries[] = {
#define ENTRY(name, symbol, needed, arguments) {#symbol, offsetof(cuda_driver, name), needed},
    CUDA_DRIVER(ENTRY)
#undef ENTRY
};

const char *cuda_call_name(cuda_call call) {
    return entries[call].symbol;
}

/* What is needed and missing; NULL: nothing. */
static const char *find_all(void *library, cuda_driver *out) {
    const char *missing = NULL;
    for (int i = 0; i < CUDA_CALLS; i++) {
        const entry *e = &entries[i];
        void *at = dlsym(library, e->symbol);
        memcpy((char *)out + e->offset, &at, sizeof at);
        if (!at && e->needed && !missing) missing = e->symbol;
    }
    return missing;
}

static df_code check_version(const char *path, cuda_driver *d, df_error *err) {
    if (!d->get_version || d->get_version(&d->version) != CU_SUCCESS) return DF_OK;
    if (d->version >= OLDEST) return DF_OK;
    return error_set(err, DF_NOT_FOUND,
                     "the CUDA driver %.100s is too old: it is made for CUDA %d.%d, and %d.%d is "
                     "needed; " MEND,
                     path, d->version / 1000, d->version % 1000 / 10, OLDEST / 1000,
                     OLDEST % 1000 / 10);
}

df_code cuda_driver_open(const char *path, cuda_driver *out, df_error *err) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) return error_set(err, DF_NOT_FOUND, "no CUDA driver: %.250s: " MEND, dlerror());
    const char *missing = find_all(library, out);
    if (!out->init)
        return error_set(err, DF_NOT_FOUND, "%.100s is no CUDA driver, it has no cuInit: " MEND,
                         path);
    df_code rc = check_version(path, out, err);
    if (rc != DF_OK || !missing) return rc;
    return error_set(err, DF_NOT_FOUND, "the CUDA driver %.100s has no %s: " MEND, path, missing);
}

cuda_words cuda_driver_words(const cuda_driver *driver, cu_result result) {
    cuda_words w = {"an error without a name", "none that this driver knows"};
    const char *name = NULL, *text = NULL;
    if (driver->error_name(result, &name) == CU_SUCCESS && name) w.name = name;
    if (driver->error_text(result, &text) == CU_SUCCESS && text) w.text = text;
    return w;
}
