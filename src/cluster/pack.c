/* SPDX-License-Identifier: MIT */
#include "cluster/pack.h"

#include "base/error.h"
#include "rendezvous/strings.h"

#include <string.h>

enum { ALIGN = 64, ITEM_HEAD = 12 };

static const unsigned char zeros[ALIGN];

static size_t padding(size_t at) {
    return (ALIGN - at % ALIGN) % ALIGN;
}

/* ---- making ----------------------------------------------------------------- */

static size_t item_bytes(const pack_item *i) {
    if (!i->tensor) return i->n_bytes;
    return i->tensor->dtype == DF_STRING ? strings_bytes(i->tensor) : i->tensor->bytes;
}

static void put_head(wire_out *w, const pack_item *items, size_t n) {
    wire_put(w, n, 4);
    for (size_t i = 0; i < n; i++) {
        const df_tensor *t = items[i].tensor;
        wire_put(w, t != NULL, 1);
        wire_put(w, t ? (uint64_t)t->dtype : 0, 1);
        wire_put(w, t ? (uint64_t)t->rank : 0, 1);
        wire_put(w, 0, 1);
        wire_put(w, item_bytes(&items[i]), 8);
        for (int d = 0; t && d < t->rank; d++) wire_put(w, (uint64_t)t->dims[d], 8);
    }
}

/* Where its bytes are: those of strings are written behind one another into the block. */
static const void *bytes_of(const pack_item *i, wire_out *strings) {
    const df_tensor *t = i->tensor;
    if (!t) return i->bytes;
    if (t->dtype != DF_STRING) return t->data;
    const void *begin = strings->at;
    strings_put(strings, t);
    return begin;
}

static void add(df_segment *list, size_t *n, const void *at, size_t bytes, size_t *end) {
    if (!bytes) return;
    list[(*n)++] = (df_segment){.at = (void *)(uintptr_t)at, .bytes = bytes};
    *end += bytes;
}

df_code pack_make(const df_allocator *alloc, const pack_item *items, size_t n, pack *out,
                  df_error *err) {
    size_t head = 4, text = 0, segments = (2 * n + 1) * sizeof(df_segment);
    for (size_t i = 0; i < n; i++) {
        const df_tensor *t = items[i].tensor;
        head += ITEM_HEAD + (t ? (size_t)t->rank * 8 : 0);
        if (t && t->dtype == DF_STRING) text += strings_bytes(t);
    }
    *out = (pack){.alloc = alloc, .block_bytes = segments + head + text, .head_bytes = head};
    if (n > PACK_MOST)
        return error_invalid(err, "%zu values in one message; it takes %d", n, PACK_MOST);
    out->block = alloc_bytes(alloc, out->block_bytes);
    if (!out->block) return error_memory(err, "a message");
    df_segment *list = out->block;
    unsigned char *begin = (unsigned char *)out->block + segments;
    wire_out w = {.at = begin, .left = head}, strings = {.at = begin + head, .left = text};
    size_t n_segments = 0, end = 0;
    put_head(&w, items, n);
    add(list, &n_segments, begin, head, &end);
    for (size_t i = 0; i < n; i++) {
        size_t bytes = item_bytes(&items[i]);
        if (!bytes) continue;
        add(list, &n_segments, zeros, padding(end), &end);
        add(list, &n_segments, bytes_of(&items[i], &strings), bytes, &end);
    }
    out->segments = (df_segments){list, n_segments};
    return DF_OK;
}

void pack_free(pack *p) {
    if (p->block) alloc_free(p->alloc, p->block, p->block_bytes);
    p->block = NULL;
}

/* ---- opening ---------------------------------------------------------------- */

df_code pack_receive(memory *host, uint64_t bytes, df_tensor **out, df_error *err) {
    const int64_t n = (int64_t)bytes;
    return tensor_new_in(host, host, DF_UINT8, (df_shape){1, &n}, out, err);
}

