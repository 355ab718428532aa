/* SPDX-License-Identifier: MIT
 *
 * What other tasks ask of this one.
 *
 * What takes time, opening a session and compiling, and what must come behind that, is done by the
 * clerk, one after the other; the rest by the engine's thread that brings it.
 */
#include "cluster/cluster.h"

#include "base/text.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

typedef struct task_request task_request;

/* A request of another task's, and what becomes of it. */
struct task_request {
    remote_request base; /* first */
    df_cluster *of;
    clerk_job job;
    refcount refs;   /* the reply's, and a run's */
    refcount doubts; /* tasks that are greeted before it is done, and who greets them */
    unsigned kind;
    uint64_t session, program, step, watermark;
    bool fails;
    _Atomic uint32_t is_gone; /* (a) relaxed: nobody waits for the answer */
    df_error why;
    df_tensor *whole; /* the payload */
    df_segment place;
    char address[DF_ADDRESS_MAX];
    uint64_t incarnations[PLAN_MAX_DEVICES];
    part_run run;
    df_reply reply;
    df_error error;      /* of the reply */
    pack packed;         /* its payload, from */
    df_tensor **results; /* which stay until it has gone: the run may end before */
    size_t n_results;
    df_segment segment;
    char *text;
    size_t text_bytes;
    unsigned char meta[16];
};

struct guest {
    guest *next;
    part_session *session;
};

/* ---- errors in metas --------------------------------------------------------- */

void wire_put_error(wire_out *w, const df_error *why) {
    unsigned char words[FRAME_ERROR_MAX];
    size_t n = why ? frame_put_error(why, words) : 0;
    wire_put(w, n, 2);
    wire_put_bytes(w, words, n);
}

bool wire_get_error(wire_in *w, df_error *why) {
    size_t n = (size_t)wire_get(w, 2);
    const void *words = wire_get_bytes(w, n);
    if (!words || !n) return false;
    frame_get_error(words, n, why);
    return true;
}

/* ---- requests ---------------------------------------------------------------- */

static void request_unref(task_request *q) {
    if (!refcount_unref(&q->refs)) return;
    const df_allocator *alloc = q->of->rt->alloc;
    df_tensor_unref(q->whole);
    pack_free(&q->packed);
    for (size_t i = 0; i < q->n_results; i++) df_tensor_unref(q->results[i]);
    alloc_free(alloc, q->results, q->n_results * sizeof *q->results);
    if (q->text) alloc_free(alloc, q->text, q->text_bytes + 1);
    df_cluster *c = q->of;
    alloc_free(alloc, q, sizeof *q);
    mutex_lock(&c->lock);
    c->n_requests--;
    condition_broadcast(&c->changed);
    mutex_unlock(&c->lock);
}

static void released(df_reply *reply) {
    request_unref(reply->user);
}

static void reply(task_request *q, df_segments payload, size_t meta_bytes) {
    q->reply = (df_reply){.struct_size = sizeof q->reply,
                          .message = {q->meta, meta_bytes, payload},
                          .user = q,
                          .release = released};
    q->of->o.transport->reply(q->base.base, &q->reply);
}

/* *why is copied. */
static void refuse(task_request *q, const df_error *why) {
    q->error = *why;
    if (!q->error.origin) q->error.origin = q->of->self + 1;
    q->reply = (df_reply){
        .struct_size = sizeof q->reply, .error = &q->error, .user = q, .release = released};
    q->of->o.transport->reply(q->base.base, &q->reply);
}

static void answer(task_request *q, df_code code, const df_error *err) {
    if (code == DF_OK)
        reply(q, (df_segments){NULL, 0}, 0);
    else
        refuse(q, err);
}

/* ---- guests ------------------------------------------------------------------- */

/* A reference; NULL: not known here, or somebody else's. */
static part_session *find_guest(df_cluster *c, uint64_t id, uint32_t task, df_error *err) {
    part_session *s = NULL;
    mutex_lock(&c->lock);
    for (guest *g = c->guests; g && !s; g = g->next)
        if (part_session_id(g->session) == id && part_session_master(g->session) == task)
            s = part_session_ref(g->session);
    mutex_unlock(&c->lock);
    if (!s)
        (void)error_set(err, DF_ABORTED,
                        "%s does not know the session: it was restarted, or the session is over",
                        c->names[c->self]);
    return s;
}

/* Those of a task, or all; of one number, or all. */
static guest *take_guests(df_cluster *c, uint32_t task, uint64_t id) {
    guest *taken = NULL;
    mutex_lock(&c->lock);
    for (guest **at = &c->guests; *at;) {
        guest *g = *at;
        bool is_one = (task == UINT32_MAX || part_session_master(g->session) == task) &&
                      (!id || part_session_id(g->session) == id);
        if (!is_one) {
            at = &g->next;
            continue;
        }
        *at = g->next;
        g->next = taken;
        taken = g;
    }
    mutex_unlock(&c->lock);
    return taken;
}

