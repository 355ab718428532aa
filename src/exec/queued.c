/* SPDX-License-Identifier: MIT
 *
 * queued - kernels that do not run here and now: on a device's queue, or until they say that they
 * have ended.
 *
 * A kernel is put on the queue with the headers as they are now, and the host goes on at once: what
 * is enqueued later finds its outputs, in the queue's order. Not so if it ends later, because it
 * is asynchronous or finds the shapes of its outputs itself: then its end is an event,
 * and nothing that needs it is enqueued before.
 */
#include "exec/node.h"

#include <stddef.h>
#include <string.h>

/* ---- on a queue ---------------------------------------------------------- */

static df_code queue_run(launch *l, df_error *err) {
    queue_op *q = (queue_op *)l;
    const plan_node *n = &q->call.step->p->nodes[q->io.index];
    df_code code = node_compute(n, &q->call.ctx, err);
    atomic_put(&q->is_queued, 0, RELAXED);
    if (code != DF_OK && !q->call.ctx.queue) /* else who called names the node */
        error_prefix(err, "node %.200s (%s) on %s: ", n->name, n->op->name,
                     q->call.step->p->devices[n->device].full_name);
    return code;
}

/* The header as it is now, with a count of its own: a kernel may take references and run programs
 * on it, and neither finds itself alone. An inline value stays where it is: the tensor is kept. */
static void copy_header(queue_op *q, uint32_t i, df_tensor *t) {
    size_t first = offsetof(df_tensor, dtype);
    memcpy((char *)&q->headers[i] + first, (char *)t + first, sizeof *t - first);
    refcount_init(&q->headers[i].refs);
    q->headers[i].is_lent = true;
    if (t->is_host) q->kept[q->n_kept++] = tensor_ref(t);
}

/* Fills the record that will lie on the queue. */
static queue_op *prepare(step *s, uint32_t node) {
    const plan_node *n = &s->p->nodes[node];
    queue_op *q = s->queued[node];
    for (uint32_t i = 0; i < n->n_inputs; i++) copy_header(q, i, s->inputs[n->first_input + i]);
    for (uint32_t o = 0; o < n->n_outputs; o++) {
        df_tensor *t = s->slots[n->first_slot + o];
        q->pointers[n->n_inputs + o] = t ? &q->headers[n->n_inputs + o] : NULL;
        if (t)
            copy_header(q, n->n_inputs + o, t);
        else
            q->headers[n->n_inputs + o] = (df_tensor){.is_host = true};
    }
    q->call = node_call_of(s, node);
    q->call.ctx.queue = queue_of_kernels(s->x->o.devices[n->device]);
    q->call.ctx.report = q->report;
    if (q->report) memset(q->report, 0, n->kernel->report);
    q->call.ctx.io = &q->io;
    q->call.ctx.slots = q->pointers;
    q->call.ctx.made = q->pointers;
    q->launch.tensors = q->headers;
    q->launch.n_tensors = (int)(n->n_inputs + n->n_outputs);
    q->launch.n_inputs = (int)n->n_inputs;
    q->launch.refused = NULL;
    return q;
}

/* Those that another queue makes. */
static bool wait_for_inputs(step *s, const plan_node *n, df_error *err) {
    df_queue *q = s->x->o.devices[n->device]->queue;
    for (uint32_t i = n->first_input; i < n->first_input + n->n_inputs; i++) {
        fence *ready = s->inputs[i]->ready;
        if (ready && queue_wait(q, &s->work, ready, err) != DF_OK) return false;
    }
    return true;
}

/* What is enqueued behind needs the outputs now. */
static bool has_outputs(step *s, const plan_node *n, df_error *err) {
    for (uint32_t o = 0; o < n->n_outputs; o++)
        if (!s->slots[n->first_slot + o])
            return error_set(err, DF_FAILED_PRECONDITION,
                             "its infer function does not find the shape of output %u, which is "
                             "needed when the kernel is enqueued; leave infer out, or make the "
                             "kernel DF_KERNEL_ASYNC: then it allocates",
                             o),
                   false;
    return true;
}

static bool is_empty(const char *report, size_t n) {
    while (n && !*report) {
        report++;
        n--;
    }
    return n == 0;
}

void node_check_report(step *s, uint32_t node) {
    const plan_node *n = &s->p->nodes[node];
    const queue_op *q = s->queued[node];
    df_error err = {.code = DF_OK};
    if (!q->report || is_empty(q->report, n->kernel->report)) return;
    DF_SCHED_POINT();
    df_code code = n->kernel->check(n->kernel->user, q->report, &err);
    if (code != DF_OK) {
        (void)error_from(&err, code, "its kernel");
        step_fail_node(s, n, &err);
    }
}

node_end node_run_queued(step *s, uint32_t node) {
    const plan_node *n = &s->p->nodes[node];
    df_device *d = s->x->o.devices[n->device];
    df_error err;
    if (!node_gather(s, n, &err) || !node_allocate(s, n, &err) || !has_outputs(s, n, &err))
        return node_fail(s, n, &err);
    queue_op *q = prepare(s, node);
    q->launch.run = queue_run;
    atomic_put(&q->is_queued, 1, RELAXED);
    if (!wait_for_inputs(s, n, &err) ||
        queue_launch(d->queue, &s->work, &q->launch, &err) != DF_OK ||
        !node_write_variable(s, n, &err))
        return node_fail(s, n, &err);
    return NODE_DONE;
}

