/* SPDX-License-Identifier: MIT
 *
 * Messages: how they are given to UCX, and where it brings them.
 */
#include "transport/ucx/core.h"

#include "base/error.h"
#include "transport/wire.h"

#include <string.h>

enum {
    MESSAGES = 0,   /* UCX's numbers of ours: head, meta, and payload or its first part */
    PARTS = 1,      /* the call's number, where it goes, and one segment */
    BUNDLES = 2,    /* small messages, one behind the other */
    OF_BUNDLER = 3, /* a message as MESSAGES, of who bundles */
    PART_HEAD = 16,
    LARGE = 256 << 10, /* bytes of a segment that is a part of its own */
    BUNDLE = 4096,     /* bytes of a bundle, at most; it comes at once */
    SMALL = 1024       /* bytes of a message in it, at most */
};

/* ---- bytes ------------------------------------------------------------------------------ */

static bool has_devices(df_segments s) {
    for (size_t i = 0; i < s.n; i++)
        if (s.at[i].bytes && (s.at[i].flags & DF_SEGMENT_DEVICE)) return true;
    return false;
}

bool line_carries(const endpoint *e, const df_message *m, uint64_t *bytes) {
    return m->meta_bytes <= DF_META_MAX && frame_total(m->payload, bytes) &&
           (e->takes_devices || !has_devices(m->payload));
}

/* What UCX was given: where the bytes lie, and head and meta. */
typedef struct given {
    line *via;
    flow *of; /* NULL: nobody's */
    size_t bytes;
    size_t n; /* pieces */
    ucp_dt_iov_t pieces[];
} given;

/* The pieces of segments from a byte on, so many bytes; returns how many. pieces NULL: counts. */
static size_t cut(df_segments s, uint64_t from, uint64_t bytes, ucp_dt_iov_t *pieces) {
    size_t n = 0;
    for (size_t i = 0; bytes > 0; from -= s.at[i++].bytes) {
        for (; from >= s.at[i].bytes; i++) from -= s.at[i].bytes;
        uint64_t m = s.at[i].bytes - from;
        if (m > bytes) m = bytes;
        if (pieces) pieces[n] = (ucp_dt_iov_t){(unsigned char *)s.at[i].at + from, (size_t)m};
        n++;
        bytes -= m;
        from += m;
    }
    return n;
}

/* `more` bytes are behind the pieces. NULL: no memory. */
static given *given_new(line *l, flow *f, size_t n, size_t more) {
    size_t size = sizeof(given) + n * sizeof(ucp_dt_iov_t) + more;
    given *g = alloc_bytes(l->at->alloc, size);
    if (g) *g = (given){.via = l, .of = f, .bytes = size, .n = n};
    return g;
}

/* Of segments from a byte on, so many bytes. */
static given *given_of(line *l, flow *f, df_segments s, uint64_t from, uint64_t bytes,
                       size_t more) {
    given *g = given_new(l, f, cut(s, from, bytes, NULL), more);
    if (g) (void)cut(s, from, bytes, g->pieces);
    return g;
}

static void given_free(given *g) {
    alloc_free(g->via->at->alloc, g, g->bytes);
}

/* As UCX takes them. */
static void *given_at(given *g) {
    return g->n == 1 ? g->pieces[0].buffer : g->n ? g->pieces : NULL;
}

static size_t given_count(const given *g) {
    return g->n == 1 ? g->pieces[0].length : g->n;
}

static ucp_request_param_t given_param(given *g, bool is_devices) {
    ucp_request_param_t p = {.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK |
                                             UCP_OP_ATTR_FIELD_USER_DATA |
                                             UCP_OP_ATTR_FIELD_DATATYPE | UCP_OP_ATTR_FIELD_FLAGS,
                             .datatype = g->n > 1 ? ucp_dt_make_iov() : ucp_dt_make_contig(1),
                             .user_data = g};
    if (!is_devices) { /* else UCX looks where they are */
        p.op_attr_mask |= UCP_OP_ATTR_FIELD_MEMORY_TYPE;
        p.memory_type = UCS_MEMORY_TYPE_HOST;
    }
    return p;
}

