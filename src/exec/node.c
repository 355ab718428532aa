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
                  .inputs = s->type_at + n->first_input,
                  .values = s->inputs + n->first_input,
                  .outputs = outputs};
    return n->op->infer(&c, err) == DF_OK;
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

static bool allocate(step *s, const plan_node *n, df_error *err) {
    edge_type inferred[OP_MAX_OUTPUTS];
    bool known = n->flags & PLAN_KNOWN_SHAPES;
    if (!known && !infer_now(s, n, inferred, err)) return false;
    for (uint32_t o = 0; o < n->n_outputs; o++) {
        const plan_slot *slot = &s->p->slots[n->first_slot + o];
        const edge_type *type = known ? &slot->type : &inferred[o];
        if (o == 0 && forward(s, n, edge_shape(type))) continue;
        memory *mem = device_memory(s->x->o.devices[n->device], slot->memory, s->x->o.host);
        if (tensor_renew(&s->slots[n->first_slot + o], s->x->o.host, mem, type->dtype,
                         edge_shape(type), err) != DF_OK)
            return false;
    }
    return true;
}

static void set_output(df_kernel *c, int i, df_tensor *t) {
    node_call *call = (node_call *)c;
    df_tensor **slot =
        &call->step->slots[call->step->p->nodes[call->node].first_slot + (uint32_t)i];
    df_tensor_unref(*slot);
    *slot = t;
}

static kernel_handle handle_of(df_kernel *c) {
    async_op *op = &((node_call *)c)->op->async;
    return (kernel_handle){.op = op, .generation = atomic_get(&op->generation, RELAXED)};
}

static const struct kernel_calls calls = {.set_output = set_output, .handle = handle_of};

static node_call call_of(step *s, uint32_t node) {
    const plan_node *n = &s->p->nodes[node];
    return (node_call){.ctx = {.node = n->name,
                               .op = n->op,
                               .attrs = n->attrs,
                               .n_inputs = (int)n->n_inputs,
                               .n_outputs = (int)n->n_outputs,
                               .inputs = s->inputs + n->first_input,
                               .outputs = s->slots + n->first_slot,
                               .headers = s->x->o.host,
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
    if (compute(n, &call.ctx, &err) != DF_OK || !write_variable(s, n, &err))
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
    if (compute(n, &call.ctx, &err) != DF_OK) return fail(s, n, &err);
    for (uint32_t o = 0; o < n->n_outputs; o++)
        if (!s->slots[n->first_slot + o]) {
            (void)error_set(&err, DF_INTERNAL, "its kernel gave no output %u", o);
            return fail(s, n, &err);
        }
    return write_variable(s, n, &err) ? NODE_DONE : fail(s, n, &err);
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

static node_end run_queued(step *s, uint32_t node) {
    const plan_node *n = &s->p->nodes[node];
    queue_op *q = s->queued[node];
    df_device *d = s->x->o.devices[n->device];
    df_error err;
    if (!gather(s, n, &err) || !allocate(s, n, &err)) return fail(s, n, &err);
    for (uint32_t i = 0; i < n->n_inputs; i++) copy_header(q, i, s->inputs[n->first_input + i]);
    for (uint32_t o = 0; o < n->n_outputs; o++)
        copy_header(q, n->n_inputs + o, s->slots[n->first_slot + o]);
    q->call = call_of(s, node);
    q->call.ctx.inputs = q->pointers;
    q->call.ctx.outputs = q->pointers + n->n_inputs;
    q->launch = (launch){
        .run = queue_run, .tensors = q->headers, .n_tensors = (int)(n->n_inputs + n->n_outputs)};
    if (d->ops->launch(d->queue, &s->tag, &q->launch, &err) != DF_OK || !write_variable(s, n, &err))
        return fail(s, n, &err);
    return NODE_DONE;
}

/* ---- async kernels ------------------------------------------------------- */

static void kernel_ended(async_op *op, const df_error *err) {
    kernel_op *k = (kernel_op *)op;
    step *s = k->call.step;
    if (err) step_fail_node(s, &s->p->nodes[k->call.node], err);
    pool_post(s->pool, s, &k->ended);
}

static node_end run_async(worker *w, uint32_t node) {
    step *s = w->step;
    const plan_node *n = &s->p->nodes[node];
    df_error err;
    if (!gather(s, n, &err) || !allocate(s, n, &err)) return fail(s, n, &err);
    kernel_op *k = pool_kernel_op(s->pool);
    if (!k) {
        (void)error_memory(&err, "an async kernel");
        return fail(s, n, &err);
    }
    k->async.ended = kernel_ended;
    k->ended = (event){.kind = EVENT_NODE, .index = node};
    k->call = call_of(s, node);
    k->call.op = k;
    s->kernels[node] = k;
    w->balance++; /* the token that its end brings, now or later, here or elsewhere */
    kernel_handle h = handle_of(&k->call.ctx);
    if (compute(n, &k->call.ctx, &err) != DF_OK) kernel_done(h, &err);
    return NODE_LATER;
}

void node_finish(step *s, uint32_t node) {
    const plan_node *n = &s->p->nodes[node];
    df_error err;
    pool_kernel_op_free(s->pool, s->kernels[node]);
    s->kernels[node] = NULL;
    if (step_failed(s)) return;
    if (!write_variable(s, n, &err))
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
    default:
        return run_async(w, node); /* drops when it has ended */
    }
    if (end != NODE_FAILED) step_drop(s, n);
    return end;
}
