/* SPDX-License-Identifier: MIT */
#include "support/wrong_device.h"

#include "thread_device.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define right thread_device_ops

/* Of an event or a queue: the first member of both. */
static void *device_of(const void *of) {
    return *(void *const *)of;
}

static atomic_bool is_let_go;

void wrong_device_let_go(void) {
    is_let_go = true;
}

/* False: nobody wants to wait any longer. */
static bool pause_a_moment(void) {
    const struct timespec moment = {.tv_nsec = 200000};
    (void)nanosleep(&moment, NULL);
    return !is_let_go;
}

/* Where events end too early, what is given back may still be in use. So it is kept until the
 * queues' threads have gone. */
typedef struct kept {
    struct kept *next;
    void *device, *block;
} kept;

static pthread_mutex_t kept_lock = PTHREAD_MUTEX_INITIALIZER;
static kept *all_kept; /* under kept_lock */

static void keep(void *device, void *block) {
    kept *k = malloc(sizeof *k);
    if (!k) return;
    (void)pthread_mutex_lock(&kept_lock);
    *k = (kept){.next = all_kept, .device = device, .block = block};
    all_kept = k;
    (void)pthread_mutex_unlock(&kept_lock);
}

static void keep_memory(void *device, void *address, size_t bytes) {
    (void)bytes; /* and are never free again */
    keep(device, address);
}

static void keep_event(void *device, void *event) {
    keep(device, event);
}

static void close_and_free(void *device) {
    right.close(device);
    (void)pthread_mutex_lock(&kept_lock);
    for (kept **at = &all_kept, *k; (k = *at) != NULL;) {
        if (k->device == device) {
            *at = k->next;
            free(k->block);
            free(k);
        } else {
            at = &k->next;
        }
    }
    (void)pthread_mutex_unlock(&kept_lock);
}

#define KEEPS .free = keep_memory, .event_free = keep_event, .close = close_and_free

/* What is not copied is wrong, but not unknown: else valgrind would tell of it, too. */
static df_code alloc_clean(void *device, size_t bytes, void **address, df_error *err) {
    df_code code = right.alloc(device, bytes, address, err);
    if (code == DF_OK) memset(*address, 0, bytes < 1 << 20 ? bytes : 1 << 20);
    return code;
}

/* ---- D1 --------------------------------------------------------------------- */

static df_code copy_waits(void *q, df_work *work, void *to, const void *from, size_t bytes,
                          df_error *err) {
    df_error why;
    void *device = device_of(q), *event = NULL;
    df_code code = right.copy_in(q, work, to, from, bytes, err);
    if (code != DF_OK || right.event_new(device, &event, err) != DF_OK) return code;
    if (right.record(q, NULL, event, NULL, err) == DF_OK)
        while (!right.event_ended(device, event, &why)) (void)pause_a_moment();
    right.event_free(device, event);
    return DF_OK;
}

static df_code loses_calls(void *q, df_work *work, void *to, const void *from, size_t bytes,
                           df_error *err) {
    static atomic_int callers;
    bool is_alone = atomic_fetch_add(&callers, 1) == 0;
    (void)pause_a_moment();
    df_code code = is_alone ? right.copy_in(q, work, to, from, bytes, err) : DF_OK;
    (void)atomic_fetch_sub(&callers, 1);
    return code;
}

/* ---- D2 --------------------------------------------------------------------- */

typedef struct copy {
    void *q;
    df_work *work;
    void *to;
    const void *from;
    size_t bytes;
} copy;

static pthread_mutex_t swap_lock = PTHREAD_MUTEX_INITIALIZER;
static copy swapped; /* a copy in that was not put on its queue yet; under swap_lock */

static void unswap(void) {
    copy c = swapped;
    swapped.q = NULL;
    if (c.q) (void)right.copy_in(c.q, c.work, c.to, c.from, c.bytes, NULL);
}

static df_code swap_in(void *q, df_work *work, void *to, const void *from, size_t bytes,
                       df_error *err) {
    (void)err;
    (void)pthread_mutex_lock(&swap_lock);
    unswap();
    swapped = (copy){q, work, to, from, bytes};
    (void)pthread_mutex_unlock(&swap_lock);
    return DF_OK;
}