static void end_guests(df_cluster *c, guest *list, const df_error *why) {
    while (list) {
        guest *g = list;
        list = g->next;
        part_session_end(g->session, why);
        part_session_unref(g->session);
        alloc_free(c->rt->alloc, g, sizeof *g);
    }
}

/* Behind requests_lost of who has asked, there is nobody who would end it. */
static df_code add_guest(task_request *q, const part_session_options *o, df_error *err) {
    df_cluster *c = q->of;
    guest *g = alloc_zeroed(c->rt->alloc, sizeof *g);
    if (!g) return error_memory(err, "a session");
    df_code code = part_session_new(o, &g->session, err);
    if (code != DF_OK) {
        alloc_free(c->rt->alloc, g, sizeof *g);
        return code;
    }
    mutex_lock(&c->lock);
    bool leaving = c->leaving, replaced = remote_peer_incarnation(q->base.from) != q->base.sender;
    if (!leaving && !replaced) {
        g->next = c->guests;
        c->guests = g;
    }
    mutex_unlock(&c->lock);
    if (leaving)
        code = error_set(err, DF_UNAVAILABLE, "%s is leaving", c->names[c->self]);
    else if (replaced)
        code = error_set(err, DF_ABORTED, "another %s has come", remote_peer_name(q->base.from));
    if (code != DF_OK) end_guests(c, g, err);
    return code;
}

/* ---- what is asked ------------------------------------------------------------- */

char *cluster_devices(const df_cluster *c, size_t *bytes) {
    text t;
    text_init(&t, c->rt->alloc);
    for (uint32_t d = 0; d < c->rt->n_devices; d++)
        text_add(&t, "%016" PRIx64 " %d %s\n", c->rt->plan_devices[d].incarnation,
                 c->rt->plan_devices[d].has_queue, c->rt->plan_devices[d].full_name);
    if (t.failed || !t.data) {
        text_fini(&t);
        return NULL;
    }
    *bytes = strlen(t.data);
    char *words = alloc_bytes(c->rt->alloc, *bytes + 1);
    if (words) memcpy(words, t.data, *bytes + 1);
    text_fini(&t);
    return words;
}

static void greeted(task_request *q) {
    df_cluster *c = q->of;
    df_error err;
    df_code code = DF_OK;
    if (q->address[0]) code = remote_peer_lives_at(q->base.from, q->address, &err);
    if (code == DF_OK) {
        q->text = cluster_devices(c, &q->text_bytes);
        if (!q->text) code = error_memory(&err, "a greeting");
    }
    if (code != DF_OK) {
        refuse(q, &err);
        return;
    }
    wire_out w = {.at = q->meta, .left = sizeof q->meta};
    wire_put(&w, remote_peer_incarnation(remote_peer_at(c->remote, c->self)), 8);
    q->segment = (df_segment){.at = q->text, .bytes = q->text_bytes};
    reply(q, (df_segments){&q->segment, 1}, 8);
}

static df_code create(task_request *q, df_error *err) {
    df_cluster *c = q->of;
    pack_items items = {0};
    df_code code = pack_open(c->rt->host, q->whole, &items, err);
    if (code == DF_OK && items.n == 0) code = error_set(err, DF_DATA_LOSS, "a session of nothing");
    df_tensor **values = code == DF_OK ? alloc_array(c->rt->alloc, items.n, sizeof *values) : NULL;
    if (code == DF_OK && !values) code = error_memory(err, "a session");
    for (size_t i = 1; code == DF_OK && i < items.n; i++) values[i - 1] = items.items[i].tensor;
    if (code == DF_OK) {
        part_session_options o = {.rt = c->rt,
                                  .remote = c->remote,
                                  .id = q->session,
                                  .master = remote_peer_index(q->base.from),
                                  .words = items.items[0].bytes,
                                  .size = items.items[0].n_bytes,
                                  .values = values,
                                  .n_values = items.n - 1};
        code = add_guest(q, &o, err);
    }
    if (values) alloc_free(c->rt->alloc, values, items.n * sizeof *values);
    pack_close(&items);
    return code;
}

