/* SPDX-License-Identifier: MIT
 *
 * run - how a step runs.
 *
 * The plan's nodes lie in one fixed order, cut into blocks. A thread takes a block that
 * can start and goes through it from end to end: no count, no queue, no lock between
 * two nodes. At its end each block that waited for this one counts down; those that
 * reach zero can start. Nothing ever waits inside a block: a node whose end is not here
 * yet (an async kernel, a copy to the host) is started there and ends by an event,
 * which other blocks wait for.
 *
 *     block ends / node ends  --->  pending[b]--  --->  0: block b to this thread's list,
 *                                                       the surplus to the inbox
 *
 * A callback never runs a kernel: it puts an event into the step's inbox, and a thread
 * that is in the step, or comes into it with that event, takes it up.
 *
 * A failure stops the running of nodes, not the counting: what is in the lists is drained,
 * what is on its way comes back, and then the step is passive like any other.
 *
 * Whoever would make the step passive by leaving (live.h) stays, and gives the verdict:
 *   END reached, or an error   the queues that the step used report their end; when
 *                              they have, the step is over
 *   neither                    nothing can move any more: starved, by the names of
 *                              the keys that are waited for
 */
#include "exec/step.h"

#include "base/clock.h"
#include "base/cold.h"
#include "base/error.h"
#include "rendezvous/slot.h"

/* ---- events -------------------------------------------------------------- */

void run_push(worker *w, event *e) {
    e->next = w->local;
    w->local = e;
    w->n_local++;
}

static event *pop(worker *w) {
    event *e = w->local;
    if (e) {
        w->local = e->next;
        w->n_local--;
    }
    return e;
}

/* One event fewer for block b. True: that was the last. With one thread plain arithmetic
 * does. With more acq_rel: release, so that what this thread wrote into slots is seen by
 * whoever starts b; acquire, since that may be this thread, and the others wrote too. */
static bool count_down(step *s, uint32_t b) {
    if (s->shared) return atomic_sub(&s->pending[b], 1, ACQ_REL) == 1;
    uint32_t left = atomic_get(&s->pending[b], RELAXED) - 1;
    atomic_put(&s->pending[b], left, RELAXED);
    return left == 0;
}

/* Others may help: all but one of what this thread has ready goes where they find it. */
void run_share(worker *w) {
    while (w->n_local > 1) {
        event *e = pop(w);
        w->balance++; /* the token that the event is worth in the inbox */
        pool_post(w->step->pool, w->step, e);
    }
}

static void start_block(worker *w, uint32_t b) {
    event *e = &w->step->blocks[b];
    atomic_put(&e->at, w->step->cut->blocks[b].first, RELAXED);
    run_push(w, e);
}

void run_begin(worker *w) {
    step *s = w->step;
    const plan *p = s->p;
    for (uint32_t i = 0; i < s->x->n_counted; i++) {
        uint32_t n = s->x->counted[i];
        atomic_put(&s->readers[n], p->slots[n].readers, RELAXED);
    }
    for (uint32_t v = 0; v < p->n_variables; v++)
        s->slots[p->n_slots + v] = s->x->o.variables[v]->value;
    const cut *c = s->cut;
    for (uint32_t b = 0; b <= c->n_blocks; b++)
        atomic_put(&s->pending[b], c->blocks[b].pending, RELAXED);
    if (s->rq.stats) atomic_put(&s->came, clock_now(), RELAXED);
    if (s->clocked) s->clocked = clock_now(); /* it may have waited for its turn */
    for (uint32_t b = c->n_blocks; b-- > 0;)
        if (!c->blocks[b].pending) start_block(w, b);
    if (s->shared) run_share(w);
}

static void fire(worker *w, uint32_t first, uint32_t count) {
    step *s = w->step;
    const cut *c = s->cut;
    for (uint32_t i = first; i < first + count; i++) {
        uint32_t b = c->after[i];
        if (!count_down(s, b)) continue;
        if (b == c->n_blocks) {
            s->end = true;
        } else {
            start_block(w, b);
        }
    }
    if (s->shared) run_share(w);
}

