/* SPDX-License-Identifier: MIT
 *
 * The simulated accelerator: what a test needs of a GPU, on any Linux machine. Its
 * memory is out of the host's reach, its work runs beside the host in the order of queues,
 * and its errors come late, by events, as a real device's do. So code that
 * forgets a copy, a wait or an error fails here as it would there.
 */
#include "device/sim/sim.h"

#include "base/alloc.h"

#include <string.h>

static bool locks_init(sim_device *d) {
    if (!mutex_init(&d->lock)) return false;
    if (condition_init(&d->ended)) return true;
    mutex_fini(&d->lock);
    return false;
}

static void sim_close(void *device) {
    sim_device *d = device;
    sim_memory_free(d->memory);
    condition_fini(&d->ended);
    mutex_fini(&d->lock);
    alloc_free(d->alloc, d, sizeof *d);
}

static df_code sim_open(void *user, const df_device_request *r, void **device,
                        df_device_traits *traits, df_error *err) {
    (void)user;
    size_t limit = r->memory_limit ? r->memory_limit : SIM_MEMORY_DEFAULT;
    sim_device *d = alloc_zeroed(r->allocator, sizeof *d);
    if (!d) return error_memory(err, r->name);
    d->alloc = r->allocator;
    d->threads = r->threads;
    d->name = r->name;
    d->index = r->index;
    df_code code = sim_memory_new(d->alloc, d->name, limit, &d->memory, err);
    if (code == DF_OK && !locks_init(d)) {
        sim_memory_free(d->memory);
        code = error_set(err, DF_RESOURCE_EXHAUSTED, "device %s: the system has no more locks",
                         d->name);
    }
    if (code != DF_OK) {
        alloc_free(d->alloc, d, sizeof *d);
        return code;
    }
    traits->flags = DF_DEVICE_NOTIFIES | DF_DEVICE_PAGEABLE;
    traits->memory = limit;
    memcpy(traits->text, "simulated accelerator", sizeof "simulated accelerator");
    *device = d;
    return DF_OK;
}

static df_code sim_alloc(void *device, size_t bytes, void **address, df_error *err) {
    sim_device *d = device;
    *address = sim_memory_take(d->memory, bytes);
    if (*address) return DF_OK;
    return error_set(err, DF_RESOURCE_EXHAUSTED, "device %s: no %zu bytes left of its memory",
                     d->name, bytes);
}

static void sim_free(void *device, void *address, size_t bytes) {
    (void)bytes;
    sim_memory_give(((sim_device *)device)->memory, address);
}

static df_code sim_memory_left(void *device, uint64_t *bytes, df_error *err) {
    (void)err;
    *bytes = sim_memory_free_bytes(((sim_device *)device)->memory);
    return DF_OK;
}

static bool sim_reaches(void *device, void *other) {
    return device != other;
}

const df_device_ops sim_ops = {
    .struct_size = sizeof sim_ops,
    .kind = "SIM",
    .open = sim_open,
    .close = sim_close,
    .alloc = sim_alloc,
    .free = sim_free,
    .memory_free = sim_memory_left,
    .queue_new = sim_queue_new,
    .queue_free = sim_queue_free,
    .queue_is_inside = sim_queue_is_inside,
    .copy_in = sim_copy_in,
    .copy_out = sim_copy_out,
    .copy_within = sim_copy_within,
    .reaches = sim_reaches,
    .copy_peer = sim_copy_peer,
    .run = sim_run,
    .event_new = sim_event_new,
    .event_free = sim_event_free,
    .record = sim_record,
    .wait = sim_wait,
    .event_ended = sim_event_ended,
};
