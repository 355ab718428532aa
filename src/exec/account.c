/* SPDX-License-Identifier: MIT
 *
 * account - what a run took, and what it waits for.
 *
 * Channels count for ever, each in its frame. So what one run sent is a difference: its numbers
 * begin at what there was before it, negative, and what there is at its end is added.
 */
#include "exec/step.h"

#include "base/clock.h"
#include "device/timeline.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- what it took ---------------------------------------------------------- */

static df_device *source_of(const executor *x, const plan_channel *ch) {
    return x->o.devices[ch->src_device];
}

static df_device *target_of(const executor *x, const plan_channel *ch) {
    return x->o.devices[ch->dst_device];
}

/* False: its pair of devices was met before. A part, which has channels that are far, has no stats.
 */
static bool is_new_pair(uint64_t *seen, const plan_channel *ch) {
    uint64_t *set = &seen[ch->src_device], bit = UINT64_C(1) << ch->dst_device;
    bool is_new = !(*set & bit);
    *set |= bit;
    return is_new;
}

size_t account_none(const executor *x, df_run_stats *st) {
    const plan *p = x->o.plan;
    uint64_t seen[PLAN_MAX_DEVICES] = {0};
    size_t room = st->pairs ? st->n_pairs : 0, n = 0;
    for (uint32_t c = 0; c < p->n_channels; c++) {
        const plan_channel *ch = &p->channels[c];
        if (!is_new_pair(seen, ch)) continue;
        if (n < room)
            st->pairs[n] = (df_pair_traffic){.from = source_of(x, ch), .to = target_of(x, ch)};
        n++;
    }
    *st = (df_run_stats){.struct_size = st->struct_size,
                         .program = p->id,
                         .timed = st->timed,
                         .pairs = st->pairs,
                         .n_pairs = n};
    return room < n ? room : n;
}

/* sign: 1, or UINT64_MAX for -1. */
static void add_traffic(step *s, uint64_t sign) {
    df_run_stats *st = s->rq.stats;
    for (uint32_t c = 0; c < s->p->n_channels; c++) {
        const plan_channel *ch = &s->p->channels[c];
        uint64_t transfers = sign * atomic_get(&s->traffic[c].transfers, RELAXED);
        uint64_t bytes = sign * atomic_get(&s->traffic[c].bytes, RELAXED);
        st->transfers += transfers;
        st->bytes += bytes;
        for (size_t i = 0; i < s->rq.room; i++) {
            df_pair_traffic *pair = &st->pairs[i];
            if (pair->from != source_of(s->x, ch) || pair->to != target_of(s->x, ch)) continue;
            pair->transfers += transfers;
            pair->bytes += bytes;
        }
    }
}

static void add_work(step *s, uint64_t sign) {
    df_run_stats *st = s->rq.stats;
    uint64_t *to[WORK_COUNTS] = {[WORK_FENCES] = &st->fences,
                                 [WORK_QUEUE_WAITS] = &st->queue_waits,
                                 [WORK_HOST_WAITS] = &st->host_waits,
                                 [WORK_STAGED] = &st->staged};
    for (int i = 0; i < WORK_COUNTS; i++) *to[i] += sign * atomic_get(&s->work.counts[i], RELAXED);
}

void account_begin(step *s) {
    s->rq.stats->step = s->number;
    s->began = clock_now();
    s->copying = s->hidden = 0;
    atomic_put(&s->came, 0, RELAXED);
    add_traffic(s, UINT64_MAX);
    add_work(s, UINT64_MAX);
}

void account_times(step *s) {
    if (!s->rq.timed) return;
    if (!s->timeline) s->timeline = timeline_new(s->x->o.alloc);
    s->work.times = s->timeline;
}

void account_over(step *s) {
    if (!s->work.times) return;
    timeline_take(s->work.times, &s->copying, &s->hidden);
    s->work.times = NULL;
}

void account_end(step *s) {
    df_run_stats *st = s->rq.stats;
    if (!st || !s->began) return;
    uint64_t came = atomic_get(&s->came, RELAXED), now = clock_now();
    if (!came) came = now;
    st->nodes = atomic_get(&s->ran, RELAXED);
    st->waited = came - s->began;
    st->time = now - came;
    st->copying = s->copying;
    st->hidden = s->hidden;
    s->began = 0;
    add_traffic(s, 1);
    add_work(s, 1);
}

/* ---- what it waits for ------------------------------------------------------ */

