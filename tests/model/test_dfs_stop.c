/* SPDX-License-Identifier: MIT
 *
 * A device is stopped while work is put on it, over all interleavings of three actors, on the real
 * source: one stops it, one puts a kernel on its queue and records its end, as a step does, and the
 * device plays what is there.
 *
 * In every schedule who has put a kernel there can record its end, which is told once, when the
 * kernel has run; or nothing of his is there.
 */
#include "model/in_place.h"
#include "model/played_device.h"

#include "device/books.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { STOPS, PUTS, PLAYS, ACTORS, ARENA = 16 * 1024 };

typedef struct putter {
    launch base; /* first */
    fence_waiter waiter;
    fence *end;
    int n_run, n_told;
    bool is_there; /* the kernel */
} putter;

typedef struct world {
    played_device device;
    memory *host;
    df_work work;
    putter putter;
    bool has_stopped;
    in_place memory;
    _Alignas(64) unsigned char bytes[ARENA]; /* of the memory */
} world;

static world w;

static const df_allocator blocks = IN_PLACE_ALLOCATOR(&w.memory);

/* ---- actors --------------------------------------------------------------- */

static df_code kernel(launch *l, df_error *err) {
    (void)err;
    ((putter *)l)->n_run++;
    return DF_OK;
}

static void told(fence_waiter *base, const df_error *why) {
    putter *p = (putter *)(void *)((char *)base - offsetof(putter, waiter));
    p->n_told++;
    if (why || !p->n_run) dfs_fail("an end was told, and the kernel has not run");
    fence_unref(p->end);
}

static void put(putter *p) {
    df_queue *q = w.device.d->queue;
    p->base.run = kernel;
    p->waiter.ready = told;
    p->is_there = queue_launch(q, &w.work, &p->base, NULL) == DF_OK;
    if (!p->is_there) return;
    if (queue_record_end(q, &w.work, &p->end, NULL) == DF_OK)
        p->end->ops->on_ready(p->end, &p->waiter);
    else if (!p->n_run)
        dfs_fail("the end is refused of a kernel that is still to run");
}

static void act(void *arg, int i) {
    (void)arg;
    switch (i) {
    case STOPS:
        device_stop(w.device.d);
        w.has_stopped = true;
        break;
    case PUTS:
        put(&w.putter);
        break;
    default:
        while (!w.has_stopped) {
            w.device.n_recorded = 0; /* who asks again and again is where he was */
            if (!played_one(&w.device)) sched_blocked();
        }
        break;
    }
}

static void nobody_fails(df_work *work, const df_error *why) {
    (void)work;
    dfs_fail("work has failed: %s", why->message);
}

static void build(void *arg) {
    world *x = arg;
    memset(x, 0, sizeof *x);
    x->memory = (in_place){.bytes = x->bytes, .size = ARENA};
    x->work.fail = nobody_fails;
    x->host = memory_new_host(&blocks);
    if (!x->host) dfs_fail("no memory");
    played_device_open(&x->device, &blocks, x->host);
}

static void check(void *arg) {
    world *x = arg;
    const putter *p = &x->putter;
    if (p->n_run != p->is_there) dfs_fail("the kernel has run %d times", p->n_run);
    if (p->n_told != (p->end != NULL)) dfs_fail("its end was told %d times", p->n_told);
    device_close(x->device.d);
    memory_unref(x->host);
    if (x->memory.live) dfs_fail("%zu blocks are left", x->memory.live);
}

static void what_is_on_a_device_that_is_stopped_can_be_waited_for(void **state) {
    (void)state;
    static df_schedules_report report;
    uint64_t n = dfs_run((df_schedules){.actors = ACTORS,
                                        .world = &w,
                                        .setup = build,
                                        .actor = act,
                                        .check = check,
                                        .world_size = sizeof w,
                                        .max_preemptions = 3},
                         &report);
    if (n == 0) fail_msg("%s\n%s", report.what, report.schedule);
    printf("%llu schedules, %llu states\n", (unsigned long long)n,
           (unsigned long long)report.states);
    assert_true(n > 5);
}

static int every_test(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_on_a_device_that_is_stopped_can_be_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void) {
    if (dfs_is_slow()) { /* who waits for the device comes back to a state that was there before */
        printf(
            "skipped: states are told apart by what the address sanitizer keeps on the stacks\n");
        return 77;
    }
    return dfs_main(every_test);
}