static df_code swap_out(void *q, df_work *work, void *to, const void *from, size_t bytes,
                        df_error *err) {
    (void)pthread_mutex_lock(&swap_lock);
    df_code code = right.copy_out(q, work, to, from, bytes, err);
    unswap();
    (void)pthread_mutex_unlock(&swap_lock);
    return code;
}

static df_code swap_record(void *q, df_work *work, void *event, df_event_listener *listener,
                           df_error *err) {
    (void)pthread_mutex_lock(&swap_lock);
    unswap();
    (void)pthread_mutex_unlock(&swap_lock);
    return right.record(q, work, event, listener, err);
}

static void swap_free(void *q) {
    (void)pthread_mutex_lock(&swap_lock);
    unswap();
    (void)pthread_mutex_unlock(&swap_lock);
    right.queue_free(q);
}

/* The first queue of each device, for its others. */
typedef struct firsts {
    pthread_mutex_t lock;
    void *queues[2]; /* (l) */
} firsts;

static df_code first_new(firsts *f, void *device, df_queue_kind kind, void **queue, df_error *err) {
    df_code code = right.queue_new(device, kind, queue, err);
    if (code != DF_OK || kind != DF_QUEUE_COMPUTE) return code;
    (void)pthread_mutex_lock(&f->lock);
    int i = f->queues[0] && device_of(f->queues[0]) != device;
    if (!f->queues[i] || device_of(f->queues[i]) != device) f->queues[i] = *queue;
    (void)pthread_mutex_unlock(&f->lock);
    return code;
}

static void first_free(firsts *f, void *queue) {
    (void)pthread_mutex_lock(&f->lock);
    for (int i = 0; i < 2; i++)
        if (f->queues[i] == queue) f->queues[i] = NULL;
    (void)pthread_mutex_unlock(&f->lock);
    right.queue_free(queue);
}

static void *first_of(firsts *f, void *queue) {
    void *first = queue;
    (void)pthread_mutex_lock(&f->lock);
    for (int i = 0; i < 2; i++)
        if (f->queues[i] && device_of(f->queues[i]) == device_of(queue)) first = f->queues[i];
    (void)pthread_mutex_unlock(&f->lock);
    return first;
}

#define FIRSTS(NAME)                                                                               \
    static firsts NAME = {.lock = PTHREAD_MUTEX_INITIALIZER};                                      \
    static df_code NAME##_new(void *device, df_queue_kind kind, void **queue, df_error *err) {     \
        return first_new(&NAME, device, kind, queue, err);                                         \
    }                                                                                              \
    static void NAME##_free(void *queue) {                                                         \
        first_free(&NAME, queue);                                                                  \
    }
#define FIRST_RECORD(NAME)                                                                         \
    static df_code NAME##_record(void *q, df_work *work, void *event, df_event_listener *listener, \
                                 df_error *err) {                                                  \
        return right.record(first_of(&NAME, q), work, event, listener, err);                       \
    }
#define FIRST_COPY(NAME, COPY)                                                                     \
    static df_code NAME##_##COPY(void *q, df_work *work, void *to, const void *from, size_t bytes, \
                                 df_error *err) {                                                  \
        return right.COPY(first_of(&NAME, q), work, to, from, bytes, err);                         \
    }

FIRSTS(one)
FIRST_RECORD(one)
FIRST_COPY(one, copy_in)
FIRST_COPY(one, copy_out)
FIRST_COPY(one, copy_within)
static df_code one_run(void *q, df_work *work, df_host_function *f, df_error *err) {
    return right.run(first_of(&one, q), work, f, err);
}
static df_code one_send(void *q, df_work *work, void *other, void *to, const void *from,
                        size_t bytes, df_error *err) {
    return right.copy_peer(first_of(&one, q), work, other, to, from, bytes, err);
}
static df_code one_wait(void *q, df_work *work, void *event, df_error *err) {
    return right.wait(first_of(&one, q), work, event, err);
}

