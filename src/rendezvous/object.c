/* SPDX-License-Identifier: MIT
 *
 * The life of a rendezvous: references, abort, the end.
 *
 * The last unref ends what still waits. A done that it runs may use the rendezvous, even
 * take references, so the count goes back to one for the time of the abort; whoever
 * then drops the last one destroys it. Waiting recvs hold no reference, else the last
 * one would never go; a recv on the way, or in line for its callback, holds one.
 */
#include "rendezvous/object.h"

df_code rendezvous_new(const df_allocator *alloc, const df_rendezvous_ops *ops, void *self,
                       local *built_in, memory *host, df_work *tag, df_rendezvous **out,
                       df_error *err) {
    df_rendezvous *r = alloc_zeroed(alloc, sizeof *r);
    if (!r) return error_memory(err, "a rendezvous");
    refcount_init(&r->refs);
    r->ops = ops;
    r->self = self;
    r->built_in = built_in;
    r->alloc = alloc;
    r->host = memory_ref(host);
    r->tag = tag;
    *out = r;
    return DF_OK;
}

df_rendezvous *df_rendezvous_ref(df_rendezvous *r) {
    if (r) refcount_ref(&r->refs);
    return r;
}

static void destroy(df_rendezvous *r) {
    DF_SCHED_POINT();
    r->ops->destroy(r->self);
    memory_unref(r->host);
    alloc_free(r->alloc, r, sizeof *r);
}

/* Apart, as most who come by have no rendezvous or drop one of several references. */
static __attribute__((noinline)) void drop_last(df_rendezvous *r) {
    df_error gone;
    (void)error_set(&gone, DF_CANCELLED,
                    "the rendezvous was released while this recv waited; keep a reference until "
                    "every recv has ended");
    /* Relaxed: nobody else has a reference. */
    atomic_put(&r->refs.n, 1, RELAXED);
    df_rendezvous_abort(r, &gone);
    if (refcount_unref(&r->refs)) destroy(r);
}

void df_rendezvous_unref(df_rendezvous *r) {
    if (r && refcount_unref(&r->refs)) drop_last(r);
}

static void set_why(df_rendezvous *r, const df_error *why) {
    if (why && why->code != DF_OK) {
        r->why = *why;
        return;
    }
    (void)error_set(&r->why, DF_INTERNAL,
                    "the rendezvous was aborted without an error; pass one whose code is not OK");
}

void df_rendezvous_abort(df_rendezvous *r, const df_error *why) {
    uint32_t open = RENDEZVOUS_OPEN;
    if (!r || !atomic_cas(&r->state, &open, RENDEZVOUS_ABORTING, RELAXED, RELAXED)) return;
    /* A done may drop the caller's reference. */
    (void)df_rendezvous_ref(r);
    set_why(r, why);
    atomic_put(&r->state, RENDEZVOUS_ABORTED, RELEASE);
    r->ops->abort(r->self, &r->why);
    df_rendezvous_unref(r);
}
