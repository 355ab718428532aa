/* SPDX-License-Identifier: MIT
 *
 * tensor.c - tensors: made, shared, used again, and given back.
 *
 * Where a block comes from is a `place`: a memory, or a df_allocator. Header and buffer
 * struct come from one place, the elements from another (on a device) or the same; a
 * tensor that a user made takes all three from his allocator. So there is one way to
 * make a tensor and one to end it, whoever asked.
 *
 * Used again (tensor_renew), a tensor keeps as much as it can:
 *
 *   header      if nobody else holds the tensor
 *   buffer      if nobody else shares it and the elements lie in the right memory
 *   elements    if their block is large enough, and not more than about twice too large
 */
#include "tensor/tensor.h"

#include "base/error.h"

#include <stdint.h>
#include <string.h>

typedef struct place {
    memory *mem; /* NULL: alloc */
    const df_allocator *alloc;
} place;

static void *place_take(place p, size_t bytes, size_t *got) {
    if (p.mem) return memory_take(p.mem, bytes, got);
    if (got) *got = bytes;
    return alloc_bytes(p.alloc, bytes);
}

static void place_give(place p, void *block, size_t bytes) {
    if (p.mem)
        memory_give(p.mem, block, bytes);
    else
        alloc_free(p.alloc, block, bytes);
}

static bool place_is_host(place p) {
    return !p.mem || memory_is_host(p.mem);
}

/* ---- buffers ------------------------------------------------------------- */

/* A reference goes; true: the last. When there is but the caller's nobody can take one more, or
 * drop his: no locked instruction is needed. */
static bool is_last(refcount *r) {
    return refcount_is_one(r) || refcount_unref(r);
}

static tensor_buffer *buffer_empty(place headers) {
    tensor_buffer *b = place_take(headers, sizeof *b, NULL);
    if (!b) return NULL;
    *b = (tensor_buffer){.headers = headers.mem, .alloc = headers.alloc};
    refcount_init(&b->refs);
    return b;
}

static void buffer_drop_data(tensor_buffer *b) {
    if (b->data) place_give((place){b->mem, b->alloc}, b->data, b->size);
    b->data = NULL;
    b->size = 0;
}

static bool buffer_fetch_data(tensor_buffer *b, place elements, size_t bytes) {
    b->mem = elements.mem;
    b->position = 0;
    b->data = elements.mem ? memory_take_at(elements.mem, bytes, &b->size, &b->position)
                           : place_take(elements, bytes, &b->size);
    return b->data != NULL;
}

static void buffer_unref(tensor_buffer *b) {
    if (!b || !is_last(&b->refs)) return;
    if (b->wrapped && b->release) {
        DF_SCHED_POINT();
        b->release(b->user, b->data);
    }
    if (b->wrapped)
        memory_unref(b->mem);
    else if (!b->joined)
        buffer_drop_data(b);
    place_give((place){b->headers, b->alloc}, b, b->joined ? b->size : sizeof *b);
}

static tensor_buffer *buffer_new(place headers, place elements, size_t bytes) {
    tensor_buffer *b = buffer_empty(headers);
    if (!b || buffer_fetch_data(b, elements, bytes)) return b;
    buffer_unref(b);
    return NULL;
}

/* May whoever holds the one tensor of this buffer fetch other elements into it? */
static bool buffer_is_own(const tensor_buffer *b) {
    return !b->wrapped && !b->joined && refcount_is_one((refcount *)(uintptr_t)&b->refs);
}

static bool buffer_suits(const tensor_buffer *b, const memory *mem, size_t bytes) {
    return b->data && b->mem == mem && b->size >= bytes && b->size / 2 <= memory_block_size(bytes);
}

/* ---- making -------------------------------------------------------------- */

/* mem: of the elements, if it was asked for them. */
static df_code no_memory(const memory *mem, df_dtype dtype, df_shape shape, size_t bytes,
                         df_error *err) {
    char text[SHAPE_TEXT_MAX];
    df_error why;
    if (mem && memory_is_lost(mem, &why)) {
        if (err) *err = why;
        return why.code;
    }
    (void)shape_print(shape, text, sizeof text);
    return error_set(err, DF_RESOURCE_EXHAUSTED,
                     "out of memory for a tensor %s%s of %zu bytes: give back tensors that are "
                     "no longer needed, or make it smaller",
                     df_dtype_name(dtype), text, bytes);
}

