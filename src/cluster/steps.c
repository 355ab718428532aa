/* SPDX-License-Identifier: MIT
 *
 * Runs of a program over a cluster.
 *
 *     its turn at the variables -> a number -> RUN to each part -> all have answered
 *         -> all succeed, or all fail: DECIDE to each part -> the caller is told
 *
 * A run that ends early (deadline, cancel, close) is told at once; its parts are aborted, and the
 * rest goes on out of sight.
 *
 * 1. Numbers grow as runs begin. Below the least that is not decided all are over: the watermark.
 * 2. The first error that is no consequence of another is the run's.
 * 3. A run has a reference for itself, until it is decided, and one for each call that has not
 *    ended.
 * 4. A decision holds, whatever is lost: who may not have heard it is told again, before he begins
 *    anything else (repair.c). Until then the run's record stays, without what it points to.
 */
#include "cluster/steps.h"

#include "base/clock.h"
#include "base/options.h"

#include <string.h>

/* ---- its life -------------------------------------------------------------------- */

static const df_allocator *alloc_of(const cluster_run *r) {
    return r->p->head.session->rt->alloc;
}

void steps_ref(cluster_run *r) {
    refcount_ref(&r->refs);
}

void steps_unref(cluster_run *r) {
    if (!refcount_unref(&r->refs)) return;
    cluster_program *p = r->p;
    const df_allocator *alloc = alloc_of(r);
    for (uint32_t i = 0; i < p->n_feeds; i++) df_tensor_unref(r->feeds[i]);
    for (uint32_t i = 0; i < p->n_fetches; i++) df_tensor_unref(r->results[i]);
    for (uint32_t i = 0; i < p->n_parts; i++) {
        pack_free(&r->shares[i].feeds);
        df_tensor_unref(r->shares[i].whole);
    }
    cancel_unref(r->cancel);
    mutex_lock(&p->master->lock);
    bool is_hollow = r->is_hollow = r->n_untold > 0;
    mutex_unlock(&p->master->lock);
    if (!is_hollow) alloc_free(alloc, r, r->bytes);
    program_release(p);
}

static void note_error(cluster_run *r, const df_error *err) {
    bool better =
        r->failed && (r->why.flags & DF_ERROR_DERIVED) && !(err->flags & DF_ERROR_DERIVED);
    if (!r->failed || better) r->why = *err;
    r->failed = true;
}

/* ---- telling --------------------------------------------------------------------- */

static void fill_stats(const cluster_run *r) {
    df_run_stats *st = r->stats;
    if (!st) return;
    uint64_t now = clock_now(), came = r->came ? r->came : now;
    st->step = r->step;
    st->waited = came - r->began;
    st->time = now - came;
}

static df_code copy_results(cluster_run *r, df_error *err) {
    for (uint32_t i = 0; r->into && i < r->p->n_fetches; i++) {
        const df_span *to = &r->into[i];
        const df_tensor *t = r->results[i];
        if (to->data && (t->dtype == DF_STRING || t->bytes != to->size))
            return error_invalid(err,
                                 "the result has %zu bytes of %s, and df_run_options.into has "
                                 "room for %zu bytes",
                                 t->bytes, df_dtype_name(t->dtype), to->size);
    }
    for (uint32_t i = 0; r->into && i < r->p->n_fetches; i++)
        if (r->into[i].data && r->into[i].size)
            memcpy(r->into[i].data, r->results[i]->data, r->into[i].size);
    return DF_OK;
}

/* err: NULL, if all is well. The results go to the callee. */
static void tell(cluster_run *r, const df_error *err) {
    uint32_t n = err ? 0 : r->p->n_fetches;
    fill_stats(r);
    DF_SCHED_POINT();
    r->done(r->user, err, r->results, n);
    for (uint32_t i = 0; i < n; i++) r->results[i] = NULL;
}

void steps_forget(master *m) {
    while (m->untold) {
        cluster_run *r = m->untold;
        m->untold = r->next_untold;
        alloc_free(m->cluster->rt->alloc, r, r->bytes);
    }
}

/* ---- to the parts ----------------------------------------------------------------- */

static df_code no_place(df_call *call, const df_arrival *reply, df_segments *place, df_error *err) {
    (void)call;
    (void)err;
    *place = (df_segments){NULL, 0};
    return reply->payload_bytes ? DF_DATA_LOSS : DF_OK;
}

/* Who does not hear of an abort has lost the run, too. */
static void abort_ended(remote_call *c, const df_error *err) {
    (void)err;
    steps_unref(((word *)c)->of->run);
}

