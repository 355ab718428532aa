/* SPDX-License-Identifier: MIT
 *
 * The simulated accelerator: what a test needs of a GPU, on any Linux machine. Its
 * memory is out of the host's reach, its work runs beside the host in a queue's order,
 * and its errors come late, by a tag or a fence, as a real device's do. So code that
 * forgets a copy, a wait or an error fails here as it would there.
 */
#include "device/sim/sim.h"

static void sim_close(df_device *d) {
    sim_queue_free((sim_queue *)d->queue);
}

static void sim_stop(df_device *d) {
    sim_queue_stop((sim_queue *)d->queue);
}

static const device_ops sim_ops = {
    .kind = "SIM",
    .close = sim_close,
    .stop = sim_stop,
    .copy_in = sim_copy_in,
    .copy_out = sim_copy_out,
    .launch = sim_launch,
    .fence_record = sim_fence_record,
    .queue_wait = sim_queue_wait,
    .is_inside = sim_queue_is_inside,
};

df_code sim_open(df_device *d, const device_options *options, df_error *err) {
    size_t limit = options->memory_limit ? options->memory_limit : SIM_MEMORY_DEFAULT;
    sim_memory *m = NULL;
    memory *mem = NULL;
    df_code rc = sim_memory_new(options->alloc, d->full_name, limit, &m, &mem, err);
    if (rc != DF_OK) return rc;
    sim_queue *q = NULL;
    rc = sim_queue_new(d, m, options, &q, err);
    if (rc != DF_OK) {
        memory_unref(mem);
        return rc;
    }
    d->ops = &sim_ops;
    d->mem = mem;
    d->queue = sim_queue_base(q);
    return DF_OK;
}
