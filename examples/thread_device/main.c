/* SPDX-License-Identifier: MIT
 *
 * Does the kind of device in thread_device.c keep the rules? The conformance suite looks.
 */
#include "thread_device.h"

#include <dataflow/device_conformance.h>

#include <stdio.h>

static void lose(void *user, void *device) {
    (void)user;
    thread_device_lose(device);
}

static void report(void *user, int rule, const char *asks, const char *wrong) {
    (void)user;
    printf("D%d %s: %s\n", rule, asks, wrong ? wrong : "kept");
}

static void skipped(void *user, int rule, const char *why) {
    (void)user;
    printf("D%d left out: %s\n", rule, why);
}

int main(void) {
    const df_device_conformance suite = {.struct_size = sizeof suite,
                                         .ops = &thread_device_ops,
                                         .devices = 2,
                                         .report = report,
                                         .skipped = skipped,
                                         .lose = lose};
    return df_device_conformance_run(&suite) != 0;
}
