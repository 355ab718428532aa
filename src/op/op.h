/* SPDX-License-Identifier: MIT
 *
 * op.h - what an operation is, and the kernels that compute it.
 *
 * An op is a name, a signature (inputs, outputs, attrs) and a function that infers
 * dtypes and shapes. A kernel is a function that computes an op on one kind of device.
 * Both are registered in a registry that belongs to a runtime; the built-in ones are
 * registered by the same calls as anybody's.
 *
 * The dtype and shape function serves twice: on shapes with unknowns when a node is
 * added and compiled, and on the shapes of real tensors when a step runs and the
 * compiler could not know them. So a kernel finds its outputs allocated, and an
 * accelerator's host never waits to learn a shape.
 */
#ifndef OP_OP_H
#define OP_OP_H

#include "op/attr.h"
#include "tensor/tensor.h"

typedef struct op_def op_def;
typedef struct kernel_def kernel_def;
typedef struct df_infer df_infer;
typedef struct df_kernel df_kernel;

enum { OP_MAX_OUTPUTS = 4, OP_MAX_ATTRS = 8, OP_ANY = -1 };

/* The last input of a variadic op takes all the rest. */
typedef struct op_attr_def {
    const char *name;
    df_attr_type type;
    bool required;   /* else `initial` holds when it is not given */
    df_attr initial; /* its name does not matter; DF_ATTR_NONE: stays absent */
} op_attr_def;

/* Flags of an op. */
enum {
    OP_STATEFUL = 1u << 0, /* has an effect besides its outputs: never shared or dropped */
    OP_VARIABLE = 1u << 1, /* the node owns a variable; its output is the value read */
    OP_READS = 1u << 2,    /* input 0 names a variable (see below), which it reads */
    OP_WRITES = 1u << 3,   /* input 0 names a variable, which it writes (and may read) */
    OP_SEND = 1u << 4,     /* takes part in the cut: the executor has its kernel */
    OP_RECV = 1u << 5,
    OP_FEED = 1u << 6,
    OP_FETCH = 1u << 7,
    OP_NO_KERNEL = 1u << 8, /* does nothing: nowhere needs a kernel (NoOp) */
    OP_CONST = 1u << 9,     /* attr 0, a tensor, is its value (Const) */
    OP_MUST_FEED = 1u << 10 /* has no value of its own (Placeholder) */
};
/* "Names a variable": the input must be output 0 of an OP_VARIABLE node. It carries no
 * tensor, only which variable and the order after its node; the two are colocated. */

struct op_def {
    const char *name; /* CamelCase, as TensorFlow's */
    int min_inputs;
    int max_inputs; /* OP_ANY: no limit */
    int n_outputs;
    uint32_t flags;
    /* Says dtype and shape of every output, or why the inputs or attrs are wrong and
     * what would fit (the caller puts node and op in front). */
    df_code (*infer)(df_infer *c, df_error *err);
    int n_attrs;
    op_attr_def attrs[OP_MAX_ATTRS];
};

/* dtype and shape of one edge. dims lie in here. */
typedef struct edge_type {
    df_dtype dtype;
    int rank; /* -1: unknown */
    int64_t dims[DF_MAX_RANK];
} edge_type;

static inline df_shape edge_shape(const edge_type *t) {
    return (df_shape){t->rank, t->dims};
}
/* shape.rank may be -1; a rank above DF_MAX_RANK is refused. */
df_code edge_type_set(edge_type *t, df_dtype dtype, df_shape shape, df_error *err);
/* "float32[?,10]"; what is in between lies in the arena. */
bool edge_type_parse(scan *s, edge_type *out, arena *a);

struct df_infer {
    const op_def *op;
    const df_attr *attrs;
    int n_inputs;
    const edge_type *const *inputs;
    /* The value of an input, if it is a constant or, in a step, lies in host memory;
     * else NULL. `values` itself may be NULL. */
    df_tensor *const *values;
    edge_type *outputs; /* op->n_outputs of them: to be set */
};

/* ---- kernels ---- */

/* Flags of a kernel. */
enum {
    KERNEL_ASYNC = 1u << 0, /* compute starts it; kernel_done ends it */
    KERNEL_INLINE = 1u << 1 /* touches no element of device memory: runs on the host at
                               once, on every kind of device (Const, Variable, Shape) */
};

