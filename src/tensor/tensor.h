/* SPDX-License-Identifier: MIT
 *
 * tensor.h - the header and the buffer of a tensor.
 *
 *   df_tensor                        buffer
 *   +-------------------------+      +------------------+
 *   | refs, dtype, shape      |----->| refs, data, size |---> bytes, in a memory
 *   | data                    |      +------------------+
 *   | 64 bytes: a small value |
 *   +-------------------------+
 *
 * 1. A tensor of at most TENSOR_INLINE bytes in host memory lies in its header and
 *    has no buffer.
 * 2. Two tensors may share a buffer (a reshape does); nobody writes then.
 * 3. A tensor may be written while its maker is the only one who holds it, or, by a
 *    kernel that said so, when tensor_is_sole says that nobody else can see it.
 * 4. A tensor on a device is ready when `ready` has ended, or as soon as the work
 *    that was put on the same queue before has run.
 */
#ifndef TENSOR_TENSOR_H
#define TENSOR_TENSOR_H

#include <dataflow/tensor.h>

#include "base/atomic.h"
#include "tensor/fence.h"
#include "tensor/memory.h"

enum { TENSOR_INLINE = 64 };

typedef struct buffer {
    refcount refs;                           /* (a) */
    size_t size;                             /* (c) bytes to give back */
    void *data;                              /* (c) */
    memory *mem;                             /* (c) NULL: wrapped */
    void (*release)(void *user, void *data); /* (c) of wrapped memory; may be NULL */
    void *user;                              /* (c) */
} buffer;

struct df_tensor {
    refcount refs;    /* (a) */
    df_dtype dtype;   /* (c) once handed over, like all below */
    int rank;
    bool is_host;     /* the host can read data */
    int64_t elements;
    size_t bytes;     /* of the elements */
    void *data;       /* inline_data, or the buffer's */
    buffer *buf;      /* NULL: the value is inline */
    memory *mem;      /* where this header lies; NULL: `alloc` has it */
    const df_allocator *alloc;
    fence *ready;     /* NULL: ready; owned */
    int64_t dims[DF_MAX_RANK];
    _Alignas(16) unsigned char inline_data[TENSOR_INLINE];
};

/* ---- shapes ---- */

/* Checked number of elements and bytes of a known shape; INVALID_ARGUMENT as for
 * df_tensor_new. */
df_code tensor_size(df_dtype dtype, df_shape shape, int64_t *elements, size_t *bytes,
                    df_error *err);
bool shape_is_known(df_shape s); /* rank and every dimension */
bool shape_equal(df_shape a, df_shape b);
/* Could a tensor of shape `known` be one of `wanted`, which may have unknowns? */
bool shape_fits(df_shape known, df_shape wanted);
/* "[2,?,3]", "[]" for a scalar, "?" for an unknown shape; as snprintf. 160 suffices. */
size_t shape_print(df_shape s, char *buffer, size_t size);
enum { SHAPE_TEXT_MAX = 192 };

static inline df_shape tensor_shape(const df_tensor *t) {
    return (df_shape){t->rank, t->dims};
}

/* ---- tensors ---- */

/* A tensor whose elements lie in `mem` (inline if small and mem is host memory),
 * uninitialised; the header lies in `headers`, a host memory. DF_STRING only in host
 * memory, and zeroed. */
df_code tensor_new_in(memory *headers, memory *mem, df_dtype dtype, df_shape shape,
                      df_tensor **out, df_error *err);

/* Makes *slot a tensor of this dtype and shape in `mem`, whose contents do not
 * matter: what is there already is used again if nobody else holds it and the size
 * class is right. This is how a step that has run before runs without allocating. */
df_code tensor_renew(df_tensor **slot, memory *headers, memory *mem, df_dtype dtype,
                     df_shape shape, df_error *err);

/* A tensor of the same elements and another shape (same number of elements). The
 * buffer is shared, an inline value copied. */
df_code tensor_reshape(memory *headers, df_tensor *t, df_shape shape, df_tensor **out,
                       df_error *err);

/* A copy of a host tensor's elements into a new host tensor, strings too. */
df_code tensor_copy(memory *headers, memory *mem, const df_tensor *t, df_tensor **out,
                    df_error *err);

/* True: the caller's reference is the only way to these elements, and they are
 * not the caller's own memory (wrapped). */
bool tensor_is_sole(const df_tensor *t);

/* Gives the buffer back early if the caller is the only holder, and keeps the
 * header for tensor_renew; if not, drops the reference and sets *slot to NULL. */
void tensor_release(df_tensor **slot);

static inline df_tensor *tensor_ref(df_tensor *t) {
    refcount_ref(&t->refs);
    return t;
}

#endif /* TENSOR_TENSOR_H */
