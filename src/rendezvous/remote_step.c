/* SPDX-License-Identifier: MIT
 *
 * The rendezvous of one step in one process: the library's own, but that what comes from another
 * process is fetched.
 *
 * A fetch lies in its step's memory and holds the step until it has ended. It may race with an
 * abort, or with its own cancel:
 *
 *     A  (recv)   calls the peer, then looks whether it shall not, and cancels
 *     B  (abort)  says so, then cancels what was called
 *
 * One of the two sees the other, and to cancel twice does no harm.
 */
#include "rendezvous/remote_parts.h"
#include "rendezvous/strings.h"

#include "rendezvous/finish.h"

#include <string.h>

struct remote_program {
    remote *of;
    remote_program_options o;
    uint32_t *fetch_of; /* by channel: its number among what is fetched */
    uint32_t n_fetches;
    size_t text_bytes; /* of all keys that are fetched */
    uint32_t *leaving; /* open hashing by key: channel + 1 */
    size_t cap;        /* a power of two */
};

/* (c) constant while it waits, (l) under remote.lock */
typedef struct fetch {
    remote_call call;         /* first */
    struct remote_step *step; /* (c) */
    const remote_edge *edge;  /* (c) */
    df_recv *r;               /* (c) */
    bool is_called;           /* (l) */
    bool is_cancelled;        /* (l) for ever */
    wire_tensor about;
    df_tensor *tensor; /* what arrives; of strings their bytes */
    df_segment segment;
    unsigned char *meta; /* (c) room for head and key */
    size_t meta_bytes;   /* (c) */
} fetch;

typedef struct remote_step {
    local *inner;
    df_rendezvous *base; /* (c) not a reference */
    remote_program *what;
    uint64_t session, step;
    size_t bytes; /* of this block: fetches, and their metas behind them */
    fetch fetches[];
} remote_step;

enum { FETCH_HEAD = REMOTE_HEAD + 8 + 8 + 2, KEY_MOST = DF_META_MAX - FETCH_HEAD };

/* ---- fetches ------------------------------------------------------------------ */

static memory *host_of(const fetch *f) {
    return f->step->what->of->o.host;
}

/* What is on its way to a place has to fit there, before anything is allocated. */
static df_code fetch_meta(df_call *call, const df_arrival *reply, df_segments *place,
                          df_error *err) {
    fetch *f = (fetch *)call;
    wire_in w = {.at = reply->meta, .left = reply->meta_bytes};
    df_code code = wire_get_tensor(&w, reply->payload_bytes, &f->about, err);
    if (code != DF_OK) return code;
    if (f->about.dtype != f->edge->dtype || !shape_fits(f->about.shape, f->edge->shape)) {
        char is[SHAPE_TEXT_MAX], wanted[SHAPE_TEXT_MAX];
        (void)shape_print(f->about.shape, is, sizeof is);
        (void)shape_print(f->edge->shape, wanted, sizeof wanted);
        return error_set(err, DF_DATA_LOSS, "%s%s has come where %s%s must",
                         df_dtype_name(f->about.dtype), is, df_dtype_name(f->edge->dtype), wanted);
    }
    const int64_t bytes = (int64_t)reply->payload_bytes;
    bool is_text = f->about.dtype == DF_STRING;
    code = tensor_new_in(host_of(f), host_of(f), is_text ? DF_UINT8 : f->about.dtype,
                         is_text ? (df_shape){1, &bytes} : f->about.shape, &f->tensor, err);
    if (code != DF_OK) return code;
    f->segment = (df_segment){.at = f->tensor->data, .bytes = reply->payload_bytes};
    *place = (df_segments){&f->segment, reply->payload_bytes != 0};
    return DF_OK;
}

static df_code take_value(fetch *f, df_tensor **value, df_error *err) {
    df_tensor *came = f->tensor;
    f->tensor = NULL;
    df_code code = wire_check_sum(&f->about, came->data, came->bytes, err);
    if (code == DF_OK && f->about.dtype == DF_STRING)
        code = strings_get(memory_allocator(host_of(f)), f->about.shape, came->data, came->bytes,
                           value, err);
    else if (code == DF_OK)
        *value = df_tensor_ref(came);
    df_tensor_unref(came);
    return code;
}

/* In the step's own words if it was aborted, else with the key. */
static const df_error *fetch_error(const fetch *f, const df_error *err, df_error *words) {
    const df_error *why = rendezvous_why(f->step->base);
    char text[256];
    if (why) return why;
    *words = *err;
    (void)df_key_text(f->edge->key, text, sizeof text);
    error_prefix(words, "key %s: ", text);
    return words;
}

