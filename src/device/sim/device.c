/* SPDX-License-Identifier: MIT
 *
 * The simulated accelerator: what a test needs of a GPU, on any Linux machine. Its
 * memory is out of the host's reach, its work runs beside the host in the order of queues,
 * and its errors come late, by events, as a real device's do. So code that
 * forgets a copy, a wait or an error fails here as it would there.
 */
#include "device/sim/sim.h"

#include "base/alloc.h"
#include "base/options.h"

#include <string.h>

/* ---- what devices share --------------------------------------------------- */

/* The checker of order sees all devices whose queues wait for each other. The word of the kind
 * points to it while there is one. */
typedef struct sim_shared {
    sim_order *order;
    size_t users;
} sim_shared;

static void leave_shared(sim_device *d) {
    if (!d->order) return;
    sim_shared *s = *d->word;
    if (--s->users) return;
    sim_order_free(s->order);
    alloc_free(d->alloc, s, sizeof *s);
    *d->word = NULL;
}

static bool join_shared(sim_device *d) {
    if ((d->options.flags & DF_SIM_UNCHECKED) || !d->word) return true;
    sim_shared *s = *d->word;
    if (!s) {
        s = alloc_zeroed(d->alloc, sizeof *s);
        if (!s) return false;
        s->order = sim_order_new(d->alloc);
        if (!s->order) {
            alloc_free(d->alloc, s, sizeof *s);
            return false;
        }
        *d->word = s;
    }
    s->users++;
    d->order = s->order;
    return true;
}

/* ---- opening and closing -------------------------------------------------- */

static const df_sim_cost usual[DF_QUEUE_KINDS] = {
    [DF_QUEUE_COMPUTE] = {5000, UINT64_C(1000000000000)},
    [DF_QUEUE_IN] = {10000, UINT64_C(25000000000)},
    [DF_QUEUE_OUT] = {10000, UINT64_C(25000000000)},
    [DF_QUEUE_ACROSS] = {10000, UINT64_C(25000000000)},
};

static bool are_zero(const df_sim_cost *costs) {
    for (int k = 0; k < DF_QUEUE_KINDS; k++)
        if (costs[k].latency || costs[k].bytes_per_s) return false;
    return true;
}

static void sim_close(void *device) {
    sim_device *d = device;
    leave_shared(d);
    if (d->clock) sim_clock_free(d->clock);
    if (d->memory) sim_memory_free(d->memory);
    if (d->has_locks) {
        condition_fini(&d->ended);
        mutex_fini(&d->lock);
    }
    alloc_free(d->alloc, d, sizeof *d);
}

static bool locks_init(sim_device *d) {
    if (!mutex_init(&d->lock)) return false;
    d->has_locks = condition_init(&d->ended);
    if (!d->has_locks) mutex_fini(&d->lock);
    return d->has_locks;
}

static df_code fill(sim_device *d, const df_device_request *r, size_t limit, df_error *err) {
    d->threads = r->threads;
    d->name = r->name;
    d->index = r->index;
    d->word = r->shared;
    if (are_zero(d->options.costs)) memcpy(d->options.costs, usual, sizeof usual);
    df_code code = sim_memory_new(d->alloc, d->name, limit, &d->memory, err);
    if (code != DF_OK) return code;
    d->clock = sim_clock_new(d->alloc);
    if (!d->clock || !join_shared(d)) return error_memory(err, d->name);
    if (locks_init(d)) return DF_OK;
    return error_set(err, DF_RESOURCE_EXHAUSTED, "device %s: the system has no more locks",
                     d->name);
}

static df_code sim_open(void *user, const df_device_request *r, void **device,
                        df_device_traits *traits, df_error *err) {
    size_t limit = r->memory_limit ? r->memory_limit : SIM_MEMORY_DEFAULT;
    if (r->index >= SIM_DEVICES)
        return error_set(err, DF_NOT_FOUND, "device %s: there are %d of them", r->name,
                         SIM_DEVICES);
    sim_device *d = alloc_zeroed(r->allocator, sizeof *d);
    if (!d) return error_memory(err, r->name);
    d->alloc = r->allocator;
    d->options.struct_size = sizeof d->options;
    df_code code = options_read(&d->options, user, "df_sim_options", err);
    if (code == DF_OK) code = fill(d, r, limit, err);
    if (code != DF_OK) {
        sim_close(d);
        return code;
    }
    if (!(d->options.flags & DF_SIM_ASKED)) traits->flags |= DF_DEVICE_NOTIFIES;
    if (!(d->options.flags & DF_SIM_PINNED)) traits->flags |= DF_DEVICE_PAGEABLE;
    traits->memory = limit;
    memcpy(traits->text, "simulated accelerator", sizeof "simulated accelerator");
    *device = d;
    return DF_OK;
}