static df_code check_place(df_dtype dtype, place elements, df_error *err) {
    if (dtype != DF_STRING || place_is_host(elements)) return DF_OK;
    return error_invalid(err,
                         "a string tensor cannot lie in device memory: keep it in host memory");
}

static void header_init(df_tensor *t, place p) {
    refcount_init(&t->refs);
    t->data = NULL;
    t->buf = NULL;
    t->mem = p.mem;
    t->alloc = p.alloc;
    t->ready = NULL;
    t->made_for = NULL;
    t->is_lent = false;
    t->is_joined = false;
}

/* A header that says everything but where the elements are. */
static df_tensor *header_new(place p) {
    df_tensor *t = place_take(p, sizeof *t, NULL);
    if (t) header_init(t, p);
    return t;
}

static void header_give(df_tensor *t) {
    place_give((place){t->mem, t->alloc}, t, sizeof *t);
}

typedef struct joined {
    _Alignas(ALLOC_ALIGN) tensor_buffer buf; /* first member */
    _Alignas(ALLOC_ALIGN) df_tensor header;
    _Alignas(ALLOC_ALIGN) unsigned char data[];
} joined;

/* Header, buffer and so many bytes of elements in one block: NULL if there is none. */
static df_tensor *joined_new(place p, size_t bytes) {
    size_t size;
    if (!size_add(sizeof(joined), bytes, &size)) return NULL;
    joined *j = place_take(p, size, NULL);
    if (!j) return NULL;
    j->buf = (tensor_buffer){.joined = true, .size = size, .data = j->data, .alloc = p.alloc};
    refcount_init(&j->buf.refs);
    header_init(&j->header, p);
    j->header.is_joined = true;
    j->header.buf = &j->buf;
    return &j->header;
}

/* shape may be t's own. */
static void describe(df_tensor *t, df_dtype dtype, df_shape shape, int64_t elements, size_t bytes) {
    if (shape.rank > 0) memmove(t->dims, shape.dims, (size_t)shape.rank * sizeof *t->dims);
    t->dtype = dtype;
    t->rank = shape.rank;
    t->elements = elements;
    t->bytes = bytes;
}

/* `text`: bytes of the block behind the elements. */
static df_code create(place headers, place elements, df_dtype dtype, df_shape shape, size_t text,
                      df_tensor **out, df_error *err) {
    int64_t n;
    size_t bytes, total;
    df_code code = tensor_size(dtype, shape, &n, &bytes, err);
    if (!code) code = check_place(dtype, elements, err);
    if (!code && !out) code = error_no_out(err);
    if (code) return code;
    if (!size_add(bytes, text, &total)) return no_memory(NULL, dtype, shape, SIZE_MAX, err);
    bool is_inline = place_is_host(elements) && total <= TENSOR_INLINE;
    bool is_joined = !elements.mem && !is_inline;
    df_tensor *t = is_joined ? joined_new(headers, total) : header_new(headers);
    if (!t) return no_memory(NULL, dtype, shape, total, err);
    describe(t, dtype, shape, n, bytes);
    t->is_host = place_is_host(elements);
    if (!is_joined && !is_inline) t->buf = buffer_new(headers, elements, total);
    if (!is_inline && !t->buf) {
        header_give(t);
        return no_memory(elements.mem, dtype, shape, total, err);
    }
    t->data = is_inline ? t->inline_data : t->buf->data;
    if (dtype == DF_STRING) memset(t->data, 0, bytes);
    *out = t;
    return DF_OK;
}

df_code tensor_new_in(memory *headers, memory *mem, df_dtype dtype, df_shape shape, df_tensor **out,
                      df_error *err) {
    return create((place){.mem = headers}, (place){.mem = mem}, dtype, shape, 0, out, err);
}

df_code df_tensor_new(const df_allocator *allocator, df_dtype dtype, df_shape shape,
                      df_tensor **out, df_error *err) {
    place p = {.alloc = allocator};
    df_code code = alloc_check(allocator, err);
    if (!code) code = create(p, p, dtype, shape, 0, out, err);
    if (!code) memset((*out)->data, 0, (*out)->bytes);
    return code;
}

