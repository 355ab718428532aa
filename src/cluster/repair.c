/* SPDX-License-Identifier: MIT
 *
 * Tasks that come back.
 *
 * A task that did not answer is greeted again before a run needs it. If it is the same process, it
 * was only out of reach, and is told what it has not heard: decisions first of all, for which its
 * variables wait; and programs, of which it keeps those that it has. If it does not know the
 * session it gets that and its programs anew, and the others are told; but what its variables were
 * is lost, and then no run that needs the task goes on.
 *
 * It is looked after before the next run that needs it, and at once if it has missed a decision. If
 * that fails, the runs that need it end: they may wait there for what was decided.
 */
#include "cluster/steps.h"

#include <string.h>

static void break_task(master *m, uint32_t task) {
    mutex_lock(&m->lock);
    m->is_broken[task] = true;
    mutex_unlock(&m->lock);
}

void repair_note(master *m, uint32_t task, df_code code) {
    if (code == DF_UNAVAILABLE || code == DF_ABORTED) break_task(m, task);
}

/* ---- one task ----------------------------------------------------------------- */

static df_code variables_lost(const master *m, uint32_t task, df_error *err) {
    const df_session *s = m->session;
    for (uint32_t v = 0; v < s->n_variables; v++)
        if (m->task_of[s->variables[v].device] == task)
            return error_set(
                err, DF_FAILED_PRECONDITION,
                "%s has lost the session: it was restarted, or took this task for dead. "
                "The value of variable %s, which it had, is gone with it: "
                "make a new session",
                m->cluster->names[task], s->variables[v].name);
    return DF_OK;
}

/* One question, and its answer. */
static df_code ask_and_wait(master *m, opening *o, df_error *err) {
    df_code code = ask_await(&o->asking, o->qs, 1, m->cluster->o.timeout, err);
    df_tensor_unref(o->qs[0].answer);
    o->qs[0] = (question){.number = o->qs[0].number};
    return code;
}

/* A message about the session, and what goes behind its number. */
static df_code ask_plainly(master *m, opening *o, wire_out *w, df_error *err) {
    ask(&o->asking, &o->qs[0], w, (df_segments){NULL, 0});
    return ask_and_wait(m, o, err);
}

static wire_out about_session(master *m, opening *o, uint32_t task, unsigned kind) {
    wire_out w = ask_begin(&o->qs[0], m, task, kind);
    wire_put(&w, m->id, 8);
    return w;
}

static df_code meet(master *m, opening *o, uint32_t task, df_error *err) {
    wire_out w = about_session(m, o, task, KIND_MEET);
    master_put_incarnations(m, &w);
    return ask_plainly(m, o, &w, err);
}

/* It may have got half of it, when it was last tried. */
static df_code take_session(master *m, opening *o, uint32_t task, df_error *err) {
    df_error why;
    (void)error_set(&why, DF_ABORTED, "the session begins anew");
    wire_out w = about_session(m, o, task, KIND_CLOSE);
    wire_put_error(&w, &why);
    return ask_plainly(m, o, &w, err);
}

static df_code give_session(master *m, opening *o, uint32_t task, df_error *err) {
    text_init(&o->words[0], m->cluster->rt->alloc);
    df_code code =
        master_open_part(m, &o->asking, &o->qs[0], task, NULL, &o->packs[0], &o->words[0], err);
    if (code == DF_OK) code = ask_and_wait(m, o, err);
    text_fini(&o->words[0]);
    pack_free(&o->packs[0]);
    return code;
}

/* The next that is not among those that were; held. */
static cluster_program *next_program(master *m, uint64_t after) {
    cluster_program *next;
    mutex_lock(&m->lock);
    do {
        next = NULL;
        for (cluster_program *p = m->programs; p; p = p->next)
            if (p->id > after && (!next || p->id < next->id)) next = p;
        if (next) after = next->id;
    } while (next && !refcount_try(&next->head.refs)); /* it is being freed */
    mutex_unlock(&m->lock);
    return next;
}

