/* SPDX-License-Identifier: MIT
 *
 * The suite on every form of the built-in rendezvous, and on a backend from outside.
 */
#include "conformance/rendezvous_suite.h"

#include "support/yield.h"

#include "base/alloc.h"

#include <stdlib.h>

static df_rendezvous *make_local(const rendezvous_suite *s, const df_allocator *alloc, memory *host,
                                 df_work *work) {
    df_rendezvous *r = NULL;
    (void)s;
    (void)host;
    (void)work;
    (void)df_rendezvous_new_local(alloc, &r, NULL);
    return r;
}

enum { PLAN = 11 };

static df_rendezvous *make_step(const rendezvous_suite *s, const df_allocator *alloc, memory *host,
                                df_work *work) {
    df_rendezvous *r = NULL;
    (void)s;
    (void)rendezvous_new_step(alloc, host, PLAN, RENDEZVOUS_SUITE_KEYS, work, &r, NULL);
    return r;
}

/* ---- a backend of a user: it hands everything to another rendezvous ---- */

typedef struct relay {
    const df_allocator *alloc;
    df_rendezvous *inner;
} relay;

static df_code relay_send(void *self, const df_key *key, const df_endpoint *from, df_tensor *t) {
    df_code code = df_rendezvous_send(((relay *)self)->inner, key, from, t);
    df_tensor_unref(t);
    return code;
}

static void relay_recv(void *self, df_recv *r) {
    df_rendezvous_recv(((relay *)self)->inner, r);
}

static void relay_cancel(void *self, df_recv *r) {
    df_rendezvous_cancel(((relay *)self)->inner, r);
}

static void relay_abort(void *self, const df_error *why) {
    df_rendezvous_abort(((relay *)self)->inner, why);
}

static void relay_destroy(void *self) {
    relay *x = self;
    df_rendezvous_unref(x->inner);
    alloc_free(x->alloc, x, sizeof *x);
}

static const df_rendezvous_ops relay_ops = {.struct_size = sizeof relay_ops,
                                            .name = "relay",
                                            .send = relay_send,
                                            .recv = relay_recv,
                                            .cancel = relay_cancel,
                                            .abort = relay_abort,
                                            .destroy = relay_destroy};

static df_rendezvous *make_relay(const rendezvous_suite *s, const df_allocator *alloc, memory *host,
                                 df_work *work) {
    df_rendezvous *r = NULL;
    relay *x = alloc_bytes(alloc, sizeof *x);
    (void)s;
    (void)host;
    (void)work;
    if (!x) return NULL;
    *x = (relay){.alloc = alloc};
    (void)df_rendezvous_new_local(alloc, &x->inner, NULL);
    (void)df_rendezvous_new(alloc, &relay_ops, x, &r, NULL);
    return r;
}

int main(int argc, char **argv) {
    static const rendezvous_suite suites[] = {
        {.name = "local", .make = make_local},
        {.name = "step, planned keys", .make = make_step, .plan = PLAN, .is_planned = true},
        {.name = "step, planned keys, a step's work",
         .make = make_step,
         .plan = PLAN,
         .is_planned = true,
         .has_work = true},
        {.name = "step, planned keys, others' calls", .make = make_step, .plan = PLAN},
        {.name = "step, keys of another plan", .make = make_step, .plan = PLAN + 1},
        {.name = "step, keys of no plan", .make = make_step, .has_work = true},
        {.name = "a user's backend", .make = make_relay}};
    int failed = 0;
    (void)yield_install(argc, argv);
    for (size_t i = 0; i < sizeof suites / sizeof *suites; i++)
        failed += rendezvous_suite_run(&suites[i]);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
