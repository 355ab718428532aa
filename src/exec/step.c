/* SPDX-License-Identifier: MIT
 *
 * step - the frame of a step: made once, used again.
 *
 * A frame between steps: slots hold what the plan says is kept, and of the rest headers whose
 * buffers were given back (or results that the caller may still have); nothing else is held. A step
 * that succeeds leaves it so by itself, by the plan's drops. One that fails is swept.
 *
 * A step writes variables as it goes, and keeps what was there before. At the end either
 * all of it stays or all of it goes: a failed step has changed nothing. What the variable does not
 * keep goes into the slot from which it was given its value, if there is such a slot.
 */
#include "exec/step.h"

#include "device/timeline.h"

#include <string.h>

/* ---- failing ------------------------------------------------------------- */

static bool better_cause(const df_error *now, const df_error *why) {
    return (now->flags & DF_ERROR_DERIVED) && !(why->flags & DF_ERROR_DERIVED);
}

void step_fail(step *s, const df_error *why) {
    pool_lock(s->pool);
    bool first = !s->has_error;
    if (first || better_cause(&s->error, why)) s->error = *why;
    if (s->error.code == DF_OK) s->error.code = DF_INTERNAL; /* whoever said so: it failed */
    s->has_error = true;
    /* Under the lock: who fails the step second and goes on must find it failed. */
    atomic_put(&s->work.failed, 1, RELEASE);
    df_rendezvous *meets = s->meets;
    pool_unlock(s->pool);
    if (first) df_rendezvous_abort(meets, why);
}

void step_fail_node(step *s, const plan_node *n, const df_error *why) {
    df_error err = *why;
    (void)error_from(&err, err.code == DF_OK ? DF_INTERNAL : err.code, "it");
    error_prefix(&err, "node %.200s (%s) on %s: ", n->name, n->op->name,
                 s->p->devices[n->device].full_name);
    step_fail(s, &err);
}

static void work_fail(df_work *work, const df_error *why) {
    step_fail((step *)((char *)work - offsetof(step, work)), why);
}

static void work_hold(df_work *work) {
    live_hold(&((step *)((char *)work - offsetof(step, work)))->live);
}

/* ---- making a frame ------------------------------------------------------ */

static bool make_recvs(step *s) {
    for (uint32_t i = 0; i < s->p->n_nodes; i++) {
        if (s->p->nodes[i].role != ROLE_RECV) continue;
        recv_op *r = s->recvs[i] = arena_alloc(&s->mem, sizeof *r);
        if (!r) return false;
        r->step = s;
        r->node = i;
        r->ended = (event){.kind = EVENT_NODE, .index = i};
    }
    return true;
}

static bool make_queue_op(step *s, uint32_t node) {
    const plan_node *n = &s->p->nodes[node];
    queue_op *q = &s->queue_ops[s->n_queue_ops++];
    size_t n_tensors = (size_t)n->n_inputs + n->n_outputs;
    q->headers = arena_array(&s->mem, n_tensors, sizeof *q->headers);
    q->pointers = arena_array(&s->mem, n_tensors, sizeof *q->pointers);
    q->kept = arena_array(&s->mem, n_tensors, sizeof *q->kept);
    q->launch.regions = arena_array(&s->mem, n_tensors, sizeof *q->launch.regions);
    if (s->mem.failed) return false;
    if (n->kernel->report && queue_of_kernels(s->x->o.devices[n->device])) {
        q->report = memory_take(s->x->o.host, n->kernel->report, NULL);
        if (!q->report) return false;
        s->has_reports = true;
    }
    for (size_t i = 0; i < n_tensors; i++) q->pointers[i] = &q->headers[i];
    q->io = s->x->io[node];
    q->io.first_input = 0;
    q->io.first_output = n->n_inputs;
    s->queued[node] = q;
    return true;
}

static bool on_queue(const plan_node *n) {
    return n->role == ROLE_QUEUE || n->role == ROLE_QUEUE_LATER;
}

static bool make_queue_ops(step *s) {
    size_t n = 0;
    for (uint32_t i = 0; i < s->p->n_nodes; i++) n += on_queue(&s->p->nodes[i]);
    s->queue_ops = arena_array(&s->mem, n, sizeof *s->queue_ops);
    if (!s->queue_ops) return false;
    for (uint32_t i = 0; i < s->p->n_nodes; i++)
        if (on_queue(&s->p->nodes[i]) && !make_queue_op(s, i)) return false;
    return true;
}

static void make_events(step *s) {
    for (uint32_t b = 0; b < s->p->n_blocks; b++)
        s->blocks[b] = (event){.kind = EVENT_BLOCK, .index = b, .at = NOT_RUNNING};
}

static bool make_join(step *s, df_queue *q, df_error *err) {
    if (queue_keep_fences(q, 1, err) != DF_OK) return false;
    s->joins[s->n_joins++] = (join_op){.queue = q, .step = s, .ended = {.kind = EVENT_JOINED}};
    return true;
}