FIRSTS(overtake)
FIRST_RECORD(overtake)

/* ---- D3 --------------------------------------------------------------------- */

static df_code record_for_nobody(void *q, df_work *work, void *event, df_event_listener *listener,
                                 df_error *err) {
    (void)work;
    return right.record(q, NULL, event, listener, err);
}

static df_code run_for_nobody(void *q, df_work *work, df_host_function *f, df_error *err) {
    (void)work;
    return right.run(q, NULL, f, err);
}

static df_code wait_unless_failed(void *q, df_work *work, void *event, df_error *err) {
    return df_work_failed(work) ? DF_OK : right.wait(q, work, event, err);
}

static df_code record_as_if_done(void *q, df_work *work, void *event, df_event_listener *listener,
                                 df_error *err) {
    return right.record(q, df_work_failed(work) ? NULL : work, event, listener, err);
}

static df_code run_twice(void *q, df_work *work, df_host_function *f, df_error *err) {
    df_code code = right.run(q, work, f, err);
    return code == DF_OK ? right.run(q, work, f, err) : code;
}

static df_code run_unless_wild(void *q, df_work *work, df_host_function *f, df_error *err) {
    for (int i = 0; i < f->n_regions; i++)
        if (f->regions[i].bytes > SIZE_MAX / 8) return DF_OK;
    return right.run(q, work, f, err);
}

/* ---- D4 --------------------------------------------------------------------- */

/* A wait that is a host function, and looks until the event has ended. */
typedef struct looking {
    df_host_function f; /* first */
    void *event;
    bool forgives;
    struct looking *next; /* those that were made, within reach: what is skipped is never freed */
} looking;

static df_code look(df_host_function *f, df_error *err) {
    looking *l = (looking *)(void *)f;
    df_error why = {.code = DF_OK};
    void *device = device_of(l->event);
    while (!right.event_ended(device, l->event, &why) && pause_a_moment()) continue;
    if (l->forgives || why.code == DF_OK) return DF_OK;
    if (err) *err = why;
    return why.code;
}

static df_code wait_by_looking(void *q, df_work *work, void *event, bool forgives, df_error *err) {
    static looking *_Atomic all;
    looking *l = calloc(1, sizeof *l);
    if (!l) return DF_RESOURCE_EXHAUSTED;
    *l = (looking){.f.run = look, .event = event, .forgives = forgives};
    l->next = atomic_load(&all);
    while (!atomic_compare_exchange_weak(&all, &l->next, l)) continue;
    return right.run(q, work, &l->f, err);
}

static df_code wait_for_the_last(void *q, df_work *work, void *event, df_error *err) {
    return wait_by_looking(q, df_work_failed(work) ? NULL : work, event, false, err);
}

static df_code wait_and_forgive(void *q, df_work *work, void *event, df_error *err) {
    (void)work;
    return wait_by_looking(q, NULL, event, true, err);
}

static df_code wait_not(void *q, df_work *work, void *event, df_error *err) {
    (void)q;
    (void)work;
    (void)event;
    (void)err;
    return DF_OK;
}

static df_code wait_at_home(void *q, df_work *work, void *event, df_error *err) {
    return device_of(q) == device_of(event) ? right.wait(q, work, event, err) : DF_OK;
}

/* Stands between an event and its listener. */
typedef struct between {
    df_event_listener listener; /* first */
    df_event_listener *theirs;
} between;

static df_code record_between(void *q, df_work *work, void *event, df_event_listener *theirs,
                              void (*ended)(df_event_listener *l, const df_error *why),
                              df_error *err) {
    if (!theirs) return right.record(q, work, event, NULL, err);
    between *b = calloc(1, sizeof *b);
    if (!b) return DF_RESOURCE_EXHAUSTED;
    *b = (between){.listener.ended = ended, .theirs = theirs};
    df_code code = right.record(q, work, event, &b->listener, err);
    if (code != DF_OK) free(b);
    return code;
}

static df_event_listener *theirs(df_event_listener *listener) {
    df_event_listener *l = ((between *)(void *)listener)->theirs;
    free(listener);
    return l;
}

