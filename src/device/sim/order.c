/* SPDX-License-Identifier: MIT
 *
 * Uses of a block are a list, oldest first. A write stands for all that it covers, since it knew
 * them: what is ordered behind the write is ordered behind those. So does a read for earlier ones
 * of its queue. An older use that is covered in part stays whole, which does no harm for the same
 * reason. What the host knows is of no account: all that comes will know it.
 */
#include "device/sim/order.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/mutex.h"

#include <stdio.h>
#include <string.h>

typedef struct use {
    uintptr_t begin, end; /* addresses */
    uint64_t time;        /* of its queue */
    int queue;
    sim_order_use kind;
    char what[40];
} use;

typedef struct block {
    uintptr_t begin, end;
    use *uses;
    size_t n, cap;
} block;

typedef struct queue {
    char name[32];
    uint64_t knows[SIM_ORDER_QUEUES]; /* its own time among them */
} queue;

/* (c) constant, (l) under lock */
struct sim_order {
    const df_allocator *alloc; /* (c) */
    mutex lock;
    queue queues[SIM_ORDER_QUEUES]; /* (l) */
    int n_queues;                   /* (l) */
    block *blocks;                  /* (l) by address */
    size_t n_blocks, cap_blocks;    /* (l) */
    block host;                     /* (l) all else */
};

/* ---- clocks ---- */

static void clock_join(uint64_t *knows, const uint64_t *other) {
    for (int i = 0; i < SIM_ORDER_QUEUES; i++)
        if (other[i] > knows[i]) knows[i] = other[i];
}

static queue *queue_after_host_locked(sim_order *o, int number) DF_REQUIRES(&o->lock);
static void forget_locked(const sim_order *o, block *b) DF_REQUIRES(&o->lock);
static void use_add_locked(sim_order *o, block *b, const use *u) DF_REQUIRES(&o->lock);
static block *block_locked(sim_order *o, uintptr_t address) DF_REQUIRES(&o->lock);
static size_t above_locked(const sim_order *o, uintptr_t address) DF_REQUIRES(&o->lock);
static bool room_locked(sim_order *o) DF_REQUIRES(&o->lock);

/* What is put on a queue is behind all that the host did until now. */
static queue *queue_after_host_locked(sim_order *o, int number) {
    queue *q = &o->queues[number], *host = &o->queues[SIM_ORDER_HOST];
    if (q == host) return q;
    clock_join(q->knows, host->knows);
    host->knows[SIM_ORDER_HOST]++;
    return q;
}

static bool knows(const queue *q, const use *u) {
    return q->knows[u->queue] >= u->time;
}

/* ---- uses ---- */

static bool overlap(const use *a, const use *b) {
    return a->begin < b->end && b->begin < a->end;
}

static bool conflict(const use *a, const use *b) {
    return overlap(a, b) && (a->kind == SIM_ORDER_WRITE || b->kind == SIM_ORDER_WRITE);
}

static bool stands_for(const use *new, const use *old) {
    return new->begin <= old->begin && old->end <= new->end &&
           (new->kind == SIM_ORDER_WRITE ||
            (old->kind == SIM_ORDER_READ && old->queue == new->queue));
}

static void forget_locked(const sim_order *o, block *b) {
    size_t kept = 0;
    for (size_t i = 0; i < b->n; i++)
        if (!knows(&o->queues[SIM_ORDER_HOST], &b->uses[i])) b->uses[kept++] = b->uses[i];
    if (kept == SIM_ORDER_USES) memmove(b->uses, b->uses + 1, --kept * sizeof *b->uses);
    b->n = kept;
}

static void use_add_locked(sim_order *o, block *b, const use *u) {
    size_t kept = 0;
    for (size_t i = 0; i < b->n; i++)
        if (!stands_for(u, &b->uses[i])) b->uses[kept++] = b->uses[i];
    b->n = kept;
    if (b->n == b->cap) forget_locked(o, b);
    if (alloc_grow(o->alloc, (void **)&b->uses, &b->cap, b->n + 1, sizeof *b->uses))
        b->uses[b->n++] = *u;
}

/* The first of those in b that u must follow and does not; NULL: there is none. */
static const use *missed(const queue *q, const block *b, const use *u) {
    for (size_t i = 0; i < b->n; i++)
        if (conflict(u, &b->uses[i]) && !knows(q, &b->uses[i])) return &b->uses[i];
    return NULL;
}

/* ---- blocks ---- */