struct kernel_def {
    const char *op;
    const char *kind; /* of device, "CPU"; "*": any kind (only with KERNEL_INLINE) */
    /* Computes the outputs from the inputs. ASYNC: starts to, and then calls
     * kernel_done, now or later, from any thread; what compute returns other than
     * DF_OK ends it too. The caller puts node and op in front of the message. */
    df_code (*compute)(df_kernel *c, df_error *err);
    uint32_t flags;
    uint32_t host_inputs;  /* bit i: input i lies in host memory (i < 31; bit 31: all above) */
    uint32_t host_outputs; /* bit i: output i does */
    /* Bit i: output 0 may be computed into input i's buffer, if dtype and size are equal
     * and nobody else needs it. */
    uint32_t may_overwrite;
    bool (*takes)(df_dtype dtype); /* dtype of input 0 (or output 0 if there is none);
                                      NULL: any */
};

/* Does input or output i lie in host memory, next to an accelerator? k may be NULL. */
static inline bool kernel_host_input(const kernel_def *k, uint32_t i) {
    return k && (k->host_inputs >> (i < 31 ? i : 31) & 1);
}
static inline bool kernel_host_output(const kernel_def *k, uint32_t i) {
    return k && (k->host_outputs >> i & 1);
}

/* The handle of an async kernel's completion: by value, so that a second completion
 * is harmless, even when the step is long over. */
typedef struct async_op async_op;
typedef struct kernel_handle {
    async_op *op;
    uint64_t generation;
} kernel_handle;

/* What a handle points to: the executor's, never freed before the runtime. */
struct async_op {
    /* (a) Ended by whoever moves it from the handle's number to the next; acq_rel, so that
     * what the kernel wrote is seen by the consumers that `ended` makes ready. */
    _Atomic uint64_t generation;
    void (*ended)(async_op *op, const df_error *err);
};

/* What a kernel sees. The pointers last until compute returns; for ASYNC, until
 * kernel_done. tensor->data is where the elements are for compute to use: on an
 * accelerator that runs host functions, too.
 *
 * Variables are the executor's: of an op that owns or names one, input 0 is its value at
 * that moment (an OP_VARIABLE node has this one input, although none in the graph);
 * and output 0 of an op with OP_WRITES becomes its new value. So it is with constants: an
 * OP_CONST node has its value, which lies on its device, as input 0. */
struct df_kernel {
    const char *node; /* for messages */
    const op_def *op;
    const df_attr *attrs;
    int n_inputs, n_outputs;
    df_tensor *const *inputs;  /* see above */
    df_tensor *const *outputs; /* allocated; NULL for KERNEL_INLINE, which sets them by
                                  kernel_set_output */
    memory *headers;           /* host memory, for what KERNEL_INLINE and ASYNC make */
    void *exec;                /* the executor's */
    const struct kernel_calls *calls;
};

struct kernel_calls {
    void (*set_output)(df_kernel *c, int i, df_tensor *t);
    kernel_handle (*handle)(df_kernel *c);
};

/* KERNEL_INLINE and ASYNC only: makes t output i, instead of what is allocated; takes
 * the reference. */
static inline void kernel_set_output(df_kernel *c, int i, df_tensor *t) {
    c->calls->set_output(c, i, t);
}
/* ASYNC only: the handle to be kept for kernel_done. */
static inline kernel_handle kernel_handle_of(df_kernel *c) {
    return c->calls->handle(c);
}
/* Ends an async kernel: err NULL for success. Any thread; the first call counts. */
static inline void kernel_done(kernel_handle h, const df_error *err) {
    uint64_t g = h.generation;
    if (atomic_cas(&h.op->generation, &g, g + 1, ACQ_REL, RELAXED)) h.op->ended(h.op, err);
}

/* ---- registry ---- */

/* Ops and kernels of a runtime. Filled before the first graph is made, read only
 * afterwards: lookups take no lock. */
typedef struct op_registry op_registry;

op_registry *op_registry_new(const df_allocator *alloc);
void op_registry_free(op_registry *r);
/* The definition is borrowed: a static const. ALREADY_EXISTS, INVALID_ARGUMENT. */
df_code op_register(op_registry *r, const op_def *def, df_error *err);
df_code kernel_register(op_registry *r, const kernel_def *def, df_error *err);

const op_def *op_find(const op_registry *r, const char *name); /* NULL: none */
/* The kernel for an op on a kind of device and a dtype: an exact kind before "*". */
const kernel_def *kernel_find(const op_registry *r, const op_def *op, const char *kind,
                              df_dtype dtype);
/* "CPU, SIM": the kinds that have a kernel for the op, for messages. */
void kernel_kinds(const op_registry *r, const op_def *op, text *t);

/* The ops that the library itself puts into a graph: Send, Recv, Feed, Fetch. Their
 * kernels are the executor's. */
df_code op_register_transfer(op_registry *r, df_error *err);

#endif /* OP_OP_H */