static df_code give_programs(master *m, opening *o, uint32_t task, df_error *err) {
    df_code code = DF_OK;
    uint64_t at = 0;
    for (cluster_program *p; code == DF_OK && (p = next_program(m, at)) != NULL;) {
        at = p->id;
        for (uint32_t i = 0; code == DF_OK && i < p->n_parts; i++) {
            if (p->parts[i].task != task) continue;
            code = programs_hand_out(p, &p->parts[i], &o->asking, &o->qs[0], &o->words[0], err);
            if (code == DF_OK) code = ask_and_wait(m, o, err);
            text_fini(&o->words[0]);
        }
        program_release(p);
    }
    return code;
}

static df_code tell_decisions(master *m, opening *o, uint32_t task, df_error *err) {
    df_code code = DF_OK;
    for (share *s; code == DF_OK && (s = steps_untold(m, task)) != NULL;) {
        wire_out w = about_session(m, o, task, KIND_DECIDE);
        wire_put(&w, s->run->step, 8);
        steps_put_decision(s->run, 0, &w);
        code = ask_plainly(m, o, &w, err);
        if (code == DF_OK) steps_told(m, s);
    }
    return code;
}

/* It knows nothing of the session any more: it was restarted, or took this task for dead. */
static df_code begin_anew(master *m, opening *o, uint32_t task, df_error *err) {
    for (share *s; (s = steps_untold(m, task)) != NULL;) steps_told(m, s);
    df_code code = variables_lost(m, task, err);
    if (code == DF_OK) code = take_session(m, o, task, err);
    if (code == DF_OK) code = give_session(m, o, task, err);
    if (code == DF_OK) code = give_programs(m, o, task, err);
    for (uint32_t t = 0; code == DF_OK && t < m->n_tasks; t++)
        if (t != task && master_asks(m, t) && meet(m, o, t, NULL) != DF_OK) break_task(m, t);
    return code;
}

static df_code mend(master *m, opening *o, uint32_t task, df_error *err) {
    df_error why;
    master_greet(m, &o->asking, &o->qs[0], task);
    df_code code = ask_and_wait(m, o, &why);
    uint64_t incarnation = o->qs[0].number;
    if (code == DF_OK) remote_peer_is(remote_peer_at(m->cluster->remote, task), incarnation);
    bool is_same = code == DF_OK && incarnation == m->incarnations[task];
    if (is_same) code = meet(m, o, task, &why);
    if (is_same && code == DF_OK) code = tell_decisions(m, o, task, &why);
    if (is_same && code == DF_OK) code = give_programs(m, o, task, &why);
    if (code == DF_OK ? !is_same : is_same && code == DF_ABORTED) {
        m->incarnations[task] = 0; /* until it has all: it may be interrupted in between */
        code = begin_anew(m, o, task, &why);
        if (code == DF_OK) m->incarnations[task] = incarnation;
    }
    if (code != DF_OK) *err = why;
    return code;
}

/* ---- all of them ---------------------------------------------------------------- */

static df_code mend_task(master *m, uint32_t task, df_error *err) {
    const df_allocator *alloc = m->cluster->rt->alloc;
    opening *o = alloc_zeroed(alloc, sizeof *o);
    if (!o || !asking_init(&o->asking)) {
        alloc_free(alloc, o, sizeof *o);
        return error_memory(err, "a task that comes back");
    }
    df_code code = mend(m, o, task, err);
    asking_fini(&o->asking);
    alloc_free(alloc, o, sizeof *o);
    return code;
}

/* Gives the runs that have waited. */
static cluster_run *end_locked(master *m, const df_error *why) {
    cluster_run *list = m->to_begin;
    m->to_begin = NULL;
    m->repairs = false;
    m->why = *why;
    condition_broadcast(&m->idle);
    return list;
}

/* One that was not tried in vain. If there is none it is the end, with the runs that have waited.
 */
