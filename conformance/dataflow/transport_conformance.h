/* SPDX-License-Identifier: MIT
 *
 * transport_conformance.h - does an engine of your own keep the rules?
 *
 * Here each of the rules T1 to T10 of transport.h has a test, which sees the engine through its
 * df_transport_ops only. A program names it, and hears of each rule:
 *
 *     static void report(void *user, int rule, const char *asks, const char *wrong) {
 *         printf("T%-2d  %s: %s\n", rule, asks, wrong ? wrong : "kept");
 *     }
 *     ...
 *     df_transport_conformance suite = {.struct_size = sizeof suite, .ops = &my_ops,
 *                                       .address = "mine://127.0.0.1:0", .report = report};
 *     return df_transport_conformance_run(&suite) != 0;
 *
 * All endpoints are in the one process. What an engine does when another process is killed is for a
 * test of its own. Many of the tests are races: run them often, and under the address and the
 * thread sanitizer. As conformance.h, it is part of the library dataflow_conformance.
 */
#ifndef DATAFLOW_TRANSPORT_CONFORMANCE_H
#define DATAFLOW_TRANSPORT_CONFORMANCE_H

#include <dataflow/transport.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { DF_TRANSPORT_CONFORMANCE_RULES = 10 };

/* Every member but struct_size, ops and address may be left zero. */
typedef struct df_transport_conformance {
    size_t struct_size; /* sizeof(df_transport_conformance) */
    void *user;         /* passed through */
    const df_transport_ops *ops;
    /* Where each endpoint is opened, so one at which there is room for several: with port 0. */
    const char *address;

    uint64_t large; /* bytes of the largest payload; 0: 64 MiB */
    int parked;     /* how many requests stay without a reply at the same time; 0: 10,000 */
    /* ns until what has not happened counts as never. Generous, since the system may be busy: an
     * engine that is right never waits so long. 0: ten seconds. */
    uint64_t limit;

    /* Called once for each rule, in order, on the caller's thread. asks: the rule in a few words;
     * wrong: NULL, or what went wrong first. */
    void (*report)(void *user, int rule, const char *asks, const char *wrong);
    /* A part of the rule that could not be tested, and why. Before the rule's report. */
    void (*skipped)(void *user, int rule, const char *why);

    /* What the suite cannot do by the engine's calls. Each may be NULL; then what needs it is
     * skipped. */

    /* The endpoint at this address is gone, as if its process had been killed. It will be closed.
     */
    void (*kill)(void *user, const char *address);
    /* It takes what arrives and makes no upcall, as if its process had been stopped. It will be
     * closed. */
    void (*hang)(void *user, const char *address);
    /* ns of the engine's clock. NULL: the monotonic clock. */
    uint64_t (*now)(void *user);
} df_transport_conformance;

/* Tests every rule. Returns how many were broken: 0 is good.
 *
 * Blocking   for some seconds. An engine that keeps a call for ever, or never ends one, costs some
 *            limits more, but no more than that: the suite goes on without the threads that are
 *            stuck. These, and the memory that the engine may still touch, are given up and never
 *            freed; so the engine's code and what `user` points to must then stay.
 * Errors     every rule counts as broken without ops or an address, or where a call is missing
 *            (`wrong` says which), or without a struct_size. */
int df_transport_conformance_run(const df_transport_conformance *suite);

#ifdef __cplusplus
}
#endif

#endif /* DATAFLOW_TRANSPORT_CONFORMANCE_H */