/* ---- copying ------------------------------------------------------------- */

static df_code strings_size(const df_string *s, int64_t n, size_t *text, df_error *err) {
    size_t sum = 0;
    for (int64_t i = 0; i < n; i++) {
        if (s[i].size && !s[i].data)
            return error_invalid(err,
                                 "string %lld of a tensor has a size of %zu and NULL for its data",
                                 (long long)i, s[i].size);
        if (!size_add(sum, s[i].size, &sum))
            return error_invalid(
                err, "the sizes of a tensor's strings overflow at string %lld: check them",
                (long long)i);
    }
    *text = sum;
    return DF_OK;
}

/* Behind `to` there is room for the text. */
static void strings_fill(df_string *to, const df_string *from, int64_t n) {
    char *at = (char *)(to + n);
    for (int64_t i = 0; i < n; i++) {
        size_t size = from[i].size;
        to[i] = (df_string){size ? at : NULL, size};
        if (size) memcpy(at, from[i].data, size);
        at += size;
    }
}

static df_code create_filled(place headers, place elements, df_dtype dtype, df_shape shape,
                             const void *data, df_tensor **out, df_error *err) {
    int64_t n;
    size_t bytes, text = 0;
    df_code code = tensor_size(dtype, shape, &n, &bytes, err);
    if (code) return code;
    if (!data && n)
        return error_invalid(
            err,
            "a tensor of %lld elements is to be copied from NULL: pass the elements, "
            "or use df_tensor_new for zeros",
            (long long)n);
    if (dtype == DF_STRING) code = strings_size(data, n, &text, err);
    if (!code) code = create(headers, elements, dtype, shape, text, out, err);
    if (code) return code;
    if (dtype == DF_STRING)
        strings_fill((*out)->data, data, n);
    else if (bytes)
        memcpy((*out)->data, data, bytes);
    return DF_OK;
}

df_code df_tensor_from(const df_allocator *allocator, df_dtype dtype, df_shape shape,
                       const void *data, df_tensor **out, df_error *err) {
    place p = {.alloc = allocator};
    df_code code = alloc_check(allocator, err);
    return code ? code : create_filled(p, p, dtype, shape, data, out, err);
}

df_code tensor_copy(memory *headers, memory *mem, const df_tensor *t, df_tensor **out,
                    df_error *err) {
    if (!t->is_host || !memory_is_host(mem))
        return error_invalid(
            err, "a tensor is copied from or to device memory without its device: use the "
                 "device's copy_in and copy_out");
    return create_filled((place){.mem = headers}, (place){.mem = mem}, t->dtype, tensor_shape(t),
                         t->data, out, err);
}

/* ---- wrapping and sharing ------------------------------------------------ */

static df_code check_wrap(df_dtype dtype, int64_t elements, const void *data, df_error *err) {
    if (dtype == DF_STRING)
        return error_invalid(err, "strings cannot be wrapped: copy them with df_tensor_from");
    if (!data && elements)
        return error_invalid(err, "a tensor of %lld elements is to wrap NULL: pass the elements",
                             (long long)elements);
    if ((uintptr_t)data % df_dtype_size(dtype))
        return error_invalid(err,
                             "the memory at %p is not aligned for %s: a multiple of %zu is needed",
                             data, df_dtype_name(dtype), df_dtype_size(dtype));
    return DF_OK;
}

/* mem: of which data is an address, as far as that matters; or NULL: the host's. */
static df_code wrap(place p, memory *mem, df_dtype dtype, df_shape shape, void *data,
                    void (*release)(void *user, void *data), void *user, df_tensor **out,
                    df_error *err) {
    int64_t n;
    size_t bytes;
    df_code code = tensor_size(dtype, shape, &n, &bytes, err);
    if (!code) code = check_wrap(dtype, n, data, err);
    if (!code && !out) code = error_no_out(err);
    if (code) return code;
    df_tensor *t = header_new(p);
    tensor_buffer *b = t ? buffer_empty(p) : NULL;
    if (!b) {
        if (t) header_give(t);
        return no_memory(NULL, dtype, shape, sizeof *t + sizeof *b, err);
    }
    b->wrapped = true;
    b->mem = mem ? memory_ref(mem) : NULL;
    b->size = bytes;
    b->data = data;
    b->release = release;
    b->user = user;
    describe(t, dtype, shape, n, bytes);
    t->is_host = !mem || memory_is_host(mem);
    t->buf = b;
    t->data = data ? data : t->inline_data;
    *out = t;
    return DF_OK;
}