/* ---- memory ---------------------------------------------------------------- */

bool sim_is_due(sim_device *d, df_sim_fault fault) {
    _Atomic uint64_t *left = &d->faults[fault];
    return atomic_get(left, RELAXED) && atomic_sub(left, 1, RELAXED) == 1;
}

df_code sim_lost(const sim_device *d, df_error *err) {
    return error_set(err, DF_UNAVAILABLE, "device %s is lost", d->name);
}

static df_code sim_alloc(void *device, size_t bytes, void **address, df_error *err) {
    sim_device *d = device;
    if (sim_is_lost(d)) return sim_lost(d, err);
    *address = sim_is_due(d, DF_SIM_ALLOC_FAILS) ? NULL : sim_memory_take(d->memory, bytes);
    if (!*address)
        return error_set(err, DF_RESOURCE_EXHAUSTED, "device %s: no %zu bytes left of its memory",
                         d->name, bytes);
    if (!d->order || sim_order_block_add(d->order, *address, bytes)) return DF_OK;
    sim_memory_give(d->memory, *address);
    return error_memory(err, d->name);
}

/* What is still in use fails the next event, since this call cannot. */
static void sim_free(void *device, void *address, size_t bytes) {
    sim_device *d = device;
    df_error why;
    (void)bytes;
    if (d->order && sim_order_block_drop(d->order, address, &why) != DF_OK) {
        mutex_lock(&d->lock);
        if (d->mistake.code == DF_OK) d->mistake = why;
        mutex_unlock(&d->lock);
    }
    sim_memory_give(d->memory, address);
}

static df_code sim_memory_left(void *device, uint64_t *bytes, df_error *err) {
    sim_device *d = device;
    if (sim_is_lost(d)) return sim_lost(d, err);
    *bytes = sim_memory_free_bytes(d->memory);
    return DF_OK;
}

/* Pinned memory is any: only that it was asked for counts. */
static df_code sim_host_alloc(void *device, size_t bytes, void **block, df_error *err) {
    sim_device *d = device;
    if (sim_is_lost(d)) return sim_lost(d, err);
    *block = alloc_bytes(d->alloc, bytes);
    return *block ? DF_OK : error_memory(err, d->name);
}

static void sim_host_free(void *device, void *block, size_t bytes) {
    alloc_free(((sim_device *)device)->alloc, block, bytes);
}

static df_code sim_host_register(void *device, void *block, size_t bytes, df_error *err) {
    sim_device *d = device;
    (void)block;
    (void)bytes;
    return sim_is_lost(d) ? sim_lost(d, err) : DF_OK;
}

static void sim_host_unregister(void *device, void *block) {
    (void)device;
    (void)block;
}

static bool sim_reaches(void *device, void *other) {
    return device != other && !(((sim_device *)device)->options.flags & DF_SIM_NO_PEERS);
}

/* ---- the kind --------------------------------------------------------------- */

static void sim_event_wait(void *device, void *event, uint64_t timeout) {
    sim_wait_for(device, event, timeout);
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
    .timed_event_new = sim_event_new,
    .event_elapsed = sim_event_elapsed,
};

void df_sim_kind(const df_sim_options *options, df_device_ops *out) {
    *out = sim_ops;
    out->user = (void *)(uintptr_t)options;
    if (!options) return;
    if (options->flags & DF_SIM_PINNED) {
        out->host_alloc = sim_host_alloc;
        out->host_free = sim_host_free;
        out->host_register = sim_host_register;
        out->host_unregister = sim_host_unregister;
    }
    if (options->flags & DF_SIM_ASKED) out->event_wait = sim_event_wait;
}

/* ---- what tests ask of it ---------------------------------------------------- */

static sim_device *sim_of(const df_device *device) {
    return device && device->core && device->ops->open == sim_open ? device->core->impl : NULL;
}

df_code df_sim_fail(const df_device *device, df_sim_fault fault, uint64_t n, df_error *err) {
    sim_device *d = sim_of(device);
    if (!d || (unsigned)fault >= DF_SIM_FAULTS)
        return error_invalid(err, "%s is no SIM, or %d no fault", df_device_name(device),
                             (int)fault);
    atomic_put(&d->faults[fault], n, RELAXED);
    return DF_OK;
}

df_code df_sim_time(const df_device *device, uint64_t *ns, df_error *err) {
    sim_device *d = sim_of(device);
    if (!d || !ns) return error_invalid(err, "%s is no SIM, or ns is NULL", df_device_name(device));
    *ns = 0;
    for (int k = 0; k < DF_QUEUE_KINDS; k++) {
        uint64_t at = sim_clock_now(d->clock, k);
        if (at > *ns) *ns = at;
    }
    return DF_OK;
}
