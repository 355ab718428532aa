/* SPDX-License-Identifier: MIT
 *
 * device_conformance.h - does a kind of device of your own keep the rules?
 *
 * Here each of the rules D1 to D6 of device_ops.h has a test, which sees the kind through its
 * df_device_ops only. A program names it, and hears of each rule:
 *
 *     static void report(void *user, int rule, const char *asks, const char *wrong) {
 *         printf("D%d  %s: %s\n", rule, asks, wrong ? wrong : "kept");
 *     }
 *     ...
 *     df_device_conformance suite = {
 *         .struct_size = sizeof suite, .ops = &my_device_ops, .devices = 2, .report = report};
 *     return df_device_conformance_run(&suite) != 0;
 *
 * Many of the tests are races: run them often, and under the address and the thread sanitizer.
 * As conformance.h, it is part of the library dataflow_conformance, for tests alone.
 */
#ifndef DATAFLOW_DEVICE_CONFORMANCE_H
#define DATAFLOW_DEVICE_CONFORMANCE_H

#include <dataflow/device_ops.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { DF_DEVICE_CONFORMANCE_RULES = 6 };

/* Every member but struct_size and ops may be left zero. */
typedef struct df_device_conformance {
    size_t struct_size; /* sizeof(df_device_conformance) */
    void *user;         /* passed through */
    const df_device_ops *ops;

    /* How many devices of the kind may be opened, from index 0. 0: one. What goes on between two
     * is tested if there are two. */
    int devices;
    /* Bytes of memory that each is opened with. 0: 64 MiB, and no less will do. */
    size_t memory;
    /* ns until what has not happened counts as never. Generous, since the system may be busy: a
     * kind that is right never waits so long. 0: ten seconds. */
    uint64_t limit;

    /* Called once for each rule, in order, on the caller's thread, when all have been tested.
     * asks: the rule in a few words; wrong: NULL, or what went wrong first. */
    void (*report)(void *user, int rule, const char *asks, const char *wrong);
    /* A part of the rule that could not be tested, and why: "copy_peer is NULL". Before the rule's
     * report. */
    void (*skipped)(void *user, int rule, const char *why);

    /* What the suite cannot do by the kind's calls. Each may be NULL; then what needs it is
     * skipped. Called on threads of the suite, one at a time. */

    /* Puts work on a queue that does not end until let_go. Needed where `run` is NULL. */
    df_code (*hold)(void *user, void *device, void *queue, df_error *err);
    void (*let_go)(void *user, void *device, void *queue);
    /* Puts work on a queue that fails when its turn comes. The device may then be lost; others,
     * and those that are opened later, must not be. Where `run` is NULL. */
    df_code (*fail)(void *user, void *device, void *queue, df_work *work, df_error *err);
    /* Has the device lost, while work is queued. It may be so when this returns, or soon after:
     * the first call that answers UNAVAILABLE tells. */
    void (*lose)(void *user, void *device);
} df_device_conformance;

/* Tests every rule. Returns how many were broken: 0 is good.
 *
 * Blocking   for some seconds. A kind that keeps a call for ever, or never ends an event, costs
 *            some limits more, but no more than that: the suite goes on without the threads that
 *            are stuck. These, and the memory that the kind may still touch, are given up and
 *            never freed; so the kind's code and what `user` points to must then stay.
 * Errors     every rule counts as broken without ops, or where a call is missing that must be there
 *            (`wrong` says which), or without a struct_size. */
int df_device_conformance_run(const df_device_conformance *suite);

#ifdef __cplusplus
}
#endif

#endif /* DATAFLOW_DEVICE_CONFORMANCE_H */