static void fetch_ended(remote_call *c, const df_error *err) {
    fetch *f = (fetch *)c;
    remote *r = f->step->what->of;
    df_rendezvous *base = f->step->base;
    df_recv *recv = f->r;
    df_tensor *value = NULL;
    df_error why, words;
    if (!err && take_value(f, &value, &why) != DF_OK) err = &why;
    df_tensor_unref(f->tensor);
    f->tensor = NULL;
    mutex_lock(&r->lock);
    f->is_called = false;
    mutex_unlock(&r->lock);
    df_recv_finish(recv, err ? fetch_error(f, err, &words) : NULL, NULL, value);
    df_rendezvous_unref(base);
}

static void fetch_begin(fetch *f, df_recv *r) {
    remote_step *s = f->step;
    remote *of = s->what->of;
    remote_peer *from = remote_peer_at(of, (uint32_t)f->edge->peer);
    (void)df_rendezvous_ref(s->base);
    f->r = r;
    f->call = (remote_call){.peer = from, .ended = fetch_ended};
    f->call.base.on_meta = fetch_meta;
    mutex_lock(&of->lock);
    bool is_cancelled = f->is_cancelled;
    f->is_called = !is_cancelled;
    mutex_unlock(&of->lock);
    if (is_cancelled) {
        df_rendezvous *base = s->base;
        finish_cancelled(r);
        df_rendezvous_unref(base);
        return;
    }
    wire_out w = remote_meta(from, KIND_FETCH, f->meta, f->meta_bytes);
    wire_put(&w, s->session, 8);
    wire_put(&w, s->step, 8);
    size_t length = f->meta_bytes - FETCH_HEAD;
    wire_put(&w, length, 2);
    w.left -= length; /* the key's text is there */
    remote_send(from, &f->call, f->meta, &w, f->meta_bytes, (df_segments){NULL, 0});
}

/* Once for each call, however often it is asked for: then the call is not looked at any more. */
static void fetch_cancel(fetch *f) {
    remote *of = f->step->what->of;
    mutex_lock(&of->lock);
    bool is_called = f->is_called;
    mutex_unlock(&of->lock);
    if (is_called) remote_cancel(&f->call);
}

/* ---- the backend ---------------------------------------------------------------- */

/* Of a recv by the plan's own key. NULL: it comes from this process. */
static fetch *fetch_of(remote_step *s, const df_key *key) {
    const remote_program *p = s->what;
    return p->o.edges[key->channel].peer == REMOTE_NONE ? NULL
                                                        : &s->fetches[p->fetch_of[key->channel]];
}

static df_code step_send(void *self, const df_key *key, const df_endpoint *from,
                         df_tensor *tensor) {
    return local_ops.send(((remote_step *)self)->inner, key, from, tensor);
}

static void step_recv(void *self, df_recv *r) {
    remote_step *s = self;
    fetch *f = recv_words_of(r)->planned ? fetch_of(s, r->key) : NULL;
    if (!f) {
        local_ops.recv(s->inner, r);
        return;
    }
    fetch_begin(f, r);
    mutex_lock(&s->what->of->lock);
    bool is_cancelled = f->is_cancelled;
    mutex_unlock(&s->what->of->lock);
    if (is_cancelled || rendezvous_why(s->base)) fetch_cancel(f);
}

static void step_cancel(void *self, df_recv *r) {
    remote_step *s = self;
    fetch *f = recv_words_of(r)->planned ? fetch_of(s, r->key) : NULL;
    if (!f) {
        local_ops.cancel(s->inner, r);
        return;
    }
    mutex_lock(&s->what->of->lock);
    f->is_cancelled = true;
    mutex_unlock(&s->what->of->lock);
    fetch_cancel(f);
}

static void step_abort(void *self, const df_error *why) {
    remote_step *s = self;
    local_ops.abort(s->inner, why);
    for (uint32_t i = 0; i < s->what->n_fetches; i++) fetch_cancel(&s->fetches[i]);
}

static void step_destroy(void *self) {
    remote_step *s = self;
    const remote_program *p = s->what;
    void (*const release)(void *owner) = p->o.release;
    void *const owner = p->o.owner;
    local_free(s->inner);
    alloc_free(p->of->o.alloc, s, s->bytes);
    release(owner);
}

/* Values come to it from elsewhere, too: it is not closed. */
static const df_rendezvous_ops step_ops = {.struct_size = sizeof(df_rendezvous_ops),
                                           .name = "remote",
                                           .send = step_send,
                                           .recv = step_recv,
                                           .cancel = step_cancel,
                                           .abort = step_abort,
                                           .destroy = step_destroy};

