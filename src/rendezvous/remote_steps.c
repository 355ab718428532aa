/* SPDX-License-Identifier: MIT
 *
 * The sessions of a process, and in each the steps of which it knows.
 *
 *     asked for, not begun:  WAITS     fetches are parked
 *     begun:                 RUNS      fetches go to its rendezvous
 *     ended before it began: ABORTED   fetches, and its beginning, get the error
 *     over, begun or not:    OVER      until the watermark has passed it
 *
 * A step at or below the watermark has no record, and is over.
 */
#include "rendezvous/remote_parts.h"

#include <string.h>

enum { BUCKETS = 64, PARKED_MAX = 1 << 16 };

typedef enum record_state { WAITS, RUNS, ABORTED, OVER } record_state;

typedef struct record {
    struct record *next;
    uint64_t step;
    record_state state;
    serve *parked;              /* WAITS: newest first */
    df_rendezvous *meets;       /* RUNS: a reference */
    const remote_program *what; /* RUNS */
    df_error why;               /* ABORTED */
} record;

struct remote_session {
    remote *of;
    remote_session *next;
    uint64_t id, watermark;
    size_t n_parked;
    record *steps[BUCKETS];
};

/* ---- finding, under the lock ------------------------------------------------- */

static remote_session *session_locked(remote *r, uint64_t id) DF_REQUIRES(&r->lock);

static remote_session *session_locked(remote *r, uint64_t id) {
    remote_session *s = r->sessions;
    while (s && s->id != id) s = s->next;
    return s;
}

static record **place_of(remote_session *s, uint64_t step) {
    record **at = &s->steps[step % BUCKETS];
    while (*at && (*at)->step != step) at = &(*at)->next;
    return at;
}

static record *record_new(remote_session *s, uint64_t step, record_state state) {
    record *rec = alloc_zeroed(s->of->o.alloc, sizeof *rec);
    if (rec) {
        rec->step = step;
        rec->state = state;
        *place_of(s, step) = rec;
    }
    return rec;
}

static df_code is_over(uint64_t step, df_error *err) {
    return error_set(err, DF_ABORTED, "step %llu is over", (unsigned long long)step);
}

/* ---- what others ask ---------------------------------------------------------- */

static df_code find_locked(remote *r, serve *s, bool *parked, df_rendezvous **at,
                           const df_key **key, df_error *err) DF_REQUIRES(&r->lock);

static df_code find_locked(remote *r, serve *s, bool *parked, df_rendezvous **at,
                           const df_key **key, df_error *err) {
    remote_session *session = session_locked(r, s->session);
    if (!session) return error_set(err, DF_ABORTED, "its session is over, or not known here");
    if (s->step <= session->watermark) return is_over(s->step, err);
    record *rec = *place_of(session, s->step);
    if (!rec || rec->state == WAITS) {
        if (s->is_gone) return error_set(err, DF_CANCELLED, "nobody waits for it any more");
        if (session->n_parked >= PARKED_MAX)
            return error_set(err, DF_RESOURCE_EXHAUSTED,
                             "%d fetches wait already for steps that have not begun", PARKED_MAX);
        if (!rec) rec = record_new(session, s->step, WAITS);
        if (!rec) return error_memory(err, "a fetch");
        s->next = rec->parked;
        rec->parked = s;
        session->n_parked++;
        *parked = true;
        return DF_OK;
    }
    if (rec->state == OVER) return is_over(s->step, err);
    if (rec->state == ABORTED) {
        *err = rec->why;
        return rec->why.code;
    }
    *key = program_key(rec->what, s->key);
    if (!*key) return error_set(err, DF_NOT_FOUND, "no value leaves the step by this key");
    *at = df_rendezvous_ref(rec->meets);
    return DF_OK;
}

df_code steps_find(serve *s, bool *parked, df_rendezvous **at, const df_key **key, df_error *err) {
    remote *r = s->of;
    *parked = false;
    mutex_lock(&r->lock);
    df_code code = find_locked(r, s, parked, at, key, err);
    mutex_unlock(&r->lock);
    return code;
}

bool steps_unpark(serve *s) {
    remote *r = s->of;
    bool was = false;
    mutex_lock(&r->lock);
    remote_session *session = session_locked(r, s->session);
    record *rec = session ? *place_of(session, s->step) : NULL;
    for (serve **at = rec ? &rec->parked : NULL; at && *at; at = &(*at)->next) {
        if (*at != s) continue;
        *at = s->next;
        session->n_parked--;
        was = true;
        break;
    }
    mutex_unlock(&r->lock);
    return was;
}

/* ---- sessions ------------------------------------------------------------------ */

df_code remote_session_open(remote *r, uint64_t id, remote_session **out, df_error *err) {
    remote_session *s = alloc_zeroed(r->o.alloc, sizeof *s);
    if (!s) return error_memory(err, "a session");
    s->of = remote_ref(r);
    s->id = id;
    mutex_lock(&r->lock);
    bool is_new = !session_locked(r, id);
    if (is_new) {
        s->next = r->sessions;
        r->sessions = s;
    }
    mutex_unlock(&r->lock);
    if (is_new) {
        *out = s;
        return DF_OK;
    }
    alloc_free(r->o.alloc, s, sizeof *s);
    remote_unref(r);
    return error_set(err, DF_ALREADY_EXISTS, "there is a session of this number");
}

/* What is left of a record: its fetches, and its rendezvous. */
static void record_end(remote *r, record *rec, const df_error *why) {
    while (rec->parked) {
        serve *s = rec->parked;
        rec->parked = s->next;
        serve_refuse(s, why);
    }
    if (rec->meets) {
        df_rendezvous_abort(rec->meets, why);
        df_rendezvous_unref(rec->meets);
    }
    alloc_free(r->o.alloc, rec, sizeof *rec);
}

