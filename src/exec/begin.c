/* SPDX-License-Identifier: MIT
 *
 * A run, from its beginning to its end.
 *
 *   take a frame -> make its rendezvous -> take a ticket -> its turn -> blocks run (run.c)
 *        -> over: settle, give the ticket, tell the outcome, give the frame
 *
 * df_program_run waits for that on the calling thread, which works too. A run that was started
 * beside has nobody: the thread to which the verdict falls goes through the end.
 *
 * Some runs end before they are over: at a deadline, by a cancel, with their session. Then
 *
 *   1. Whoever ends it takes a token, so that it is not over meanwhile (live.h, rule 5). One does:
 *      `is_ending` says that somebody has.
 *   2. The step fails like any other, and from then on starts nothing. If its turn has not come,
 *      its ticket is withdrawn.
 *   3. What it uses it has from now on itself (`keeps`): references of the feeds and the program.
 *   4. The outcome is told at once: `abandoned`. A caller that slept goes (`left`). Events of such
 *      a step are taken up by the thread that brings them, since nobody else may come; they run no
 *      kernel.
 *   5. When the last kernel that was executing has ended, the step is over, and the thread that
 *      brought that goes through the end, but for the telling.
 */
#include "exec/step.h"

#include "base/clock.h"
#include "base/cold.h"

#include <string.h>

/* ---- groups and handles --------------------------------------------------- */

COLD bool run_group_init(run_group *g) {
    if (!tickets_init(&g->tickets)) return false;
    if (mutex_init(&g->lock)) {
        if (condition_init(&g->idle)) return true;
        mutex_fini(&g->lock);
    }
    tickets_fini(&g->tickets);
    return false;
}

COLD void run_group_fini(run_group *g) {
    condition_fini(&g->idle);
    mutex_fini(&g->lock);
    tickets_fini(&g->tickets);
}

COLD void cancel_unref(df_cancel *c) {
    if (c && refcount_unref(&c->refs)) c->free(c);
}

/* ---- the beginning -------------------------------------------------------- */

static df_code refusal_locked(executor *x, const run_request *rq, df_error *err) {
    if (atomic_get(&x->o.group->is_closed, RELAXED))
        return error_set(err, DF_FAILED_PRECONDITION, "the session is closed");
    if (rq->cancel && atomic_get(&rq->cancel->is_fired, RELAXED))
        return error_set(err, DF_CANCELLED, "the run was cancelled before it began");
    return DF_OK;
}

COLD static void tell_turn(ticket *t) {
    step *s = (step *)((char *)t - offsetof(step, ticket));
    pool_post(s->pool, s, &s->turn);
}

/* What a step uses when nobody else may be there who has it: a run beside from its beginning, and
 * another before its caller is told that it has ended. */
COLD static void keep(step *s) {
    s->keeps = true;
    for (uint32_t i = 0; i < s->p->n_feeds; i++) (void)df_tensor_ref(s->feeds[i]);
    s->x->o.hold(s->x->o.owner);
}

static void give_locked(executor *x, step *s) DF_REQUIRES(&x->lock) {
    s->next_spare = x->spares;
    x->spares = s;
}

COLD static void tell_group(run_group *g) {
    mutex_lock(&g->lock);
    condition_broadcast(&g->idle);
    mutex_unlock(&g->lock);
}

/* A frame for a run. The calling thread is in the step, and others may end it from now on: whoever
 * looks for runs to end sees it, or this sees why it must not begin. */
static step *take(executor *x, const run_request *rq, df_error *err) {
    mutex_lock(&x->lock);
    step *s = x->spares;
    if (s) {
        x->spares = s->next_spare;
    } else {
        mutex_unlock(&x->lock);
        s = executor_frame(x, err);
        if (!s) return NULL;
        mutex_lock(&x->lock);
    }
    df_code code = refusal_locked(x, rq, err);
    if (code == DF_OK) {
        s->rq = *rq;
        if (s->p->n_feeds) memcpy(s->feeds, rq->feeds, s->p->n_feeds * sizeof(df_tensor *));
        if (rq->into) s->rq.into = memcpy(s->into, rq->into, s->p->n_fetches * sizeof *s->into);
        s->number = ++x->n_runs;
        s->ticket = (ticket){
            .what = x->o.touches, .turn = tell_turn, .program = s->p->id, .number = s->number};
        s->meets = x->keys ? NULL : s->rendezvous;
        s->is_closed = true;
        s->is_foreign = false;
        s->is_taken = true;
        share_choose(x, s);
        if (rq->cancel) refcount_ref(&rq->cancel->refs);
        if (rq->done) keep(s);
        if (rq->stats) account_begin(s);
        live_start(&s->live);
        x->n_running++;
    } else {
        give_locked(x, s);
    }
    mutex_unlock(&x->lock);
    return code == DF_OK ? s : NULL;
}