/* The fences of the end are there from the beginning: a step that has begun can end. */
static bool make_joins(step *s, df_error *err) {
    const plan *p = s->p;
    for (uint32_t d = 0; d < p->n_devices; d++) {
        if (!(p->queues >> d & 1)) continue;
        df_queue *const *queues = s->x->o.devices[d]->queues;
        if (!make_join(s, queues[DF_QUEUE_COMPUTE], err)) return false;
        if ((p->arrives >> d & 1) && !make_join(s, queues[DF_QUEUE_IN], err)) return false;
        if (!(p->leaves >> d & 1)) continue;
        if (!make_join(s, queues[DF_QUEUE_OUT], err)) return false;
        if (!make_join(s, queues[DF_QUEUE_ACROSS], err)) return false;
    }
    return true;
}

static void drop_reports(step *s) {
    for (uint32_t i = 0; s->has_reports && i < s->p->n_nodes; i++)
        if (s->queued[i])
            memory_give(s->x->o.host, s->queued[i]->report, s->p->nodes[i].kernel->report);
}

static void drop_joins(step *s) {
    for (uint32_t i = 0; i < s->n_joins; i++) queue_drop_fences(s->joins[i].queue, 1);
}

static bool any_unknown_shape(const plan *p) {
    for (uint32_t i = 0; i < p->n_nodes; i++)
        if (!(p->nodes[i].flags & PLAN_KNOWN_SHAPES)) return true;
    return false;
}

/* Where shapes have to be inferred in each step. */
static bool make_types(step *s) {
    if (!any_unknown_shape(s->p)) return true;
    s->types = arena_array(&s->mem, s->p->n_inputs, sizeof *s->types);
    s->type_at = arena_array(&s->mem, s->p->n_inputs, sizeof *s->type_at);
    if (s->mem.failed) return false;
    for (uint32_t i = 0; i < s->p->n_inputs; i++) s->type_at[i] = &s->types[i];
    return true;
}

static bool make_arrays(step *s) {
    const plan *p = s->p;
    arena *a = &s->mem;
    s->slots = arena_array(a, (size_t)p->n_slots + p->n_variables, sizeof *s->slots);
    s->readers = arena_array(a, p->n_slots, sizeof *s->readers);
    s->pending = arena_array(a, (size_t)p->n_blocks + 1, sizeof *s->pending);
    s->blocks = arena_array(a, p->n_blocks, sizeof *s->blocks);
    s->inputs = arena_array(a, p->n_inputs, sizeof *s->inputs);
    s->recvs = arena_array(a, p->n_nodes, sizeof *s->recvs);
    s->queued = arena_array(a, p->n_nodes, sizeof *s->queued);
    s->kernels = arena_array(a, p->n_nodes, sizeof *s->kernels);
    s->joins = arena_array(a, (size_t)p->n_devices * DF_QUEUE_KINDS, sizeof *s->joins);
    s->before = arena_array(a, p->n_variables, sizeof *s->before);
    s->written = arena_array(a, p->n_variables, sizeof *s->written);
    s->traffic = arena_array(a, p->n_channels, sizeof *s->traffic);
    s->feeds = arena_array(a, p->n_feeds, sizeof *s->feeds);
    s->results = arena_array(a, p->n_fetches, sizeof *s->results);
    s->into = arena_array(a, p->n_fetches, sizeof *s->into);
    return !a->failed;
}

/* They are there from the beginning. */
static void show_constants(step *s) {
    for (uint32_t i = 0; i < s->p->n_nodes; i++) {
        const plan_node *n = &s->p->nodes[i];
        if (n->op->flags & OP_CONST) s->slots[n->first_slot] = s->x->constants[n->index];
    }
}

step *step_new(executor *x, df_error *err) {
    df_error why;
    step *s = alloc_zeroed(x->o.alloc, sizeof *s);
    if (!s) return (void)error_memory(err, "a step"), NULL;
    s->x = x;
    s->p = x->o.plan;
    s->pool = x->o.pool;
    s->turn = (event){.kind = EVENT_TURN};
    s->handed = (event){.kind = EVENT_HANDED};
    s->work = (df_work){.fail = work_fail, .hold = work_hold};
    arena_init(&s->mem, x->o.alloc);
    error_clear(&why);
    bool ok = condition_init(&s->wake);
    if (ok && make_arrays(s) && make_types(s) && make_recvs(s) && make_queue_ops(s) &&
        make_joins(s, &why) &&
        rendezvous_new_step(x->o.alloc, x->o.host, s->p->id, s->p->n_channels, &s->work,
                            &s->rendezvous, &why) == DF_OK) {
        s->channels = rendezvous_slots(s->rendezvous);
        make_events(s);
        show_constants(s);
        return s;
    }
    if (why.code == DF_OK) (void)error_memory(&why, "a step");
    *err = why;
    drop_joins(s);
    drop_reports(s);
    if (ok) condition_fini(&s->wake);
    arena_fini(&s->mem);
    alloc_free(x->o.alloc, s, sizeof *s);
    return NULL;
}