static void do_slowly(task_request *q) {
    df_error err;
    df_code code;
    part_session *s = NULL;
    if (q->kind == KIND_CLOSE) {
        end_guests(q->of, take_guests(q->of, remote_peer_index(q->base.from), q->session), &q->why);
        code = DF_OK;
    } else if (atomic_get(&q->is_gone, RELAXED)) { /* what it made would be nobody's */
        code = error_set(&err, DF_CANCELLED, "nobody waits for it any more");
    } else if (q->kind == KIND_CREATE) {
        code = create(q, &err);
    } else if (q->kind == KIND_FORGET) {
        s = find_guest(q->of, q->session, remote_peer_index(q->base.from), &err);
        code = s ? DF_OK : err.code;
        if (s) part_forget(s, q->program);
    } else {
        s = find_guest(q->of, q->session, remote_peer_index(q->base.from), &err);
        code = s ? part_compile(s, q->program, q->whole->data, q->whole->bytes, &err) : err.code;
    }
    part_session_unref(s);
    answer(q, code, &err);
}

/* ---- runs ---------------------------------------------------------------------- */

static task_request *request_of(part_run *run) {
    return run->user;
}

static df_code keep_results(task_request *q, df_tensor *const *results, size_t n, df_error *err) {
    q->results = alloc_array(q->of->rt->alloc, n, sizeof(df_tensor *));
    if (!q->results) return error_memory(err, "results");
    for (size_t i = 0; i < n; i++) q->results[i] = df_tensor_ref(results[i]);
    q->n_results = n;
    return DF_OK;
}

static void run_prepared(part_run *run, df_tensor *const *results, size_t n) {
    task_request *q = request_of(run);
    const df_allocator *alloc = q->of->rt->alloc;
    df_error err;
    pack_item *items = alloc_array(alloc, n, sizeof *items);
    df_code code = items ? DF_OK : error_memory(&err, "results");
    for (size_t i = 0; items && i < n; i++) items[i].tensor = results[i];
    if (items) code = pack_make(alloc, items, n, &q->packed, &err);
    if (items) alloc_free(alloc, items, n * sizeof *items);
    if (code == DF_OK) code = keep_results(q, results, n, &err);
    if (code == DF_OK)
        reply(q, q->packed.segments, 0);
    else
        refuse(q, &err);
}

static void run_failed(part_run *run, const df_error *err) {
    refuse(request_of(run), err);
}

static void run_over(part_run *run) {
    remote_peer_watch(request_of(run)->base.from, false);
    request_unref(request_of(run));
}

static void start_run(task_request *q) {
    df_cluster *c = q->of;
    df_error err;
    pack_items items = {0};
    part_session *s = find_guest(c, q->session, remote_peer_index(q->base.from), &err);
    df_code code = s ? pack_open(c->rt->host, q->whole, &items, &err) : err.code;
    df_tensor **feeds = code == DF_OK ? alloc_array(c->rt->alloc, items.n, sizeof *feeds) : NULL;
    if (code == DF_OK && !feeds) code = error_memory(&err, "feeds");
    if (code != DF_OK) {
        refuse(q, &err);
    } else {
        for (size_t i = 0; i < items.n; i++) feeds[i] = items.items[i].tensor;
        refcount_ref(&q->refs);
        remote_peer_watch(q->base.from, true); /* it is to say how the run ends */
        q->run =
            (part_run){.prepared = run_prepared, .failed = run_failed, .over = run_over, .user = q};
        part_start(s, q->program, q->step, q->watermark, (df_tensors){feeds, items.n}, &q->run);
        alloc_free(c->rt->alloc, feeds, items.n * sizeof *feeds);
    }
    pack_close(&items);
    part_session_unref(s);
}

/* ---- what a message says --------------------------------------------------------- */

static void do_quickly(task_request *q) {
    df_cluster *c = q->of;
    df_error err;
    uint32_t from = remote_peer_index(q->base.from);
    part_session *s = find_guest(c, q->session, from, &err);
    if (s && q->kind == KIND_ABORT) part_abort(s, q->step, &q->why);
    if (s && q->kind == KIND_DECIDE)
        part_decide(s, q->step, q->watermark, q->fails ? &q->why : NULL);
    answer(q, s ? DF_OK : err.code, &err);
    part_session_unref(s);
}

static void do_job(clerk_job *job) {
    do_slowly((task_request *)(void *)((char *)job - offsetof(task_request, job)));
}

static void to_clerk(task_request *q) {
    df_cluster *c = q->of;
    df_error err;
    q->job.work = do_job;
    if (clerk_post(&c->clerk, &q->job)) return;
    (void)error_set(&err, DF_UNAVAILABLE, "%s is leaving", c->names[c->self]);
    refuse(q, &err);
}

/* The last that is heard of others goes on. */
static void others_are_known(void *user) {
    task_request *q = user;
    if (!refcount_unref(&q->doubts)) return;
    if (q->kind == KIND_CREATE)
        to_clerk(q);
    else
        do_quickly(q);
}