static void decision_ended(remote_call *c, const df_error *err) {
    share *s = ((word *)c)->of;
    cluster_run *r = s->run;
    master *m = r->p->master;
    if (err) {
        mutex_lock(&m->lock);
        s->is_untold = true;
        if (r->n_untold++ == 0) {
            r->next_untold = m->untold;
            m->untold = r;
        }
        mutex_unlock(&m->lock);
        repair_now(m, s->task);
    }
    steps_unref(r);
}

share *steps_untold_locked(const master *m, uint32_t task) {
    for (cluster_run *r = m->untold; r; r = r->next_untold)
        for (uint32_t i = 0; i < r->n_shares; i++)
            if (r->shares[i].is_untold && r->shares[i].task == task) return &r->shares[i];
    return NULL;
}

share *steps_untold(master *m, uint32_t task) {
    mutex_lock(&m->lock);
    share *found = steps_untold_locked(m, task);
    mutex_unlock(&m->lock);
    return found;
}

void steps_told(master *m, share *s) {
    cluster_run *r = s->run;
    mutex_lock(&m->lock);
    s->is_untold = false;
    bool last = --r->n_untold == 0, frees = last && r->is_hollow;
    cluster_run **at = &m->untold;
    while (last && *at != r) at = &(*at)->next_untold;
    if (last) *at = r->next_untold;
    mutex_unlock(&m->lock);
    if (frees) alloc_free(m->cluster->rt->alloc, r, r->bytes);
}

static remote_peer *peer_of(const share *s) {
    return remote_peer_at(s->run->p->master->cluster->remote, s->part->task);
}

static bool is_own(const share *s) {
    return s->part->task == s->run->p->master->cluster->self;
}

static wire_out word_begin(const share *s, word *w, unsigned kind) {
    w->of = (share *)(uintptr_t)s;
    wire_out out = remote_meta(peer_of(s), kind, w->meta, sizeof w->meta);
    wire_put(&out, s->run->p->master->id, 8);
    wire_put(&out, s->run->step, 8);
    return out;
}

static void word_send(const share *s, word *w, const wire_out *meta,
                      void (*ended)(remote_call *c, const df_error *err)) {
    steps_ref(s->run);
    w->call = (remote_call){.ended = ended};
    w->call.base.on_meta = no_place;
    remote_send(peer_of(s), &w->call, w->meta, meta, sizeof w->meta, (df_segments){NULL, 0});
}

static void send_abort(share *s, const df_error *why) {
    if (is_own(s)) {
        part_abort(s->run->p->master->own, s->run->step, why);
        return;
    }
    wire_out w = word_begin(s, &s->abort, KIND_ABORT);
    wire_put_error(&w, why);
    word_send(s, &s->abort, &w, abort_ended);
}

void steps_put_decision(const cluster_run *r, uint64_t watermark, wire_out *w) {
    wire_put(w, watermark, 8);
    wire_put_error(w, r->failed ? &r->why : NULL);
}

static void send_decision(share *s, uint64_t watermark, const df_error *why) {
    if (is_own(s)) {
        part_decide(s->run->p->master->own, s->run->step, watermark, why);
        return;
    }
    remote_peer_watch(peer_of(s), false);
    wire_out w = word_begin(s, &s->decide, KIND_DECIDE);
    steps_put_decision(s->run, watermark, &w);
    word_send(s, &s->decide, &w, decision_ended);
}

/* Whoever has not answered is not to go on. */
static void abort_others(cluster_run *r, const df_error *why) {
    master *m = r->p->master;
    for (uint32_t i = 0; i < r->p->n_parts; i++) {
        mutex_lock(&m->lock);
        bool waits = !r->shares[i].has_answered && !r->shares[i].is_aborted;
        if (waits) r->shares[i].is_aborted = true;
        mutex_unlock(&m->lock);
        if (waits) send_abort(&r->shares[i], why);
    }
}

/* ---- the end ----------------------------------------------------------------------- */

static uint64_t watermark_locked(const master *m) {
    uint64_t least = m->last_step + 1;
    for (const cluster_run *r = m->runs; r; r = r->next)
        if (r->step && r->step < least) least = r->step;
    return least - 1;
}

static void leave_locked(master *m, cluster_run *r) {
    cluster_run **at = &m->runs;
    while (*at != r) at = &(*at)->next;
    *at = r->next;
    condition_broadcast(&m->idle);
}

