/* SPDX-License-Identifier: MIT
 *
 * tensor.h - the header and the buffer of a tensor.
 *
 *   df_tensor                        buffer
 *   +-------------------------+      +------------------+
 *   | 64 bytes: a small value |  +-->| refs, data, size |---> bytes, in a memory
 *   | refs, dtype, shape      |  |   +------------------+
 *   | data, buf               |--+
 *   +-------------------------+
 *
 * 1. A tensor of at most TENSOR_INLINE bytes in host memory lies in its header and
 *    has no buffer, unless it was wrapped.
 * 2. Two tensors may share a buffer (a reshape does); nobody writes then.
 * 3. A tensor may be written while its maker is the only one who holds it, or, by a
 *    kernel that said so, when tensor_is_sole says that nobody else can see it.
 * 4. A tensor on a device is ready when `ready` has ended, or as soon as the work
 *    that was put on the same queue before has run.
 * 5. A string tensor's text lies in the same block, behind the table of df_string:
 *    [df_string, df_string, ...][bytes]. It counts for (1), but not in `bytes`.
 * 6. A header says in `made_for` for whom it was made as it is, but for where its elements lie if
 * it has a buffer. As long as nobody else holds it, who finds his mark there may write it again
 *    without looking further.
 * 7. A buffer passes from a tensor that nobody else sees to another, to be written there. What was
 *    computed in place is so read through the header that had it, which still says where it lies.
 * 8. Header, buffer and elements come from memories (tensor_new_in), or are one block of a
 *    df_allocator (df_tensor_new), which lasts as long as the buffer. Each knows where it came
 * from.
 */
#ifndef TENSOR_TENSOR_H
#define TENSOR_TENSOR_H

#include <dataflow/tensor.h>

#include "base/atomic.h"
#include "tensor/fence.h"
#include "tensor/memory.h"

enum { TENSOR_INLINE = 64 };

/* (s): (c) while it is shared; the only holder may fetch other elements. */
typedef struct tensor_buffer {
    refcount refs;     /* (a) */
    bool wrapped;      /* (c) the elements are the caller's */
    bool joined;       /* (c) all is one block, of `size` bytes */
    size_t size;       /* (s) bytes to give back */
    void *data;        /* (s) NULL: none after tensor_release */
    uint64_t position; /* (s) memory_take's, of a device's memory */
    memory *mem; /* (s) of the elements; NULL: `alloc`; wrapped: a reference, NULL: the host's */
    memory *headers;                         /* (c) of this struct; NULL: `alloc` */
    const df_allocator *alloc;               /* (c) */
    void (*release)(void *user, void *data); /* (c) of wrapped memory; may be NULL */
    void *user;                              /* (c) */
} tensor_buffer;

struct df_tensor {
    /* First, so that a small value is aligned as the header is: to ALLOC_ALIGN. Only 16
     * are asked of the compiler, so that copies of headers may lie in any array. */
    _Alignas(16) unsigned char inline_data[TENSOR_INLINE];
    refcount refs;  /* (a) */
    df_dtype dtype; /* (c) once handed over, like all below */
    int rank;
    bool is_host;   /* the host can read data */
    bool is_joined; /* lies in its first buffer's block */
    bool is_lent; /* what a kernel sees of a tensor on a queue: good while it runs, counted so that
                     it may be passed around, and never the last reference */
    int64_t elements;
    size_t bytes;         /* of the elements */
    void *data;           /* inline_data, or the buffer's; NULL after tensor_release */
    tensor_buffer *buf;   /* NULL: the value is inline */
    fence *ready;         /* NULL: ready; owned */
    const void *made_for; /* rule 6; NULL: nobody's mark. So far what a warm step looks at. */
    memory *mem;          /* where this header lies; NULL: `alloc` has it */
    const df_allocator *alloc;
    int64_t dims[DF_MAX_RANK];
};

/* ---- shapes ---- */

/* Checked number of elements and bytes of a known shape; INVALID_ARGUMENT as for
 * df_tensor_new. */
df_code tensor_size(df_dtype dtype, df_shape shape, int64_t *elements, size_t *bytes,
                    df_error *err);
bool shape_is_known(df_shape s); /* rank and every dimension */
/* The product of the dimensions that are known: none if one is 0, however large the others are.
 * False: it overflows. */
