/* SPDX-License-Identifier: MIT
 *
 * The rules of the suite that need devices: both endpoints reach the transfer, and the
 * receiver's says what delivered means.
 */
#include "conformance/rendezvous_meeting.h"

static void R1_send_returns_although_a_device_is_held(void **state) {
    meeting m;
    gate held;
    got g;
    meeting_init(&m, state);
    df_device *d = m.w.d[0];
    const df_endpoint from = {.device = d, .queue = d->queue};
    gate_shut(&held, d);
    ask(&m, &g, 0);

    assert_int_equal(send_from(&m, 0, &from, bytes_in(&m.w, d->mem, 256)), DF_OK);

    assert_int_equal(got_calls(&g), 0);
    gate_open(&held);
    got_wait(&g);
    assert_int_equal(g.code, DF_OK);
    got_fini(&g);
    meeting_end(&m);
    gate_fini(&held);
}

/* ---- R9, R10 ------------------------------------------------------------- */

static void R9_a_host_tensor_is_wanted_on_a_device_and_back(void **state) {
    meeting m;
    got there, back;
    meeting_init(&m, state);
    df_device *d = m.w.d[0];
    const df_endpoint on_device = {.device = d, .queue = d->queue};
    const df_endpoint next_to_it = {.device = d, .memory = DF_MEMORY_HOST};
    prepare(&m, &there, 0, on_device);
    df_rendezvous_recv(m.r, &there.recv);
    (void)send_from(&m, 0, &on_host, host_bytes(&m.w, 1000, 3));
    got_wait(&there);
    assert_int_equal(there.code, DF_OK);
    assert_false(df_tensor_is_host(there.tensor));
    prepare(&m, &back, 1, next_to_it);

    (void)send_from(&m, 1, &on_device, df_tensor_ref(there.tensor));
    df_rendezvous_recv(m.r, &back.recv);
    got_wait(&back);

    assert_int_equal(back.code, DF_OK);
    assert_true(df_tensor_is_host(back.tensor));
    assert_true(bytes_are(back.tensor, 1000, 3));
    got_fini(&there);
    got_fini(&back);
    meeting_end(&m);
}

static void R9_a_tensor_goes_from_device_to_device(void **state) {
    meeting m;
    got there, back;
    step s;
    meeting_init(&m, state);
    step_init(&s);
    df_device *a = m.w.d[0], *b = m.w.d[1];
    const df_endpoint from = {.device = a, .queue = a->queue};
    const df_endpoint to = {.device = b, .queue = b->queue};
    df_tensor *host = host_bytes(&m.w, 5000, 1), *t = bytes_in(&m.w, a->mem, 5000);
    copy_in(a, &s, t, host);
    df_tensor_unref(host);
    prepare(&m, &there, 0, to);
    df_rendezvous_recv(m.r, &there.recv);

    (void)send_from(&m, 0, &from, t);
    got_wait(&there);

    assert_int_equal(there.code, DF_OK);
    prepare(&m, &back, 1, on_host);
    df_rendezvous_recv(m.r, &back.recv);
    (void)send_from(&m, 1, &to, df_tensor_ref(there.tensor));
    got_wait(&back);
    assert_int_equal(back.code, DF_OK);
    assert_true(bytes_are(back.tensor, 5000, 1));
    got_fini(&there);
    got_fini(&back);
    assert_true(join(a, &s, NULL));
    meeting_end(&m);
}

static void R10_for_the_host_the_tensor_is_ready_when_done_runs(void **state) {
    meeting m;
    got g;
    gate held;
    step s;
    meeting_init(&m, state);
    step_init(&s);
    df_device *d = m.w.d[0];
    const df_endpoint from = {.device = d, .queue = d->queue};
    df_tensor *host = host_bytes(&m.w, 300, 9), *t = bytes_in(&m.w, d->mem, 300);
    gate_shut(&held, d);
    copy_in(d, &s, t, host);
    df_tensor_unref(host);
    ask(&m, &g, 0);
    (void)send_from(&m, 0, &from, t);
    assert_int_equal(got_calls(&g), 0);

    gate_open(&held);
    got_wait(&g);

    assert_int_equal(g.code, DF_OK);
    assert_true(bytes_are(g.tensor, 300, 9));
    got_fini(&g);
    assert_true(join(d, &s, NULL));
    meeting_end(&m);
    gate_fini(&held);
}

static void R10_an_order_alone_is_delivered_to_the_host_after_the_work(void **state) {
    meeting m;
    got g;
    gate held;
    meeting_init(&m, state);
    df_device *d = m.w.d[0];
    const df_endpoint from = {.device = d, .queue = d->queue, .memory = DF_MEMORY_HOST};
    gate_shut(&held, d);
    (void)send_from(&m, 0, &from, bytes_in(&m.w, m.w.host, 0));
    ask(&m, &g, 0);
    assert_int_equal(got_calls(&g), 0);

    gate_open(&held);
    got_wait(&g);

    assert_int_equal(g.code, DF_OK);
    assert_int_equal(df_tensor_elements(g.tensor), 0);
    got_fini(&g);
    meeting_end(&m);
    gate_fini(&held);
}

/* Outside of a step the library may wait for the work, since nobody else would
 * hear of its failure. */
static void R10_for_a_queue_the_work_is_enqueued_when_done_runs(void **state) {
    meeting m;
    got g;
    gate held;
    meeting_init(&m, state);
    df_device *d = m.w.d[0];
    const df_endpoint to = {.device = d, .queue = d->queue};
    gate_shut(&held, d);
    (void)send_from(&m, 0, &on_host, host_bytes(&m.w, 300, 9));
    prepare(&m, &g, 0, to);

    df_rendezvous_recv(m.r, &g.recv);
    if (m.suite->has_work) assert_int_equal(got_calls(&g), 1);

    gate_open(&held);
    got_wait(&g);
    df_tensor *host = bytes_in(&m.w, m.w.host, 300);
    copy_out(d, &m.step, host, g.tensor);
    assert_true(join(d, &m.step, NULL));
    assert_true(bytes_are(host, 300, 9));
    df_tensor_unref(host);
    got_fini(&g);
    meeting_end(&m);
    gate_fini(&held);
}

int rendezvous_suite_run_moves(const rendezvous_suite *s) {
    const struct CMUnitTest tests[] = {
        RULE(s, R1_send_returns_although_a_device_is_held),
        RULE(s, R9_a_host_tensor_is_wanted_on_a_device_and_back),
        RULE(s, R9_a_tensor_goes_from_device_to_device),
        RULE(s, R10_for_the_host_the_tensor_is_ready_when_done_runs),
        RULE(s, R10_an_order_alone_is_delivered_to_the_host_after_the_work),
        RULE(s, R10_for_a_queue_the_work_is_enqueued_when_done_runs),
    };
    return cmocka_run_group_tests_name(s->name, tests, NULL, NULL);
}
