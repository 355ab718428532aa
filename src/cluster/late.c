/* SPDX-License-Identifier: MIT
 *
 * Runs that end before their parts have: at a deadline, by a cancel, with their session.
 */
#include "cluster/steps.h"

#include "base/clock.h"

/* ---- deadlines ---------------------------------------------------------------------------- */

static const uint64_t longest_nap = 5000000, shortest_nap = 200000; /* ns */

static void watch(master *m, uint64_t ns);

static cluster_run *late_run(master *m, uint64_t *next) {
    uint64_t now = clock_now();
    cluster_run *late = NULL;
    *next = UINT64_MAX;
    mutex_lock(&m->lock);
    for (cluster_run *r = m->runs; r && !late; r = r->next) {
        if (!r->deadline || r->is_told) continue;
        if (r->deadline <= now) late = r;
        if (r->deadline < *next) *next = r->deadline;
    }
    if (late) steps_ref(late);
    m->is_watched = late || *next != UINT64_MAX;
    mutex_unlock(&m->lock);
    return late;
}

/* In the words of a run within one process (run_end_late): by the first task that is not done. */
static void end_late(master *m, cluster_run *r) {
    df_error why;
    uint32_t i = 0;
    mutex_lock(&m->lock);
    bool has_begun = r->step != 0;
    while (i < r->n_shares && r->shares[i].has_answered) i++;
    mutex_unlock(&m->lock);
    const char *on = !has_begun        ? "its turn at the variables"
                     : i < r->n_shares ? m->cluster->names[r->shares[i].task]
                                       : "the decision of how it ends";
    (void)error_set(&why, DF_DEADLINE_EXCEEDED,
                    "the run's deadline has passed: give it more time. It waited for %s", on);
    (void)steps_end_early(r, &why);
}

/* The session is held while it is watched. */
static void timer_fired(df_timer *timer, bool is_closing) {
    master *m = timer->user;
    df_session *s = m->session;
    uint64_t next;
    for (cluster_run *r; (r = late_run(m, &next)) != NULL; steps_unref(r)) end_late(m, r);
    if (next != UINT64_MAX && !is_closing) {
        uint64_t now = clock_now(), left = next > now ? next - now : 0;
        watch(m, left < longest_nap ? left : longest_nap);
        return;
    }
    session_unref(s);
}

/* Engines do not take a timer back: naps are short, so that an earlier deadline is not missed. */
static void watch(master *m, uint64_t ns) {
    m->timer = (df_timer){.fired = timer_fired, .user = m};
    remote_after(m->cluster->remote, &m->timer, ns > shortest_nap ? ns : shortest_nap);
}

void steps_watch(master *m, uint64_t timeout) {
    mutex_lock(&m->lock);
    bool first = !m->is_watched;
    m->is_watched = true;
    mutex_unlock(&m->lock);
    if (!first) return;
    refcount_ref(&m->session->refs);
    watch(m, timeout < longest_nap ? timeout : longest_nap);
}

/* ---- all of a session ------------------------------------------------------------------------ */

enum { ANY_TASK = MOST };

static bool is_at(const cluster_run *r, uint32_t task) {
    for (uint32_t i = 0; r->is_begun && i < r->n_shares; i++)
        if (r->shares[i].task == task) return true;
    return task == ANY_TASK;
}

static cluster_run *next_to_end(master *m, const df_cancel *cancel, uint32_t task) {
    cluster_run *r = m->runs;
    while (r && (r->is_told || (cancel && r->cancel != cancel) || !is_at(r, task))) r = r->next;
    if (r) steps_ref(r);
    return r;
}

static void end_those(master *m, const df_cancel *cancel, uint32_t task, const df_error *why) {
    for (;;) {
        mutex_lock(&m->lock);
        cluster_run *r = next_to_end(m, cancel, task);
        mutex_unlock(&m->lock);
        if (!r) return;
        (void)steps_end_early(r, why);
        steps_unref(r);
    }
}

void steps_end(master *m, const df_cancel *cancel, const df_error *why) {
    end_those(m, cancel, ANY_TASK, why);
}

void steps_end_at(master *m, uint32_t task, const df_error *why) {
    end_those(m, NULL, task, why);
}

bool steps_await(master *m, uint64_t until) {
    mutex_lock(&m->lock);
    while (m->runs && clock_now() < until) condition_wait_until(&m->idle, &m->lock, until);
    bool none = !m->runs;
    mutex_unlock(&m->lock);
    return none;
}