/* ---- kernels that end later ---------------------------------------------- */

static void kernel_ended(async_op *op, const df_error *err) {
    kernel_op *k = (kernel_op *)op;
    step *s = k->call.step;
    if (err) step_fail_node(s, &s->p->nodes[k->call.ctx.io->index], err);
    pool_post(s->pool, s, &k->ended);
}

/* The record of a kernel whose end will be an event: a token, now or later, here or elsewhere. */
static kernel_op *begin_later(worker *w, uint32_t node, df_error *err) {
    step *s = w->step;
    kernel_op *k = pool_kernel_op(s->pool);
    if (!k) {
        (void)error_memory(err, "a kernel that ends later");
        return NULL;
    }
    k->async.ended = kernel_ended;
    k->ended = (event){.kind = EVENT_NODE, .index = node};
    atomic_put(&s->kernels[node], k, RELAXED);
    w->balance++;
    return k;
}

node_end node_run_async(worker *w, uint32_t node) {
    step *s = w->step;
    const plan_node *n = &s->p->nodes[node];
    df_error err;
    if (!node_gather(s, n, &err) || !node_allocate(s, n, &err)) return node_fail(s, n, &err);
    kernel_op *k = begin_later(w, node, &err);
    if (!k) return node_fail(s, n, &err);
    k->call = node_call_of(s, node);
    k->call.op = k;
    df_kernel_handle h = df_kernel_handle_of(&k->call.ctx);
    if (node_compute(n, &k->call.ctx, &err) != DF_OK) df_kernel_done(h, &err);
    return NODE_LATER;
}

/* On the device's thread. It is nobody's work, so that it is never skipped: who has counted on its
 * end gets it, even if there is nothing to be computed any more. */
static df_code queue_run_later(launch *l, df_error *unused) {
    (void)unused;
    queue_op *q = (queue_op *)l;
    step *s = q->call.step;
    const plan_node *n = &s->p->nodes[q->io.index];
    df_kernel_handle h = df_kernel_handle_of(&q->call.ctx);
    df_error err;
    if (step_failed(s)) {
        df_kernel_done(h, NULL);
        return DF_OK;
    }
    df_code code = node_compute(n, &q->call.ctx, &err);
    if (code != DF_OK || !(n->kernel->flags & KERNEL_ASYNC))
        df_kernel_done(h, code != DF_OK ? &err : NULL);
    return DF_OK;
}

static void queue_refused_later(launch *l, const df_error *why) {
    df_kernel_done(df_kernel_handle_of(&((queue_op *)l)->call.ctx), why);
}

node_end node_run_queued_later(worker *w, uint32_t node) {
    step *s = w->step;
    const plan_node *n = &s->p->nodes[node];
    df_device *d = s->x->o.devices[n->device];
    df_error err;
    if (!node_gather(s, n, &err) || !node_allocate(s, n, &err)) return node_fail(s, n, &err);
    kernel_op *k = begin_later(w, node, &err);
    if (!k) return node_fail(s, n, &err);
    queue_op *q = prepare(s, node);
    q->launch.run = queue_run_later;
    q->launch.refused = queue_refused_later;
    q->call.op = k;
    k->call = q->call;
    df_kernel_handle h = df_kernel_handle_of(&k->call.ctx);
    if (!wait_for_inputs(s, n, &err) || queue_launch(d->queue, NULL, &q->launch, &err) != DF_OK)
        df_kernel_done(h, &err);
    return NODE_LATER;
}

/* Outputs that were computed in host memory because their shapes were not known go to the device's
 * own, by its queue. */
static bool put_outputs(step *s, const plan_node *n, df_error *err) {
    df_device *d = s->x->o.devices[n->device];
    for (uint32_t o = 0; n->role == ROLE_QUEUE_LATER && o < n->n_outputs; o++) {
        df_tensor **slot = &s->slots[n->first_slot + o], *host = *slot;
        if (s->p->slots[n->first_slot + o].memory == DF_MEMORY_HOST || !host->is_host) continue;
        *slot = NULL;
        bool ok = node_renew(s, n, o, DF_MEMORY_DEVICE, tensor_shape(host), err) == DF_OK &&
                  queue_copy_in(d->queue, &s->work, *slot, host, err) == DF_OK;
        df_tensor_unref(host);
        if (!ok) return false;
    }
    return true;
}

/* What an asynchronous kernel has put on its queue since it was launched. */
static void count_late_work(const step *s, const plan_node *n) {
    const df_device *d = s->x->o.devices[n->device];
    if (queue_of_kernels(d) && n->kernel->flags & KERNEL_ASYNC) queue_count(d->queue);
}

void node_finish(step *s, uint32_t node) {
    const plan_node *n = &s->p->nodes[node];
    df_error err;
    count_late_work(s, n);
    pool_kernel_op_free(s->pool, atomic_get(&s->kernels[node], RELAXED));
    atomic_put(&s->kernels[node], NULL, RELAXED);
    if (step_failed(s)) return;
    if (!node_check_outputs(s, n, &err) || !put_outputs(s, n, &err) ||
        !node_write_variable(s, n, &err))
        step_fail_node(s, n, &err);
    else
        step_drop(s, n);
}