/* ---- nodes --------------------------------------------------------------- */

/* What a slot holds from the step before is written again, if nobody else has it. */
static inline bool renew_outputs(step *s, const kernel_io *io, df_error *err) {
    df_tensor **t = s->slots + io->first_output;
    uint32_t n = io->n_outputs;
    if (!(io->flags & QUICK_TAKES)) {
        for (; n > 0; n--, t++)
            if (!*t || !tensor_is_made_for(*t, t) || (*t)->buf)
                return node_renew_outputs(s, io->index, err);
        return true;
    }
    const plan_slot *is = s->p->slots + io->first_output;
    for (; n > 0; n--, t++, is++)
        if (!*t || !tensor_is_made_for(*t, t) ||
            (is->from ? !tensor_take_room(*t, &s->slots[is->from - 1]) : (*t)->buf != NULL))
            return node_renew_outputs(s, io->index, err);
    return true;
}

/* A variable may have no value. */
static inline bool has_inputs(step *s, const kernel_io *io) {
    const int32_t *place = s->x->places + io->first_input;
    for (uint32_t n = io->n_inputs; n > 0; n--, place++)
        if (!s->slots[*place]) return false;
    return true;
}

/* A kernel that runs here and now, from slots to slots. */
static inline bool run_kernel(node_call *c, const kernel_io *io, df_error *err) {
    step *s = c->step;
    if (!renew_outputs(s, io, err)) return false;
    c->ctx.io = io;
    error_clear(err);
    DF_SCHED_POINT(); /* kernels are callbacks */
    df_code code = io->kernel->compute(&c->ctx, err);
    if (code != DF_OK) return (void)error_from(err, code, "its kernel"), false;
    if (io->flags & QUICK_GIVES) step_write(s, io->channel, s->slots[io->first_output]);
    if (io->flags & QUICK_DROPS) step_drop(s, &s->p->nodes[io->index]);
    return true;
}

/* False: it has no value, and who reads the slot needs one. */
static inline bool run_read(step *s, const kernel_io *io) {
    df_tensor *t = s->slots[s->p->n_slots + io->channel];
    s->slots[io->first_output] = t;
    return t || !io->n_inputs;
}

static inline void run_assign(step *s, const kernel_io *io) {
    df_tensor *t = s->slots[s->p->inputs[io->first_input + io->n_inputs - 1]];
    s->slots[io->first_output] = t;
    step_write(s, io->channel, t);
}

/* The tensor of a Send that is lent stays where it is. False: there is none. */
static inline bool run_send(step *s, const kernel_io *io) {
    df_tensor *t = io->n_inputs ? s->slots[s->p->inputs[io->first_input]] : s->x->token;
    if (!t) return false;
    channel_count(&s->traffic[io->channel], io->n_inputs ? t->bytes : 0);
    slots_lend(s->channels, io->channel, t);
    return true;
}

/* False: aborted, and the step has been told why. */
static inline bool run_recv(step *s, const kernel_io *io) {
    df_tensor *t = slots_borrow(s->channels, io->channel);
    s->slots[io->first_output] = t;
    return t != NULL;
}

/* False: it needs more. */
static inline bool run_feed(step *s, const kernel_io *io) {
    df_tensor *t = s->feeds[io->channel];
    if (t->is_lent) return false;
    s->slots[io->first_output] = t;
    return true;
}

/* The same. What is fetched has a value: the fetch of a variable is that of a read. */
static inline bool run_fetch(step *s, const kernel_io *io) {
    if (s->rq.into) return false;
    s->results[io->channel] = tensor_ref(s->slots[s->p->inputs[io->first_input]]);
    if (io->flags & QUICK_DROPS) step_drop(s, &s->p->nodes[io->index]);
    return true;
}

/* Where a step spends its time: from *io on what is quick, up to `end`, to a node that is not, or
 * to one that fails; that is returned. */
