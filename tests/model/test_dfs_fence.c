/* SPDX-License-Identifier: MIT
 *
 * A fence over all interleavings of three and four actors, on the real source: who waits for it,
 * who asks, its end, and the thread that sees the end where a device does not tell. A mix is a
 * word, one letter for each actor:
 *
 *   W  waits, with a reference of its own, which it drops when it is called
 *   T  asks, and when the fence has ended drops the first reference, and takes the next fence
 *   O  the device tells the fence's end       F  that it has failed
 *   D  the device comes to the fence, and does not tell; one thread looks for ends:
 *   S  sleeps while nobody waits for a fence, and is sent home by
 *   Z  when all waiters have been called
 *
 * In no schedule is a waiter called twice, or never, or before what was held until then was
 * dropped; and the fence that T takes is the one that has ended: nothing is allocated.
 */
#include "model/in_place.h"
#include "model/plant.h"
#include "support/dfs.h"

#include "device/fence.c" /* whole, so that it can be spoilt; */
#include "device/waiter.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { MAX = 4, ARENA = 4096 };

typedef struct waiting {
    fence_waiter waiter; /* first */
    int n_called;
    bool has_failed;
} waiting;

typedef struct world {
    char mix[MAX + 1];
    device_books *books;
    df_queue queue;
    device_fence *fence, *next;
    waiting waiters[MAX];
    bool has_come; /* the device, to the event */
    bool is_over;  /* the end has been brought */
    int n_dropped, n_made, n_ended;
    in_place memory;
    _Alignas(64) unsigned char bytes[ARENA]; /* of the memory */
} world;

static world w;

static const df_allocator blocks = IN_PLACE_ALLOCATOR(&w.memory);

/* ---- the device ----------------------------------------------------------- */

static df_code event_new(void *device, void **event, df_error *err) {
    (void)err;
    *event = device;
    w.n_made++;
    return DF_OK;
}

static void event_free(void *device, void *event) {
    (void)device;
    (void)event;
}

static bool event_ended(void *device, void *event, df_error *why) {
    (void)device;
    (void)event;
    (void)why;
    return w.has_come;
}

static void event_wait(void *device, void *event, uint64_t ns) {
    (void)device;
    (void)event;
    (void)ns;
    while (!w.has_come) sched_blocked();
}

static const df_device_ops ops = {.struct_size = sizeof ops,
                                  .event_new = event_new,
                                  .event_free = event_free,
                                  .event_ended = event_ended,
                                  .event_wait = event_wait};

/* ---- actors --------------------------------------------------------------- */

static int count(char letter) {
    int n = 0;
    for (const char *m = w.mix; *m; m++) n += *m == letter;
    return n;
}

static void drop(void *what) {
    (void)what;
    w.n_dropped++;
}

DFS_UNWATCHED static void count_end(void) {
    w.n_ended++;
}

static void on_ready(fence_waiter *base, const df_error *why) {
    waiting *x = (waiting *)base;
    x->n_called++;
    x->has_failed = why != NULL;
    count_end();
    if (w.n_dropped != 1) dfs_fail("a waiter was called before what was held was dropped");
    fence_unref(&w.fence->base);
}

/* It may see the end before who brings it has returned. */
static void ask(void) {
    bool ended = w.fence->base.ops->ended(&w.fence->base);
    while (!ended && !dfs_is_weak() && !w.is_over) sched_blocked();
    fence_unref(&w.fence->base);
    if (ended || !dfs_is_weak()) w.next = fence_take(w.books, false, NULL);
}

static void send_home(void) {
    while (w.n_ended < count('W')) sched_blocked();
    mutex_lock(&w.books->lock);
    w.books->closing = true;
    condition_signal(&w.books->wake);
    mutex_unlock(&w.books->lock);
}

static void act(void *arg, int i) {
    const df_error lost = {.code = DF_DATA_LOSS, .message = "as planned"};
    (void)arg;
    switch (w.mix[i]) {
    case 'W':
        w.waiters[i].waiter.ready = on_ready;
        w.fence->base.ops->on_ready(&w.fence->base, &w.waiters[i].waiter);
        break;
    case 'T':
        ask();
        break;
    case 'D':
        DF_SCHED_POINT();
        w.has_come = true;
        break;
    case 'S':
        waiter_main(w.books);
        break;
    case 'Z':
        send_home();
        break;
    default:
        fence_over(w.fence, w.mix[i] == 'F' ? &lost : NULL);
        if (!dfs_is_weak()) w.is_over = true;
        break;
    }
}