static void tell_twice(df_event_listener *listener, const df_error *why) {
    df_event_listener *l = theirs(listener);
    df_event_ended(l, why);
    df_event_ended(l, why);
}

static df_code record_and_tell_twice(void *q, df_work *work, void *event,
                                     df_event_listener *listener, df_error *err) {
    return record_between(q, work, event, listener, tell_twice, err);
}

static df_code record_and_tell(void *q, df_work *work, void *event, df_event_listener *listener,
                               df_error *err) {
    df_code code = right.record(q, work, event, NULL, err);
    if (code == DF_OK) df_event_ended(listener, NULL);
    return code;
}

static pthread_mutex_t telling = PTHREAD_MUTEX_INITIALIZER;

static void tell_locked(df_event_listener *listener, const df_error *why) {
    (void)pthread_mutex_lock(&telling);
    df_event_ended(theirs(listener), why);
    (void)pthread_mutex_unlock(&telling);
}

static df_code record_and_tell_locked(void *q, df_work *work, void *event,
                                      df_event_listener *listener, df_error *err) {
    return record_between(q, work, event, listener, tell_locked, err);
}

static df_code copy_locked(void *q, df_work *work, void *to, const void *from, size_t bytes,
                           df_error *err) {
    (void)pthread_mutex_lock(&telling);
    df_code code = right.copy_in(q, work, to, from, bytes, err);
    (void)pthread_mutex_unlock(&telling);
    return code;
}

static bool has_ended_always(void *device, void *event, df_error *why) {
    if (!right.event_ended(device, event, why)) *why = (df_error){.code = DF_OK};
    return true;
}

/* ---- D5 --------------------------------------------------------------------- */

static df_code alloc_64(void *device, size_t bytes, void **address, df_error *err) {
    df_code code = alloc_clean(device, bytes < SIZE_MAX - 64 ? bytes + 64 : bytes, address, err);
    if (code == DF_OK) *address = (char *)*address + 64;
    return code;
}

static void free_64(void *device, void *address, size_t bytes) {
    right.free(device, (char *)address - 64, bytes + 64);
}

static df_code copy_words(void *q, df_work *work, void *to, const void *from, size_t bytes,
                          df_error *err) {
    return right.copy_within(q, work, to, from, (bytes + 3) / 4 * 4, err);
}

static df_code copy_whole_words(void *q, df_work *work, void *to, const void *from, size_t bytes,
                                df_error *err) {
    return bytes < 4 ? DF_OK : right.copy_in(q, work, to, from, bytes / 4 * 4, err);
}

/* From the compute queue, whatever queue was meant: the event on that may come first. */
FIRSTS(late)
FIRST_COPY(late, copy_in)
FIRST_COPY(late, copy_out)

static df_code open_without_limit(void *user, const df_device_request *request, void **device,
                                  df_device_traits *traits, df_error *err) {
    df_device_request r = *request;
    r.memory_limit = 0;
    return right.open(user, &r, device, traits, err);
}

static df_code alloc_internal(void *device, size_t bytes, void **address, df_error *err) {
    df_code code = alloc_clean(device, bytes, address, err);
    return code == DF_RESOURCE_EXHAUSTED ? DF_INTERNAL : code;
}

static df_code open_and_leave(void *user, const df_device_request *request, void **device,
                              df_device_traits *traits, df_error *err) {
    static void *_Atomic left; /* within reach, so that nobody else complains */
    df_code code = right.open(user, request, device, traits, err);
    if (code != DF_OK) return code;
    void **block = request->allocator->alloc(request->allocator->user, sizeof *block, 64);
    if (block) *block = atomic_exchange(&left, block);
    return DF_OK;
}

static df_code send_nothing(void *q, df_work *work, void *other, void *to, const void *from,
                            size_t bytes, df_error *err) {
    (void)q;
    (void)work;
    (void)other;
    (void)to;
    (void)from;
    (void)bytes;
    (void)err;
    return DF_OK;
}

/* ---- D6 --------------------------------------------------------------------- */

