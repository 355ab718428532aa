/* SPDX-License-Identifier: MIT
 *
 * conformance.h - does a rendezvous of your own keep the rules?
 *
 * Here each of the rules R1 to R10 of rendezvous.h has a test, which sees the backend through the
 * public calls only. A program says how to make a rendezvous, and hears of each rule:
 *
 *     static df_rendezvous *make(void *user) { ... }
 *     static void report(void *user, int rule, const char *asks, const char *wrong) {
 *         printf("R%-2d  %s: %s\n", rule, asks, wrong ? wrong : "kept");
 *     }
 *     ...
 *     df_conformance suite = {.struct_size = sizeof suite, .make = make, .report = report};
 *     return df_conformance_run(&suite) != 0;
 *
 * Many of the tests are races: run them often, and under the address and the thread sanitizer,
 * which tell of a broken backend what no call can.
 *
 * The suite is a library of its own, dataflow_conformance, for tests alone.
 */
#ifndef DATAFLOW_CONFORMANCE_H
#define DATAFLOW_CONFORMANCE_H

#include <dataflow/rendezvous.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { DF_CONFORMANCE_RULES = 10 };

/* Flags of df_conformance: what a backend cannot do, although it keeps the rules. */
enum {
    /* It takes only tensors in host memory, and answers others with an error: R9 and R10 are then
     * tested with those. */
    DF_CONFORMANCE_HOST_ONLY = 1u,
    /* A tensor may be on its way for a while after its send has returned. A recv that is cancelled
     * meanwhile may then end with CANCELLED (R7), but the tensor must not be lost. */
    DF_CONFORMANCE_DELAYED = 2u
};

/* Every member but the first three may be left zero. */
typedef struct df_conformance {
    size_t struct_size; /* sizeof(df_conformance) */
    void *user;         /* passed through */

    /* A new rendezvous of the backend, of which the caller gets the one reference. Called very
     * often, once at a time, on threads of the suite. NULL fails the rule that is tested. */
    df_rendezvous *(*make)(void *user);

    uint32_t flags; /* DF_CONFORMANCE_... */

    /* ns until what has not happened counts as never. Generous, since the system may be busy: a
     * backend that is right never waits so long. 0: ten seconds. */
    uint64_t limit;

    /* Called once for each rule, in order, on the caller's thread. asks: the rule in a few words;
     * wrong: NULL, or what went wrong first. Both last for the call. */
    void (*report)(void *user, int rule, const char *asks, const char *wrong);
} df_conformance;

/* Tests every rule. Returns how many were broken: 0 is good.
 *
 * A string tensor may be refused with an error; anything else must arrive as it was sent. It need
 * not be the same tensor: what travels through files or a network is a copy.
 *
 * Blocking   for some seconds. A backend that keeps a call for ever, or never ends a recv, costs
 *            some limits more, but no more than that: the suite goes on without the threads
 *            that are stuck. These, and the memory that the backend may still touch, are given up
 *            and never freed; so the backend's code and what `user` points to must then stay.
 * Errors     every rule counts as broken without a make (`wrong` says so) or a struct_size. */
int df_conformance_run(const df_conformance *suite);

#ifdef __cplusplus
}
#endif

#endif /* DATAFLOW_CONFORMANCE_H */