static const kernel_io *run_quick(node_call *c, const kernel_io *io, const kernel_io *end,
                                  _Atomic uint32_t *at, df_error *err) {
    step *s = c->step;
    for (; io < end && !step_failed(s); io++) {
        atomic_put(at, io->index, RELAXED);
        if (io->kind == QUICK_KERNEL) {
            if ((io->flags & QUICK_MISSES) && !has_inputs(s, io)) break;
            if (run_kernel(c, io, err)) continue;
            step_fail_node(s, &s->p->nodes[io->index], err);
            break;
        }
        bool ran = true;
        if (io->kind == QUICK_SEND)
            ran = run_send(s, io);
        else if (io->kind == QUICK_RECV)
            ran = run_recv(s, io);
        else if (io->kind == QUICK_READ)
            ran = run_read(s, io);
        else if (io->kind == QUICK_ASSIGN)
            run_assign(s, io);
        else if (io->kind == QUICK_FEED)
            ran = run_feed(s, io);
        else if (io->kind == QUICK_FETCH)
            ran = run_fetch(s, io);
        else
            ran = io->kind == QUICK_NOTHING;
        if (!ran) break;
    }
    return io;
}

/* ---- blocks -------------------------------------------------------------- */

/* Up to which node the clock need not be looked at, from io on: all are cheap, but perhaps the
 * last, and not many. */
static const kernel_io *unwatched(const kernel_io *io, const kernel_io *last) {
    enum { MOST = 64 };
    const kernel_io *end = last - io > MOST ? io + MOST : last;
    while (io < end && (io->flags & QUICK_CHEAP)) io++;
    return io < end ? io + 1 : end;
}

/* False: the deadline of the run has not passed. It is looked at here because the thread that looks
 * after deadlines may be this one. */
static bool is_late(step *s) {
    if (clock_now() < s->rq.deadline) return false;
    if (!pool_is_ending(s->pool, s)) run_end_late(s);
    return true;
}

static void run_block(worker *w, uint32_t b) {
    step *s = w->step;
    const plan_block *block = &s->cut->blocks[b];
    _Atomic uint32_t *at = &s->blocks[b].at;
    const kernel_io *first = s->x->io + atomic_get(at, RELAXED), *io = first,
                    *last = s->x->io + block->first + block->count;
    node_call call = node_call_here(s);
    node_end end = NODE_DONE;
    w->block = b;
    df_error err;
    while (io < last && end != NODE_PARKED && !step_failed(s) && !(s->rq.deadline && is_late(s))) {
        const kernel_io *to = s->rq.deadline ? unwatched(io, last) : last;
        io = run_quick(&call, io, to, at, &err);
        if (io == to || step_failed(s)) continue;
        bool moves = s->p->nodes[io->index].role >= ROLE_SEND;
        end = moves ? transfer_run(w, io->index) : node_run(w, io->index);
        io += end == NODE_DONE || end == NODE_LATER;
    }
    w->ran += (uint64_t)(io - first);
    if (end == NODE_PARKED) return;
    atomic_put(at, NOT_RUNNING, RELAXED);
    if (io == last) fire(w, block->first_after, block->n_after);
}

/* A node has ended after its block went on, or, if it was parked, with its block waiting. */
COLD static void node_ended(worker *w, uint32_t node) {
    step *s = w->step;
    const plan_node *n = &s->p->nodes[node];
    if (n->role != ROLE_RECV)
        node_finish(s, node);
    else
        transfer_finish(s, node);
    bool failed = step_failed(s);
    if (n->flags & PLAN_ENDS_LATER) {
        if (!failed) fire(w, n->first_after, n->n_after);
        return;
    }
    uint32_t b = s->recvs[node]->block;
    atomic_put(&s->blocks[b].at, failed ? NOT_RUNNING : node + 1, RELAXED);
    if (failed) return;
    step_drop(s, n);
    w->ran++;
    run_block(w, b);
}

static void take_up(worker *w, event *e) {
    if (e->kind == EVENT_NODE)
        node_ended(w, e->index);
    else if (e->kind == EVENT_BLOCK)
        run_block(w, e->index);
    else if (e->kind == EVENT_TURN && !step_failed(w->step))
        run_begin(w);
}

