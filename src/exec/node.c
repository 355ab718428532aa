/* SPDX-License-Identifier: MIT
 *
 * node - running one node: from slots to slots.
 *
 * Inputs are pulled from their producers' slots. Outputs are allocated before the kernel
 * runs, from the shape that the compiler knew or that the op infers from the inputs
 * at hand; what a slot holds from the step before is used again if nobody else has it.
 * On a device with a queue the kernel is put on the queue with the headers as they are
 * now, and the host goes on at once.
 */
#include "exec/step.h"

#include <stddef.h>
#include <string.h>

/* ---- errors -------------------------------------------------------------- */

static node_end fail(step *s, const plan_node *n, const df_error *why) {
    step_fail_node(s, n, why);
    return NODE_FAILED;
}

/* Kernels are callbacks: no lock is held, and much may happen meanwhile. What one returns
 * counts, whether it found words for it or not. */
static df_code compute(const plan_node *n, df_kernel *c, df_error *err) {
    err->code = DF_OK;
    err->flags = 0;
    err->message[0] = '\0';
    DF_SCHED_POINT();
    df_code code = n->kernel->compute(c, err);
    if (code != DF_OK) err->code = code;
    return code;
}

/* ---- inputs -------------------------------------------------------------- */

static bool missing(step *s, const plan_node *n, uint32_t i, df_error *err) {
    if (n->variable != PLAN_NONE && s->p->inputs[n->first_input + i] == PLAN_NONE)
        (void)error_set(err, DF_FAILED_PRECONDITION,
                        "variable %s has no value yet: assign it, or give it an initialiser",
                        s->x->o.variables[n->variable]->name);
    else
        (void)error_set(err, DF_FAILED_PRECONDITION,
                        "input %u has no value: it comes from a variable that has none yet", i);
    return false;
}

static bool gather(step *s, const plan_node *n, df_error *err) {
    bool needs_old = !(n->role == ROLE_INLINE && (n->op->flags & OP_WRITES));
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        int32_t slot = s->p->inputs[n->first_input + i];
        df_tensor *t = slot == PLAN_NONE ? s->x->o.variables[n->variable]->value : s->slots[slot];
        s->inputs[n->first_input + i] = t;
        if (!t && (slot != PLAN_NONE || needs_old)) return missing(s, n, i, err);
    }
    return true;
}

/* ---- outputs ------------------------------------------------------------- */

static edge_type type_of(const df_tensor *t) {
    edge_type e = {.dtype = t->dtype, .rank = t->rank};
    memcpy(e.dims, t->dims, (size_t)t->rank * sizeof *t->dims);
    return e;
}

/* The types of the outputs for the inputs at hand. */
static bool infer_now(step *s, const plan_node *n, edge_type *outputs, df_error *err) {
    for (uint32_t i = n->first_input; i < n->first_input + n->n_inputs; i++)
        s->types[i] = type_of(s->inputs[i]);
    df_infer c = {.op = n->op,
                  .attrs = n->attrs,
                  .n_inputs = (int)n->n_inputs,
                  .n_outputs = (int)n->n_outputs,
                  .inputs = s->type_at + n->first_input,
                  .values = s->inputs + n->first_input,
                  .outputs = outputs};
    return op_infer(&c, err) == DF_OK;
}

/* Output 0 may be computed into the buffer of an input that nobody else can see. */
static bool forward(step *s, const plan_node *n, df_shape shape) {
    if (n->forward == PLAN_NONE) return false;
    df_tensor **from = &s->slots[s->p->inputs[n->first_input + (uint32_t)n->forward]];
    if (!(*from)->buf || !tensor_is_sole(*from) || !shape_equal(tensor_shape(*from), shape))
        return false;
    df_tensor **to = &s->slots[n->first_slot];
    df_tensor_unref(*to);
    *to = *from;
    *from = NULL;
    return true;
}

/* Output o becomes an allocated tensor in this kind of memory. */
static bool renew(step *s, const plan_node *n, uint32_t o, uint32_t kind, df_shape shape,
                  df_error *err) {
    const plan_slot *slot = &s->p->slots[n->first_slot + o];
    memory *mem = device_memory(s->x->o.devices[n->device], kind, s->x->o.host);
    return tensor_renew(&s->slots[n->first_slot + o], s->x->o.host, mem, slot->type.dtype, shape,
                        err) == DF_OK;
}