static bool next_broken(master *m, const bool *failed, uint32_t *task, const df_error *why,
                        cluster_run **waited) {
    mutex_lock(&m->lock);
    for (*task = 0; *task < m->n_tasks; ++*task)
        if (m->is_broken[*task] && !failed[*task]) break;
    bool any = *task < m->n_tasks;
    if (!any) *waited = end_locked(m, why);
    mutex_unlock(&m->lock);
    return any;
}

/* Unless it has missed something since. */
static void is_mended(master *m, uint32_t task) {
    mutex_lock(&m->lock);
    m->is_broken[task] = steps_untold_locked(m, task) != NULL;
    mutex_unlock(&m->lock);
}

static bool needs(const cluster_program *p, const bool *broken) {
    for (uint32_t i = 0; i < p->n_parts; i++)
        if (broken[p->parts[i].task]) return true;
    return false;
}

static void resume(master *m, cluster_run *list, const df_error *why) {
    while (list) {
        cluster_run *r = list;
        list = r->next_to_begin;
        mutex_lock(&m->lock);
        bool still = why && needs(r->p, m->is_broken);
        mutex_unlock(&m->lock);
        steps_resume(r, still ? why : NULL);
    }
}

/* Nobody waits for tasks that do not answer, once nothing is asked of them. */
static df_code check_stays(df_cluster *c, df_error *err) {
    mutex_lock(&c->lock);
    bool leaving = c->leaving;
    mutex_unlock(&c->lock);
    return leaving ? error_left(err, c) : DF_OK;
}

/* The mender's. */
static void repair(clerk_job *job) {
    master *m = (master *)(void *)((char *)job - offsetof(master, repair));
    df_session *session = m->session;
    df_error why = {.code = DF_OK}, err;
    bool failed[MOST] = {false};
    cluster_run *waited = NULL;
    for (uint32_t t; next_broken(m, failed, &t, &why, &waited);) {
        failed[t] = check_stays(m->cluster, &err) != DF_OK || mend_task(m, t, &err) != DF_OK;
        if (failed[t]) {
            if (why.code == DF_OK) why = err;
            steps_end_at(m, t, &err);
        } else {
            is_mended(m, t);
        }
    }
    resume(m, waited, why.code == DF_OK ? NULL : &why);
    session_unref(session);
}

void repair_post(master *m) {
    df_cluster *c = m->cluster;
    df_error why;
    m->repair.work = repair;
    refcount_ref(&m->session->refs);
    if (clerk_post(&c->mender, &m->repair)) return;
    (void)error_left(&why, c);
    mutex_lock(&m->lock);
    cluster_run *waited = end_locked(m, &why);
    mutex_unlock(&m->lock);
    resume(m, waited, &why);
    session_unref(m->session);
}

void repair_now(master *m, uint32_t task) {
    mutex_lock(&m->lock);
    m->is_broken[task] = true;
    bool first = !m->repairs;
    m->repairs = true;
    mutex_unlock(&m->lock);
    if (first) repair_post(m);
}

df_code repair_await(cluster_program *p, df_error *err) {
    master *m = p->master;
    mutex_lock(&m->lock);
    bool first = !m->repairs;
    m->repairs = true;
    mutex_unlock(&m->lock);
    if (first) repair_post(m);
    mutex_lock(&m->lock);
    while (m->repairs) condition_wait(&m->idle, &m->lock);
    df_code code = needs(p, m->is_broken) ? m->why.code : DF_OK;
    if (code != DF_OK && err) *err = m->why;
    mutex_unlock(&m->lock);
    return code;
}

bool repair_first_locked(master *m, cluster_run *r, bool *posts) {
    if (!needs(r->p, m->is_broken)) return false;
    *posts = !m->repairs;
    m->repairs = true;
    steps_ref(r);
    r->next_to_begin = m->to_begin;
    m->to_begin = r;
    return true;
}
