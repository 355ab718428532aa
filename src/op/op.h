/* SPDX-License-Identifier: MIT
 *
 * op.h - what an operation is, and the kernels that compute it.
 *
 * An op is a name, a signature (inputs, attrs, outputs and their dtypes) and perhaps a
 * function that infers shapes. A kernel is a function that computes an op on some kinds of
 * device. Both are registered in a registry that belongs to a runtime, which reads the
 * signature once; the built-in ones are registered by the same calls as anybody's.
 *
 * The shape function serves twice: on shapes with unknowns when a node is added and
 * compiled, and on the shapes of real tensors when a step runs and the compiler could not
 * know them. So a kernel finds its outputs allocated, and an accelerator's host never
 * waits to learn a shape; but for an op without one, whose kernel allocates.
 */
#ifndef OP_OP_H
#define OP_OP_H

#include <dataflow/op.h>

#include "op/attr.h"
#include "tensor/tensor.h"

typedef struct op_def op_def;
typedef struct kernel_def kernel_def;

enum { OP_ANY = -1 };

/* Flags of an op, beside the public ones; the library's own. */
enum {
    OP_STATEFUL = DF_OP_STATEFUL,
    OP_READS = DF_OP_READS,
    OP_WRITES = DF_OP_WRITES,
    OP_VARIABLE = 1u << 3, /* the node owns a variable; its output is the value read */
    OP_SEND = 1u << 4,     /* takes part in the cut: the executor has its kernel */
    OP_RECV = 1u << 5,
    OP_FEED = 1u << 6,
    OP_FETCH = 1u << 7,
    OP_FAR = OP_SEND | OP_RECV, /* of a node of a graph: its other half is in another process */
    OP_NO_KERNEL = 1u << 8,     /* does nothing: nowhere needs a kernel (NoOp) */
    OP_CONST = 1u << 9,         /* attr 0, a tensor, is its value (Const) */
    OP_MUST_FEED = 1u << 10,    /* has no value of its own (Placeholder) */
    OP_PASSES_ON = 1u << 11 /* output 0 is its last input, as kernels see these: the same tensor */
};
enum { OP_PUBLIC_FLAGS = OP_STATEFUL | OP_READS | OP_WRITES };
/* With OP_READS or OP_WRITES input 0 must be output 0 of an OP_VARIABLE node. It carries no
 * tensor, only which variable and the order after its node; the two are colocated. */

/* A set of dtypes: bit d. */
typedef uint32_t dtype_set;
#define DTYPE_BIT(D) (UINT32_C(1) << (D))
#define DTYPES_REAL  (DTYPE_BIT(DF_FLOAT32) | DTYPE_BIT(DF_FLOAT64))
#define DTYPES_INDEX (DTYPE_BIT(DF_INT32) | DTYPE_BIT(DF_INT64))
#define DTYPES_NUMBER                                                                              \
    (DTYPES_REAL | DTYPES_INDEX | DTYPE_BIT(DF_INT8) | DTYPE_BIT(DF_INT16) | DTYPE_BIT(DF_UINT8))
#define DTYPES_PLAIN                                                                               \
    (DTYPES_NUMBER | DTYPE_BIT(DF_BOOL) | DTYPE_BIT(DF_FLOAT16) | DTYPE_BIT(DF_BFLOAT16))
#define DTYPES_ANY (DTYPES_PLAIN | DTYPE_BIT(DF_STRING))
static inline bool dtype_in(dtype_set set, df_dtype d) {
    return (unsigned)d < 32 && (set >> d & 1);
}

typedef struct op_input {
    const char *name;
    dtype_set dtypes; /* same_as: 0 */
    int same_as;      /* the input whose dtype it has; -1: it says itself */
} op_input;

typedef struct op_output {
    df_dtype dtype; /* NONE: */
    int input;      /* that of this input; -1: */
    int attr;       /* that which this attr says, or has */
} op_output;

typedef struct op_attr_def {
    const char *name;
    df_attr_type type;
    bool required;   /* else `initial` holds when it is not given */
    df_attr initial; /* DF_ATTR_NONE: stays absent */
    bool is_bounded; /* INT, FLOAT, INTS: within */
    double lowest, highest;
    const char *const *choices; /* of STRING, n_choices of them; NULL: any */
    int n_choices;
} op_attr_def;