/* An output whose shape is still unknown stays empty: the kernel will allocate it. */
static bool allocate(step *s, const plan_node *n, df_error *err) {
    edge_type inferred[DF_MAX_OUTPUTS];
    bool known = n->flags & PLAN_KNOWN_SHAPES;
    if (!known && !infer_now(s, n, inferred, err)) return false;
    for (uint32_t o = 0; o < n->n_outputs; o++) {
        const plan_slot *slot = &s->p->slots[n->first_slot + o];
        df_shape shape = edge_shape(known ? &slot->type : &inferred[o]);
        if (!known && !shape_is_known(shape)) {
            df_tensor_unref(s->slots[n->first_slot + o]);
            s->slots[n->first_slot + o] = NULL;
            continue;
        }
        if (o == 0 && forward(s, n, shape)) continue;
        if (!renew(s, n, o, slot->memory, shape, err)) return false;
    }
    return true;
}

/* Every output is there. */
static bool check_outputs(step *s, const plan_node *n, df_error *err) {
    for (uint32_t o = 0; o < n->n_outputs; o++)
        if (!s->slots[n->first_slot + o])
            return error_set(err, DF_INTERNAL, "its kernel gave no output %u", o), false;
    return true;
}

/* ---- what a kernel may call ---------------------------------------------- */

static df_tensor **slot_of(const df_kernel *c, int i) {
    const node_call *call = (const node_call *)c;
    return &call->step->slots[call->step->p->nodes[call->node].first_slot + (uint32_t)i];
}

static const edge_type *output_type(const df_kernel *c, int i) {
    const node_call *call = (const node_call *)c;
    const plan *p = call->step->p;
    return &p->slots[p->nodes[call->node].first_slot + (uint32_t)i].type;
}

/* On a queue an output that has no shape before lies in host memory first: device memory that
 * is taken while the queue runs may still be in use by what is enqueued behind. */
static df_code allocate_now(df_kernel *c, int i, df_shape shape, df_tensor **out, df_error *err) {
    node_call *call = (node_call *)c;
    step *s = call->step;
    const plan_node *n = &s->p->nodes[call->node];
    df_tensor *there = c->outputs ? c->outputs[i] : NULL;
    bool queued = n->role == ROLE_QUEUE || n->role == ROLE_QUEUE_LATER;
    if (!there) {
        uint32_t kind = queued ? DF_MEMORY_HOST : s->p->slots[n->first_slot + (uint32_t)i].memory;
        if (n->role == ROLE_QUEUE)
            return error_set(err, DF_FAILED_PRECONDITION,
                             "the shape of output %d was not known when it was enqueued", i);
        if (!renew(s, n, (uint32_t)i, kind, shape, err))
            return err ? err->code : DF_RESOURCE_EXHAUSTED;
        there = *slot_of(c, i);
        if (queued) s->queued[call->node]->pointers[n->n_inputs + (uint32_t)i] = there;
    } else if (!shape_equal(tensor_shape(there), shape)) {
        return error_set(err, DF_INVALID_ARGUMENT, "output %d is there already, in another shape",
                         i);
    }
    *out = there;
    return DF_OK;
}

static void set_output(df_kernel *c, int i, df_tensor *t) {
    const node_call *call = (const node_call *)c;
    plan_role role = call->step->p->nodes[call->node].role;
    df_tensor **slot = slot_of(c, i);
    if (role != ROLE_INLINE && role != ROLE_ASYNC) slot = &t; /* it lies where the queue put it */
    df_tensor_unref(*slot);
    *slot = t;
}

static async_op *async_of(const df_kernel *c) {
    kernel_op *op = ((const node_call *)c)->op;
    return op ? &op->async : NULL;
}

static const struct kernel_calls calls = {.output_type = output_type,
                                          .set_output = set_output,
                                          .allocate = allocate_now,
                                          .async = async_of};

static node_call call_of(step *s, uint32_t node) {
    const plan_node *n = &s->p->nodes[node];
    return (node_call){.ctx = {.node = n->name,
                               .def = n->kernel,
                               .attrs = n->attrs,
                               .n_inputs = (int)n->n_inputs,
                               .n_outputs = (int)n->n_outputs,
                               .inputs = s->inputs + n->first_input,
                               .outputs = s->slots + n->first_slot,
                               .headers = s->x->o.host,
                               .state = s->x->states ? s->x->states[node] : NULL,
                               .calls = &calls},
                       .step = s,
                       .node = node};
}