COLD static df_code make_rendezvous(step *s, df_rendezvous **out, df_error *err) {
    if (s->rq.meets) {
        *out = s->rq.meets;
        return DF_OK;
    }
    const df_rendezvous_factory *f = &s->x->o.group->factory;
    df_step_info info = {.struct_size = sizeof info,
                         .program = s->p->id,
                         .step = s->number,
                         .channels = s->x->keys,
                         .n_channels = s->p->n_channels};
    *out = NULL;
    error_clear(err);
    DF_SCHED_POINT();
    df_code code = f->create(f->user, &info, out, err);
    if (code == DF_OK && !*out)
        return error_set(err, DF_INTERNAL, "the session's rendezvous factory gave none");
    if (code != DF_OK) *out = NULL;
    return error_from(err, code, "the session's rendezvous factory");
}

/* Where the halves of this step meet, if not at the library's own. A step that was failed before it
 * is there aborts it. */
static void meet(step *s) {
    df_rendezvous *r = NULL;
    df_error err;
    if (s->meets) return;
    if (make_rendezvous(s, &r, &err) != DF_OK) step_fail(s, &err);
    s->is_closed = !r || rendezvous_is_closed(r);
    s->is_foreign = true;
    pool_lock(s->pool);
    s->meets = r;
    bool failed = s->has_error;
    if (failed) err = s->error;
    pool_unlock(s->pool);
    if (failed) df_rendezvous_abort(r, &err);
}

/* ---- the end --------------------------------------------------------------- */

/* Not before its variables are settled may the next step have them. */
static df_code conclude(step *s, df_error *err) {
    df_code code = s->has_error ? s->error.code : DF_OK;
    if (code != DF_OK) *err = s->error;
    if (s->clocked) s->ended = clock_now();
    account_over(s);
    step_settle(s);
    if (ticket_is_needed(&s->ticket)) tickets_give(&s->x->o.group->tickets, &s->ticket);
    for (uint32_t i = 0; s->keeps && i < s->p->n_feeds; i++) df_tensor_unref(s->feeds[i]);
    return code;
}

/* After this all may be gone. If somebody waits for the group's last run, all may be gone when the
 * lock is let go, but for a reference. */
static void give(step *s) {
    executor *x = s->x;
    df_cancel *cancel = s->rq.cancel;
    void (*const release)(void *owner) = x->o.release;
    void *const owner = x->o.owner;
    mutex_lock(&x->lock); /* for those who look for runs to end */
    if (!s->has_error && share_note(x, s)) {
        mutex_unlock(&x->lock);
        share_cut(x); /* while the run is not over for those who wait for it */
        mutex_lock(&x->lock);
    }
    bool tells = atomic_get(&x->o.group->is_closed, RELAXED);
    int refs = s->keeps + s->is_held;
    if (tells && !refs) {
        x->o.hold(owner);
        refs = 1;
    }
    s->is_taken = s->is_held = false;
    step_renew(s);
    give_locked(x, s);
    x->n_running--;
    mutex_unlock(&x->lock);
    if (tells) tell_group(x->o.group);
    cancel_unref(cancel);
    while (refs--) release(owner);
}

static void copy_results(step *s) {
    for (uint32_t i = 0; s->rq.into && i < s->p->n_fetches; i++) {
        const df_span *into = &s->rq.into[i];
        if (into->data && into->size) memcpy(into->data, s->results[i]->data, into->size);
    }
}

/* Its other parts may fail: until somebody says how all of them end, nothing is settled. */
COLD static bool awaits_decision(step *s) {
    if (!s->rq.prepared || s->decided || s->has_error) return false;
    s->decided = true;
    DF_SCHED_POINT();
    s->rq.prepared(s->rq.user, s, s->results, s->p->n_fetches);
    return true;
}

COLD void executor_decide(step *s, const df_error *why) {
    if (why) step_fail(s, why);
    run_end(s);
}

COLD void run_end(step *s) {
    pool *p = s->pool;
    if (awaits_decision(s)) return;
    bool is_inside = pool_enter(p);
    run_request rq = s->rq;
    bool told = s->abandoned;
    df_error err;
    df_code code = conclude(s, &err);
    if (rq.done && !told) {
        account_end(s);
        if (code == DF_OK) copy_results(s);
        DF_SCHED_POINT();
        rq.done(rq.user, code == DF_OK ? NULL : &err, s->results,
                code == DF_OK ? s->p->n_fetches : 0);
        pool_told(s->pool, s);
    }
    give(s);
    if (is_inside) pool_exit(p);
}

/* ---- the end that comes early ---------------------------------------------- */

COLD void run_end_early(step *s, const df_error *why) {
    run_request rq = s->rq;
    pool *p = s->pool;
    bool is_inside = pool_enter(p);
    df_error err;
    step_fail(s, why);
    if (!rq.done) keep(s);
    if (tickets_withdraw(&s->x->o.group->tickets, &s->ticket)) pool_post(p, s, &s->turn);
    pool_abandon(p, s, &err);
    if (rq.done) {
        account_end(s);
        DF_SCHED_POINT();
        rq.done(rq.user, &err, NULL, 0);
        pool_told(s->pool, s);
    }
    run_help(s, NULL);
    if (is_inside) pool_exit(p);
}