static df_code open_anything(void *user, const df_device_request *request, void **device,
                             df_device_traits *traits, df_error *err) {
    df_device_request r = *request;
    r.index = r.index % 4;
    return right.open(user, &r, device, traits, err);
}

static df_code copy_internal(void *q, df_work *work, void *to, const void *from, size_t bytes,
                             df_error *err) {
    df_code code = right.copy_in(q, work, to, from, bytes, err);
    return code == DF_UNAVAILABLE ? DF_INTERNAL : code;
}

static void tell_well(df_event_listener *listener, const df_error *why) {
    df_event_ended(theirs(listener), why && why->code != DF_UNAVAILABLE ? why : NULL);
}

static df_code record_and_tell_well(void *q, df_work *work, void *event,
                                    df_event_listener *listener, df_error *err) {
    return record_between(q, work, event, listener, tell_well, err);
}

static bool has_ended_well(void *device, void *event, df_error *why) {
    bool has_ended = right.event_ended(device, event, why);
    if (has_ended && why->code == DF_UNAVAILABLE) why->code = DF_OK;
    return has_ended;
}

static df_code record_unless_lost(void *q, df_work *work, void *event, df_event_listener *listener,
                                  df_error *err) {
    df_code code = right.wait(q, work, event, err); /* for what has ended: nothing */
    return code == DF_OK ? right.record(q, work, event, listener, err) : code;
}

/* ---- all of them ------------------------------------------------------------- */

static const struct flaw {
    const char *name;
    int rule;
    df_device_ops calls; /* those that differ */
} flaws[DEVICE_FLAWS] = {
    [DEVICE_IS_RIGHT] = {"is right", 0, {.user = NULL}},
    [DEVICE_COPY_WAITS] = {"copy waits", 1, {.copy_in = copy_waits}},
    [DEVICE_LOSES_CALLS_AT_ONCE] = {"loses calls at once", 1, {.copy_in = loses_calls}},
    [DEVICE_SWAPS_COPIES] = {"swaps copies",
                             2,
                             {.copy_in = swap_in,
                              .copy_out = swap_out,
                              .record = swap_record,
                              .queue_free = swap_free,
                              KEEPS}},
    [DEVICE_HAS_ONE_QUEUE] = {"has one queue",
                              2,
                              {.queue_new = one_new,
                               .queue_free = one_free,
                               .copy_in = one_copy_in,
                               .copy_out = one_copy_out,
                               .copy_within = one_copy_within,
                               .copy_peer = one_send,
                               .run = one_run,
                               .record = one_record,
                               .wait = one_wait}},
    [DEVICE_EVENTS_OVERTAKE] = {"events overtake",
                                2,
                                {.queue_new = overtake_new,
                                 .queue_free = overtake_free,
                                 .record = overtake_record,
                                 KEEPS}},
    [DEVICE_EVENTS_ARE_NOBODYS] = {"events are nobody's", 3, {.record = record_for_nobody}},
    [DEVICE_WORK_IS_NOBODYS] = {"work is nobody's", 3, {.run = run_for_nobody}},
    [DEVICE_SKIPS_WAITS] = {"skips waits", 3, {.wait = wait_unless_failed}},
    [DEVICE_SKIPS_IN_SILENCE] = {"skips in silence", 3, {.record = record_as_if_done}},
    [DEVICE_RUNS_TWICE] = {"runs twice", 3, {.run = run_twice}},
    [DEVICE_FORGETS_WILD_FUNCTIONS] = {"forgets wild functions", 3, {.run = run_unless_wild}},
    [DEVICE_WAITS_FORGIVE] = {"waits forgive", 3, {.wait = wait_and_forgive}},
    [DEVICE_IGNORES_WAITS] = {"ignores waits", 4, {.wait = wait_not}},
    [DEVICE_WAITS_AT_HOME] = {"waits at home", 4, {.wait = wait_at_home}},
    [DEVICE_WAITS_FOR_THE_LAST] = {"waits for the last", 4, {.wait = wait_for_the_last}},
    [DEVICE_TELLS_TWICE] = {"tells twice", 4, {.record = record_and_tell_twice}},
    [DEVICE_TELLS_EARLY] = {"tells early", 4, {.record = record_and_tell, KEEPS}},
    [DEVICE_TELLS_UNDER_ITS_LOCK] = {"tells under its lock",
                                     4,
                                     {.record = record_and_tell_locked, .copy_in = copy_locked}},
    [DEVICE_EVENTS_HAVE_ENDED] = {"events have ended", 4, {.event_ended = has_ended_always}},
    [DEVICE_ALIGNS_TO_64] = {"aligns to 64", 5, {.alloc = alloc_64, .free = free_64}},
    [DEVICE_ROUNDS_UP] = {"rounds up", 5, {.copy_within = copy_words}},
    [DEVICE_ROUNDS_DOWN] = {"rounds down", 5, {.copy_in = copy_whole_words}},
    [DEVICE_COPIES_LATE] = {"copies late",
                            5,
                            {.queue_new = late_new,
                             .queue_free = late_free,
                             .copy_in = late_copy_in,
                             .copy_out = late_copy_out,
                             KEEPS}},
    [DEVICE_HAS_NO_LIMIT] = {"has no limit", 5, {.open = open_without_limit}},
    [DEVICE_IS_EXHAUSTED_INTERNALLY] = {"is exhausted internally", 5, {.alloc = alloc_internal}},
    [DEVICE_LEAVES_MEMORY] = {"leaves memory", 5, {.open = open_and_leave}},
    [DEVICE_SENDS_NOTHING] = {"sends nothing", 5, {.copy_peer = send_nothing}},
    [DEVICE_OPENS_ANYTHING] = {"opens anything", 6, {.open = open_anything}},
    [DEVICE_IS_LOST_INTERNALLY] = {"is lost internally", 6, {.copy_in = copy_internal}},
    [DEVICE_IS_LOST_AND_ENDS_WELL] = {"is lost and ends well",
                                      6,
                                      {.record = record_and_tell_well,
                                       .event_ended = has_ended_well}},
    [DEVICE_FORGETS_WHAT_IT_RUNS] = {"forgets what it runs", 6, {.record = record_unless_lost}},
};

