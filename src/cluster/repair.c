/* SPDX-License-Identifier: MIT
 *
 * Tasks that come back.
 *
 * A task that did not answer is greeted again before a run needs it. If it is the same process, it
 * was only out of reach. If it is a new one it gets the session and its programs anew, and the
 * others are told; but what its variables were is lost, and then no run that needs the task goes
 * on.
 */
#include "cluster/steps.h"

#include <string.h>

void repair_note(master *m, uint32_t task, const df_error *err) {
    if (err->code != DF_UNAVAILABLE && err->code != DF_ABORTED) return;
    mutex_lock(&m->lock);
    m->is_broken[task] = true;
    mutex_unlock(&m->lock);
}

/* ---- one task ----------------------------------------------------------------- */

static df_code variables_lost(const master *m, uint32_t task, df_error *err) {
    const df_session *s = m->session;
    for (uint32_t v = 0; v < s->n_variables; v++)
        if (m->task_of[s->variables[v].device] == task)
            return error_set(
                err, DF_FAILED_PRECONDITION,
                "%s was restarted, and the value of variable %s, which it had, is lost: "
                "make a new session",
                m->cluster->names[task], s->variables[v].name);
    return DF_OK;
}

/* One question, and its answer. */
static df_code ask_and_wait(master *m, opening *o, df_error *err) {
    df_code code = ask_await(&o->asking, o->qs, 1, m->cluster->o.timeout, err);
    df_tensor_unref(o->qs[0].answer);
    o->qs[0] = (question){.answer = NULL};
    return code;
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

static df_code meet(master *m, opening *o, uint32_t other, df_error *err) {
    wire_out w = ask_begin(&o->qs[0], m, other, KIND_MEET);
    wire_put(&w, m->id, 8);
    master_put_incarnations(m, &w);
    ask(&o->asking, &o->qs[0], &w, (df_segments){NULL, 0});
    return ask_and_wait(m, o, err);
}

/* The next that is not among those that were; held. */
static cluster_program *next_program(master *m, uint64_t after) {
    cluster_program *next = NULL;
    mutex_lock(&m->lock);
    for (cluster_program *p = m->programs; p; p = p->next)
        if (p->id > after && (!next || p->id < next->id)) next = p;
    if (next && !refcount_try(&next->head.refs)) next = NULL;
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

static df_code mend(master *m, opening *o, uint32_t task, df_error *err) {
    df_cluster *c = m->cluster;
    master_greet(m, &o->asking, &o->qs[0], task);
    df_code code = ask_await(&o->asking, o->qs, 1, c->o.timeout, err);
    uint64_t incarnation = o->qs[0].number;
    df_tensor_unref(o->qs[0].answer);
    o->qs[0] = (question){.answer = NULL};
    if (code != DF_OK) return code;
    bool is_same = incarnation == m->incarnations[task];
    remote_peer_is(remote_peer_at(c->remote, task), incarnation);
    if (is_same) return DF_OK;
    code = variables_lost(m, task, err);
    if (code == DF_OK) code = give_session(m, o, task, err);
    if (code == DF_OK) code = give_programs(m, o, task, err);
    for (uint32_t t = 0; code == DF_OK && t < m->n_tasks; t++)
        if (t != task && t != c->self) code = meet(m, o, t, err);
    if (code == DF_OK) m->incarnations[task] = incarnation;
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

static bool next_broken(master *m, uint32_t *task) {
    mutex_lock(&m->lock);
    while (*task < m->n_tasks && !m->is_broken[*task]) ++*task;
    mutex_unlock(&m->lock);
    return *task < m->n_tasks;
}

static bool needs(const cluster_program *p, const bool *broken) {
    for (uint32_t i = 0; i < p->n_parts; i++)
        if (broken[p->parts[i].task]) return true;
    return false;
}

/* The clerk's. The session is held by the runs that wait. */
static void repair(clerk_job *job) {
    master *m = (master *)(void *)((char *)job - offsetof(master, repair));
    df_error why, err;
    bool failed = false;
    for (uint32_t t = 0; next_broken(m, &t); t++) {
        bool ok = mend_task(m, t, &err) == DF_OK;
        if (!ok && !failed) why = err;
        failed |= !ok;
        mutex_lock(&m->lock);
        m->is_broken[t] = !ok;
        mutex_unlock(&m->lock);
    }
    mutex_lock(&m->lock);
    m->repairs = false;
    cluster_run *list = m->to_begin;
    m->to_begin = NULL;
    mutex_unlock(&m->lock);
    while (list) {
        cluster_run *r = list;
        list = r->next_to_begin;
        mutex_lock(&m->lock);
        bool still = failed && needs(r->p, m->is_broken);
        mutex_unlock(&m->lock);
        steps_resume(r, still ? &why : NULL);
    }
}

bool repair_first(master *m, cluster_run *r, const cluster_program *p) {
    mutex_lock(&m->lock);
    bool waits = needs(p, m->is_broken), first = waits && !m->repairs;
    if (waits) {
        steps_ref(r);
        r->next_to_begin = m->to_begin;
        m->to_begin = r;
        m->repairs = true;
    }
    mutex_unlock(&m->lock);
    m->repair.work = repair;
    if (!first || clerk_post(m->cluster, &m->repair)) return waits;
    df_error why;
    (void)error_set(&why, DF_CANCELLED, "%s has left the cluster",
                    m->cluster->names[m->cluster->self]);
    mutex_lock(&m->lock);
    m->repairs = false;
    cluster_run *list = m->to_begin;
    m->to_begin = NULL;
    mutex_unlock(&m->lock);
    while (list) {
        cluster_run *next = list->next_to_begin;
        steps_resume(list, &why);
        list = next;
    }
    return true;
}