/* As registered: everything lies in the registry. */
struct op_def {
    const char *name; /* CamelCase, as TensorFlow's */
    const char *signature;
    uint32_t flags;
    int min_inputs;
    int max_inputs; /* OP_ANY: no limit */
    int n_inputs;   /* of `inputs`; the last stands for the rest if there is no limit */
    const op_input *inputs;
    int n_outputs;  /* of `outputs`; or, if there is outputs_by: */
    int outputs_by; /* the int attr that says how many there are of outputs[0]; -1 */
    const op_output *outputs;
    int n_attrs;
    const op_attr_def *attrs;
    df_code (*infer)(df_infer *c, df_error *err); /* NULL: shapes are unknown */
    void *user;
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

/* Types that many have: those seen last are kept once, in an arena. */
enum { TYPES_RECENT = 16 };
typedef struct type_pool {
    arena *mem;
    struct {
        const edge_type *types;
        int n;
    } recent[TYPES_RECENT]; /* by their hash */
} type_pool;
/* What equals these n types, and lasts as long as the arena. NULL: out of memory. */
const edge_type *types_keep(type_pool *p, const edge_type *types, int n);

/* Its shape in words, on the stack: "[2,?]". */
typedef struct shape_text {
    char s[SHAPE_TEXT_MAX];
} shape_text;
shape_text edge_text(const edge_type *t);

/* "float32[?,10]"; what is in between lies in the arena. */
bool edge_type_parse(scan *s, edge_type *out, arena *a);

struct df_infer {
    const op_def *op;
    const df_attr *attrs;
    int n_inputs, n_outputs;
    const edge_type *const *inputs;
    /* The value of an input, if it is a constant or, in a step, what it holds, wherever that
     * lies; else NULL. `values` itself may be NULL. */
    df_tensor *const *values;
    edge_type *outputs; /* n_outputs of them: to be set */
};

/* How many outputs a node of the op has. */
int op_outputs(const op_def *op, const df_attr *attrs);
/* The inputs' number and dtypes are as the signature says. */
df_code op_check_inputs(const df_infer *c, df_error *err);
/* The attr is one that the signature allows. */
df_code op_check_attr(const op_attr_def *def, const df_attr *a, df_error *err);
/* The dtypes of the outputs, and their shapes as far as they are known. */
df_code op_infer(df_infer *c, df_error *err);

/* What two sizes known to be equal are; false: they are not. -1: unknown. */
bool infer_equal_dims(int64_t a, int64_t b, int64_t *out);
/* Outputs have the shape that the first n inputs have in common, which must be one. */
df_code infer_equal_shapes(df_infer *c, int n, df_error *err);

/* ---- kernels ---- */

/* Flags of a kernel, by short names. */
enum {
    KERNEL_ASYNC = DF_KERNEL_ASYNC,
    KERNEL_INLINE = DF_KERNEL_INLINE,
    KERNEL_CHEAP = DF_KERNEL_CHEAP
};

/* As registered. */
struct kernel_def {
    const op_def *op;
    const char *kinds; /* upper case, "CPU,SIM"; "*" */
    dtype_set dtypes;  /* of input 0 (or output 0 if there is none) */
    uint32_t flags;
    uint32_t host_inputs, host_outputs, may_overwrite; /* bits, as df_kernel_def's */
    df_code (*compute)(df_kernel *c, df_error *err);
    df_code (*open)(df_kernel *c, void **state, df_error *err);
    void (*close)(void *user, void *state);
    size_t report;
    df_code (*check)(void *user, const void *report, df_error *err);
    void *user;
    const kernel_def *next; /* of the op */
};

/* Does input or output i lie in host memory, next to an accelerator? k may be NULL. */
static inline bool kernel_host_input(const kernel_def *k, uint32_t i) {
    return k && (k->host_inputs >> (i < 31 ? i : 31) & 1);
}
static inline bool kernel_host_output(const kernel_def *k, uint32_t i) {
    return k && (k->host_outputs >> (i < 31 ? i : 31) & 1);
}

/* What a df_kernel_handle points to: the executor's, never freed before the runtime. */
typedef struct async_op async_op;
struct async_op {
    /* (a) Ended by whoever moves it from the handle's number to the next; acq_rel, so that
     * what the kernel wrote is seen by the consumers that `ended` makes ready. */
    _Atomic uint64_t generation;
    void (*ended)(async_op *op, const df_error *err);
};

/* What a node computes with, whoever runs it. */
typedef struct kernel_node {
    const char *name;
    const op_def *op;
    const kernel_def *kernel; /* NULL where the node needs none */
    const df_attr *attrs;
} kernel_node;

/* What the executor does for a kernel. */
struct kernel_calls {
    const kernel_node *(*node)(const df_kernel *c);
    const edge_type *(*output_type)(const df_kernel *c, int i); /* as the compiler knows it */
    bool (*makes_outputs)(const df_kernel *c);                  /* it may call set_output */
    bool (*lies_in_host)(const df_kernel *c, int i);            /* output i does */
    void (*set_output)(df_kernel *c, int i, df_tensor *t);
    df_code (*allocate)(df_kernel *c, int i, df_shape shape, df_tensor **out, df_error *err);
    async_op *(*async)(const df_kernel *c);
};

/* Where a node's tensors lie: all that a thread needs to run it in a good step, in half a cache
 * line. */
typedef struct kernel_io {
    const kernel_def *kernel; /* NULL where the node needs none */
    uint32_t first_input, n_inputs;
    uint32_t first_output;
    uint32_t index;   /* the node's */
    uint32_t channel; /* the executor's, as all below */
    uint16_t n_outputs;
    uint8_t kind;
    uint8_t flags;
} kernel_io;

/* What a kernel sees. tensor->data is where the elements are for compute to use: on an
 * accelerator that runs host functions, too.
 *
 * Variables are the executor's: of an op that owns or names one, input 0 is its value at
 * that moment (an OP_VARIABLE node has this one input, although none in the graph);
 * and output 0 of an op with OP_WRITES becomes its new value. So it is with constants: an
 * OP_CONST node has its value, which lies on its device, as input 0. */
struct df_kernel {
    const kernel_io *io;     /* the one field that differs from node to node in a step */
    df_tensor *const *slots; /* input i is slots[places[first_input + i]]; */
    const int32_t *places;   /* NULL: slots[first_input + i] */
    df_tensor *const *made; /* output i is made[first_output + i]; NULL there: not yet, as of all of
                               KERNEL_INLINE */
    void *const *states;    /* what each node's `open` made; NULL: there is none */
    memory *headers;        /* host memory, for what KERNEL_INLINE makes */
    void *exec;             /* the executor's */
    const struct kernel_calls *calls;
    void *queue;  /* where a kernel that is called on the host puts its work; NULL: it computes */
    void *report; /* where that tells what is wrong */
};

static inline int kernel_inputs(const df_kernel *c) {
    return (int)c->io->n_inputs;
}

df_tensor *kernel_input(const df_kernel *c, int i);

static inline void *kernel_queue(const df_kernel *c) {
    return c->queue;
}

static inline void *kernel_report(const df_kernel *c) {
    return c->report;
}

static inline int kernel_outputs(const df_kernel *c) {
    return c->io->n_outputs;
}

static inline df_tensor *kernel_output(const df_kernel *c, int i) {
    return c->made[c->io->first_output + (uint32_t)i];
}

static inline const df_attr *kernel_attrs(const df_kernel *c) {
    return c->calls->node(c)->attrs;
}

static inline void kernel_set_output(df_kernel *c, int i, df_tensor *t) {
    c->calls->set_output(c, i, t);
}

/* ---- registry ---- */

/* Ops and kernels of a runtime. Filled before the first graph is made, read only
 * afterwards: lookups take no lock. */
typedef struct op_registry op_registry;

op_registry *op_registry_new(const df_allocator *alloc);
void op_registry_free(op_registry *r);
/* As df_op_register and df_kernel_register, but op_register takes the library's flags, too. */
df_code op_register(op_registry *r, const df_op_def *def, df_error *err);
df_code kernel_register(op_registry *r, const df_kernel_def *def, df_error *err);
/* From now on both refuse. */
void op_registry_freeze(op_registry *r);

const op_def *op_find(const op_registry *r, const char *name); /* NULL: none */
size_t op_count(const op_registry *r);
const op_def *op_at(const op_registry *r, size_t i); /* in the order registered */
/* The kernel for an op on a kind of device and a dtype: an exact kind before "*". */
const kernel_def *kernel_find(const op_def *op, const char *kind, df_dtype dtype);
/* "CPU, SIM": the kinds that have a kernel for the op, for messages. */
void kernel_kinds(const op_def *op, text *t);

/* The ops that the library itself puts into a graph: Send, Recv, Feed, Fetch. Their
 * kernels are the executor's. */
df_code op_register_transfer(op_registry *r, df_error *err);

#endif /* OP_OP_H */