df_code df_tensor_wrap(const df_allocator *allocator, df_dtype dtype, df_shape shape, void *data,
                       void (*release)(void *user, void *data), void *user, df_tensor **out,
                       df_error *err) {
    place p = {.alloc = allocator};
    df_code code = alloc_check(allocator, err);
    return code ? code : wrap(p, NULL, dtype, shape, data, release, user, out, err);
}

df_code tensor_wrap_in(memory *headers, memory *mem, df_dtype dtype, df_shape shape, void *address,
                       void (*release)(void *user, void *address), void *user, df_tensor **out,
                       df_error *err) {
    return wrap((place){.mem = headers}, mem, dtype, shape, address, release, user, out, err);
}

static df_code check_reshape(const df_tensor *t, df_shape shape, int64_t elements, df_error *err) {
    if (elements == t->elements) return DF_OK;
    char from[SHAPE_TEXT_MAX], to[SHAPE_TEXT_MAX];
    (void)shape_print(tensor_shape(t), from, sizeof from);
    (void)shape_print(shape, to, sizeof to);
    return error_invalid(
        err,
        "a tensor of shape %s cannot be given the shape %s: the number of elements "
        "must stay %lld",
        from, to, (long long)t->elements);
}

df_code tensor_reshape(memory *headers, df_tensor *t, df_shape shape, df_tensor **out,
                       df_error *err) {
    int64_t n;
    size_t bytes;
    df_code code = tensor_size(t->dtype, shape, &n, &bytes, err);
    if (!code) code = check_reshape(t, shape, n, err);
    if (code) return code;
    df_tensor *twin = header_new((place){.mem = headers});
    if (!twin) return no_memory(NULL, t->dtype, shape, sizeof *twin, err);
    describe(twin, t->dtype, shape, n, bytes);
    twin->is_host = t->is_host;
    twin->ready = fence_ref(t->ready);
    twin->buf = t->buf;
    if (t->buf) refcount_ref(&t->buf->refs);
    twin->data = t->data == t->inline_data ? twin->inline_data : t->data;
    if (twin->data == twin->inline_data) {
        if (t->dtype == DF_STRING)
            strings_fill(twin->data, t->data, n);
        else
            memcpy(twin->data, t->data, bytes);
    }
    *out = twin;
    return DF_OK;
}

bool tensor_is_sole(const df_tensor *t) {
    const tensor_buffer *b = t->buf;
    return refcount_is_one((refcount *)(uintptr_t)&t->refs) &&
           (!b || (!b->wrapped && refcount_is_one((refcount *)(uintptr_t)&b->refs)));
}

static void drop_buffer(void *buffer) {
    buffer_unref(buffer);
}

static void drop_tensor(void *tensor) {
    df_tensor_unref(tensor);
}

kept_elements tensor_keep(df_tensor *t) {
    if (!t->buf) return (kept_elements){drop_tensor, tensor_ref(t)};
    refcount_ref(&t->buf->refs);
    return (kept_elements){drop_buffer, t->buf};
}

/* ---- ending and using again ---------------------------------------------- */

static void forget_fence(df_tensor *t) {
    fence_unref(t->ready);
    t->ready = NULL;
}

static void forget_buffer(df_tensor *t) {
    buffer_unref(t->buf);
    t->buf = NULL;
}

df_tensor *df_tensor_ref(df_tensor *tensor) {
    return tensor ? tensor_ref(tensor) : NULL;
}

void df_tensor_unref(df_tensor *tensor) {
    if (!tensor || !is_last(&tensor->refs)) return;
    bool goes_along = tensor->is_joined;
    forget_fence(tensor);
    buffer_unref(tensor->buf);
    if (!goes_along) header_give(tensor);
}

