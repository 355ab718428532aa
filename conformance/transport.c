/* SPDX-License-Identifier: MIT
 *
 * The suite for engines of transport: one test for each rule.
 */
#include "net.h"

#include <stdio.h>
#include <string.h>

typedef struct rule {
    const char *asks;
    void (*test)(net *n);
    bool is_kept;
    int n_skips;
    const char *skips[NET_SKIPS];
    char wrong[STAGE_WORDS];
} rule;

enum { RULES = DF_TRANSPORT_CONFORMANCE_RULES, DEFAULT_LIMIT = 10 /* seconds */ };

static const rule rules[RULES] = {
    {.asks = "calls return, and upcalls come by themselves, one after the other", .test = net_T1},
    {.asks = "a call ends once, and is in use until then", .test = net_T2},
    {.asks = "what arrives is whole and as it was sent, once", .test = net_T3},
    {.asks = "calls do not wait for each other", .test = net_T4},
    {.asks = "a request is replied to once, and its reply released once", .test = net_T5},
    {.asks = "errors and refusals end the call, in their words", .test = net_T6},
    {.asks = "a cancelled call ends, and the other side is told", .test = net_T7},
    {.asks = "who is gone ends its calls, and another may come", .test = net_T8},
    {.asks = "close ends all, and leaves nothing", .test = net_T9},
    {.asks = "a timer fires once, not before its time", .test = net_T10},
};

/* The call that is missing; NULL: none is. */
static const char *missing(const df_transport_ops *o) {
    const struct {
        bool is_there;
        const char *name;
    } calls[] = {
        {o->scheme != NULL, "scheme"}, {o->open != NULL, "open"},   {o->close != NULL, "close"},
        {o->peer != NULL, "peer"},     {o->reset != NULL, "reset"}, {o->call != NULL, "call"},
        {o->cancel != NULL, "cancel"}, {o->reply != NULL, "reply"}, {o->after != NULL, "after"}};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (!calls[i].is_there) return calls[i].name;
    return NULL;
}

static void on_skip(void *user, const char *skip) {
    rule *r = user;
    r->skips[r->n_skips++] = skip;
}

static void play_rule(rule *r, const df_transport_conformance *of) {
    if (!of->ops || of->ops->struct_size < sizeof *of->ops || !of->address) {
        (void)snprintf(r->wrong, sizeof r->wrong, "df_transport_conformance.%s",
                       !of->ops      ? "ops is NULL; set it to the engine's calls"
                       : of->address ? "ops is without its struct_size"
                                     : "address is NULL; set it to where endpoints can be opened");
        return;
    }
    const char *name = missing(of->ops);
    if (name)
        (void)snprintf(r->wrong, sizeof r->wrong, "df_transport_ops.%s is NULL", name);
    else
        r->is_kept = net_play(of, r->test, on_skip, r, r->wrong);
}

int df_transport_conformance_run(const df_transport_conformance *suite) {
    int n_broken = 0;
    /* What is shorter has perhaps no report that could be told. */
    if (!suite || suite->struct_size < sizeof *suite) return RULES;
    df_transport_conformance of = *suite;
    if (of.limit == 0) of.limit = DEFAULT_LIMIT * (uint64_t)1000000000;
    if (of.large == 0) of.large = (uint64_t)64 << 20;
    if (of.parked == 0) of.parked = 10000;
    for (int i = 0; i < RULES; i++) {
        rule r = rules[i];
        play_rule(&r, &of);
        if (!r.is_kept) n_broken++;
        for (int s = 0; of.skipped && s < r.n_skips; s++) of.skipped(of.user, i + 1, r.skips[s]);
        if (of.report) of.report(of.user, i + 1, r.asks, r.is_kept ? NULL : r.wrong);
    }
    return n_broken;
}