/* A fence has been recorded, and something is held until it has ended. */
static void build(void *arg) {
    world *x = arg;
    char mix[MAX + 1];
    memcpy(mix, x->mix, sizeof mix);
    memset(x, 0, sizeof *x);
    memcpy(x->mix, mix, sizeof mix);
    x->memory = (in_place){.bytes = x->bytes, .size = ARENA};
    x->books = books_new(&blocks);
    if (!x->books) dfs_fail("no books");
    x->books->ops = &ops;
    x->books->notifies = !count('D');
    x->queue = (df_queue){.books = x->books};
    x->books->queues[0] = &x->queue;
    queue_hold(&x->queue, queue_hold_new(&x->queue, drop, NULL, NULL));
    x->fence = fence_take(x->books, false, NULL);
    x->fence->queue = &x->queue;
    x->fence->position = 1;
    fence_enter(x->fence);
    fence_recorded(x->fence);
    for (int i = 0; i < count('W'); i++) fence_ref(&x->fence->base);
    if (!count('T')) fence_unref(&x->fence->base);
}

static void check(void *arg) {
    world *x = arg;
    for (int i = 0; x->mix[i]; i++) {
        if (x->mix[i] != 'W') continue;
        if (x->waiters[i].n_called != 1)
            dfs_fail("waiter %d was called %d times", i, x->waiters[i].n_called);
        if (x->waiters[i].has_failed != (count('F') > 0)) dfs_fail("a waiter was told else");
    }
    if (x->queue.first || x->queue.n_watched || x->queue.n_calling)
        dfs_fail("the queue knows more");
    if (x->next && x->n_made != 1 && !count('W')) dfs_fail("a fence was made, and one was there");
    if (x->next) {
        x->next->refs = 1; /* it is not recorded */
        fence_unref(&x->next->base);
    }
    books_close(x->books);
    if (x->memory.live) dfs_fail("%zu blocks are left", x->memory.live);
}

static uint64_t run(const char *mix, df_schedules_report *report) {
    (void)snprintf(w.mix, sizeof w.mix, "%s", mix);
    return dfs_run((df_schedules){.actors = (int)strlen(mix),
                                  .world = &w,
                                  .setup = build,
                                  .actor = act,
                                  .check = check,
                                  .world_size = dfs_is_slow() ? 0 : sizeof w,
                                  .max_preemptions = dfs_is_slow() ? 2 : 0},
                   report);
}

static df_schedules_report report;

static void every_waiter_is_called_once_and_nothing_is_left(void **state) {
    (void)state;
    static const char *const mixes[] = {"WO", "WF", "TO", "WWO", "WTO", "WTF", "WWWO", "WDSZ"};
    for (size_t i = 0; i < sizeof mixes / sizeof *mixes; i++) {
        if (dfs_is_weak() && strchr(mixes[i], 'S')) continue; /* who sleeps is no part of it */
        uint64_t n = run(mixes[i], &report);
        if (n == 0) fail_msg("%s: %s\n%s", mixes[i], report.what, report.schedule);
        printf("%s: %llu schedules, %llu states\n", mixes[i], (unsigned long long)n,
               (unsigned long long)report.states);
        assert_true(n > 5);
    }
}

static void what_is_spoilt_is_found(void **state) {
    (void)state;
    static const plant plants[] = {{"", "device_fence_on_ready", "WDSZ"},
                                   {"device_fence_on_ready", "", "WO"},
                                   {"device_fence_unref", "", "WWO"},
                                   {"device_fence_ended", "", "TO"},
                                   {"fence_over", "", "WO"}};
    assert_true(plants_are_found(plants, sizeof plants / sizeof *plants, run, &report));
}

static int every_test(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_waiter_is_called_once_and_nothing_is_left),
        cmocka_unit_test(what_is_spoilt_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void) {
    return dfs_main(every_test);
}
