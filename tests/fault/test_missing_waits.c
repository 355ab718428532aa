/* SPDX-License-Identifier: MIT
 *
 * Each wait of one queue for another is needed: without it the simulated accelerator, which checks
 * the order of all work when that is put on a queue, refuses what comes too early, whatever the
 * timing. With all of them it finds nothing.
 */
#include <dataflow/dataflow.h>
#include <dataflow/sim.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { N = 300, LEGS = 7, MUTANTS = 20, TRIES = 48 };

static df_device_ops right;          /* SIM */
static _Atomic int n_waits, dropped; /* so far; the n-th is left out, 0: none */

/* Those that are nobody's are for memory that is used again, and may be longer than needed: for all
 * that was on the queue when it was given back. */
static df_code wait_or_not(void *queue, df_work *work, void *event, df_error *err) {
    if (!work) return right.wait(queue, work, event, err);
    if (atomic_fetch_add(&n_waits, 1) + 1 == atomic_load(&dropped)) return DF_OK;
    return right.wait(queue, work, event, err);
}

/* Before each event its queue takes a nap, so that the host goes on before it has ended. */
static df_host_function naps[256];
static _Atomic int n_naps;
static _Atomic long nap_ns;

static df_code nap(df_host_function *f, df_error *err) {
    (void)f;
    (void)err;
    (void)nanosleep(&(struct timespec){.tv_nsec = atomic_load(&nap_ns)}, NULL);
    return DF_OK;
}

static df_code record_late(void *queue, df_work *work, void *event, df_event_listener *listener,
                           df_error *err) {
    int i = atomic_fetch_add(&n_naps, 1) % (int)(sizeof naps / sizeof *naps);
    naps[i] = (df_host_function){.run = nap};
    df_code code = right.run(queue, NULL, &naps[i], err);
    return code == DF_OK ? right.record(queue, work, event, listener, err) : code;
}

/* A value that goes from device to device, as the seed says, and back to the host: each leg needs
 * what the one before makes, so no wait is there twice. */
static df_out travel(df_graph *g, df_out x, unsigned seed) {
    static const char *const devices[] = {"cpu:0", "sim:0", "sim:1"};
    unsigned at = 0;
    for (int i = 0; i < LEGS; i++) {
        at = (at + 1 + seed % 2) % 3;
        seed = seed / 2 + (seed % 2) * 64;
        df_graph_on(g, devices[at]);
        x = df_neg(g, x);
    }
    df_graph_on(g, "cpu:0");
    return df_neg(g, x);
}

static df_code run_once(df_program *p, df_error *err) {
    df_tensor *x = NULL, *y = NULL;
    assert_int_equal(df_tensor_new(NULL, DF_FLOAT32, DF_SHAPE(N), &x, NULL), DF_OK);
    for (int i = 0; i < N; i++) ((float *)df_tensor_data(x))[i] = (float)i;
    df_code code = df_program_run(p, DF_TENSORS(x), &y, NULL, err);
    for (int i = 0; code == DF_OK && i < N; i++)
        assert_true(((float *)df_tensor_data(y))[i] == (float)i);
    df_tensor_unref(x);
    df_tensor_unref(y);
    return code;
}

/* How it goes without the n-th wait. */
static df_code run_without(int n, unsigned seed, uint32_t flags, df_error *err) {
    const df_sim_options sim = {.struct_size = sizeof sim, .flags = flags};
    df_device_ops kind;
    df_sim_kind(&sim, &right);
    kind = right;
    kind.wait = wait_or_not;
    kind.record = record_late;
    const df_device_ops *kinds[] = {&kind};
    const df_runtime_options o = {
        .struct_size = sizeof o, .devices = "cpu:1,sim:2", .kinds = kinds, .n_kinds = 1};
    df_runtime *rt = NULL;
    df_session *session = NULL;
    df_program *p = NULL;
    atomic_store(&n_waits, 0);
    atomic_store(&dropped, n);
    assert_int_equal(df_runtime_new(&o, &rt, err), DF_OK);
    df_graph *g = df_graph_new(rt);
    df_out x = df_placeholder(g, NULL, DF_FLOAT32, DF_SHAPE(N)), y = travel(g, x, seed);
    assert_int_equal(df_session_new(g, NULL, &session, err), DF_OK);
    assert_int_equal(df_session_compile(session, DF_OUTS(x), DF_OUTS(y), NULL, &p, err), DF_OK);
    df_code code = run_once(p, err);
    df_program_free(p);
    df_session_free(session);
    df_graph_free(g);
    df_runtime_free(rt);
    return code;
}

static const uint32_t ways[] = {0, DF_SIM_NO_PEERS, DF_SIM_PINNED, DF_SIM_ASKED,
                                DF_SIM_NO_PEERS | DF_SIM_PINNED | DF_SIM_ASKED};
enum { WAYS = sizeof ways / sizeof *ways };

static void with_all_waits_nothing_is_found(void **state) {
    (void)state;
    for (int w = 0; w < WAYS; w++) {
        for (unsigned seed = 1; seed <= MUTANTS; seed++) {
            df_error err = {.code = DF_OK};
            if (run_without(0, seed, ways[w], &err) != DF_OK)
                fail_msg("way %u, seed %u: %s", ways[w], seed, err.message);
        }
    }
}

static void without_any_one_the_step_fails_and_says_what_came_too_early(void **state) {
    (void)state;
    for (int w = 0; w < WAYS; w++) {
        for (unsigned seed = 1; seed <= MUTANTS; seed++) {
            df_error err = {.code = DF_OK};
            df_code code = DF_OK;
            int n = 1;
            atomic_store(&nap_ns, 1000000);
            /* What the host has seen to end needs no wait: on a slow machine naps must be longer.
             */
            for (int tries = 0; code == DF_OK && tries < TRIES; tries++) {
                int waits = atomic_load(&n_waits);
                n = waits ? (int)seed % waits + 1 : 1;
                if (tries % 4 == 3) atomic_store(&nap_ns, atomic_load(&nap_ns) * 3 / 2);
                code = run_without(n, seed, ways[w], &err);
            }
            if (code != DF_FAILED_PRECONDITION || !strstr(err.message, "device:SIM:"))
                fail_msg("way %u, seed %u without wait %d: %d, %s", ways[w], seed, n, (int)code,
                         err.message);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_all_waits_nothing_is_found),
        cmocka_unit_test(without_any_one_the_step_fails_and_says_what_came_too_early),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
