/* SPDX-License-Identifier: MIT
 *
 * The kinds of device, in one table, and what all of them have in common: a name, an
 * incarnation, a memory. Work does not pass through here; it goes straight to the
 * vtable of the kind.
 */
#include "device/device.h"

#include "base/alloc.h"
#include "base/options.h"

#include <stdio.h>
#include <string.h>

typedef struct device_kind {
    const char *name; /* upper case */
    df_code (*open)(df_device *d, const device_options *options, df_error *err);
} device_kind;

static const device_kind kinds[] = {{"CPU", cpu_open}, {"SIM", sim_open}};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

static const device_kind *kind_find(const char *name) {
    for (int i = 0; i < N_KINDS; i++) {
        if (strcmp(kinds[i].name, name) == 0) return &kinds[i];
    }
    return NULL;
}

static df_code kind_unknown(const device_name *name, df_error *err) {
    char known[16 * N_KINDS] = "";
    size_t used = 0;
    for (int i = 0; i < N_KINDS && used < sizeof known; i++) {
        int n = snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", kinds[i].name);
        used += n > 0 ? (size_t)n : 0;
    }
    return error_set(err, DF_NOT_FOUND, "no device of kind %s in this library; it knows %s",
                     name->kind, known);
}

df_code device_open(const device_name *name, uint64_t incarnation, const device_options *options,
                    df_device **out, df_error *err) {
    *out = NULL;
    char text[DEVICE_NAME_MAX];
    (void)device_name_print(name, text, sizeof text);
    if (!device_name_is_full(name))
        return error_invalid(
            err, "cannot open device \"%s\": give it a job, a task, a kind and an index", text);
    const device_kind *kind = kind_find(name->kind);
    if (!kind) return kind_unknown(name, err);
    df_device *d = alloc_zeroed(options->alloc, sizeof *d);
    if (!d) return error_memory(err, text);
    d->name = *name;
    memcpy(d->full_name, text, sizeof text);
    d->incarnation = incarnation;
    d->alloc = options->alloc;
    df_code rc = kind->open(d, options, err);
    if (rc != DF_OK) {
        alloc_free(options->alloc, d, sizeof *d);
        return rc;
    }
    *out = d;
    return DF_OK;
}

void device_close(df_device *d) {
    if (!d) return;
    d->ops->close(d);
    memory_unref(d->mem);
    alloc_free(d->alloc, d, sizeof *d);
}

const char *df_device_name(const df_device *device) {
    return device ? device->full_name : "";
}

const char *df_device_kind(const df_device *device) {
    return device ? device->ops->kind : "";
}

uint64_t df_device_incarnation(const df_device *device) {
    return device ? device->incarnation : 0;
}

df_queue *df_device_queue(const df_device *device) {
    return device ? device->queue : NULL;
}

df_code df_device_memory(const df_device *device, df_memory_info *out, df_error *err) {
    df_memory_info info = {.struct_size = sizeof info};
    if (!device || !out)
        return error_invalid(err, "the %s is NULL", device ? "df_memory_info" : "device");
    df_code code = options_read(&info, out, "df_memory_info", err);
    if (code != DF_OK) return code;
    memory_counts n = memory_count(device->mem);
    info = (df_memory_info){.struct_size = out->struct_size,
                            .limit = n.limit ? n.limit : UINT64_MAX,
                            .in_use = n.in_use,
                            .cached = n.cached};
    memcpy(out, &info, info.struct_size < sizeof info ? info.struct_size : sizeof info);
    return DF_OK;
}