/* What the master says of others is not believed against what is known: they are asked. */
static void meet_others(task_request *q) {
    df_cluster *c = q->of;
    refcount_init(&q->doubts);
    for (uint32_t i = 0; i < c->spec->n_tasks; i++) {
        if (i == c->self || !q->incarnations[i]) continue;
        if (remote_peer_heard(remote_peer_at(c->remote, i), q->incarnations[i])) continue;
        refcount_ref(&q->doubts);
        greet_task(c, i, others_are_known, q);
    }
    others_are_known(q);
}

/* What makes something, and what ends that: it must not come first. */
static bool is_slow(unsigned kind) {
    return kind == KIND_COMPILE || kind == KIND_FORGET || kind == KIND_CLOSE;
}

static void request_payload(remote_request *base, const df_error *err) {
    task_request *q = (task_request *)base;
    if (err)
        request_unref(q);
    else if (q->kind == KIND_HELLO)
        greeted(q);
    else if (q->kind == KIND_CREATE || q->kind == KIND_MEET)
        meet_others(q);
    else if (is_slow(q->kind))
        to_clerk(q);
    else if (q->kind == KIND_RUN)
        start_run(q);
    else
        do_quickly(q);
}

/* The master says how its runs end, or is lost. */
static void request_gone(remote_request *base) {
    atomic_put(&((task_request *)base)->is_gone, 1, RELAXED);
}

static void read_address(task_request *q, wire_in *w) {
    size_t n = (size_t)wire_get(w, 2);
    const char *at = wire_get_bytes(w, n);
    if (n >= sizeof q->address) w->failed = true;
    if (!w->failed) memcpy(q->address, at, n);
}

static void read_meta(task_request *q, wire_in *w) {
    if (q->kind == KIND_HELLO) {
        read_address(q, w);
        return;
    }
    q->session = wire_get(w, 8);
    if (q->kind == KIND_CREATE || q->kind == KIND_MEET) {
        for (size_t i = 0; i < q->of->spec->n_tasks; i++) q->incarnations[i] = wire_get(w, 8);
        return;
    }
    if (q->kind == KIND_COMPILE || q->kind == KIND_RUN || q->kind == KIND_FORGET)
        q->program = wire_get(w, 8);
    if (q->kind == KIND_RUN || q->kind == KIND_ABORT || q->kind == KIND_DECIDE)
        q->step = wire_get(w, 8);
    if (q->kind == KIND_RUN || q->kind == KIND_DECIDE) q->watermark = wire_get(w, 8);
    if (q->kind == KIND_ABORT || q->kind == KIND_DECIDE || q->kind == KIND_CLOSE)
        q->fails = wire_get_error(w, &q->why);
    if ((q->kind == KIND_ABORT || q->kind == KIND_CLOSE) && !q->fails) w->failed = true;
}

static bool has_payload(unsigned kind) {
    return kind == KIND_CREATE || kind == KIND_COMPILE || kind == KIND_RUN;
}

df_code requests_take(void *user, remote_peer *from, unsigned kind, wire_in *meta, uint64_t payload,
                      remote_request **out, df_segments *place, df_error *err) {
    df_cluster *c = user;
    if (kind > KIND_MEET)
        return error_set(err, DF_UNIMPLEMENTED, "a request of kind %u, which is not known", kind);
    if (payload && !has_payload(kind)) return error_invalid(err, "a request with a payload");
    task_request *q = alloc_zeroed(c->rt->alloc, sizeof *q);
    if (!q) return error_memory(err, "a request");
    refcount_init(&q->refs);
    q->of = c;
    mutex_lock(&c->lock);
    c->n_requests++;
    mutex_unlock(&c->lock);
    q->kind = kind;
    q->base.payload = request_payload;
    q->base.gone = request_gone;
    uint64_t greeted = 0;
    if (kind == KIND_HELLO) greeted = wire_get(meta, 8);
    read_meta(q, meta);
    df_code code = meta->failed ? error_set(err, DF_DATA_LOSS, "a request that is none") : DF_OK;
    if (code == DF_OK && has_payload(kind))
        code = pack_receive(c->rt->host, payload, &q->whole, err);
    if (code != DF_OK) {
        request_unref(q);
        return code;
    }
    if (kind == KIND_HELLO) remote_peer_is(from, greeted);
    q->place = (df_segment){.at = q->whole ? q->whole->data : NULL, .bytes = payload};
    *place = (df_segments){&q->place, payload != 0};
    *out = &q->base;
    return DF_OK;
}

void requests_lost(void *user, remote_peer *peer, const df_error *why) {
    df_cluster *c = user;
    end_guests(c, take_guests(c, remote_peer_index(peer), 0), why);
}

void guests_end(df_cluster *c, const df_error *why) {
    end_guests(c, take_guests(c, UINT32_MAX, 0), why);
}