/* All parts have answered, or none was asked. */
static void decide(cluster_run *r) {
    master *m = r->p->master;
    df_error why;
    mutex_lock(&m->lock);
    r->is_decided = true;
    bool failed = r->failed, told = r->is_told;
    r->is_told = true;
    mutex_unlock(&m->lock);
    if (!failed && copy_results(r, &why) != DF_OK) {
        mutex_lock(&m->lock);
        note_error(r, &why);
        failed = true;
        mutex_unlock(&m->lock);
    }
    why = r->why;
    mutex_lock(&m->lock);
    leave_locked(m, r);
    uint64_t watermark = watermark_locked(m);
    mutex_unlock(&m->lock);
    for (uint32_t i = 0; r->step && i < r->p->n_parts; i++)
        send_decision(&r->shares[i], watermark, failed ? &why : NULL);
    if (ticket_is_needed(&r->ticket)) tickets_give(&m->session->group->tickets, &r->ticket);
    if (!told) tell(r, failed ? &why : NULL);
    steps_unref(r);
}

/* One answer, or the last question has been put. */
static void answered(cluster_run *r, share *s, const df_error *err) {
    master *m = r->p->master;
    mutex_lock(&m->lock);
    if (s) s->has_answered = true;
    bool first = err && !r->failed;
    if (err) note_error(r, err);
    bool last = --r->open == 0;
    mutex_unlock(&m->lock);
    if (first && !last) abort_others(r, err);
    if (last) decide(r);
}

bool steps_end_early(cluster_run *r, const df_error *why) {
    master *m = r->p->master;
    mutex_lock(&m->lock);
    bool first = !r->is_told, begun = r->is_begun;
    r->is_told = true;
    if (first) note_error(r, why);
    mutex_unlock(&m->lock);
    if (!first) return false;
    bool withdrawn = !begun && ticket_is_needed(&r->ticket) &&
                     tickets_withdraw(&m->session->group->tickets, &r->ticket);
    if (begun) abort_others(r, why);
    tell(r, why);
    if (withdrawn) decide(r);
    return true;
}

/* ---- the beginning -------------------------------------------------------------------- */

static df_code take_place(df_call *call, const df_arrival *reply, df_segments *place,
                          df_error *err) {
    share *s = (share *)((char *)call - offsetof(share, call));
    *place = (df_segments){NULL, 0};
    df_code code =
        pack_receive(s->run->p->head.session->rt->host, reply->payload_bytes, &s->whole, err);
    if (code != DF_OK) return code;
    s->place = (df_segment){.at = s->whole->data, .bytes = reply->payload_bytes};
    *place = (df_segments){&s->place, reply->payload_bytes != 0};
    return DF_OK;
}

static df_code take_results(share *s, df_error *err) {
    cluster_run *r = s->run;
    pack_items items = {0};
    df_code code = s->whole ? pack_open(r->p->head.session->rt->host, s->whole, &items, err)
                            : error_set(err, DF_DATA_LOSS, "an answer that is none");
    if (code == DF_OK && items.n != s->part->n_fetches)
        code = error_set(err, DF_DATA_LOSS, "%zu results of %u", items.n, s->part->n_fetches);
    for (size_t i = 0; code == DF_OK && i < items.n; i++) {
        if (!items.items[i].tensor)
            code = error_set(err, DF_DATA_LOSS, "a result that is no tensor");
        else
            r->results[s->part->fetches[i]] = df_tensor_ref(items.items[i].tensor);
    }
    pack_close(&items);
    return code;
}

static void run_answered(remote_call *c, const df_error *err) {
    share *s = (share *)((char *)c - offsetof(share, call));
    cluster_run *r = s->run;
    df_error why;
    if (!err && take_results(s, &why) != DF_OK) {
        error_prefix(&why, "%s: ", remote_peer_name(peer_of(s)));
        err = &why;
    }
    if (err) repair_note(r->p->master, s->part->task, err->code);
    answered(r, s, err);
    steps_unref(r);
}

static void own_prepared(part_run *run, df_tensor *const *results, size_t n) {
    share *s = run->user;
    for (size_t i = 0; i < n; i++) s->run->results[s->part->fetches[i]] = df_tensor_ref(results[i]);
    answered(s->run, s, NULL);
}

static void own_failed(part_run *run, const df_error *err) {
    share *s = run->user;
    answered(s->run, s, err);
}

static void own_over(part_run *run) {
    steps_unref(((share *)run->user)->run);
}

