/* SPDX-License-Identifier: MIT
 *
 * A thousand processes, on a network within this one and in its time: what one step costs in
 * messages grows with the edges that cross, and with nothing else.
 *
 * Worker i sends to those 1, 2, 4, ... 64 behind it.
 */
#include "unit/recv_world.h" /* before what has types of its parameters' names */

#include "rendezvous/remote_parts.h"

#include <dataflow/dataflow.h>
#include <dataflow/mem_transport.h>

#include "session/runtime.h"

#include <stdlib.h>

enum { WORKERS = 1000, JUMPS = 7, FAR = 65, MS = 1000000, NAME = 24 };

typedef struct worker {
    remote *r;
    remote_session *s;
    remote_program *p;
    df_rendezvous *step;
    remote_edge edges[2 * JUMPS]; /* to it, then from it */
    df_recv recvs[JUMPS];
    int n, in;
} worker;

static df_transport_ops mem;
static uint64_t messages;
static int arrived;

static void count_call(void *peer, df_call *call) {
    messages++;
    mem.call(peer, call);
}

static void nothing(void *owner) {
    (void)owner;
}

static void end_recv(df_recv *r, const df_error *err, df_tensor *t) {
    (void)r;
    assert_null(err);
    arrived++;
    df_tensor_unref(t);
}

static uint64_t incarnation_of(int i) {
    return (uint64_t)i + 1000;
}

/* It calls those before it, and knows those behind it up to the last that calls it. */
static void open_worker(worker *all, int i, df_runtime *rt, const df_transport_ops *ops,
                        const char *const *names, const char *const *all_addresses) {
    worker *w = &all[i];
    const char *addresses[WORKERS + 1] = {NULL};
    for (int j = 1; j <= i; j *= 2) addresses[i - j] = all_addresses[i - j];
    const remote_options o = {.alloc = rt->alloc,
                              .host = rt->host,
                              .cpu = rt->devices[rt->client],
                              .engine = ops,
                              .address = all_addresses[i],
                              .cluster = 1,
                              .incarnation = incarnation_of(i),
                              .self = (uint32_t)i,
                              .n_peers = (uint32_t)(i + FAR < WORKERS ? i + FAR : WORKERS),
                              .names = names,
                              .addresses = addresses,
                              .heartbeat = 1000 * (uint64_t)MS,
                              .misses = 3,
                              .budget = 1 << 20};
    df_error err;
    if (remote_new(&o, &w->r, &err) != DF_OK) fail_msg("%s", err.message);
    for (int j = 1; j < 1 << JUMPS; j *= 2) {
        if (i >= j) remote_peer_is(remote_peer_at(w->r, (uint32_t)(i - j)), incarnation_of(i - j));
        if (i + j < WORKERS)
            remote_peer_is(remote_peer_at(w->r, (uint32_t)(i + j)), incarnation_of(i + j));
    }
    assert_int_equal(remote_session_open(w->r, 1, &w->s, &err), DF_OK);
    const remote_program_options po = {1, w->edges, (size_t)w->n, nothing, nothing, NULL};
    assert_int_equal(remote_program_new(w->r, &po, &w->p, &err), DF_OK);
}

static void add_edge(worker *w, int number, int32_t peer) {
    df_key *key = test_key(number, 1, w->n);
    w->edges[w->n] = (remote_edge){key, DF_INT32, DF_SCALAR, peer, peer == REMOTE_NONE};
    w->n++;
}

static void add_edges(worker *all, int *n_edges) {
    for (int i = 0; i < WORKERS; i++)
        for (int j = 1; j < 1 << JUMPS && j <= i; j *= 2) {
            add_edge(&all[i], *n_edges, i - j);
            all[i].in++;
            *n_edges += 1;
        }
    for (int i = 0, number = 0; i < WORKERS; i++)
        for (int j = 1; j < 1 << JUMPS && j <= i; j *= 2, number++)
            add_edge(&all[i - j], number, REMOTE_NONE);
}

static void play_step(worker *all, uint64_t step) {
    for (int i = 0; i < WORKERS; i++) {
        worker *w = &all[i];
        assert_int_equal(remote_step_open(w->s, step, step - 1, w->p, &w->step, NULL), DF_OK);
        for (int k = 0; k < w->in; k++) {
            w->recvs[k] = (df_recv){.key = w->edges[k].key, .to = on_host, .done = end_recv};
            rendezvous_mark_planned(&w->recvs[k], NULL);
            df_rendezvous_recv(w->step, &w->recvs[k]);
        }
        for (int k = w->in; k < w->n; k++)
            assert_int_equal(rendezvous_send(w->step, w->edges[k].key, &on_host, number(NULL, i)),
                             DF_OK);
    }
}

static void end_step(worker *all, uint64_t step) {
    for (int i = 0; i < WORKERS; i++) {
        remote_step_close(all[i].s, step, step);
        df_rendezvous_unref(all[i].step);
    }
}

static void close_worker(worker *w) {
    df_error why;
    (void)error_set(&why, DF_CANCELLED, "the test is over");
    remote_session_close(w->s, &why);
    remote_close(w->r);
    remote_program_free(w->p);
    remote_unref(w->r);
    for (int k = 0; k < w->n; k++) df_key_free((df_key *)(uintptr_t)w->edges[k].key);
}

static void a_steps_messages_are_its_edges(void **state) {
    (void)state;
    static char words[2][WORKERS][NAME];
    static const char *names[WORKERS], *addresses[WORKERS];
    worker *all = calloc(WORKERS, sizeof *all);
    df_mem_network *net;
    df_runtime *rt;
    int n_edges = 0;
    const df_mem_options mo = {.struct_size = sizeof mo};
    const df_runtime_options ro = {.struct_size = sizeof ro};
    assert_non_null(all);
    assert_int_equal(df_mem_network_new(&mo, &net, NULL), DF_OK);
    assert_int_equal(df_runtime_new(&ro, &rt, NULL), DF_OK);
    df_mem_network_ops(net, &mem);
    df_transport_ops ops = mem;
    ops.call = count_call;
    for (int i = 0; i < WORKERS; i++) {
        (void)snprintf(words[0][i], NAME, "/job:w/task:%d", i);
        (void)snprintf(words[1][i], NAME, "mem://%d", i);
        names[i] = words[0][i];
        addresses[i] = words[1][i];
    }
    add_edges(all, &n_edges);
    for (int i = 0; i < WORKERS; i++) open_worker(all, i, rt, &ops, names, addresses);
    for (uint64_t step = 1; step <= 3; step++) {
        uint64_t before = messages, from = df_mem_network_now(net);
        arrived = 0;
        play_step(all, step);
        while (arrived < n_edges && df_mem_network_step(net)) continue;
        assert_int_equal(arrived, n_edges);
        assert_int_equal(messages - before, n_edges); /* a fetch each, and its reply */
        print_message("%d workers, %d edges: %d fetches, %d us\n", WORKERS, n_edges,
                      (int)(messages - before), (int)((df_mem_network_now(net) - from) / 1000));
        end_step(all, step);
    }
    for (int i = 0; i < WORKERS; i++) close_worker(&all[i]);
    free(all);
    df_runtime_free(rt);
    df_mem_network_free(net);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_steps_messages_are_its_edges)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