/* Output 0 of a node that writes a variable is its new value. What was there before stays
 * at hand until the step has succeeded. */
static bool write_variable(step *s, const plan_node *n, df_error *err) {
    if (!(n->op->flags & OP_WRITES)) return true;
    variable *v = s->x->o.variables[n->variable];
    df_tensor *value = s->slots[n->first_slot];
    if (value->dtype != v->type->dtype || !shape_fits(tensor_shape(value), edge_shape(v->type))) {
        char is[SHAPE_TEXT_MAX], wanted[SHAPE_TEXT_MAX];
        (void)shape_print(tensor_shape(value), is, sizeof is);
        (void)shape_print(edge_shape(v->type), wanted, sizeof wanted);
        return error_set(err, DF_INVALID_ARGUMENT, "%s%s does not fit variable %s, which is %s%s",
                         df_dtype_name(value->dtype), is, v->name, df_dtype_name(v->type->dtype),
                         wanted),
               false;
    }
    if (s->written[n->variable])
        df_tensor_unref(v->value);
    else
        s->before[n->variable] = v->value;
    s->written[n->variable] = true;
    v->value = tensor_ref(value);
    return true;
}

/* ---- roles --------------------------------------------------------------- */

static node_end run_kernel(step *s, uint32_t node) {
    const plan_node *n = &s->p->nodes[node];
    df_error err;
    if (!gather(s, n, &err) || !allocate(s, n, &err)) return fail(s, n, &err);
    node_call call = call_of(s, node);
    if (compute(n, &call.ctx, &err) != DF_OK || !check_outputs(s, n, &err) ||
        !write_variable(s, n, &err))
        return fail(s, n, &err);
    return NODE_DONE;
}

/* A variable without a value leaves its slot empty: only who reads it fails. */
static node_end run_inline(step *s, uint32_t node) {
    const plan_node *n = &s->p->nodes[node];
    df_error err;
    if (!gather(s, n, &err)) return fail(s, n, &err);
    for (uint32_t o = 0; o < n->n_outputs; o++) {
        df_tensor_unref(s->slots[n->first_slot + o]);
        s->slots[n->first_slot + o] = NULL;
    }
    node_call call = call_of(s, node);
    df_tensor *own = NULL;
    bool has_own = n->op->flags & (OP_VARIABLE | OP_CONST);
    if (has_own) {
        own = n->op->flags & OP_CONST ? s->x->constants[n->index]
                                      : s->x->o.variables[n->variable]->value;
        if (!own) return NODE_DONE;
        call.ctx.inputs = &own;
        call.ctx.n_inputs = 1;
    }
    if (compute(n, &call.ctx, &err) != DF_OK || !check_outputs(s, n, &err) ||
        !write_variable(s, n, &err))
        return fail(s, n, &err);
    return NODE_DONE;
}

/* ---- on a queue ---------------------------------------------------------- */

static df_code queue_run(launch *l, df_error *err) {
    queue_op *q = (queue_op *)l;
    const plan_node *n = &q->call.step->p->nodes[q->call.node];
    df_code code = compute(n, &q->call.ctx, err);
    if (code != DF_OK)
        error_prefix(err, "node %s (%s) on %s: ", n->name, n->op->name,
                     q->call.step->p->devices[n->device].full_name);
    return code;
}

/* The header as it is now, without its count of references. An inline value stays where it
 * is: the tensor is kept. */
static void copy_header(queue_op *q, uint32_t i, df_tensor *t) {
    size_t first = offsetof(df_tensor, dtype);
    memcpy((char *)&q->headers[i] + first, (char *)t + first, sizeof *t - first);
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
    q->call = call_of(s, node);
    q->call.ctx.inputs = q->pointers;
    q->call.ctx.outputs = q->pointers + n->n_inputs;
    q->launch = (launch){.tensors = q->headers, .n_tensors = (int)(n->n_inputs + n->n_outputs)};
    return q;
}

static node_end run_queued(step *s, uint32_t node) {
    const plan_node *n = &s->p->nodes[node];
    df_device *d = s->x->o.devices[n->device];
    df_error err;
    if (!gather(s, n, &err) || !allocate(s, n, &err)) return fail(s, n, &err);
    queue_op *q = prepare(s, node);
    q->launch.run = queue_run;
    if (d->ops->launch(d->queue, &s->tag, &q->launch, &err) != DF_OK || !write_variable(s, n, &err))
        return fail(s, n, &err);
    return NODE_DONE;
}

