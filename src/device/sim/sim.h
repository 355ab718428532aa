/* SPDX-License-Identifier: MIT
 *
 * sim.h - the parts of the simulated accelerator.
 *
 *   device.c   the vtable; opens and closes
 *   memory.c   its memory: two views of the same bytes, and a table of blocks
 *   queue.c    its work: for each queue a list and a thread, started by the first piece of work;
 *              and events, points in that work
 *   order.c    is it all in order?
 *   clock.c    how long would it have taken?
 */
#ifndef DEVICE_SIM_SIM_H
#define DEVICE_SIM_SIM_H

#include <dataflow/sim.h>

#include "device/core.h"
#include "device/sim/clock.h"
#include "device/sim/order.h"

/* ---- memory ---- */

typedef struct sim_memory sim_memory;

enum {
    SIM_DEVICES = 64,
    /* bytes, when no limit is asked for: addresses of 32 bits must reach several devices */
    SIM_MEMORY_DEFAULT = SIZE_MAX > UINT32_MAX ? 1 << 30 : 1 << 26
};

/* A memory whose blocks the host cannot touch. At most `limit` bytes of blocks are out at a time.
 * `name` is the device's, for messages. */
df_code sim_memory_new(const df_allocator *alloc, const char *name, size_t limit, sim_memory **out,
                       df_error *err);
void sim_memory_free(sim_memory *m);

void *sim_memory_take(sim_memory *m, size_t bytes); /* NULL: none left */
void sim_memory_give(sim_memory *m, void *address);
uint64_t sim_memory_free_bytes(sim_memory *m);

/* Where the engines find `bytes` bytes (not 0) at a device address. INTERNAL if they are not all in
 * one block. */
df_code sim_memory_at(sim_memory *m, const void *address, size_t bytes, void **out, df_error *err);

/* ---- the device ---- */

typedef struct sim_device {
    const df_allocator *alloc; /* (c), as all here but what says else */
    const df_threads *threads;
    const char *name;
    int index;
    df_sim_options options;
    sim_memory *memory;
    sim_clock *clock;
    void **word;      /* what devices share; in open and close */
    sim_order *order; /* the same for all of a runtime; NULL: nothing is checked */
    bool has_locks;
    mutex lock;       /* of all events */
    condition ended;  /* one of them has */
    df_error mistake; /* (l) a block was given back too early, and no event has told it */
    _Atomic uint64_t faults[DF_SIM_FAULTS]; /* (a) relaxed: the n-th from now on; 0: none */
    _Atomic uint32_t is_lost;               /* (a) relaxed */
} sim_device;

/* True: this is the n-th. */
bool sim_is_due(sim_device *d, df_sim_fault fault);

static inline bool sim_is_lost(sim_device *d) {
    return atomic_get(&d->is_lost, RELAXED) != 0;
}
df_code sim_lost(const sim_device *d, df_error *err); /* UNAVAILABLE */

/* ---- queues and events ---- */

/* The calls of df_device_ops. */
df_code sim_queue_new(void *device, df_queue_kind kind, void **queue, df_error *err);
void sim_queue_free(void *queue);
bool sim_queue_is_inside(const void *queue);
df_code sim_copy_in(void *queue, df_work *work, void *to, const void *from, size_t bytes,
                    df_error *err);
df_code sim_copy_out(void *queue, df_work *work, void *to, const void *from, size_t bytes,
                     df_error *err);
df_code sim_copy_within(void *queue, df_work *work, void *to, const void *from, size_t bytes,
                        df_error *err);
df_code sim_copy_peer(void *queue, df_work *work, void *other, void *to, const void *from,
                      size_t bytes, df_error *err);
df_code sim_run(void *queue, df_work *work, df_host_function *f, df_error *err);
df_code sim_event_new(void *device, void **event, df_error *err);
void sim_event_free(void *device, void *event);
df_code sim_record(void *queue, df_work *work, void *event, df_event_listener *listener,
                   df_error *err);
df_code sim_wait(void *queue, df_work *work, void *event, df_error *err);
bool sim_event_ended(void *device, void *event, df_error *why);
void sim_wait_for(sim_device *d, void *event, uint64_t timeout);
df_code sim_event_elapsed(void *device, void *from, void *to, int64_t *ns, df_error *err);

#endif /* DEVICE_SIM_SIM_H */