static void lay_out(remote_step *s) {
    const remote_program *p = s->what;
    unsigned char *at = (unsigned char *)&s->fetches[p->n_fetches];
    for (size_t c = 0; c < p->o.n; c++) {
        const remote_edge *e = &p->o.edges[c];
        if (e->peer == REMOTE_NONE) continue;
        size_t length = df_key_text(e->key, NULL, 0);
        fetch *f = &s->fetches[p->fetch_of[c]];
        f->step = s;
        f->edge = e;
        f->meta = at;
        f->meta_bytes = FETCH_HEAD + length;
        (void)df_key_text(e->key, (char *)at + FETCH_HEAD, length + 1);
        at += f->meta_bytes + 1; /* and the text's last byte */
    }
}

df_code program_step(remote_program *p, uint64_t session, uint64_t step, df_rendezvous **out,
                     df_error *err) {
    const remote_options *o = &p->of->o;
    size_t bytes =
        sizeof(remote_step) + p->n_fetches * (sizeof(fetch) + FETCH_HEAD + 1) + p->text_bytes;
    remote_step *s = alloc_zeroed(o->alloc, bytes);
    if (!s) return error_memory(err, "a step");
    s->what = p;
    s->session = session;
    s->step = step;
    s->bytes = bytes;
    lay_out(s);
    df_code code = local_new(o->alloc, p->o.plan, p->o.n, 2, 8, &s->inner, err);
    if (code == DF_OK)
        code = rendezvous_new(o->alloc, &step_ops, s, NULL, o->host, NULL, &s->base, err);
    if (code != DF_OK) {
        local_free(s->inner);
        alloc_free(o->alloc, s, bytes);
        return code;
    }
    p->o.hold(p->o.owner);
    *out = s->base;
    return DF_OK;
}

/* ---- programs ------------------------------------------------------------------- */

static size_t slot_of(const remote_program *p, uint64_t hash) {
    return (size_t)hash & (p->cap - 1);
}

const df_key *program_key(const remote_program *p, const df_key *key) {
    for (size_t i = slot_of(p, key->hash); p->leaving[i]; i = (i + 1) & (p->cap - 1)) {
        const df_key *own = p->o.edges[p->leaving[i] - 1].key;
        if (df_key_equal(own, key)) return own;
    }
    return NULL;
}

static df_code refuse_key(const df_key *key, const char *why, df_error *err) {
    char text[256];
    (void)df_key_text(key, text, sizeof text);
    return error_invalid(err, "key %s %s", text, why);
}

static df_code enter(remote_program *p, size_t channel, df_error *err) {
    const df_key *key = p->o.edges[channel].key;
    if (program_key(p, key)) return refuse_key(key, "leaves the process twice", err);
    size_t i = slot_of(p, key->hash);
    while (p->leaving[i]) i = (i + 1) & (p->cap - 1);
    p->leaving[i] = (uint32_t)channel + 1;
    return DF_OK;
}

static df_code fill(remote_program *p, df_error *err) {
    df_code code = DF_OK;
    for (size_t c = 0; code == DF_OK && c < p->o.n; c++) {
        const remote_edge *e = &p->o.edges[c];
        size_t length = df_key_text(e->key, NULL, 0);
        if (e->leaves) code = enter(p, c, err);
        if (e->peer == REMOTE_NONE) continue;
        if (length > KEY_MOST) code = refuse_key(e->key, "is too long to be asked for", err);
        p->fetch_of[c] = p->n_fetches++;
        p->text_bytes += length;
    }
    return code;
}

df_code remote_program_new(remote *r, const remote_program_options *options, remote_program **out,
                           df_error *err) {
    const df_allocator *alloc = r->o.alloc;
    remote_program *p = alloc_zeroed(alloc, sizeof *p);
    if (!p) return error_memory(err, "a program");
    *p = (remote_program){.of = remote_ref(r), .o = *options, .cap = 8};
    while (p->cap < 2 * p->o.n) p->cap *= 2;
    p->fetch_of = alloc_array(alloc, p->o.n, sizeof *p->fetch_of);
    p->leaving = alloc_array(alloc, p->cap, sizeof *p->leaving);
    df_code code = p->fetch_of && p->leaving ? fill(p, err) : error_memory(err, "a program");
    if (code == DF_OK)
        *out = p;
    else
        remote_program_free(p);
    return code;
}

void remote_program_free(remote_program *p) {
    if (!p) return;
    const df_allocator *alloc = p->of->o.alloc;
    alloc_free(alloc, p->fetch_of, p->o.n * sizeof *p->fetch_of);
    alloc_free(alloc, p->leaving, p->cap * sizeof *p->leaving);
    remote *of = p->of;
    alloc_free(alloc, p, sizeof *p);
    remote_unref(of);
}
