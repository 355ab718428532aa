/* SPDX-License-Identifier: MIT
 *
 * The suite for kinds of device: one test for each rule. What may lose a device comes last, and is
 * told in its turn.
 */
#include "rig.h"

#include <stdio.h>
#include <string.h>

typedef struct rule {
    const char *asks;
    void (*test)(rig *r);
    bool is_kept;
    int n_skips;
    char skips[RIG_SKIPS][RIG_SKIP_WORDS];
    char wrong[STAGE_WORDS];
} rule;

enum { RULES = DF_DEVICE_CONFORMANCE_RULES, DEFAULT_LIMIT = 10 /* seconds */ };

static const rule rules[RULES] = {
    {.asks = "calls put work on queues and return, from any thread", .test = rig_D1},
    {.asks = "a queue is in order, and queues run beside each other", .test = rig_D2},
    {.asks = "what fails fails the events behind it, of the same work alone", .test = rig_D3},
    {.asks = "queues wait for events, and events end once", .test = rig_D4},
    {.asks = "copies are whole, and memory is free when its events have ended", .test = rig_D5},
    {.asks = "a device that is lost fails what is left, and can be closed", .test = rig_D6},
};

/* The calls that must be there. NULL: they are. */
static const char *missing(const df_device_ops *o) {
    const struct {
        bool is_there;
        const char *name;
    } calls[] = {{o->kind != NULL, "kind"},
                 {o->open != NULL, "open"},
                 {o->close != NULL, "close"},
                 {o->alloc != NULL, "alloc"},
                 {o->free != NULL, "free"},
                 {!o->host_alloc || o->host_free, "host_free"},
                 {!o->host_register || o->host_unregister, "host_unregister"},
                 {o->queue_new != NULL, "queue_new"},
                 {o->queue_free != NULL, "queue_free"},
                 {o->copy_in != NULL, "copy_in"},
                 {o->copy_out != NULL, "copy_out"},
                 {o->copy_within != NULL, "copy_within"},
                 {!o->reaches || o->copy_peer, "copy_peer"},
                 {!o->enter || o->leave, "leave"},
                 {o->event_new != NULL, "event_new"},
                 {o->event_free != NULL, "event_free"},
                 {o->record != NULL, "record"},
                 {o->wait != NULL, "wait"},
                 {o->event_ended != NULL, "event_ended"}};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (!calls[i].is_there) return calls[i].name;
    return NULL;
}

static void on_skip(void *user, const char *skip) {
    rule *r = user;
    (void)snprintf(r->skips[r->n_skips++], RIG_SKIP_WORDS, "%s", skip);
}

static void play_rule(rule *r, const df_device_conformance *of) {
    if (!of->ops || of->ops->struct_size < sizeof *of->ops) {
        (void)snprintf(r->wrong, sizeof r->wrong, "df_device_conformance.ops is %s",
                       of->ops ? "without its struct_size" : "NULL; set it to the kind's calls");
        return;
    }
    const char *name = missing(of->ops);
    if (name)
        (void)snprintf(r->wrong, sizeof r->wrong, "df_device_ops.%s is NULL", name);
    else
        r->is_kept = rig_play(of, r->test, on_skip, r, r->wrong);
}

int df_device_conformance_run(const df_device_conformance *suite) {
    static const int order[RULES] = {0, 1, 3, 4, 2, 5};
    rule tested[RULES];
    int n_broken = 0;
    /* What is shorter has perhaps no report that could be told. */
    if (!suite || suite->struct_size < sizeof *suite) return RULES;
    df_device_conformance of = *suite;
    if (of.limit == 0) of.limit = DEFAULT_LIMIT * (uint64_t)1000000000;
    if (of.devices == 0) of.devices = 1;
    if (of.memory == 0) of.memory = (size_t)64 << 20;
    memcpy(tested, rules, sizeof tested);
    for (int i = 0; i < RULES; i++) play_rule(&tested[order[i]], &of);
    for (int i = 0; i < RULES; i++) {
        rule *r = &tested[i];
        if (!r->is_kept) n_broken++;
        for (int s = 0; of.skipped && s < r->n_skips; s++) of.skipped(of.user, i + 1, r->skips[s]);
        if (of.report) of.report(of.user, i + 1, r->asks, r->is_kept ? NULL : r->wrong);
    }
    return n_broken;
}