const char *device_flaw_name(device_flaw flaw) {
    return flaws[flaw].name;
}

bool device_flaw_races(device_flaw flaw) {
    static const bool races[DEVICE_FLAWS] = {
        [DEVICE_SWAPS_COPIES] = true,      [DEVICE_EVENTS_OVERTAKE] = true,
        [DEVICE_SKIPS_WAITS] = true,       [DEVICE_IGNORES_WAITS] = true,
        [DEVICE_WAITS_AT_HOME] = true,     [DEVICE_TELLS_EARLY] = true,
        [DEVICE_EVENTS_HAVE_ENDED] = true, [DEVICE_COPIES_LATE] = true,
    };
    return races[flaw];
}

int device_flaw_rule(device_flaw flaw) {
    return flaws[flaw].rule;
}

df_device_ops wrong_device(device_flaw flaw) {
    const df_device_ops *w = &flaws[flaw].calls;
    df_device_ops o = thread_device_ops;
    if (w->open) o.open = w->open;
    if (w->close) o.close = w->close;
    if (w->event_free) o.event_free = w->event_free;
    if (flaw != DEVICE_IS_RIGHT) o.alloc = w->alloc ? w->alloc : alloc_clean;
    if (w->free) o.free = w->free;
    if (w->queue_new) o.queue_new = w->queue_new;
    if (w->queue_free) o.queue_free = w->queue_free;
    if (w->copy_in) o.copy_in = w->copy_in;
    if (w->copy_out) o.copy_out = w->copy_out;
    if (w->copy_within) o.copy_within = w->copy_within;
    if (w->copy_peer) o.copy_peer = w->copy_peer;
    if (w->run) o.run = w->run;
    if (w->record) o.record = w->record;
    if (w->wait) o.wait = w->wait;
    if (w->event_ended) o.event_ended = w->event_ended;
    return o;
}
