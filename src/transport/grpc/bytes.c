/* SPDX-License-Identifier: MIT
 *
 * Messages: what is sent is lent, what comes is copied.
 */
#include "transport/grpc/core.h"

#include "base/error.h"

/* ---- batches ----------------------------------------------------------------------- */

void flow_start(flow *f, const grpc_op *ops, size_t n, tag *t) {
    if (grpc_call_start_batch(f->call, ops, n, t, NULL) == GRPC_CALL_OK) return;
    t->has_failed = true;
    core_post(f->at, t);
}

static void lent_back(void *flow_) {
    (void)atomic_sub(&((flow *)flow_)->lent, 1, RELEASE);
}

grpc_byte_buffer *flow_pack(flow *f, const unsigned char *head, const void *meta, size_t n_meta) {
    grpc_byte_buffer *b = grpc_raw_byte_buffer_create(NULL, 0);
    grpc_slice_buffer *to = &b->data.raw.slice_buffer;
    size_t n_head = head ? FRAME_BYTES + n_meta : 0, n;
    size_t most = f->out.left < CHUNK ? (size_t)f->out.left : CHUNK;
    size_t n_copied = n_head + (most <= SMALL ? most : 0);
    void *piece;
    if (n_copied) {
        grpc_slice s = grpc_slice_malloc(n_copied);
        unsigned char *at = GRPC_SLICE_START_PTR(s);
        if (head) memcpy(at, head, FRAME_BYTES);
        if (n_meta) memcpy(at + FRAME_BYTES, meta, n_meta);
        at += n_head;
        for (; most <= SMALL && (piece = cursor_next(&f->out, most, &n)); at += n, most -= n)
            memcpy(at, piece, n);
        grpc_slice_buffer_add(to, s);
    }
    for (; (piece = cursor_next(&f->out, most, &n)); most -= n) {
        (void)atomic_add(&f->lent, 1, RELAXED);
        grpc_slice_buffer_add(to, grpc_slice_new_with_user_data(piece, n, lent_back, f));
    }
    return b;
}

void flow_let_go(flow *f) {
    mutex_lock(&f->at->lock);
    grpc_call *call = f->call;
    f->call = NULL;
    mutex_unlock(&f->at->lock);
    if (call) grpc_call_unref(call);
}

bool flow_waits(flow *f) {
    if (atomic_get(&f->lent, ACQUIRE) == 0) return false;
    if (!f->is_late) {
        f->next_late = f->at->late;
        f->at->late = f;
        f->is_late = true;
    }
    return true;
}

void flow_receive(flow *f, tag *t) {
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    op.data.recv_message.recv_message = &f->message;
    f->receives = true;
    flow_start(f, &op, 1, t);
}

/* ---- what has come ------------------------------------------------------------------- */

static bool source_fill(source *s) {
    grpc_slice *slice;
    while (s->is_open && s->left == 0 && grpc_byte_buffer_reader_peek(&s->reader, &slice)) {
        s->at = GRPC_SLICE_START_PTR(*slice);
        s->left = GRPC_SLICE_LENGTH(*slice);
    }
    return s->left > 0;
}

static bool source_read(source *s, unsigned char *into, size_t bytes) {
    while (bytes > 0 && source_fill(s)) {
        size_t n = bytes < s->left ? bytes : s->left;
        memcpy(into, s->at, n);
        into += n;
        bytes -= n;
        s->at += n;
        s->left -= n;
    }
    return bytes == 0;
}

void source_open(source *s, flow *f) {
    *s = (source){.is_open = false};
    s->is_open = grpc_byte_buffer_reader_init(&s->reader, f->message);
}

void source_close(source *s, flow *f) {
    if (s->is_open) grpc_byte_buffer_reader_destroy(&s->reader);
    grpc_byte_buffer_destroy(f->message);
    f->message = NULL;
}

df_code flow_take(flow *f, source *s, const char *who, df_error *err) {
    for (; source_fill(s); s->left = 0) {
        if (s->left > f->in.left)
            return error_set(err, DF_DATA_LOSS, "%s: a message is longer than it says", who);
        cursor_write(&f->in, s->at, s->left);
    }
    return DF_OK;
}

df_code flow_place(flow *f, df_segments place, const frame *head, const char *who, df_error *err) {
    uint64_t n;
    if (!frame_total(place, &n) || n != head->payload_bytes)
        return error_invalid(err, "%s: a place of another size for %llu bytes of payload", who,
                             (unsigned long long)head->payload_bytes);
    f->in = (cursor){.of = place, .left = n};
    return DF_OK;
}

df_code source_head(source *s, const flow *f, unsigned char head[FRAME_BYTES], frame *h,
                    df_error *err) {
    uint64_t most = f->at->engine->o.max_payload;
    if (!source_read(s, head, FRAME_BYTES))
        return error_set(err, DF_DATA_LOSS, "a message without a head");
    df_code code = frame_decode(head, h, err);
    if (code == DF_OK && most && h->payload_bytes > most)
        code = error_set(err, DF_RESOURCE_EXHAUSTED,
                         "%llu bytes of payload, and df_grpc_options.max_payload is %llu",
                         (unsigned long long)h->payload_bytes, (unsigned long long)most);
    return code;
}

df_code source_meta(source *s, const unsigned char head[FRAME_BYTES], const frame *h,
                    unsigned char *meta, df_error *err) {
    if (source_read(s, meta, h->meta_bytes)) return frame_check(head, h, meta, err);
    return error_set(err, DF_DATA_LOSS, "a message that ends in its meta");
}