static void records_end(remote *r, record *list, const df_error *why) {
    while (list) {
        record *next = list->next;
        record_end(r, list, why);
        list = next;
    }
}

/* Those at or below a step, or all. */
static record *take_locked(remote_session *s, uint64_t up_to) {
    record *list = NULL;
    for (int b = 0; b < BUCKETS; b++)
        for (record **at = &s->steps[b]; *at;) {
            record *rec = *at;
            if (rec->step > up_to) {
                at = &rec->next;
                continue;
            }
            *at = rec->next;
            for (serve *p = rec->parked; p; p = p->next) s->n_parked--;
            rec->next = list;
            list = rec;
        }
    return list;
}

void remote_session_close(remote_session *s, const df_error *why) {
    remote *r = s->of;
    mutex_lock(&r->lock);
    remote_session **at = &r->sessions;
    while (*at != s) at = &(*at)->next;
    *at = s->next;
    record *all = take_locked(s, UINT64_MAX);
    mutex_unlock(&r->lock);
    records_end(r, all, why);
    alloc_free(r->o.alloc, s, sizeof *s);
    remote_unref(r);
}

/* ---- steps --------------------------------------------------------------------- */

static record *pass_locked(remote_session *s, uint64_t watermark) {
    if (watermark <= s->watermark) return NULL;
    s->watermark = watermark;
    return take_locked(s, watermark);
}

static df_code open_locked(remote_session *s, uint64_t step, const remote_program *p,
                           df_rendezvous *meets, serve **parked, df_error *err) {
    if (step <= s->watermark) return is_over(step, err);
    record *rec = *place_of(s, step);
    if (rec && rec->state == ABORTED) {
        *err = rec->why;
        return rec->why.code;
    }
    if (rec && rec->state == OVER) return is_over(step, err);
    if (rec && rec->state == RUNS)
        return error_set(err, DF_ALREADY_EXISTS, "step %llu has begun already",
                         (unsigned long long)step);
    if (!rec) rec = record_new(s, step, RUNS);
    if (!rec) return error_memory(err, "a step");
    rec->state = RUNS;
    rec->what = p;
    rec->meets = df_rendezvous_ref(meets);
    *parked = rec->parked;
    rec->parked = NULL;
    for (serve *q = *parked; q; q = q->next) s->n_parked--;
    return DF_OK;
}

/* In the order in which they came. */
static void serve_parked(serve *list) {
    serve *first = NULL;
    while (list) {
        serve *next = list->next;
        list->next = first;
        first = list;
        list = next;
    }
    while (first) {
        serve *s = first;
        first = s->next;
        df_rendezvous *at = NULL;
        const df_key *key = NULL;
        df_error why;
        bool parked; /* it is not: the step has begun, or is over by now */
        if (steps_find(s, &parked, &at, &key, &why) != DF_OK)
            serve_refuse(s, &why);
        else
            serve_from(s, at, key);
    }
}

df_code remote_step_open(remote_session *s, uint64_t step, uint64_t watermark, remote_program *p,
                         df_rendezvous **out, df_error *err) {
    remote *r = s->of;
    df_rendezvous *meets = NULL;
    serve *parked = NULL;
    df_error over;
    df_code code = program_step(p, s->id, step, &meets, err);
    if (code != DF_OK) return code;
    (void)error_set(&over, DF_ABORTED, "the step is over");
    mutex_lock(&r->lock);
    record *passed = pass_locked(s, watermark);
    code = open_locked(s, step, p, meets, &parked, ERROR_OR_LOCAL(err));
    mutex_unlock(&r->lock);
    records_end(r, passed, &over);
    serve_parked(parked);
    if (code == DF_OK)
        *out = meets;
    else
        df_rendezvous_unref(meets);
    return code;
}

/* The record stays as long as somebody may ask, or begin it: a message may overtake another. */
static void step_end(remote_session *s, uint64_t step, uint64_t watermark, record_state state,
                     const df_error *why) {
    remote *r = s->of;
    serve *parked = NULL;
    df_rendezvous *meets = NULL;
    mutex_lock(&r->lock);
    record *passed = pass_locked(s, watermark);
    record *rec = step > s->watermark ? *place_of(s, step) : NULL;
    if (!rec && step > s->watermark) rec = record_new(s, step, state);
    if (rec) {
        parked = rec->parked;
        meets = rec->meets;
        rec->parked = NULL;
        rec->meets = NULL;
        if (rec->state != OVER) rec->state = state;
        rec->why = *why;
        for (serve *q = parked; q; q = q->next) s->n_parked--;
    }
    mutex_unlock(&r->lock);
    records_end(r, passed, why);
    while (parked) {
        serve *q = parked;
        parked = q->next;
        serve_refuse(q, why);
    }
    if (meets) df_rendezvous_abort(meets, why);
    df_rendezvous_unref(meets);
}

void remote_step_close(remote_session *s, uint64_t step, uint64_t watermark) {
    df_error why;
    (void)is_over(step, &why);
    step_end(s, step, watermark, OVER, &why);
}

bool remote_step_is_over(remote_session *s, uint64_t step) {
    mutex_lock(&s->of->lock);
    const record *rec = *place_of(s, step);
    bool over = step <= s->watermark || (rec && rec->state == OVER);
    mutex_unlock(&s->of->lock);
    return over;
}

void remote_step_abort(remote_session *s, uint64_t step, const df_error *why) {
    step_end(s, step, 0, ABORTED, why);
}