/* What came through channels that lend. From another rendezvous it came with a reference. */
static void forget_lent(step *s) {
    for (uint32_t i = 0; i < s->x->n_lent; i++) {
        df_tensor **slot = &s->slots[s->x->lent[i]];
        if (s->x->keys) df_tensor_unref(*slot);
        *slot = NULL;
    }
}

static bool holds(const step *s, uint32_t slot) {
    return s->p->slots[slot].stays != PLAN_BORROWED;
}

/* The same of the caller's feeds; what was copied instead is its own. */
static void forget_fed(step *s) {
    for (uint32_t i = 0; i < s->p->n_feeds; i++) {
        if (s->x->fed[i] == NO_SLOT) continue;
        df_tensor **slot = &s->slots[s->x->fed[i]];
        if (*slot != s->feeds[i]) df_tensor_unref(*slot);
        *slot = NULL;
    }
}

void step_free(step *s) {
    forget_lent(s);
    for (uint32_t i = 0; i < s->p->n_slots; i++)
        if (holds(s, i)) df_tensor_unref(s->slots[i]);
    df_rendezvous_unref(s->rendezvous);
    drop_joins(s);
    drop_reports(s);
    timeline_free(s->timeline);
    condition_fini(&s->wake);
    arena_fini(&s->mem);
    alloc_free(s->x->o.alloc, s, sizeof *s);
}

/* ---- within a step ------------------------------------------------------- */

void step_drop(step *s, const plan_node *n) {
    for (uint32_t i = n->first_drop; i < n->first_drop + n->n_drops; i++) {
        uint32_t slot = s->p->drops[i];
        /* acq_rel: the other blocks have read it before it is dropped here */
        if (s->p->slots[slot].readers && atomic_sub(&s->readers[slot], 1, ACQ_REL) != 1) continue;
        if (s->slots[slot]) tensor_release(&s->slots[slot]);
    }
}

void step_write(step *s, uint32_t which, df_tensor *value) {
    variable *v = s->x->o.variables[which];
    if (s->written[which])
        df_tensor_unref(v->value);
    else
        s->before[which] = v->value;
    s->written[which] = true;
    v->value = s->slots[s->p->n_slots + which] = value;
}

/* ---- after a step -------------------------------------------------------- */

/* What was given to a variable comes back, or what it had before comes instead: for the next step
 * to be written, if nobody else has it. The block of a large one is worth more to others meanwhile.
 */
static void give_back(df_tensor **slot, df_tensor *t) {
    *slot = t;
    if (t && (t->bytes > PLAN_KEPT_MOST || !tensor_is_sole(t))) tensor_release(slot);
}

static void settle_variables(step *s) {
    for (uint32_t i = 0; i < s->p->n_variables; i++) {
        if (!s->written[i]) continue;
        variable *v = s->x->o.variables[i];
        df_tensor *old = s->before[i];
        if (s->has_error) {
            old = v->value;
            v->value = s->before[i];
        }
        if (s->p->givers[i])
            give_back(&s->slots[s->p->givers[i] - 1], old);
        else
            df_tensor_unref(old);
        s->before[i] = NULL;
        s->written[i] = false;
    }
}

static void settle_queue_ops(step *s) {
    for (uint32_t i = 0; i < s->n_queue_ops; i++) {
        queue_op *q = &s->queue_ops[i];
        while (q->n_kept) df_tensor_unref(q->kept[--q->n_kept]);
        atomic_put(&q->is_queued, 0, RELAXED);
    }
}

/* What a step left behind that did not come to its end. What its Recvs got is in their slots:
 * whoever takes up their ends puts it there, failed or not. */
static void sweep(step *s) {
    for (uint32_t i = 0; i < s->p->n_slots; i++)
        if (holds(s, i)) tensor_release(&s->slots[i]);
    for (uint32_t i = 0; i < s->p->n_fetches; i++) {
        df_tensor_unref(s->results[i]);
        s->results[i] = NULL;
    }
}

void step_settle(step *s) {
    const bool lends_all = s->x->n_lent == s->p->n_channels;
    settle_variables(s);
    settle_queue_ops(s);
    forget_fed(s);
    if (s->has_error) {
        forget_lent(s);
        sweep(s);
    }
    if (s->meets != s->rendezvous)
        df_rendezvous_unref(s->meets);
    else if (s->has_error || !lends_all) /* else every Recv has left its slot as it was */
        (void)rendezvous_reset(s->rendezvous);
}

void step_renew(step *s) {
    s->has_error = s->over = s->end = s->joined = false;
    s->is_ending = s->abandoned = s->left = s->keeps = s->decided = false;
    for (uint32_t i = 0; i < s->p->n_fetches; i++) s->results[i] = NULL; /* they are who asked's */
    atomic_put(&s->ran, 0, RELAXED);
    atomic_put(&s->work.failed, 0, RELAXED);
}
