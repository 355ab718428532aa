/* SPDX-License-Identifier: MIT
 *
 * rendezvous_meeting.h - what the tests of the suite share: a rendezvous of the suite's
 * backend, its keys, and two simulated accelerators.
 */
#ifndef CONFORMANCE_RENDEZVOUS_MEETING_H
#define CONFORMANCE_RENDEZVOUS_MEETING_H

#include "conformance/rendezvous_suite.h"

#include "support/fault.h"
#include "unit/recv_world.h"
#include "unit/sim_world.h"

typedef struct meeting {
    const rendezvous_suite *suite;
    world w;
    step step;
    df_rendezvous *r;
    df_key *keys[RENDEZVOUS_SUITE_KEYS];
    bool is_sent[RENDEZVOUS_SUITE_KEYS], is_asked[RENDEZVOUS_SUITE_KEYS];
} meeting;

static inline void meeting_init(meeting *m, void **state) {
    memset(m, 0, sizeof *m);
    m->suite = *state;
    world_init(&m->w);
    step_init(&m->step);
    uint64_t plan = m->suite->plan;
    for (int i = 0; i < RENDEZVOUS_SUITE_KEYS; i++)
        m->keys[i] = test_key(i, plan, plan ? i : KEY_NO_CHANNEL);
    m->r = m->suite->make(m->suite, &m->w.heap.allocator, m->w.host,
                          m->suite->has_work ? &m->step.work : NULL);
    assert_non_null(m->r);
}

static inline void meeting_end(meeting *m) {
    df_rendezvous_unref(m->r);
    for (int i = 0; i < RENDEZVOUS_SUITE_KEYS; i++) df_key_free(m->keys[i]);
    world_end(&m->w);
}

/* Takes the tensor. The first of a key as the plan's own, if the suite says so. */
static inline df_code send_from(meeting *m, int k, const df_endpoint *from, df_tensor *t) {
    if (m->suite->is_planned && !m->is_sent[k]) {
        m->is_sent[k] = true;
        return rendezvous_send(m->r, m->keys[k], from, t);
    }
    df_code code = df_rendezvous_send(m->r, m->keys[k], from, t);
    df_tensor_unref(t);
    return code;
}

static inline df_code send_number(meeting *m, int k, int32_t value) {
    return send_from(m, k, &on_host, number(&m->w.heap.allocator, value));
}

static inline void prepare(meeting *m, got *g, int k, df_endpoint to) {
    got_init(g, m->keys[k], to);
    if (m->suite->is_planned && !m->is_asked[k]) rendezvous_mark_planned(&g->recv, NULL);
    m->is_asked[k] = true;
}

static inline void ask(meeting *m, got *g, int k) {
    prepare(m, g, k, on_host);
    df_rendezvous_recv(m->r, &g->recv);
}

#define RULE(suite, test)                                                                          \
    { #test, test, NULL, NULL, (void *)(uintptr_t)(suite) }

/* Of rules R9 and R10. */
int rendezvous_suite_run_moves(const rendezvous_suite *s);

#endif /* CONFORMANCE_RENDEZVOUS_MEETING_H */
