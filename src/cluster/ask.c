/* SPDX-License-Identifier: MIT
 *
 * Asking tasks, and waiting for their answers.
 */
#include "cluster/master.h"

#include "base/clock.h"

bool asking_init(asking *a) {
    *a = (asking){.open = 0};
    if (!mutex_init(&a->lock)) return false;
    if (condition_init(&a->changed)) return true;
    mutex_fini(&a->lock);
    return false;
}

void asking_fini(asking *a) {
    condition_fini(&a->changed);
    mutex_fini(&a->lock);
}

static df_code take_answer(df_call *call, const df_arrival *reply, df_segments *place,
                           df_error *err) {
    question *q = (question *)call;
    wire_in w = {.at = reply->meta, .left = reply->meta_bytes};
    *place = (df_segments){NULL, 0};
    q->number = reply->meta_bytes ? wire_get(&w, 8) : 0;
    if (!reply->payload_bytes) return DF_OK;
    df_code code = pack_receive(q->m->cluster->rt->host, reply->payload_bytes, &q->answer, err);
    if (code != DF_OK) return code;
    q->place = (df_segment){.at = q->answer->data, .bytes = reply->payload_bytes};
    *place = (df_segments){&q->place, 1};
    return DF_OK;
}

static void answered(remote_call *c, const df_error *err) {
    question *q = (question *)c;
    asking *a = q->of;
    if (err) { /* it may have begun */
        df_tensor_unref(q->answer);
        q->answer = NULL;
    }
    q->code = err ? err->code : DF_OK;
    mutex_lock(&a->lock);
    if (err && !a->failed) {
        a->failed = true;
        a->why = *err;
        error_prefix(&a->why, err->origin ? "%s: " : "%s",
                     err->origin ? q->m->cluster->names[q->task] : "");
    }
    a->open--;
    condition_broadcast(&a->changed);
    mutex_unlock(&a->lock);
}

wire_out ask_begin(question *q, master *m, uint32_t task, unsigned kind) {
    q->m = m;
    q->task = task;
    return remote_meta(remote_peer_at(m->cluster->remote, task), kind, q->meta, sizeof q->meta);
}

void ask(asking *a, question *q, const wire_out *meta, df_segments payload) {
    mutex_lock(&a->lock);
    a->open++;
    mutex_unlock(&a->lock);
    q->of = a;
    q->call = (remote_call){.ended = answered};
    q->call.base.on_meta = take_answer;
    remote_send(remote_peer_at(q->m->cluster->remote, q->task), &q->call, q->meta, meta,
                sizeof q->meta, payload);
}

df_code ask_await(asking *a, question *qs, uint32_t n, uint64_t timeout, df_error *err) {
    uint64_t until = clock_after(timeout);
    mutex_lock(&a->lock);
    while (a->open && clock_now() < until) condition_wait_until(&a->changed, &a->lock, until);
    bool late = a->open > 0;
    mutex_unlock(&a->lock);
    for (uint32_t i = 0; late && i < n; i++)
        if (qs[i].of) remote_cancel(&qs[i].call);
    mutex_lock(&a->lock);
    while (a->open) condition_wait(&a->changed, &a->lock);
    df_code code = a->failed ? a->why.code : DF_OK;
    if (code != DF_OK && err) *err = a->why;
    a->failed = false; /* the next questions are others */
    mutex_unlock(&a->lock);
    if (!late) return code;
    return error_set(err, DF_DEADLINE_EXCEEDED, "not all tasks have answered in %.1f s",
                     (double)timeout / 1e9);
}

void ask_nap(asking *a, uint64_t ns) {
    uint64_t until = clock_after(ns);
    mutex_lock(&a->lock);
    while (clock_now() < until) condition_wait_until(&a->changed, &a->lock, until);
    mutex_unlock(&a->lock);
}
