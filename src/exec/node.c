/* SPDX-License-Identifier: MIT
 *
 * node - running one node: from slots to slots.
 *
 * Inputs are pulled from their producers' slots. Outputs are allocated before the kernel
 * runs, from the shape that the compiler knew or that the op infers from the inputs
 * at hand; what a slot holds from the step before is used again if nobody else has it.
 * What runs here and now is here; queued.c has what a queue runs, and what ends later.
 */
#include "exec/node.h"

#include <string.h>

/* ---- errors -------------------------------------------------------------- */

node_end node_fail(step *s, const plan_node *n, const df_error *why) {
    step_fail_node(s, n, why);
    return NODE_FAILED;
}

/* Kernels are callbacks: no lock is held, and much may happen meanwhile. What one returns
 * counts, whether it found words for it or not. */
df_code node_compute(const plan_node *n, df_kernel *c, df_error *err) {
    error_clear(err);
    DF_SCHED_POINT();
    df_code code = n->kernel->compute(c, err);
    return error_from(err, code, "its kernel");
}

/* ---- inputs -------------------------------------------------------------- */

static bool missing(step *s, const plan_node *n, uint32_t i, df_error *err) {
    if (n->variable != PLAN_NONE && s->p->inputs[n->first_input + i] == PLAN_NONE)
        (void)error_set(err, DF_FAILED_PRECONDITION,
                        "variable %.150s has no value yet: assign it, or give it an initialiser",
                        s->x->o.variables[n->variable]->name);
    else
        (void)error_set(err, DF_FAILED_PRECONDITION,
                        "input %u has no value: it comes from a variable that has none yet", i);
    return false;
}

