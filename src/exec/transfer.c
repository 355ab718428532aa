/* SPDX-License-Identifier: MIT
 *
 * transfer - the nodes that the partitioner put in: Send, Recv, Feed, Fetch.
 *
 * A Send leaves its tensor under the channel's key and goes on; a Recv leaves a record and
 * is called back. What happens in between, a hand-off, a copy, a journey to another
 * process, is the rendezvous' affair: nothing here tells the difference.
 */
#include "exec/step.h"

/* ---- Send ---------------------------------------------------------------- */

static node_end run_send(step *s, const plan_node *n) {
    const plan_channel *ch = &s->p->channels[n->index];
    df_device *d = s->x->o.devices[n->device];
    df_error err;
    df_tensor *t = ch->control ? s->x->token : s->slots[s->p->inputs[n->first_input]];
    if (!t) {
        (void)error_set(&err, DF_FAILED_PRECONDITION,
                        "variable %.150s has no value yet: assign it, or give it an initialiser",
                        ch->producer);
        step_fail_node(s, n, &err);
        return NODE_FAILED;
    }
    channel_count(&s->traffic[n->index], ch->control ? 0 : t->bytes);
    df_endpoint from = {.device = d, .queue = d->queue, .memory = ch->src_memory};
    df_code code = rendezvous_send(s->meets, ch->key, &from, tensor_ref(t));
    if (code == DF_OK) return NODE_DONE;
    char key[300];
    (void)df_key_text(ch->key, key, sizeof key);
    (void)error_set(&err, code, "key %s could not be sent", key);
    step_fail_node(s, n, &err);
    return NODE_FAILED;
}

/* ---- Recv ---------------------------------------------------------------- */

/* What comes through a rendezvous of the user's may be anything; kernels were compiled for this. */
static bool is_expected(const step *s, const plan_channel *ch, const df_tensor *t, df_error *err) {
    if (s->meets == s->rendezvous || ch->control) return true;
    if (t->dtype == ch->type->dtype && shape_fits(tensor_shape(t), edge_shape(ch->type)))
        return true;
    char key[280], is[SHAPE_TEXT_MAX], wanted[SHAPE_TEXT_MAX];
    (void)df_key_text(ch->key, key, sizeof key);
    (void)shape_print(tensor_shape(t), is, sizeof is);
    (void)shape_print(edge_shape(ch->type), wanted, sizeof wanted);
    return error_invalid(err, "the rendezvous gave %s%s and must give %s%s for key %s",
                         df_dtype_name(t->dtype), is, df_dtype_name(ch->type->dtype), wanted, key),
           false;
}

static void recv_done(df_recv *r, const df_error *err, df_tensor *tensor) {
    recv_op *op = (recv_op *)r;
    step *s = op->step;
    const plan_node *n = &s->p->nodes[op->node];
    bool held = rendezvous_was_held(r);
    df_error why;
    op->tensor = tensor;
    if (!err && !is_expected(s, &s->p->channels[n->index], tensor, &why)) err = &why;
    if (err) step_fail_node(s, n, err);
    if (atomic_swap(&op->state, OP_ENDED, ACQ_REL) != OP_OUTSIDE) return;
    uint64_t token = held ? 0 : LIVE_TOKEN; /* the transfer's passes to the event */
    if (s->is_foreign)
        live_come_back(&s->live, token);
    else if (token)
        live_hold(&s->live);
    pool_post(s->pool, s, &op->ended);
}

void transfer_finish(step *s, uint32_t node) {
    recv_op *r = s->recvs[node];
    const plan_node *n = &s->p->nodes[node];
    const plan_channel *ch = &s->p->channels[n->index];
    if (ch->far && r->tensor) /* nobody here has sent it */
        channel_count(&s->traffic[n->index], ch->control ? 0 : r->tensor->bytes);
    df_tensor **slot = &s->slots[n->first_slot];
    df_tensor_unref(*slot);
    *slot = r->tensor;
    r->tensor = NULL;
}