/* From the inbox: all of it, unless others could help with the rest. */
static bool take_mail(worker *w) {
    step *s = w->step;
    event *e = atomic_get(&s->has_mail, RELAXED) ? pool_take(s->pool, s, !s->shared) : NULL;
    if (!e) return false;
    while (e) {
        event *next = e->next;
        w->balance--; /* its token is in this thread's hands now */
        run_push(w, e);
        e = next;
    }
    return true;
}

static void work(worker *w) {
    do {
        event *e;
        while ((e = pop(w))) take_up(w, e);
    } while (take_mail(w));
}

/* ---- the verdict --------------------------------------------------------- */

static void queue_passed(fence_waiter *w, const df_error *why) {
    join_op *j = (join_op *)w;
    (void)why; /* the step has been told */
    fence_unref(j->fence);
    atomic_put(&j->is_asked, 0, RELAXED);
    pool_post(j->step->pool, j->step, &j->ended);
}

/* Every queue that the plan uses reports when it has passed what the step put on it, but where that
 * has been seen already. */
COLD static void join_queues(worker *w) {
    step *s = w->step;
    s->joined = true;
    for (uint32_t i = 0; i < s->n_joins; i++) {
        join_op *j = &s->joins[i];
        df_error why;
        if (queue_is_over(j->queue, &s->work)) continue;
        live_hold(&s->live); /* before it is handed over: it may come back at once */
        if (queue_record_end(j->queue, &s->work, &j->fence, &why) == DF_OK) {
            atomic_put(&j->is_asked, 1, RELAXED);
            j->waiter = (fence_waiter){.ready = queue_passed};
            j->fence->ops->on_ready(j->fence, &j->waiter);
            continue;
        }
        step_fail(s, &why);
        w->balance--;
    }
}

COLD static void name_starved(step *s, df_error *why) {
    char list[360];
    account_waits(s, true, list, sizeof list);
    (void)error_set(why, DF_FAILED_PRECONDITION,
                    "the step is starved: nothing can move, and these keys are waited for: %s",
                    list);
}

COLD static void check_reports(step *s) {
    for (uint32_t i = 0; i < s->p->n_nodes; i++)
        if (s->queued[i]) node_check_report(s, i);
}

/* Nothing moves, but that a queue may fail. True: the step is over. Else it moves again, and
 * this thread is still in it. */
static bool verdict(worker *w) {
    step *s = w->step;
    bool failed = step_failed(s);
    if (s->joined && !failed && s->has_reports) check_reports(s);
    if (s->joined || (!s->n_joins && (s->end || failed))) return live_end(&s->live);
    if (!s->end && !failed) {
        df_error why;
        name_starved(s, &why);
        step_fail(s, &why);
    }
    join_queues(w);
    return false;
}

/* True: the verdict fell to this thread, and the step is over. */
static bool leave(worker *w) {
    step *s = w->step;
    /* Who ends it early is in it, too, and has failed it: `end` is not for him to read. */
    bool is_done = !s->shared && !step_failed(s) && s->end && !s->n_joins;
    for (;; work(w)) {
        int64_t balance = w->balance;
        w->balance = 0;
        if (s->rq.stats) (void)atomic_add(&s->ran, w->ran, RELAXED);
        if (s->rq.done) atomic_put(&s->idle_since, clock_now(), RELAXED);
        w->ran = 0;
        if (is_done && live_end_alone(&s->live, balance)) return true;
        bool ignores = !step_failed(s) && s->is_closed; /* else it may not be known yet */
        if (!live_leave(&s->live, balance, ignores ? LIVE_ALL_AWAY : 0)) return false;
        if (verdict(w)) return true;
    }
}

bool run_step(worker *w) {
    work(w);
    return leave(w);
}

COLD void run_help(step *s, event *e) {
    live_engage(&s->live);
    worker w = {.step = s};
    if (e) run_push(&w, e);
    if (run_step(&w) && !pool_over(s->pool, s)) run_end(s);
}
