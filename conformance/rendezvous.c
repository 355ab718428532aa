/* SPDX-License-Identifier: MIT
 *
 * The suite: one test for each rule, in order.
 */
#include "scene.h"

typedef struct rule {
    const char *asks;
    void (*test)(scene *s);
} rule;

static const rule rules[DF_CONFORMANCE_RULES] = {
    {"send never waits", scene_R1},
    {"the callback of a recv runs exactly once", scene_R2},
    {"it runs with no lock held, and may call send, recv and abort", scene_R3},
    {"tensors sent under one key arrive in the order sent", scene_R4},
    {"the first abort ends everything, and releases what nobody fetched", scene_R5},
    {"keys are compared whole", scene_R6},
    {"a cancel ends one recv, and loses no tensor", scene_R7},
    {"the last reference ends what still waits with CANCELLED", scene_R8},
    {"both endpoints reach the transfer", scene_R9},
    {"the receiver's endpoint decides what delivered means", scene_R10},
};

enum { DEFAULT_LIMIT = 10 }; /* seconds */

int df_conformance_run(const df_conformance *suite) {
    int n_broken = 0;
    /* What is shorter has perhaps no report that could be told. */
    if (!suite || suite->struct_size < sizeof *suite) return DF_CONFORMANCE_RULES;
    df_conformance of = *suite;
    if (of.limit == 0) of.limit = DEFAULT_LIMIT * (uint64_t)1000000000;
    for (int i = 0; i < DF_CONFORMANCE_RULES; i++) {
        char wrong[STAGE_WORDS] = "df_conformance.make is NULL; set it to what makes a rendezvous";
        bool is_kept = of.make && scene_play(&of, rules[i].test, wrong);
        if (!is_kept) n_broken++;
        if (of.report) of.report(of.user, i + 1, rules[i].asks, is_kept ? NULL : wrong);
    }
    return n_broken;
}