/* ---- sending ---------------------------------------------------------------------------- */

static void has_gone(void *request, ucs_status_t status, void *given_) {
    given *g = given_;
    line *l = g->via;
    flow *f = g->of;
    ucp_request_free(request);
    given_free(g);
    if (status == UCS_OK)
        line_made(l);
    else
        line_fail(l, DF_UNAVAILABLE, ucs_status_string(status));
    if (f) {
        f->sends--;
        f->settle(f);
    }
    line_given_back(l);
}

/* The header lies behind the pieces. */
static df_code send_given(given *g, unsigned id, size_t n_head, bool is_devices) {
    line *l = g->via;
    flow *f = g->of;
    ucp_request_param_t p = given_param(g, is_devices);
    p.flags = UCP_AM_SEND_FLAG_REPLY; /* so that the other side knows the line */
    p.cb.send = has_gone;
    void *request =
        ucp_am_send_nbx(l->handle, id, &g->pieces[g->n], n_head, given_at(g), given_count(g), &p);
    if (UCS_PTR_IS_PTR(request)) {
        l->n_out++;
        if (f) f->sends++;
        return DF_OK;
    }
    given_free(g);
    if (request != NULL) return DF_UNAVAILABLE;
    line_made(l);
    return DF_OK;
}

/* How many bytes from `from` on go with one message: a large segment alone, or what is before one;
 * all if there is but one segment. */
static uint64_t next_part(df_segments s, uint64_t from) {
    uint64_t at = 0, end = 0;
    size_t i = 0;
    for (; i < s.n && at + s.at[i].bytes <= from; i++) at += s.at[i].bytes;
    if (i < s.n && s.at[i].bytes >= LARGE) return s.at[i].bytes;
    for (; i < s.n && s.at[i].bytes < LARGE; i++) end += s.at[i].bytes;
    return end;
}

bool line_sends_at_once(df_segments payload) {
    uint64_t bytes;
    return frame_total(payload, &bytes) && next_part(payload, 0) == bytes;
}

static df_code send_part(line *l, flow *f, uint64_t number, df_segments payload, uint64_t from,
                         uint64_t bytes) {
    given *g = given_of(l, f, payload, from, bytes, PART_HEAD);
    if (!g) return DF_RESOURCE_EXHAUSTED;
    wire_out w = {.at = (unsigned char *)&g->pieces[g->n], .left = PART_HEAD};
    wire_put(&w, number, 8);
    wire_put(&w, from, 8);
    return send_given(g, PARTS, PART_HEAD, has_devices(payload));
}

/* Its only piece lies behind itself. */
static given *bundle_new(line *l) {
    given *g = given_new(l, NULL, 1, BUNDLE);
    if (!g) return NULL;
    g->pieces[0] = (ucp_dt_iov_t){&g->pieces[1], 0};
    ring_add(&l->at->gathered, &l->of_gathered);
    return l->bundle = g;
}

df_code line_send_bundle(line *l) {
    given *g = l->bundle;
    if (!g) return DF_OK;
    l->bundle = NULL;
    ring_remove(&l->of_gathered);
    return send_given(g, BUNDLES, 0, false);
}

void line_send_gathered(endpoint *e) {
    while (!ring_is_empty(&e->gathered)) {
        line *l = OF(line, of_gathered, e->gathered.next);
        if (line_send_bundle(l) != DF_OK) line_fail(l, DF_UNAVAILABLE, "it takes no more messages");
    }
}

/* Else UCX would have to bring what is small to a device's memory, and is asked for each. */
static bool bundles(const endpoint *e) {
    return !e->takes_devices;
}