static void let_go(void *whole, void *data) {
    (void)data;
    df_tensor_unref(whole);
}

static df_code take_tensor(const df_allocator *alloc, df_tensor *whole, df_dtype dtype,
                           df_shape shape, void *at, size_t bytes, df_tensor **out, df_error *err) {
    int64_t n;
    size_t wanted;
    if (dtype == DF_STRING) return strings_get(alloc, shape, at, bytes, out, err);
    if (tensor_size(dtype, shape, &n, &wanted, NULL) != DF_OK || bytes != wanted)
        return error_set(err, DF_DATA_LOSS, "no dtype and shape of so many bytes");
    df_code code = df_tensor_wrap(alloc, dtype, shape, at, let_go, whole, out, err);
    if (code == DF_OK) (void)df_tensor_ref(whole);
    return code;
}

static df_code take_item(const df_allocator *alloc, df_tensor *whole, wire_in *head, size_t *end,
                         pack_item *out, df_error *err) {
    int64_t dims[DF_MAX_RANK];
    bool is_tensor = wire_get(head, 1) != 0;
    df_dtype dtype = (df_dtype)wire_get(head, 1);
    int rank = (int)wire_get(head, 1);
    (void)wire_get(head, 1);
    uint64_t bytes = wire_get(head, 8);
    if (rank > DF_MAX_RANK) head->failed = true;
    for (int d = 0; !head->failed && d < rank; d++) dims[d] = (int64_t)wire_get(head, 8);
    size_t at = bytes ? *end + padding(*end) : *end;
    if (head->failed || at > whole->bytes || bytes > whole->bytes - at)
        return error_set(err, DF_DATA_LOSS, "a message that is shorter than it says");
    *end = at + (size_t)bytes;
    unsigned char *data = (unsigned char *)whole->data + at;
    *out = (pack_item){.bytes = data, .n_bytes = (size_t)bytes};
    if (!is_tensor) return DF_OK;
    return take_tensor(alloc, whole, dtype, (df_shape){rank, dims}, data, (size_t)bytes,
                       &out->tensor, err);
}

/* Heads are all in front: a first look finds where they end. */
static size_t head_end(const df_tensor *whole, size_t n) {
    wire_in w = {.at = whole->data, .left = whole->bytes};
    (void)wire_get(&w, 4);
    for (size_t i = 0; i < n && !w.failed; i++) {
        (void)wire_get(&w, 2);
        size_t rank = (size_t)wire_get(&w, 1);
        (void)wire_get_bytes(&w, 9 + rank * 8);
    }
    return w.failed ? 0 : whole->bytes - w.left;
}

df_code pack_open(memory *host, df_tensor *whole, pack_items *out, df_error *err) {
    const df_allocator *alloc = memory_allocator(host);
    wire_in head = {.at = whole->data, .left = whole->bytes};
    size_t n = (size_t)wire_get(&head, 4), end = head_end(whole, n);
    *out = (pack_items){.alloc = alloc};
    if (n > PACK_MOST || !end) return error_set(err, DF_DATA_LOSS, "a message without its head");
    out->items = alloc_array(alloc, n, sizeof *out->items);
    if (!out->items) return error_memory(err, "a message");
    out->n = n;
    df_code code = DF_OK;
    for (size_t i = 0; code == DF_OK && i < n; i++)
        code = take_item(alloc, whole, &head, &end, &out->items[i], err);
    if (code == DF_OK && end != whole->bytes)
        code = error_set(err, DF_DATA_LOSS, "a message that is longer than it says");
    if (code != DF_OK) pack_close(out);
    return code;
}

void pack_close(pack_items *items) {
    for (size_t i = 0; i < items->n; i++) df_tensor_unref(items->items[i].tensor);
    alloc_free(items->alloc, items->items, items->n * sizeof *items->items);
    *items = (pack_items){.alloc = items->alloc};
}