static node_end run_recv(worker *w, const plan_node *n, uint32_t node) {
    step *s = w->step;
    const plan_channel *ch = &s->p->channels[n->index];
    df_device *d = s->x->o.devices[n->device];
    recv_op *op = s->recvs[node];
    op->recv = (df_recv){.key = ch->key,
                         .to = {.device = d,
                                .queue = ch->dst_memory == DF_MEMORY_DEVICE ? d->queue : NULL,
                                .memory = ch->dst_memory},
                         .done = recv_done};
    op->tensor = NULL;
    op->block = w->block;
    rendezvous_mark_planned(&op->recv, &s->work);
    atomic_put(&op->state, OP_INSIDE, RELAXED);
    if (s->is_foreign) live_give_away(&s->live);
    df_rendezvous_recv(s->meets, &op->recv);
    if (atomic_swap(&op->state, OP_OUTSIDE, ACQ_REL) != OP_ENDED)
        return n->flags & PLAN_ENDS_LATER ? NODE_LATER : NODE_PARKED;
    atomic_put(&op->state, OP_ENDED, RELAXED);
    if (s->is_foreign) live_come_back(&s->live, 0);
    if (rendezvous_was_held(&op->recv)) w->balance--; /* no event takes up the token */
    if (step_failed(s)) {
        transfer_finish(s, node);
        return NODE_FAILED;
    }
    if (n->flags & PLAN_ENDS_LATER) {
        w->balance++; /* for once it was here at once: its events are the same */
        pool_post(s->pool, s, &op->ended);
        return NODE_LATER;
    }
    transfer_finish(s, node);
    return NODE_DONE;
}

/* ---- Feed and Fetch: what run.c leaves of them --------------------------- */

/* What a kernel on a queue feeds is copied: a result or a variable may outlive it. */
static node_end run_feed(step *s, const plan_node *n) {
    memory *host = s->x->o.host;
    df_error err;
    if (tensor_copy(host, host, s->feeds[n->index], &s->slots[n->first_slot], &err) == DF_OK)
        return NODE_DONE;
    step_fail_node(s, n, &err);
    return NODE_FAILED;
}

/* It fits the caller's memory, if there is any: what is wrong must fail the step before its end. */
static bool fits(const step *s, uint32_t fetch, const df_tensor *t, df_error *err) {
    const df_span *into = &s->rq.into[fetch];
    if (!into->data) return true;
    if (into->size == t->bytes && t->dtype != DF_STRING && t->is_host) return true;
    if (!t->is_host)
        return error_invalid(err, "the result is left on its device, and df_run_options.into has "
                                  "host memory for it: give none"),
               false;
    return error_invalid(err,
                         "the result has %zu bytes of %s, and df_run_options.into has room for %zu "
                         "bytes: give as many, and no room for strings",
                         t->bytes, df_dtype_name(t->dtype), into->size),
           false;
}

static node_end run_fetch(step *s, const plan_node *n) {
    df_tensor *t = s->slots[s->p->inputs[n->first_input]];
    df_error err;
    if (fits(s, (uint32_t)n->index, t, &err)) {
        s->results[n->index] = tensor_ref(t);
        return NODE_DONE;
    }
    step_fail_node(s, n, &err);
    return NODE_FAILED;
}

node_end transfer_run(worker *w, uint32_t node) {
    const plan_node *n = &w->step->p->nodes[node];
    node_end end;
    switch (n->role) {
    case ROLE_SEND:
        end = run_send(w->step, n);
        break;
    case ROLE_RECV:
        end = run_recv(w, n, node);
        break;
    case ROLE_FEED:
        end = run_feed(w->step, n);
        break;
    default:
        end = run_fetch(w->step, n);
        break;
    }
    if (end == NODE_DONE) step_drop(w->step, n);
    return end;
}