static void ask_own(share *s, uint64_t watermark) {
    cluster_run *r = s->run;
    df_error err;
    df_tensor **feeds = alloc_array(alloc_of(r), s->part->n_feeds, sizeof *feeds);
    if (!feeds) {
        (void)error_memory(&err, "feeds");
        answered(r, s, &err);
        return;
    }
    for (uint32_t i = 0; i < s->part->n_feeds; i++) feeds[i] = r->feeds[s->part->feeds[i]];
    s->own =
        (part_run){.prepared = own_prepared, .failed = own_failed, .over = own_over, .user = s};
    steps_ref(r);
    part_start(r->p->master->own, r->p->id, r->step, watermark,
               (df_tensors){feeds, s->part->n_feeds}, &s->own);
    alloc_free(alloc_of(r), feeds, s->part->n_feeds * sizeof *feeds);
}

static void ask_other(share *s, uint64_t watermark) {
    cluster_run *r = s->run;
    size_t n = s->part->n_feeds;
    df_error err;
    remote_peer_watch(peer_of(s), true); /* until it is decided: it waits for that */
    pack_item *items = alloc_array(alloc_of(r), n, sizeof *items);
    for (uint32_t i = 0; items && i < n; i++) items[i].tensor = r->feeds[s->part->feeds[i]];
    df_code code =
        items ? pack_make(alloc_of(r), items, n, &s->feeds, &err) : error_memory(&err, "feeds");
    if (items) alloc_free(alloc_of(r), items, n * sizeof *items);
    if (code != DF_OK) {
        answered(r, s, &err);
        return;
    }
    wire_out w = remote_meta(peer_of(s), KIND_RUN, s->meta, sizeof s->meta);
    wire_put(&w, r->p->master->id, 8);
    wire_put(&w, r->p->id, 8);
    wire_put(&w, r->step, 8);
    wire_put(&w, watermark, 8);
    steps_ref(r);
    s->call = (remote_call){.ended = run_answered};
    s->call.base.on_meta = take_place;
    remote_send(peer_of(s), &s->call, s->meta, &w, sizeof s->meta, s->feeds.segments);
}

/* Its turn has come. */
static void begin(cluster_run *r) {
    master *m = r->p->master;
    bool posts = false;
    mutex_lock(&m->lock);
    bool ended = r->is_told; /* early, and not withdrawn any more */
    bool waits = !ended && repair_first_locked(m, r, &posts);
    if (!ended && !waits) {
        r->came = clock_now(); /* who ends it early has looked */
        r->step = ++m->last_step;
        r->open = r->p->n_parts + 1;
        r->is_begun = true;
    }
    uint64_t watermark = watermark_locked(m);
    mutex_unlock(&m->lock);
    if (posts) repair_post(m);
    if (ended) decide(r);
    if (ended || waits) return;
    for (uint32_t i = 0; i < r->p->n_parts; i++) {
        if (is_own(&r->shares[i]))
            ask_own(&r->shares[i], watermark);
        else
            ask_other(&r->shares[i], watermark);
    }
    answered(r, NULL, NULL);
}

static void turn(ticket *t) {
    begin((cluster_run *)(void *)((char *)t - offsetof(cluster_run, ticket)));
}

void steps_resume(cluster_run *r, const df_error *why) {
    if (why) (void)steps_end_early(r, why);
    begin(r);
    steps_unref(r);
}

/* ---- from outside ----------------------------------------------------------------------- */

static df_code check_feeds(const cluster_program *p, df_tensors feeds, df_error *err) {
    if (feeds.n != p->n_feeds)
        return error_invalid(err, "the number of feeds is %zu and must be %u", feeds.n, p->n_feeds);
    for (uint32_t i = 0; i < p->n_feeds; i++) {
        const plan_feed *f = &p->feeds[i];
        const df_tensor *t = feeds.items ? feeds.items[i] : NULL;
        if (!t) return error_invalid(err, "the feed of %s is NULL", f->name);
        if (!t->is_host) return error_invalid(err, "the feed of %s is not in host memory", f->name);
        if (t->dtype == f->type.dtype && shape_fits(tensor_shape(t), edge_shape(&f->type)))
            continue;
        char is[SHAPE_TEXT_MAX], wanted[SHAPE_TEXT_MAX];
        (void)shape_print(tensor_shape(t), is, sizeof is);
        (void)shape_print(edge_shape(&f->type), wanted, sizeof wanted);
        return error_invalid(err, "the feed of %s is %s%s and must be %s%s", f->name,
                             df_dtype_name(t->dtype), is, df_dtype_name(f->type.dtype), wanted);
    }
    return DF_OK;
}