bool shape_count(df_shape s, int64_t *out);
bool shape_equal(df_shape a, df_shape b);
/* Could a tensor of shape `known` be one of `wanted`, which may have unknowns? */
bool shape_fits(df_shape known, df_shape wanted);
/* "[2,?,3]", "[]" for a scalar, "?" for an unknown shape; as snprintf. SHAPE_TEXT_MAX
 * suffices for DF_MAX_RANK dimensions. */
size_t shape_print(df_shape s, char *buffer, size_t size);
enum { SHAPE_TEXT_MAX = 192 };

static inline df_shape tensor_shape(const df_tensor *t) {
    return (df_shape){t->rank, t->dims};
}

/* ---- tensors ---- */

/* A tensor whose elements lie in `mem` (inline if small and mem is host memory),
 * uninitialised; the header lies in `headers`, a host memory. DF_STRING only in host
 * memory, and zeroed. Errors as df_tensor_new. */
df_code tensor_new_in(memory *headers, memory *mem, df_dtype dtype, df_shape shape, df_tensor **out,
                      df_error *err);

/* As df_tensor_wrap, of an address in `mem`, which lasts as long. */
df_code tensor_wrap_in(memory *headers, memory *mem, df_dtype dtype, df_shape shape, void *address,
                       void (*release)(void *user, void *address), void *user, df_tensor **out,
                       df_error *err);

/* Makes *slot (NULL, or a tensor) a tensor of this dtype and shape in `mem`, whose
 * contents do not matter: what is there already is used again if nobody else holds it
 * and the size is right (the block at most about twice too large). This is how a step
 * that has run before runs without allocating. DF_STRING gives empty strings.
 *
 * Out of memory: *slot is as before, or has only its header left, as after
 * tensor_release. Any other error changes nothing. */
df_code tensor_renew(df_tensor **slot, memory *headers, memory *mem, df_dtype dtype, df_shape shape,
                     df_error *err);

/* Rule 7: before tensor_renew with the same arguments, *slot gets the buffer of `from`, if the
 * caller's reference is the only way to that and its block is what tensor_renew would use again. If
 * not, or out of memory, nothing happens. */
void tensor_take_over(df_tensor **slot, df_tensor *from, memory *headers, memory *mem,
                      df_dtype dtype, df_shape shape);

/* Only who has it alone. */
static inline void tensor_mark(df_tensor *t, const void *made_for) {
    t->made_for = t->ready ? NULL : made_for;
}

/* True: it is as it was when it was marked so, and the caller, who holds it, may write it. */
static inline bool tensor_is_made_for(df_tensor *t, const void *made_for) {
    return t->made_for == made_for && refcount_is_one(&t->refs);
}

/* The same as tensor_take_over, of two slots' tensors (*from may be t) with marks, which need as
 * much room. True: t has a buffer now that it alone holds. */
static inline bool tensor_take_room(df_tensor *t, df_tensor **from) {
    df_tensor *f = *from;
    if (f != t) {
        if (t->buf || !f || !f->buf || !tensor_is_made_for(f, from)) return false;
        if (!refcount_is_one(&f->buf->refs)) return false;
        t->buf = f->buf;
        t->data = f->data;
        f->buf = NULL;
        return true;
    }
    return t->buf && refcount_is_one(&t->buf->refs);
}

/* A tensor of the same elements and another shape (same number of elements; else
 * INVALID_ARGUMENT). The buffer is shared, an inline value copied, the fence kept. */
df_code tensor_reshape(memory *headers, df_tensor *t, df_shape shape, df_tensor **out,
                       df_error *err);

/* A copy of a host tensor's elements, which are ready, into a new tensor in the host
 * memory `mem`, strings too. INVALID_ARGUMENT if either is not the host's. */
df_code tensor_copy(memory *headers, memory *mem, const df_tensor *t, df_tensor **out,
                    df_error *err);

/* True: the caller's reference is the only way to these elements, and they are
 * not the caller's own memory (wrapped). */
bool tensor_is_sole(const df_tensor *t);

/* Keeps the elements of a tensor where they are, and not the tensor: drop(what) lets go of them. */
typedef struct kept_elements {
    void (*drop)(void *what);
    void *what;
} kept_elements;
kept_elements tensor_keep(df_tensor *t);

/* Gives the elements back early if the caller is the only holder, and keeps the
 * header for tensor_renew (or for df_tensor_unref; nothing else); if not, drops the
 * reference and sets *slot to NULL. *slot may be NULL. */
void tensor_release(df_tensor **slot);

static inline df_tensor *tensor_ref(df_tensor *t) {
    refcount_ref(&t->refs);
    return t;
}

#endif /* TENSOR_TENSOR_H */