/* Bytes of a message that goes in a bundle now; 0: it goes by itself. */
static size_t bundled_bytes(const line *l, const frame *h) {
    const size_t n_head = FRAME_BYTES + h->meta_bytes;
    const bool is_small = n_head <= SMALL && h->payload_bytes <= SMALL - n_head;
    return is_small && l->at->gathers && l->bundles ? n_head + (size_t)h->payload_bytes : 0;
}

static void encode(const frame *h, const void *meta, unsigned char *head) {
    frame_encode(h, meta, head);
    if (h->meta_bytes) memcpy(head + FRAME_BYTES, meta, h->meta_bytes);
}

static void put_in_bundle(given *g, const frame *h, const void *meta, df_segments payload) {
    ucp_dt_iov_t *all = &g->pieces[0];
    unsigned char *at = (unsigned char *)all->buffer + all->length;
    encode(h, meta, at);
    at += FRAME_BYTES + h->meta_bytes;
    for (size_t i = 0; i < payload.n; at += payload.at[i++].bytes)
        if (payload.at[i].bytes) memcpy(at, payload.at[i].at, (size_t)payload.at[i].bytes);
    all->length = (size_t)(at - (unsigned char *)all->buffer);
}

df_code line_send(line *l, flow *f, const frame *h, const void *meta, df_segments payload) {
    const size_t bundled = bundled_bytes(l, h);
    const bool is_full = bundled && l->bundle && bundled > BUNDLE - l->bundle->pieces[0].length;
    if (is_full && line_send_bundle(l) != DF_OK) return DF_UNAVAILABLE;
    if (bundled && (l->bundle || bundle_new(l))) {
        put_in_bundle(l->bundle, h, meta, payload);
        return DF_OK;
    }
    const size_t n_head = FRAME_BYTES + h->meta_bytes;
    uint64_t part = next_part(payload, 0);
    given *g = given_of(l, f, payload, 0, part, n_head);
    if (!g) return DF_RESOURCE_EXHAUSTED;
    encode(h, meta, (unsigned char *)&g->pieces[g->n]);
    df_code code =
        send_given(g, bundles(l->at) ? OF_BUNDLER : MESSAGES, n_head, has_devices(payload));
    for (uint64_t at = part; at < h->payload_bytes && code == DF_OK; at += part) {
        part = next_part(payload, at);
        if (send_part(l, f, h->call, payload, at, part) != DF_OK) code = DF_UNAVAILABLE;
    }
    return code;
}

df_code line_send_error(line *l, flow *f, uint64_t number, const df_error *why) {
    unsigned char meta[FRAME_ERROR_MAX];
    const size_t n = frame_put_error(why, meta);
    const frame h = {.kind = FRAME_ERROR, .call = number, .meta_bytes = (uint32_t)n};
    return line_send(l, f, &h, meta, (df_segments){NULL, 0});
}

df_code line_send_cancel(line *l, uint64_t number) {
    const frame h = {.kind = FRAME_CANCEL, .call = number};
    return line_send(l, NULL, &h, NULL, (df_segments){NULL, 0});
}

/* ---- receiving --------------------------------------------------------------------------- */

static void is_there(flow *f, uint64_t bytes) {
    f->missing -= bytes;
    f->is_received = f->missing == 0;
}

static void has_come(void *request, ucs_status_t status, size_t length, void *given_) {
    given *g = given_;
    line *l = g->via;
    flow *f = g->of;
    ucp_request_free(request);
    given_free(g);
    f->receives--;
    if (status == UCS_OK)
        is_there(f, length);
    else
        line_fail(l, DF_UNAVAILABLE, ucs_status_string(status));
    f->settle(f);
    line_given_back(l);
}