COLD void run_end_late(step *s) {
    char list[360];
    df_error why;
    account_waits(s, false, list, sizeof list);
    (void)error_set(&why, DF_DEADLINE_EXCEEDED,
                    "the run's deadline has passed: give it more time%s%s",
                    list[0] ? ". It waited for " : "", list);
    run_end_early(s, &why);
}

/* Of a run that is over, or that another ends: it has no reference of its own, or not yet, and who
 * looks for it may free everything as soon as it is told that not all has ended. */
static void hold_locked(executor *x, step *s) DF_REQUIRES(&x->lock) {
    if (!s->is_taken || s->is_held) return;
    x->o.hold(x->o.owner);
    s->is_held = true;
}

/* The runs to be ended, each with a token. */
COLD static step *find_ending(pool *p, const run_group *group, const df_cancel *cancel) {
    step *list = NULL;
    for (executor *x = pool_executors_lock(p); x; x = x->next) {
        if (group && x->o.group != group) continue;
        mutex_lock(&x->lock);
        for (step *s = x->made; s; s = s->next_made) {
            if (cancel && s->rq.cancel != cancel) continue;
            if (pool_is_ending(p, s)) {
                hold_locked(x, s);
                continue;
            }
            s->next_ending = list;
            list = s;
        }
        mutex_unlock(&x->lock);
    }
    pool_executors_unlock(p);
    return list;
}

COLD void runs_end(pool *p, const run_group *group, const df_cancel *cancel, const df_error *why) {
    for (step *s = find_ending(p, group, cancel); s;) {
        step *next = s->next_ending;
        run_end_early(s, why);
        s = next;
    }
}

/* ---- a run that the caller waits for --------------------------------------- */

df_code executor_run(executor *x, const run_request *rq, df_tensor **results, df_error *err) {
    const size_t n = x->o.plan->n_fetches;
    df_error why;
    error_clear(&why);
    if (results && n) memset(results, 0, n * sizeof *results);
    step *s = take(x, rq, &why);
    if (!s) goto end;
    worker w = {.step = s};
    account_times(s);
    meet(s);
    if (!ticket_is_needed(&s->ticket) || tickets_take(&x->o.group->tickets, &s->ticket))
        run_begin(&w);
    else
        w.balance++; /* of the event that tells its turn */
    for (bool over = run_step(&w); !over;) {
        event *e;
        wait_end end = pool_wait(s->pool, s, &e);
        over = end == WAIT_OVER;
        if (end == WAIT_LATE) run_end_late(s);
        if (end == WAIT_TOLD) {
            account_end(s);
            if (pool_leave(s->pool, s, &why)) goto end;
        }
        if (end != WAIT_EVENT) continue;
        live_engage(&s->live);
        run_push(&w, e);
        over = run_step(&w);
    }
    if (conclude(s, &why) == DF_OK) copy_results(s);
    account_end(s);
    for (size_t i = 0; i < n; i++) {
        if (results)
            results[i] = s->results[i];
        else
            df_tensor_unref(s->results[i]);
    }
    give(s);
end:
    if (why.code != DF_OK && err) *err = why;
    return why.code;
}

/* ---- a run beside the caller ------------------------------------------------ */

COLD void executor_start(executor *x, const run_request *rq) {
    df_error why = {.code = DF_OK};
    step *s = NULL;
    if (!rq->deadline || pool_watch(x->o.pool, &why) == DF_OK) s = take(x, rq, &why);
    if (!s) {
        df_rendezvous_unref(rq->meets);
        rq->done(rq->user, &why, NULL, 0);
        return;
    }
    account_times(s);
    meet(s);
    pool_begin(s->pool, s);
    live_hold(&s->live); /* of the event that tells its turn */
    bool turn = tickets_take(&x->o.group->tickets, &s->ticket);
    atomic_put(&s->idle_since, clock_now(), RELAXED);
    /* The caller may leave last, and is not to give the verdict: an event takes its place. */
    (void)live_leave(&s->live, turn ? 0 : 1, 0);
    pool_post(s->pool, s, turn ? &s->turn : &s->handed);
}

/* ---- waiting for the last --------------------------------------------------- */

COLD static bool any_runs(pool *p, const run_group *group) {
    bool any = false;
    for (executor *x = pool_executors_lock(p); x && !any; x = x->next) {
        if (x->o.group != group) continue;
        mutex_lock(&x->lock);
        any = x->n_running > 0;
        mutex_unlock(&x->lock);
    }
    pool_executors_unlock(p);
    return any;
}

COLD bool runs_await(pool *p, run_group *group, uint64_t until) {
    bool any;
    mutex_lock(&group->lock);
    while ((any = any_runs(p, group)) && clock_now() < until)
        condition_wait_until(&group->idle, &group->lock, until);
    mutex_unlock(&group->lock);
    return !any;
}
