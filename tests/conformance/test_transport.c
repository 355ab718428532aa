/* SPDX-License-Identifier: MIT
 *
 * Engines of transport, each of which keeps every rule. ctest runs this once for each:
 *
 *   test_transport ENGINE [--large BYTES] [--parked N] [--rounds N] [--seed S]
 *
 * mem: the network within the process, with threads of its own, and with a time of its own that a
 * thread of the test lets pass. Its links reorder what they carry.
 * grpc, grpc-tls: gRPC over loopback, in one process; with --certificates FOLDER for the second.
 * ucx: UCX over loopback, in one process.
 */
#include <dataflow/mem_transport.h>
#include <dataflow/transport_conformance.h>

#ifdef DATAFLOW_HAS_GRPC
#include <dataflow/grpc_transport.h>
#endif
#ifdef DATAFLOW_HAS_UCX
#include <dataflow/ucx_transport.h>
#endif

#include "support/credentials.h"
#include "support/scale.h"
#include "support/yield.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void on_report(void *user, int rule, const char *asks, const char *wrong) {
    (void)user;
    printf("  T%-2d  %s: %s\n", rule, asks, wrong ? wrong : "kept");
}

static void on_skip(void *user, int rule, const char *why) {
    (void)user;
    printf("  T%-2d  left out: %s\n", rule, why);
}

/* ---- mem --------------------------------------------------------------------------- */

static void mem_kill(void *user, const char *address) {
    (void)df_mem_network_fate(user, address, DF_MEM_KILLED, NULL);
}

static void mem_hang(void *user, const char *address) {
    (void)df_mem_network_fate(user, address, DF_MEM_HANGS, NULL);
}

static uint64_t mem_now(void *user) {
    return df_mem_network_now(user);
}

typedef struct pump {
    df_mem_network *net;
    atomic_bool ends;
} pump;

static void *pump_main(void *arg) {
    pump *p = arg;
    const struct timespec moment = {.tv_nsec = 20000};
    while (!p->ends)
        if (!df_mem_network_step(p->net)) (void)nanosleep(&moment, NULL);
    return NULL;
}

static int test_mem(df_transport_conformance suite, int threads, uint64_t seed) {
    const df_mem_options o = {
        .struct_size = sizeof o,
        .seed = seed,
        .link = {.latency = 5000, .jitter = 20000, .bytes_per_s = 20000000000u},
        .threads = threads};
    df_transport_ops ops;
    pump p = {.ends = false};
    pthread_t thread;
    if (df_mem_network_new(&o, &p.net, NULL) != DF_OK) return 1;
    df_mem_network_ops(p.net, &ops);
    suite.user = p.net;
    suite.ops = &ops;
    suite.address = "mem://suite:0";
    suite.kill = mem_kill;
    suite.hang = mem_hang;
    suite.now = mem_now;
    printf("mem, %d threads, seed %llu\n", threads, (unsigned long long)seed);
    if (!threads && pthread_create(&thread, NULL, pump_main, &p) != 0) return 1;
    int broken = df_transport_conformance_run(&suite);
    p.ends = true;
    if (!threads) (void)pthread_join(thread, NULL);
    if (!broken) df_mem_network_free(p.net); /* else something is perhaps in use */
    return broken;
}

/* ---- grpc -------------------------------------------------------------------------- */

#ifdef DATAFLOW_HAS_GRPC
static int test_grpc(df_transport_conformance suite, const char *folder) {
    /* A machine that stands still for seconds is no peer that is gone. */
    df_grpc_options o = {.struct_size = sizeof o, .keepalive_timeout = 60 * (uint64_t)1000000000};
    credentials mine = {.ca = NULL};
    df_grpc_engine *engine;
    df_transport_ops ops;
    if (folder && !credentials_read(&mine, folder, "ca", "worker-0")) return 1;
    o.certificate = mine.certificate;
    o.key = mine.key;
    o.ca = mine.ca;
    if (df_grpc_engine_new(&o, &engine, NULL) != DF_OK) return 1;
    credentials_free(&mine);
    df_grpc_engine_ops(engine, &ops);
    suite.ops = &ops;
    suite.address = "grpc://127.0.0.1:0";
    printf("grpc%s\n", folder ? ", TLS" : "");
    int broken = df_transport_conformance_run(&suite);
    if (!broken) df_grpc_engine_free(engine);
    return broken;
}
#endif

/* ---- ucx --------------------------------------------------------------------------- */

#ifdef DATAFLOW_HAS_UCX
static int test_ucx(df_transport_conformance suite) {
    const df_ucx_options o = {.struct_size = sizeof o};
    df_ucx_engine *engine;
    df_transport_ops ops;
    if (df_ucx_engine_new(&o, &engine, NULL) != DF_OK) return 1;
    df_ucx_engine_ops(engine, &ops);
    suite.ops = &ops;
    suite.address = "ucx://127.0.0.1:0";
    printf("ucx\n");
    int broken = df_transport_conformance_run(&suite);
    if (!broken) df_ucx_engine_free(engine);
    return broken;
}
#endif

static int test_engine(const char *name, df_transport_conformance suite, const char *folder,
                       uint64_t seed) {
    int broken = 0;
    bool is_mem = strcmp(name, "mem") == 0;
    for (int threads = 0; is_mem && threads <= 3; threads += 1 + threads)
        broken += test_mem(suite, threads, seed);
    (void)folder;
#ifdef DATAFLOW_HAS_GRPC
    if (strcmp(name, "grpc") == 0) broken = test_grpc(suite, NULL);
    if (strcmp(name, "grpc-tls") == 0) broken = test_grpc(suite, folder);
#endif
#ifdef DATAFLOW_HAS_UCX
    if (strcmp(name, "ucx") == 0) broken = test_ucx(suite);
#endif
    return broken;
}

static bool is_engine(const char *name) {
    static const char *const names[] = {
        "mem",
#ifdef DATAFLOW_HAS_GRPC
        "grpc",
        "grpc-tls",
#endif
#ifdef DATAFLOW_HAS_UCX
        "ucx",
#endif
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0) return true;
    return false;
}

int main(int argc, char **argv) {
    uint64_t rounds = 1, seed = 1;
    df_transport_conformance suite = {.struct_size = sizeof suite,
                                      .large = test_scaled((size_t)64 << 20),
                                      .parked = (int)test_scaled(10000),
                                      .limit = UINT64_C(30000000000),
                                      .report = on_report,
                                      .skipped = on_skip};
    const char *folder = NULL;
    if (argc < 2 || !is_engine(argv[1])) {
        (void)fprintf(stderr, "test_transport ENGINE [--large BYTES] [--parked N] [--rounds N]\n");
        return 2;
    }
    for (int i = 2; i + 1 < argc; i += 2) {
        uint64_t n = strtoull(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--large") == 0) suite.large = n;
        if (strcmp(argv[i], "--parked") == 0) suite.parked = (int)n;
        if (strcmp(argv[i], "--rounds") == 0) rounds = n;
        if (strcmp(argv[i], "--seed") == 0) seed = n;
        if (strcmp(argv[i], "--certificates") == 0) folder = argv[i + 1];
    }
    char words[24];
    (void)snprintf(words, sizeof words, "%llu", (unsigned long long)seed);
    (void)yield_install(2, (char *[]){argv[0], words});
    int broken = 0;
    for (uint64_t end = seed + rounds; seed < end; seed++)
        broken += test_engine(argv[1], suite, folder, seed);
    printf("%d rules broken\n", broken);
    return broken != 0;
}