/* By UCX, which writes into the place itself. */
static df_code receive_by(flow *f, parcel *in, uint64_t from, df_error *err) {
    line *l = f->via;
    given *g = given_of(l, f, f->place, from, in->bytes, 0);
    if (!g) return error_memory(err, "a message's payload");
    ucp_request_param_t p = given_param(g, has_devices(f->place));
    p.cb.recv_am = has_come;
    in->is_kept = true;
    void *request = ucp_am_recv_data_nbx(l->at->worker, in->data, given_at(g), given_count(g), &p);
    if (UCS_PTR_IS_PTR(request)) {
        l->n_out++;
        f->receives++;
        return DF_OK;
    }
    given_free(g);
    if (request == NULL) {
        is_there(f, in->bytes);
        return DF_OK;
    }
    return error_set(err, DF_UNAVAILABLE, "a payload cannot be received: %s",
                     ucs_status_string(UCS_PTR_STATUS(request)));
}

/* What has come goes to its place, from this byte on. */
static df_code receive(flow *f, parcel *in, uint64_t from, df_error *err) {
    if (in->bytes && (in->is_asked || has_devices(f->place))) return receive_by(f, in, from, err);
    const unsigned char *at = in->data;
    uint64_t left = in->bytes;
    for (size_t i = 0; left > 0; from -= f->place.at[i++].bytes) {
        for (; from >= f->place.at[i].bytes; i++) from -= f->place.at[i].bytes;
        uint64_t n = f->place.at[i].bytes - from;
        if (n > left) n = left;
        memcpy((unsigned char *)f->place.at[i].at + from, at, (size_t)n);
        at += n;
        left -= n;
        from += n;
    }
    is_there(f, in->bytes);
    return DF_OK;
}

df_code line_receive(flow *f, parcel *in, df_segments place, uint64_t bytes, const char *who,
                     df_error *err) {
    uint64_t n;
    if (!frame_total(place, &n) || n != bytes)
        return error_invalid(err, "%s: a place of another size for %llu bytes of payload", who,
                             (unsigned long long)bytes);
    if (has_devices(place) && !f->via->at->takes_devices)
        return error_invalid(err, "%s: this UCX does not write into devices' memory", who);
    f->place = place;
    f->missing = bytes;
    df_code code = receive(f, in, 0, err);
    if (code != DF_OK) error_prefix(err, "%s: ", who);
    return code;
}

/* It comes behind its message, by the same lane of UCX. Perhaps nobody waits for it any more.
 * False: it is none, or has come too early. */
static bool take_part(line *l, const void *head, size_t n_head, parcel *in) {
    wire_in w = {.at = head, .left = n_head};
    uint64_t number = wire_get(&w, 8), from = wire_get(&w, 8), end = 0;
    entry *e = numbers_find(&l->by_number, number);
    flow *f = e ? OF(flow, by_number, e) : NULL;
    if (w.failed || w.left) return false;
    if (!f) return l->to || number <= l->last;
    if (f->is_over) return true;
    if (in->bytes > f->missing || !frame_total(f->place, &end) || from > end - in->bytes)
        return false;
    if (receive(f, in, from, NULL) != DF_OK) return false;
    if (f->is_received && !f->receives) f->settle(f);
    return true;
}

/* False: it is no message, or none that can come by this line. */
static bool take_message(line *l, const void *head_, size_t n_head, parcel *in) {
    const unsigned char *head = head_;
    frame h;
    if (n_head < FRAME_BYTES || frame_decode(head, &h, NULL) != DF_OK ||
        n_head != FRAME_BYTES + h.meta_bytes || in->bytes > h.payload_bytes ||
        frame_check(head, &h, head + FRAME_BYTES, NULL) != DF_OK)
        return false;
    bool is_answer = h.kind == FRAME_REPLY || h.kind == FRAME_ERROR;
    if (is_answer != (l->to != NULL)) return false;
    if (is_answer)
        reply_came(l, &h, head + FRAME_BYTES, in);
    else if (h.kind == FRAME_REQUEST)
        request_came(l, &h, head + FRAME_BYTES, in);
    else {
        entry *e = numbers_find(&l->by_number, h.call);
        if (e) request_gone(OF(flow, by_number, e));
    }
    return true;
}