/* How many blocks begin at the address or below. */
static size_t above_locked(const sim_order *o, uintptr_t address) {
    size_t low = 0, high = o->n_blocks;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (o->blocks[middle].begin <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static block *block_locked(sim_order *o, uintptr_t address) {
    size_t i = above_locked(o, address);
    return i > 0 && address < o->blocks[i - 1].end ? &o->blocks[i - 1] : NULL;
}

static bool room_locked(sim_order *o) {
    return alloc_grow(o->alloc, (void **)&o->blocks, &o->cap_blocks, o->n_blocks + 1,
                      sizeof *o->blocks);
}

bool sim_order_block_add(sim_order *o, const void *address, size_t bytes) {
    uintptr_t begin = (uintptr_t)address;
    mutex_lock(&o->lock);
    bool has_room = room_locked(o);
    if (has_room) {
        block *at = o->blocks + above_locked(o, begin);
        memmove(at + 1, at, (size_t)(o->blocks + o->n_blocks++ - at) * sizeof *at);
        *at = (block){.begin = begin, .end = begin + bytes};
    }
    mutex_unlock(&o->lock);
    return has_room;
}

static df_code in_flight(const sim_order *o, const use *u, df_error *err) {
    return error_set(err, DF_FAILED_PRECONDITION,
                     "memory is given back while %s on queue %s may still use it: the host must "
                     "see the end of an event behind that first",
                     u->what, o->queues[u->queue].name);
}

df_code sim_order_block_drop(sim_order *o, const void *address, df_error *err) {
    df_code code = DF_OK;
    mutex_lock(&o->lock);
    block *b = block_locked(o, (uintptr_t)address);
    if (b) {
        const use all = {.begin = b->begin, .end = b->end, .kind = SIM_ORDER_WRITE};
        const use *u = missed(&o->queues[SIM_ORDER_HOST], b, &all);
        if (u) code = in_flight(o, u, err);
        alloc_free(o->alloc, b->uses, b->cap * sizeof *b->uses);
        memmove(b, b + 1, (size_t)(o->blocks + --o->n_blocks - b) * sizeof *b);
    }
    mutex_unlock(&o->lock);
    return code;
}

/* ---- queues ---- */

df_code sim_order_queue(sim_order *o, const char *name, int *out, df_error *err) {
    mutex_lock(&o->lock);
    bool has_room = o->n_queues < SIM_ORDER_QUEUES;
    if (has_room) {
        queue *q = &o->queues[ *out = o->n_queues++];
        (void)snprintf(q->name, sizeof q->name, "%s", name);
        q->knows[*out] = 1;
    }
    mutex_unlock(&o->lock);
    if (has_room) return DF_OK;
    return error_set(err, DF_RESOURCE_EXHAUSTED, "no more than %d queues can be kept in order",
                     SIM_ORDER_QUEUES - 1);
}

void sim_order_record(sim_order *o, int number, sim_order_stamp *out) {
    mutex_lock(&o->lock);
    queue *q = queue_after_host_locked(o, number);
    memcpy(out->at, q->knows, sizeof out->at);
    q->knows[number]++;
    mutex_unlock(&o->lock);
}

void sim_order_wait(sim_order *o, int number, const sim_order_stamp *stamp) {
    mutex_lock(&o->lock);
    clock_join(queue_after_host_locked(o, number)->knows, stamp->at);
    mutex_unlock(&o->lock);
}

void sim_order_host_saw(sim_order *o, const sim_order_stamp *stamp) {
    sim_order_wait(o, SIM_ORDER_HOST, stamp);
}

/* ---- uses of memory ---- */

static df_code not_ordered(const sim_order *o, const use *first, const use *second, df_error *err) {
    static const char *const does[] = {"reads", "writes"};
    uintptr_t begin = first->begin > second->begin ? first->begin : second->begin;
    uintptr_t end = first->end < second->end ? first->end : second->end;
    return error_set(err, DF_FAILED_PRECONDITION,
                     "%s on queue %s %s %zu bytes at %p and is not ordered behind %s on queue %s, "
                     "which %s them: the queue must wait for an event behind that",
                     second->what, o->queues[second->queue].name, does[second->kind],
                     (size_t)(end - begin), (void *)begin, first->what,
                     o->queues[first->queue].name, does[first->kind]);
}

df_code sim_order_access(sim_order *o, int number, const void *address, size_t bytes,
                         sim_order_use kind, const char *what, df_error *err) {
    df_code code = DF_OK;
    use u = {.begin = (uintptr_t)address, .queue = number, .kind = kind};
    u.end = u.begin + bytes;
    (void)snprintf(u.what, sizeof u.what, "%s", what);
    mutex_lock(&o->lock);
    const queue *q = queue_after_host_locked(o, number);
    u.time = q->knows[number];
    block *added = block_locked(o, u.begin), *b = added ? added : &o->host;
    const use *first = missed(q, b, &u);
    if (first)
        code = not_ordered(o, first, &u, err);
    else
        use_add_locked(o, b, &u);
    mutex_unlock(&o->lock);
    return code;
}

/* ---- life ---- */

sim_order *sim_order_new(const df_allocator *alloc) {
    sim_order *o = alloc_zeroed(alloc, sizeof *o);
    if (!o) return NULL;
    o->alloc = alloc;
    o->n_queues = 1;
    o->queues[SIM_ORDER_HOST] = (queue){.name = "host", .knows = {1}};
    if (mutex_init(&o->lock)) return o;
    alloc_free(alloc, o, sizeof *o);
    return NULL;
}

void sim_order_free(sim_order *o) {
    if (!o) return;
    for (size_t i = 0; i < o->n_blocks; i++)
        alloc_free(o->alloc, o->blocks[i].uses, o->blocks[i].cap * sizeof *o->blocks[i].uses);
    alloc_free(o->alloc, o->blocks, o->cap_blocks * sizeof *o->blocks);
    alloc_free(o->alloc, o->host.uses, o->host.cap * sizeof *o->host.uses);
    mutex_fini(&o->lock);
    alloc_free(o->alloc, o, sizeof *o);
}