/* ---- kernels that end later ---------------------------------------------- */

static void kernel_ended(async_op *op, const df_error *err) {
    kernel_op *k = (kernel_op *)op;
    step *s = k->call.step;
    if (err) step_fail_node(s, &s->p->nodes[k->call.node], err);
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
    s->kernels[node] = k;
    w->balance++;
    return k;
}

static node_end run_async(worker *w, uint32_t node) {
    step *s = w->step;
    const plan_node *n = &s->p->nodes[node];
    df_error err;
    if (!gather(s, n, &err) || !allocate(s, n, &err)) return fail(s, n, &err);
    kernel_op *k = begin_later(w, node, &err);
    if (!k) return fail(s, n, &err);
    k->call = call_of(s, node);
    k->call.op = k;
    df_kernel_handle h = df_kernel_handle_of(&k->call.ctx);
    if (compute(n, &k->call.ctx, &err) != DF_OK) df_kernel_done(h, &err);
    return NODE_LATER;
}

/* On the device's thread. It carries no tag, so that it is never skipped: who has counted on its
 * end gets it, even if there is nothing to be computed any more. */
static df_code queue_run_later(launch *l, df_error *unused) {
    (void)unused;
    queue_op *q = (queue_op *)l;
    step *s = q->call.step;
    const plan_node *n = &s->p->nodes[q->call.node];
    df_kernel_handle h = df_kernel_handle_of(&q->call.ctx);
    df_error err;
    if (step_failed(s)) {
        df_kernel_done(h, NULL);
        return DF_OK;
    }
    df_code code = compute(n, &q->call.ctx, &err);
    if (code != DF_OK || !(n->kernel->flags & KERNEL_ASYNC))
        df_kernel_done(h, code != DF_OK ? &err : NULL);
    return DF_OK;
}

static node_end run_queued_later(worker *w, uint32_t node) {
    step *s = w->step;
    const plan_node *n = &s->p->nodes[node];
    df_device *d = s->x->o.devices[n->device];
    df_error err;
    if (!gather(s, n, &err) || !allocate(s, n, &err)) return fail(s, n, &err);
    kernel_op *k = begin_later(w, node, &err);
    if (!k) return fail(s, n, &err);
    queue_op *q = prepare(s, node);
    q->launch.run = queue_run_later;
    q->call.op = k;
    k->call = q->call;
    df_kernel_handle h = df_kernel_handle_of(&k->call.ctx);
    if (d->ops->launch(d->queue, NULL, &q->launch, &err) != DF_OK) df_kernel_done(h, &err);
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
        bool ok = renew(s, n, o, DF_MEMORY_DEVICE, tensor_shape(host), err) &&
                  d->ops->copy_in(d->queue, &s->tag, (*slot)->data, host, err) == DF_OK;
        df_tensor_unref(host);
        if (!ok) return false;
    }
    return true;
}

void node_finish(step *s, uint32_t node) {
    const plan_node *n = &s->p->nodes[node];
    df_error err;
    pool_kernel_op_free(s->pool, s->kernels[node]);
    s->kernels[node] = NULL;
    if (step_failed(s)) return;
    if (!check_outputs(s, n, &err) || !put_outputs(s, n, &err) || !write_variable(s, n, &err))
        step_fail_node(s, n, &err);
    else
        step_drop(s, n);
}

/* ---- all ----------------------------------------------------------------- */

node_end node_run(worker *w, uint32_t node) {
    step *s = w->step;
    const plan_node *n = &s->p->nodes[node];
    node_end end = NODE_DONE;
    switch (n->role) {
    case ROLE_NOTHING:
        break;
    case ROLE_KERNEL:
        end = run_kernel(s, node);
        break;
    case ROLE_INLINE:
        end = run_inline(s, node);
        break;
    case ROLE_QUEUE:
        end = run_queued(s, node);
        break;
    case ROLE_QUEUE_LATER:
        return run_queued_later(w, node); /* drops when it has ended */
    default:
        return run_async(w, node); /* the same */
    }
    if (end != NODE_FAILED) step_drop(s, n);
    return end;
}