/* The elements of a buffer that nobody shares go, and the buffer stays for the next. */
void tensor_release(df_tensor **slot) {
    df_tensor *t = *slot;
    if (!t) return;
    if (!refcount_is_one(&t->refs) || t->is_joined) {
        *slot = NULL;
        df_tensor_unref(t);
        return;
    }
    forget_fence(t);
    t->data = NULL;
    t->made_for = NULL;
    if (!t->buf) return;
    if (buffer_is_own(t->buf))
        buffer_drop_data(t->buf);
    else
        forget_buffer(t);
}

/* Elements for a tensor that the caller alone holds. False: out of memory, and the old
 * ones are gone: keeping them until the new ones are there would need room for both. */
static bool refit(df_tensor *t, place headers, memory *mem, size_t bytes) {
    t->data = NULL;
    if (t->buf && !buffer_is_own(t->buf)) forget_buffer(t);
    if (t->is_host && bytes <= TENSOR_INLINE) {
        forget_buffer(t);
        t->data = t->inline_data;
        return true;
    }
    if (!t->buf) t->buf = buffer_empty(headers);
    if (!t->buf) return false;
    if (!buffer_suits(t->buf, mem, bytes)) {
        buffer_drop_data(t->buf);
        if (!buffer_fetch_data(t->buf, (place){.mem = mem}, bytes)) return false;
    }
    t->data = t->buf->data;
    return true;
}

void tensor_take_over(df_tensor **slot, df_tensor *from, memory *headers, memory *mem,
                      df_dtype dtype, df_shape shape) {
    df_tensor *t = *slot;
    int64_t n;
    size_t bytes;
    if (from == t || !from->buf || !tensor_is_sole(from) ||
        tensor_size(dtype, shape, &n, &bytes, NULL) != DF_OK ||
        !buffer_suits(from->buf, mem, bytes))
        return;
    if (!t || t->mem != headers || !refcount_is_one(&t->refs)) {
        t = header_new((place){.mem = headers});
        if (!t) return;
        df_tensor_unref(*slot);
        *slot = t;
    }
    forget_fence(t);
    forget_buffer(t);
    t->data = NULL;
    t->made_for = NULL;
    t->buf = from->buf;
    from->buf = NULL;
}

/* In a warm step a slot holds just what is asked for, and only the fence is over. */
static bool is_as_wanted(const df_tensor *t, const memory *mem, df_dtype dtype, df_shape shape) {
    if (!t->data || t->dtype != dtype || dtype == DF_STRING || t->rank != shape.rank) return false;
    if (shape.rank > 0 && !shape.dims) return false;
    for (int i = 0; i < t->rank; i++) {
        if (t->dims[i] != shape.dims[i]) return false;
    }
    if (t->buf) return t->buf->mem == mem && buffer_is_own(t->buf);
    return t->data == t->inline_data && memory_is_host(mem);
}

static df_code renew_here(df_tensor *t, memory *mem, df_dtype dtype, df_shape shape,
                          df_error *err) {
    if (is_as_wanted(t, mem, dtype, shape)) {
        if (t->ready) forget_fence(t);
        return DF_OK;
    }
    place elements = {.mem = mem};
    int64_t n;
    size_t bytes;
    df_code code = tensor_size(dtype, shape, &n, &bytes, err);
    if (!code) code = check_place(dtype, elements, err);
    if (code) return code;
    forget_fence(t);
    t->made_for = NULL;
    describe(t, dtype, shape, n, bytes);
    t->is_host = memory_is_host(mem);
    if (!refit(t, (place){.mem = t->mem}, mem, bytes))
        return no_memory(mem, dtype, tensor_shape(t), bytes, err);
    if (dtype == DF_STRING) memset(t->data, 0, bytes);
    return DF_OK;
}

df_code tensor_renew(df_tensor **slot, memory *headers, memory *mem, df_dtype dtype, df_shape shape,
                     df_error *err) {
    df_tensor *t = *slot;
    if (t && t->mem == headers && refcount_is_one(&t->refs))
        return renew_here(t, mem, dtype, shape, err);
    df_tensor *fresh;
    df_code code = tensor_new_in(headers, mem, dtype, shape, &fresh, err);
    if (code) return code;
    *slot = fresh;
    df_tensor_unref(t);
    return DF_OK;
}