static cluster_run *run_new(cluster_program *p, df_tensors feeds, const df_run_options *o,
                            df_error *err) {
    const df_allocator *alloc = p->head.session->rt->alloc;
    size_t bytes = sizeof(cluster_run) + p->n_parts * sizeof(share) +
                   (p->n_feeds + p->n_fetches) * sizeof(df_tensor *) +
                   p->n_fetches * sizeof(df_span);
    cluster_run *r = alloc_zeroed(alloc, bytes);
    if (!r) return error_memory(err, "a run"), NULL;
    refcount_init(&r->refs);
    r->bytes = bytes;
    r->p = p;
    r->n_shares = p->n_parts;
    program_hold(p);
    r->feeds = (df_tensor **)(void *)&r->shares[p->n_parts];
    r->results = r->feeds + p->n_feeds;
    r->spans = (df_span *)(void *)(r->results + p->n_fetches);
    for (uint32_t i = 0; i < p->n_feeds; i++) r->feeds[i] = df_tensor_ref(feeds.items[i]);
    for (uint32_t i = 0; i < p->n_parts; i++) {
        r->shares[i].run = r;
        r->shares[i].part = &p->parts[i];
        r->shares[i].task = p->parts[i].task;
    }
    if (o->into && p->n_fetches)
        r->into = memcpy(r->spans, o->into, p->n_fetches * sizeof *r->spans);
    r->cancel = o->cancel;
    if (r->cancel) refcount_ref(&r->cancel->refs);
    r->stats = o->stats;
    r->began = clock_now();
    if (o->timeout) r->deadline = clock_after(o->timeout);
    return r;
}

static df_code enter(master *m, cluster_run *r, df_error *err) {
    run_group *g = m->session->group;
    mutex_lock(&m->lock);
    df_code code = DF_OK;
    if (atomic_get(&g->is_closed, RELAXED))
        code = error_set(err, DF_FAILED_PRECONDITION, "the session is closed");
    else if (r->cancel && atomic_get(&r->cancel->is_fired, RELAXED))
        code = error_set(err, DF_CANCELLED, "the run was cancelled before it began");
    if (code == DF_OK) {
        r->next = m->runs;
        m->runs = r;
    }
    mutex_unlock(&m->lock);
    return code;
}

df_code steps_begin(cluster_program *p, df_tensors feeds, const df_run_options *options,
                    bool has_room, df_run_done done, void *user, df_error *err) {
    master *m = p->master;
    df_run_options o = {.struct_size = sizeof o};
    df_code code = options_read(&o, options, "df_run_options", err);
    if (code == DF_OK && o.stats && o.stats->struct_size < sizeof *o.stats)
        code =
            error_invalid(err, "df_run_stats: struct_size is %zu; set it to sizeof(df_run_stats)",
                          o.stats->struct_size);
    if (code == DF_OK && o.stats)
        *o.stats = (df_run_stats){.struct_size = o.stats->struct_size,
                                  .program = p->id,
                                  .timed = o.stats->timed,
                                  .pairs = o.stats->pairs};
    if (code == DF_OK) code = session_check_cancel(m->session, o.cancel, err);
    if (code == DF_OK) code = check_feeds(p, feeds, err);
    if (code == DF_OK && !has_room)
        code = error_invalid(err, "results is NULL; the number of fetches is %u", p->n_fetches);
    cluster_run *r = code == DF_OK ? run_new(p, feeds, &o, err) : NULL;
    if (!r) return code == DF_OK ? DF_RESOURCE_EXHAUSTED : code;
    r->done = done;
    r->user = user;
    r->ticket = (ticket){.what = &p->touched, .turn = turn, .program = p->id};
    steps_ref(r); /* others may end it as soon as it has entered */
    code = enter(m, r, err);
    if (code != DF_OK) {
        steps_unref(r);
        steps_unref(r);
        return code;
    }
    if (o.timeout) steps_watch(m, o.timeout);
    if (!ticket_is_needed(&r->ticket) || tickets_take(&m->session->group->tickets, &r->ticket))
        begin(r);
    steps_unref(r);
    return DF_OK;
}

void steps_start(df_program *program, df_tensors feeds, const df_run_options *options,
                 df_run_done done, void *user) {
    df_error err;
    df_code code =
        steps_begin((cluster_program *)(void *)program, feeds, options, true, done, user, &err);
    if (code != DF_OK) done(user, &err, NULL, 0);
}