bool node_gather(step *s, const plan_node *n, df_error *err) {
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

/* Consumers were compiled for what the compiler was told. */
static bool check_promised(const plan_node *n, uint32_t o, df_shape now, df_shape before,
                           df_error *err) {
    if (shape_fits(now, before)) return true;
    char is[SHAPE_TEXT_MAX], was[SHAPE_TEXT_MAX];
    (void)shape_print(now, is, sizeof is);
    (void)shape_print(before, was, sizeof was);
    return error_invalid(err,
                         "the infer function of %s says that output %u is %s, and said %s when the "
                         "program was compiled",
                         n->op->name, o, is, was),
           false;
}

/* Rule 5 of plan.h. What is dropped is an input, and overwritten only by what has its shape. */
static void take_over(step *s, const plan_node *n, uint32_t o, df_shape shape) {
    const plan_slot *slot = &s->p->slots[n->first_slot + o];
    df_tensor *from = slot->from ? s->slots[slot->from - 1] : NULL;
    if (!from || (s->p->slots[slot->from - 1].stays == PLAN_DROPPED &&
                  !shape_equal(tensor_shape(from), shape)))
        return;
    memory *mem = device_memory(s->x->o.devices[n->device], slot->memory, s->x->o.host);
    tensor_take_over(&s->slots[n->first_slot + o], from, s->x->o.host, mem, slot->type->dtype,
                     shape);
}

/* Output o becomes an allocated tensor in this kind of memory. */
df_code node_renew(step *s, const plan_node *n, uint32_t o, uint32_t kind, df_shape shape,
                   df_error *err) {
    const plan_slot *slot = &s->p->slots[n->first_slot + o];
    memory *mem = device_memory(s->x->o.devices[n->device], kind, s->x->o.host);
    df_tensor **t = &s->slots[n->first_slot + o];
    df_code code = tensor_renew(t, s->x->o.host, mem, slot->type->dtype, shape, err);
    if (code == DF_OK && slot->stays) tensor_mark(*t, t);
    return code;
}

/* An output whose shape is still unknown stays empty: the kernel will allocate it. */
bool node_allocate(step *s, const plan_node *n, df_error *err) {
    edge_type inferred[DF_MAX_OUTPUTS];
    bool known = n->flags & PLAN_KNOWN_SHAPES;
    if (!known && !infer_now(s, n, inferred, err)) return false;
    for (uint32_t o = 0; o < n->n_outputs; o++) {
        const plan_slot *slot = &s->p->slots[n->first_slot + o];
        df_shape shape = edge_shape(known ? slot->type : &inferred[o]);
        if (!known && !shape_is_known(shape)) {
            df_tensor_unref(s->slots[n->first_slot + o]);
            s->slots[n->first_slot + o] = NULL;
            continue;
        }
        if (!known && !check_promised(n, o, shape, edge_shape(slot->type), err)) return false;
        take_over(s, n, o, shape);
        if (node_renew(s, n, o, slot->memory, shape, err) != DF_OK) return false;
    }
    return true;
}

bool node_renew_outputs(step *s, uint32_t node, df_error *err) {
    return node_allocate(s, &s->p->nodes[node], err);
}

/* Every output is there. */
bool node_check_outputs(step *s, const plan_node *n, df_error *err) {
    for (uint32_t o = 0; o < n->n_outputs; o++)
        if (!s->slots[n->first_slot + o])
            return error_set(err, DF_FAILED_PRECONDITION, "its kernel gave no output %u", o), false;
    return true;
}

/* ---- what a kernel may call ---------------------------------------------- */

static const plan_node *node_of(const node_call *call) {
    return &call->step->p->nodes[call->ctx.io->index];
}

static const kernel_node *what(const df_kernel *c) {
    return &node_of((const node_call *)c)->what;
}

static df_tensor **slot_of(const df_kernel *c, int i) {
    const node_call *call = (const node_call *)c;
    return &call->step->slots[node_of(call)->first_slot + (uint32_t)i];
}

static const edge_type *output_type(const df_kernel *c, int i) {
    const node_call *call = (const node_call *)c;
    return call->step->p->slots[node_of(call)->first_slot + (uint32_t)i].type;
}

/* An output that has no shape before lies in host memory first if the kernel runs in the queue's
 * order: device memory that is taken then may still be in use by what is enqueued behind. */
static df_code allocate_now(df_kernel *c, int i, df_shape shape, df_tensor **out, df_error *err) {
    node_call *call = (node_call *)c;
    step *s = call->step;
    const plan_node *n = node_of(call);
    df_tensor *there = kernel_output(c, i);
    bool queued = n->role == ROLE_QUEUE_LATER; /* on ROLE_QUEUE all are there */
    bool runs_there = queued && !kernel_queue(c);
    if (!there) {
        uint32_t kind =
            runs_there ? DF_MEMORY_HOST : s->p->slots[n->first_slot + (uint32_t)i].memory;
        df_code code = node_renew(s, n, (uint32_t)i, kind, shape, err);
        if (code != DF_OK) return code;
        there = *slot_of(c, i);
        if (queued) s->queued[c->io->index]->pointers[n->n_inputs + (uint32_t)i] = there;
    } else if (!shape_equal(tensor_shape(there), shape)) {
        return error_invalid(err, "output %d is there already, in another shape", i);
    }
    *out = there;
    return DF_OK;
}

static bool makes_outputs(const df_kernel *c) {
    const node_call *call = (const node_call *)c;
    plan_role role = node_of(call)->role;
    return role == ROLE_INLINE || role == ROLE_ASYNC;
}

static bool lies_in_host(const df_kernel *c, int i) {
    const node_call *call = (const node_call *)c;
    const plan_node *n = node_of(call);
    return call->step->p->slots[n->first_slot + (uint32_t)i].memory == DF_MEMORY_HOST ||
           device_is_host(call->step->x->o.devices[n->device]);
}

static void set_output(df_kernel *c, int i, df_tensor *t) {
    df_tensor **slot = slot_of(c, i);
    df_tensor_unref(*slot);
    *slot = t;
}

static async_op *async_of(const df_kernel *c) {
    kernel_op *op = ((const node_call *)c)->op;
    return op ? &op->async : NULL;
}

const struct kernel_calls node_calls = {.node = what,
                                        .output_type = output_type,
                                        .makes_outputs = makes_outputs,
                                        .lies_in_host = lies_in_host,
                                        .set_output = set_output,
                                        .allocate = allocate_now,
                                        .async = async_of};

node_call node_call_of(step *s, uint32_t node) {
    node_call call = node_call_here(s);
    call.ctx.io = &s->x->io[node];
    call.ctx.slots = s->inputs;
    call.ctx.places = NULL;
    return call;
}

/* Output 0 of a node that writes a variable is its new value. What was there before stays
 * at hand until the step has succeeded. */
bool node_write_variable(step *s, const plan_node *n, df_error *err) {
    if (!(n->op->flags & OP_WRITES)) return true;
    const variable *v = s->x->o.variables[n->variable];
    df_tensor *value = s->slots[n->first_slot], *kept = value;
    memory *host = s->x->o.host;
    if (value->dtype != v->type->dtype || !shape_fits(tensor_shape(value), edge_shape(v->type))) {
        char is[SHAPE_TEXT_MAX], wanted[SHAPE_TEXT_MAX];
        (void)shape_print(tensor_shape(value), is, sizeof is);
        (void)shape_print(edge_shape(v->type), wanted, sizeof wanted);
        return error_invalid(err, "%s%s does not fit variable %.150s, which is %s%s",
                             df_dtype_name(value->dtype), is, v->name,
                             df_dtype_name(v->type->dtype), wanted),
               false;
    }
    /* A variable outlives the step, and memory that the caller lent only need not. */
    if (!value->buf || !value->buf->wrapped)
        (void)tensor_ref(value);
    else if (tensor_copy(host, host, value, &kept, err) != DF_OK)
        return false;
    step_write(s, (uint32_t)n->variable, kept);
    return true;
}

/* ---- roles --------------------------------------------------------------- */

static node_end run_kernel(step *s, uint32_t node) {
    const plan_node *n = &s->p->nodes[node];
    df_error err;
    if (!node_gather(s, n, &err) || !node_allocate(s, n, &err)) return node_fail(s, n, &err);
    node_call call = node_call_of(s, node);
    if (node_compute(n, &call.ctx, &err) != DF_OK || !node_check_outputs(s, n, &err) ||
        !node_write_variable(s, n, &err))
        return node_fail(s, n, &err);
    return NODE_DONE;
}

/* A variable without a value leaves its slot empty: only who reads it fails. */
static node_end run_inline(step *s, uint32_t node) {
    const plan_node *n = &s->p->nodes[node];
    df_error err;
    if (!node_gather(s, n, &err)) return node_fail(s, n, &err);
    if ((n->op->flags & OP_PASSES_ON) && s->p->slots[n->first_slot].stays == PLAN_BORROWED) {
        /* it writes: all else that borrows is quick, or has failed */
        s->slots[n->first_slot] = s->inputs[n->first_input + n->n_inputs - 1];
        if (!node_write_variable(s, n, &err)) return node_fail(s, n, &err);
        s->slots[n->first_slot] = s->x->o.variables[n->variable]->value; /* perhaps a copy */
        return NODE_DONE;
    }
    for (uint32_t o = 0; o < n->n_outputs; o++) {
        df_tensor_unref(s->slots[n->first_slot + o]);
        s->slots[n->first_slot + o] = NULL;
    }
    node_call call = node_call_of(s, node);
    kernel_io io = *call.ctx.io;
    df_tensor *own = NULL;
    if (n->op->flags & OP_VARIABLE) { /* a constant's slot is quick */
        own = s->x->o.variables[n->variable]->value;
        if (!own) return NODE_DONE;
        io.first_input = 0;
        io.n_inputs = 1;
        call.ctx.io = &io;
        call.ctx.slots = &own;
    }
    if (node_compute(n, &call.ctx, &err) != DF_OK || !node_check_outputs(s, n, &err) ||
        !node_write_variable(s, n, &err))
        return node_fail(s, n, &err);
    return NODE_DONE;
}

/* ---- all ----------------------------------------------------------------- */

node_end node_run(worker *w, uint32_t node) {
    step *s = w->step;
    const plan_node *n = &s->p->nodes[node];
    node_end end = NODE_DONE;
    switch (n->role) {
    case ROLE_KERNEL:
        end = run_kernel(s, node);
        break;
    case ROLE_INLINE:
        end = run_inline(s, node);
        break;
    case ROLE_QUEUE:
        end = node_run_queued(s, node);
        break;
    case ROLE_QUEUE_LATER:
        return node_run_queued_later(w, node); /* drops when it has ended */
    default:
        return node_run_async(w, node); /* the same */
    }
    if (end != NODE_FAILED) step_drop(s, n);
    return end;
}
