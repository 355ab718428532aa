/* SPDX-License-Identifier: MIT */
#include "fault/faulty_kind.h"

#include "property/random.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Lies on a queue in front of an event: so the host goes on before that has ended. */
typedef struct nap {
    df_host_function f; /* first */
    long ns;
    struct nap *next;
} nap;

enum { QUEUES = FAULTY_DEVICES * DF_QUEUE_KINDS };

/* (c) once the devices are open, (a) atomic, (l) under lock */
static struct {
    df_sim_options options;      /* (c) as all up to n_queues */
    df_device_ops right, faulty; /* SIM, and what is made of it */
    uint64_t seed;
    void *devices[FAULTY_DEVICES], *queues[QUEUES];
    long latency[QUEUES]; /* ns */
    uint32_t one_in[QUEUES];
    int n_queues;
    _Atomic uint64_t blocks[FAULTY_DEVICES]; /* (a) until there is no memory, + 1; 0: there is */
    _Atomic uint64_t n_events;               /* (a) */
    _Atomic size_t n_pinned;                 /* (a) blocks */
    nap *_Atomic naps;                       /* (a) all */
    pthread_mutex_t lock;
    df_cancel *cancel;   /* (l) */
    uint64_t cancels_in; /* (l) naps */
} kind = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- naps ----------------------------------------------------------------- */

static df_code take_nap(df_host_function *f, df_error *err) {
    long ns = ((nap *)(void *)f)->ns;
    (void)err;
    if (ns) (void)nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
    (void)pthread_mutex_lock(&kind.lock);
    if (kind.cancel && --kind.cancels_in == 0) {
        df_cancel_fire(kind.cancel);
        kind.cancel = NULL;
    }
    (void)pthread_mutex_unlock(&kind.lock);
    return DF_OK;
}

/* The device is lost: nobody minds. */
static void miss_nap(df_host_function *f, const df_error *why) {
    (void)f;
    (void)why;
}

static void put_nap(void *queue, long ns) {
    nap *n = calloc(1, sizeof *n);
    if (!n) abort();
    n->f = (df_host_function){.run = take_nap, .refused = miss_nap};
    n->ns = ns;
    n->next = atomic_load(&kind.naps);
    while (!atomic_compare_exchange_weak(&kind.naps, &n->next, n)) {
    }
    (void)kind.right.run(queue, NULL, &n->f, NULL);
}

void faulty_kind_cancel(df_cancel *cancel, uint64_t n) {
    (void)pthread_mutex_lock(&kind.lock);
    kind.cancel = cancel;
    kind.cancels_in = n;
    (void)pthread_mutex_unlock(&kind.lock);
}

/* ---- the calls that differ -------------------------------------------------- */

static df_code new_queue(void *device, df_queue_kind which, void **queue, df_error *err) {
    static const long latencies[] = {0, 0, 20000, 200000};
    df_code code = kind.right.queue_new(device, which, queue, err);
    if (code != DF_OK) return code;
    kind.devices[kind.n_queues / DF_QUEUE_KINDS] = device; /* one is opened behind the other */
    draws d = draws_of(kind.seed, (uint64_t)kind.n_queues);
    kind.queues[kind.n_queues] = *queue;
    kind.latency[kind.n_queues] = latencies[draw_below(&d, 4)];
    kind.one_in[kind.n_queues++] = 1 + draw_below(&d, 4);
    return code;
}

static df_code take_event(void *queue, df_work *work, void *event, df_event_listener *listener,
                          df_error *err) {
    uint64_t n = atomic_fetch_add(&kind.n_events, 1);
    for (int i = 0; i < kind.n_queues; i++)
        if (kind.queues[i] == queue && hash_pair(kind.seed, n) % kind.one_in[i] == 0)
            put_nap(queue, kind.latency[i]);
    return kind.right.record(queue, work, event, listener, err);
}

static bool is_exhausted(void *device) {
    for (int i = 0; i < FAULTY_DEVICES; i++) {
        uint64_t left = atomic_load(&kind.blocks[i]);
        if (kind.devices[i] != device || left == 0) continue;
        while (left > 1 && !atomic_compare_exchange_weak(&kind.blocks[i], &left, left - 1)) {
        }
        return left <= 2;
    }
    return false;
}

static df_code take_block(void *device, size_t bytes, void **address, df_error *err) {
    if (is_exhausted(device)) return df_error_set(err, DF_RESOURCE_EXHAUSTED, "as planned");
    return kind.right.alloc(device, bytes, address, err);
}

void faulty_kind_exhaust(int device, uint64_t n) {
    atomic_store(&kind.blocks[device], n ? n + 1 : 0);
}

static df_code take_pinned(void *device, size_t bytes, void **block, df_error *err) {
    (void)device;
    *block = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!*block) return df_error_set(err, DF_RESOURCE_EXHAUSTED, "no pinned memory");
    (void)atomic_fetch_add(&kind.n_pinned, 1);
    return DF_OK;
}

static void give_pinned(void *device, void *block, size_t bytes) {
    (void)device;
    (void)bytes;
    free(block);
    (void)atomic_fetch_sub(&kind.n_pinned, 1);
}

/* ---- its life ----------------------------------------------------------------- */

const df_device_ops *faulty_kind_begin(uint64_t seed, uint32_t flags) {
    kind.options = (df_sim_options){.struct_size = sizeof kind.options, .flags = flags};
    kind.seed = seed;
    kind.n_queues = 0;
    for (int i = 0; i < FAULTY_DEVICES; i++) faulty_kind_exhaust(i, 0);
    df_sim_kind(&kind.options, &kind.right);
    kind.faulty = kind.right;
    kind.faulty.queue_new = new_queue;
    kind.faulty.record = take_event;
    kind.faulty.alloc = take_block;
    if (kind.right.host_alloc) kind.faulty.host_alloc = take_pinned;
    if (kind.right.host_alloc) kind.faulty.host_free = give_pinned;
    return &kind.faulty;
}

size_t faulty_kind_end(void) {
    for (nap *n = atomic_exchange(&kind.naps, NULL), *next; n; n = next) {
        next = n->next;
        free(n);
    }
    return atomic_exchange(&kind.n_pinned, 0);
}