/* False: there is something in it that is none. */
static bool take_bundle(line *l, const void *head, size_t n_head, parcel *in) {
    unsigned char *at = in->data;
    frame h;
    (void)head;
    if (n_head || in->is_asked || !bundles(l->at)) return false;
    l->bundles = true;
    for (size_t left = in->bytes, n; left > 0 && l->why == DF_OK; at += n, left -= n) {
        if (left < FRAME_BYTES || frame_decode(at, &h, NULL) != DF_OK) return false;
        n = FRAME_BYTES + h.meta_bytes;
        if (left < n || left - n < h.payload_bytes) return false;
        parcel one = {.data = at + n, .bytes = h.payload_bytes};
        if (!take_message(l, at, n, &one)) return false;
        n += (size_t)h.payload_bytes;
    }
    return true;
}

static bool take_of_bundler(line *l, const void *head, size_t n_head, parcel *in) {
    l->bundles = bundles(l->at);
    return take_message(l, head, n_head, in);
}

static ucs_status_t came(endpoint *e, const void *head, size_t n_head, void *data, size_t bytes,
                         const ucp_am_recv_param_t *of,
                         bool (*take)(line *l, const void *head, size_t n_head, parcel *in)) {
    const bool knows = (of->recv_attr & UCP_AM_RECV_ATTR_FIELD_REPLY_EP) != 0;
    entry *found = knows ? numbers_find(&e->by_handle, (uintptr_t)of->reply_ep) : NULL;
    line *l = found ? OF(line, in_endpoint, found) : NULL;
    parcel in = {data, bytes, (of->recv_attr & UCP_AM_RECV_ATTR_FLAG_RNDV) != 0, false};
    if (l) line_made(l);
    if (!l || l->why != DF_OK) return UCS_OK; /* it is dropped */
    if (!take(l, head, n_head, &in))
        line_fail(l, DF_UNAVAILABLE, "a message is damaged, or of another version");
    return in.is_kept ? UCS_INPROGRESS : UCS_OK;
}

static ucs_status_t message_came(void *e, const void *head, size_t n_head, void *data, size_t bytes,
                                 const ucp_am_recv_param_t *of) {
    return came(e, head, n_head, data, bytes, of, take_message);
}

static ucs_status_t bundle_came(void *e, const void *head, size_t n_head, void *data, size_t bytes,
                                const ucp_am_recv_param_t *of) {
    return came(e, head, n_head, data, bytes, of, take_bundle);
}

static ucs_status_t of_bundler_came(void *e, const void *head, size_t n_head, void *data,
                                    size_t bytes, const ucp_am_recv_param_t *of) {
    return came(e, head, n_head, data, bytes, of, take_of_bundler);
}

static ucs_status_t part_came(void *e, const void *head, size_t n_head, void *data, size_t bytes,
                              const ucp_am_recv_param_t *of) {
    return came(e, head, n_head, data, bytes, of, take_part);
}

static ucs_status_t take_by(endpoint *e, unsigned id, ucp_am_recv_callback_t by) {
    const ucp_am_handler_param_t p = {
        .field_mask = UCP_AM_HANDLER_PARAM_FIELD_ID | UCP_AM_HANDLER_PARAM_FIELD_FLAGS |
                      UCP_AM_HANDLER_PARAM_FIELD_CB | UCP_AM_HANDLER_PARAM_FIELD_ARG,
        .id = id,
        /* What goes to a device's memory must stay until UCX has brought it there. */
        .flags = UCP_AM_FLAG_WHOLE_MSG | (e->takes_devices ? UCP_AM_FLAG_PERSISTENT_DATA : 0u),
        .cb = by,
        .arg = e};
    return ucp_worker_set_am_recv_handler(e->worker, &p);
}

ucs_status_t line_take_messages(endpoint *e) {
    ucs_status_t s = take_by(e, MESSAGES, message_came);
    if (s == UCS_OK) s = take_by(e, PARTS, part_came);
    if (s == UCS_OK) s = take_by(e, BUNDLES, bundle_came);
    return s == UCS_OK ? take_by(e, OF_BUNDLER, of_bundler_came) : s;
}