/* Whole items, as many as there is room for; n is how long all of them are. */
typedef struct list {
    char *buffer;
    size_t size, n;
    const char *separator;
    bool once; /* what is there already is left out */
} list;

static void add(list *l, const char *format, ...) DF_PRINTF(2, 3);

static void add(list *l, const char *format, ...) {
    char item[400];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(item, sizeof item, format, args);
    va_end(args);
    if (l->once && l->size && strstr(l->buffer, item)) return;
    const char *before = l->n ? l->separator : "";
    size_t more = strlen(before) + strlen(item);
    if (l->n + more < l->size)
        (void)snprintf(l->buffer + l->n, l->size - l->n, "%s%s", before, item);
    else
        l->size = 0;
    l->n += more;
}

static void add_node(list *l, const step *s, uint32_t node) {
    const plan_node *n = &s->p->nodes[node];
    add(l, "node %s (%s) on %s", n->name, n->op->name, s->p->devices[n->device].full_name);
}

static void add_key(list *l, const plan_channel *c) {
    char key[280];
    (void)df_key_text(c->key, key, sizeof key);
    add(l, "%s (from node %s)", key, c->producer);
}

static bool recv_waits(const recv_op *r) {
    return atomic_get(&((recv_op *)(uintptr_t)r)->state, RELAXED) == OP_OUTSIDE;
}

static void add_waits(list *l, step *s, bool keys_only) {
    const plan *p = s->p;
    uint64_t program, number;
    bool waits =
        !keys_only && tickets_waits(&s->x->o.group->tickets, &s->ticket, &program, &number);
    if (waits && !program)
        add(l, "its turn at the variables, which a save or a restore has");
    else if (waits)
        add(l, "its turn at the variables, which step %" PRIu64 " of program %" PRIu64 " has",
            number, program);
    for (uint32_t i = 0; i < p->n_nodes; i++) {
        if (s->recvs[i]) {
            if (recv_waits(s->recvs[i])) add_key(l, &p->channels[p->nodes[i].index]);
        } else if (!keys_only &&
                   (atomic_get(&s->kernels[i], RELAXED) ||
                    (s->queued[i] && atomic_get(&s->queued[i]->is_queued, RELAXED)))) {
            add_node(l, s, i);
        }
    }
    if (keys_only) return;
    for (uint32_t b = 0; b < p->n_blocks; b++) {
        uint32_t at = atomic_get(&s->blocks[b].at, RELAXED);
        if (at < p->n_nodes && !(s->recvs[at] && recv_waits(s->recvs[at]))) add_node(l, s, at);
    }
    for (uint32_t i = 0; i < s->n_joins; i++)
        if (atomic_get(&s->joins[i].is_asked, RELAXED))
            add(l, "the work of this step on %s", s->joins[i].queue->device->full_name);
}

void account_waits(step *s, bool keys_only, char *buffer, size_t size) {
    list l = {.buffer = buffer, .size = size, .separator = ", "};
    buffer[0] = '\0';
    add_waits(&l, s, keys_only);
}

/* For how long nothing was there to do, in ms; from the first time that somebody asks, at least. */
static uint64_t idle_ms(step *s) {
    uint64_t since = atomic_get(&s->idle_since, RELAXED);
    uint64_t now = clock_now(); /* read later: no earlier than that */
    if (!since) atomic_put(&s->idle_since, now, RELAXED);
    return since ? (now - since) / 1000000 : 0;
}

static void add_step(list *l, step *s) {
    uint64_t ms = idle_ms(s);
    l->separator = "\n";
    add(l,
        "step %" PRIu64 " of program %" PRIu64 ": nothing has moved for %" PRIu64
        ".%03d s at least; it waits for",
        s->number, s->p->id, ms / 1000, (int)(ms % 1000));
    l->separator = "\n  ";
}

size_t runs_list(pool *p, const run_group *group, bool with_steps, char *buffer, size_t size) {
    list l = {.buffer = buffer, .size = size, .separator = ", ", .once = !with_steps};
    if (size) buffer[0] = '\0';
    for (executor *x = pool_executors_lock(p); x; x = x->next) {
        if (x->o.group != group) continue;
        mutex_lock(&x->lock);
        for (step *s = x->made; s; s = s->next_made) {
            if (!live_is_running(&s->live)) continue;
            if (with_steps) add_step(&l, s);
            add_waits(&l, s, false);
        }
        mutex_unlock(&x->lock);
    }
    pool_executors_unlock(p);
    return l.n;
}
