/* SPDX-License-Identifier: MIT
 *
 * op.h - own operations, and the kernels that compute them.
 *
 * An op is a signature and, if it can, a function that infers shapes. A kernel computes an
 * op on one or more kinds of device. The standard ops of <dataflow/ops.h> are registered
 * by the same two calls, and can do nothing that others cannot, but for Const, Placeholder,
 * Variable and NoOp, which the executor itself knows.
 *
 *   static df_code scale(df_kernel *k, df_error *err) {
 *       const float *x = df_tensor_data(df_kernel_input(k, 0));
 *       float *y = df_tensor_data(df_kernel_output(k, 0));
 *       float factor = (float)df_kernel_attr(k, 0)->f;
 *       int64_t n = df_tensor_elements(df_kernel_input(k, 0));
 *       for (int64_t i = 0; i < n; i++) y[i] = factor * x[i];
 *       return DF_OK;
 *   }
 *
 *   df_op_register(runtime, &(df_op_def){.struct_size = sizeof(df_op_def),
 *       .signature = "Scale(x: float32) {factor: float = 2 in [0, 100]} : x",
 *       .infer = df_infer_same}, &err);
 *   df_kernel_register(runtime, &(df_kernel_def){.struct_size = sizeof(df_kernel_def),
 *       .op = "Scale", .devices = "CPU,SIM", .compute = scale, .may_overwrite = 1}, &err);
 *
 * Ops and kernels are registered before the first graph of the runtime is made; from then
 * on they only are read, by any number of threads and without a lock.
 */
#ifndef DATAFLOW_OP_H
#define DATAFLOW_OP_H

#include <dataflow/attr.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct df_runtime df_runtime;
typedef struct df_infer df_infer;
typedef struct df_kernel df_kernel;

/* A node has at most so many outputs, and an op so many attrs. */
enum { DF_MAX_OUTPUTS = 64, DF_MAX_ATTRS = 8 };

/* ---- ops ----------------------------------------------------------------- */

/* Flags of an op. A variable that an op names is input 0: the output of a df_variable. It
 * carries no tensor in the graph, but which variable is meant; the node is placed with it, and
 * takes its turn among all who access it. In the kernel input 0 is the value of that moment. */
enum {
    DF_OP_STATEFUL = 1u << 0, /* has an effect besides its outputs: never shared or dropped */
    DF_OP_READS = 1u << 1,    /* reads the variable that input 0 names */
    DF_OP_WRITES = 1u << 2    /* reads and writes it: output 0 becomes its value */
};

/* An op. The struct and its strings are copied. */
typedef struct df_op_def {
    size_t struct_size; /* sizeof(df_op_def) */

    /* A line of the graph's text form with types in place of values:
     *
     *   Blend(a: float32|float64, b: a) {amount: float = 0.5 in [0, 1]} : a
     *
     * Name       a letter, then letters, digits and '_'; CamelCase by custom.
     * Inputs     each has a name and the dtypes that it takes: "float32", several with '|', the
     *            sets "any", "plain" (all but string), "number" (float32, float64, int8 to int64,
     *            uint8), "real" (float32, float64), "index" (int32, int64); or
     *            the name of an input before it, whose dtype it must have. "x?" may be left
     *            out, if all after it are; "xs: plain..." takes all the inputs that are left, at
     *            least one, of one dtype.
     * Attrs      each has a name and a type: int, float, bool, string, dtype, shape, ints,
     *            tensor; then perhaps a default, "= 0.5" ("ints?": none, and it may be missing);
     *            then perhaps what is allowed: "in [0, 100]" (either may be left out) for int,
     *            float and each of ints, "in [\"a\", \"b\"]" for string. Without a default it
     *            must be given.
     * Outputs    dtypes: "float32", the name of an input, of an attr that is a dtype, or of one
     *            that is a tensor. "x * num": as many of them as the int attr num says.
     *
     * An empty list can be left out with its brackets, but for the inputs'. At most 16 inputs
     * have a name, and at most 16 strings are allowed. */
    const char *signature;

    /* Says the shape of each output (the dtypes are the signature's), or why the shapes or attrs
     * are wrong and what would fit. It serves on shapes with unknowns when a node is added, and
     * on those of real tensors when a step runs and they were not known before: so it is
     * called from any thread, several at once. What it does not set is unknown. NULL: the
     * shapes are unknown; then the kernel allocates the outputs. */
    df_code (*infer)(df_infer *c, df_error *err);

    uint32_t flags; /* DF_OP_... */
    void *user;     /* for df_infer_user */
} df_op_def;

/* Threads  one thread at a time registers ops and kernels, and none makes a graph meanwhile.
 * Errors   INVALID_ARGUMENT for a signature that cannot be read, with the place;
 *          ALREADY_EXISTS; FAILED_PRECONDITION once the runtime has had a graph. */
DF_API df_code df_op_register(df_runtime *runtime, const df_op_def *def, df_error *err);

/* What an infer function sees. The pointers are borrowed until it returns. */
DF_API int df_infer_inputs(const df_infer *c);
DF_API df_dtype df_infer_dtype(const df_infer *c, int i);
DF_API df_shape df_infer_shape(const df_infer *c, int i); /* as far as it is known */
/* The value of an input, if it is a constant of the graph or, in a step, lies in host memory; else
 * NULL. What depends on a value is unknown without it. */
DF_API df_tensor *df_infer_value(const df_infer *c, int i);
DF_API const df_attr *df_infer_attr(const df_infer *c, int i); /* as df_kernel_attr */
DF_API void *df_infer_user(const df_infer *c);
DF_API int df_infer_outputs(const df_infer *c);

/* Sets the shape of output i; unknown dimensions are -1. INVALID_ARGUMENT if it is no shape,
 * OUT_OF_RANGE if there is no such output. */
DF_API df_code df_infer_set(df_infer *c, int i, df_shape shape, df_error *err);

/* An infer function: every output has the shape of input 0. */
DF_API df_code df_infer_same(df_infer *c, df_error *err);
/* An infer function: all inputs have one shape, and every output has it. INVALID_ARGUMENT if two
 * inputs cannot have the same. */
DF_API df_code df_infer_equal(df_infer *c, df_error *err);

/* ---- kernels ------------------------------------------------------------- */

/* Flags of a kernel. */
enum {
    DF_KERNEL_ASYNC = 1u << 0, /* compute starts it, df_kernel_done ends it */
    /* Touches no element that lies in device memory: runs on the host at once, on every kind of
     * device, and gives its outputs by df_kernel_set_output. */
    DF_KERNEL_INLINE = 1u << 1,
    DF_KERNEL_CHEAP = 1u << 2 /* takes less time than a thread takes to wake up, however large
                                 its tensors are: the scheduler counts it as nothing */
};

/* A kernel. The struct and its strings are copied. */
typedef struct df_kernel_def {
    size_t struct_size;  /* sizeof(df_kernel_def) */
    const char *op;      /* the op's name */
    const char *devices; /* kinds: "CPU", "CPU,SIM"; "*" for any, with DF_KERNEL_INLINE only */
    const char *dtypes;  /* of input 0 (without inputs: of output 0), as in a signature; NULL: all
                            that the op takes */

    /* Computes the outputs from the inputs. On an accelerator that runs host functions (SIM) it is
     * called on the device's thread, where df_tensor_data is readable; so it may run in
     * several threads at once, for several nodes and several steps. On another accelerator it is
     * called on the host, puts its work on df_kernel_queue and returns; df_tensor_data are the
     * device's addresses, but for inputs and outputs in host memory.
     *
     * ASYNC: starts, and returns; df_kernel_done ends it, now or later, from any thread. Returning
     * other than DF_OK ends it too.
     *
     * Must not wait for another node. May run programs, but none that shares a variable with its
     * own step; on an accelerator's thread, none that uses an accelerator or a variable.
     *
     * Errors     what it returns fails the step, which ends all of it; so does an output that is
     *            not there at its end, FAILED_PRECONDITION. */
    df_code (*compute)(df_kernel *k, df_error *err);

    uint32_t flags;        /* DF_KERNEL_... */
    uint32_t host_inputs;  /* bit i: input i lies in host memory (bit 31: all from there) */
    uint32_t host_outputs; /* bit i: output i does (bit 31: all from there) */
    /* Bit i: output 0 may be computed into input i's elements. It is, if dtype and shape are
     * equal and nobody else needs them: then both have the same data. */
    uint32_t may_overwrite;
    void *user; /* for df_kernel_user */

    /* State of a node: made when a program with the node is compiled, and given to `close` when
     * that is freed, by the thread that does so. k has the node's name and attrs, and no tensors.
     * Steps that run at the same time share it. Either may be NULL. */
    df_code (*open)(df_kernel *k, void **state, df_error *err);
    void (*close)(void *user, void *state);

    /* For a kernel whose work finds out what is wrong when it runs (df_kernel_queue): so many bytes
     * of host memory, df_kernel_report, all zeros at first, which the work can write: by itself
     * on CUDA, by a copy on OPENCL. When the step's work has ended and they are not all zeros,
     * check is called: what it returns fails the step. 0 and NULL: none. */
    size_t report;
    df_code (*check)(void *user, const void *report, df_error *err);
} df_kernel_def;

/* Threads  as df_op_register.
 * Errors   INVALID_ARGUMENT, ALREADY_EXISTS if the op has a kernel for one of the kinds and
 *          dtypes, FAILED_PRECONDITION once the runtime has had a graph. */
DF_API df_code df_kernel_register(df_runtime *runtime, const df_kernel_def *def, df_error *err);

/* What a kernel sees. The pointers are borrowed until compute returns; for ASYNC, until
 * df_kernel_done. A tensor that is handed on (a result, an input) is only read. */
DF_API const char *df_kernel_node(const df_kernel *k); /* its name */
DF_API int df_kernel_inputs(const df_kernel *k);
DF_API df_tensor *df_kernel_input(const df_kernel *k, int i);
DF_API int df_kernel_outputs(const df_kernel *k);
/* Allocated, from the inferred shape; to be filled. NULL if the shape was unknown, or INLINE. */
DF_API df_tensor *df_kernel_output(const df_kernel *k, int i);
/* Attr i, in the order of the signature: an int or bool is ->i, a float ->f, a string ->s, a
 * dtype ->i, a shape ->shape, ints ->shape.dims (->shape.rank of them), a tensor ->tensor.
 * ->type is DF_ATTR_NONE if it was not given and has no default. */
DF_API const df_attr *df_kernel_attr(const df_kernel *k, int i);
DF_API void *df_kernel_user(const df_kernel *k);
DF_API void *df_kernel_state(const df_kernel *k);
/* The device's queue on which the kernel puts its work, as its kind knows it; NULL where compute is
 * the work itself (CPU, SIM). What follows on the queue may use the outputs, so the kernel need not
 * wait; an error of the work reaches the step by itself. */
DF_API void *df_kernel_queue(const df_kernel *k);
/* df_kernel_def.report bytes, until check; NULL where compute is the work itself, or none are asked
 * for. Pinned, if the device's kind can. */
DF_API void *df_kernel_report(const df_kernel *k);

/* Allocates output i, of this shape, where the kernel's outputs lie: for those whose shape could
 * not be inferred. *out is borrowed, as df_kernel_output gives it from then on.
 * INVALID_ARGUMENT for a shape that does not fit what was inferred, OUT_OF_RANGE if there is no
 * such output, RESOURCE_EXHAUSTED. */
DF_API df_code df_kernel_allocate(df_kernel *k, int i, df_shape shape, df_tensor **out,
                                  df_error *err);

/* INLINE, and ASYNC on a CPU: makes t output i; takes the reference, whatever happens.
 * FAILED_PRECONDITION for other kernels; INVALID_ARGUMENT for a NULL, for a dtype or shape that is
 * not what was inferred, and for memory that the output does not belong to; OUT_OF_RANGE if there
 * is no such output. */
DF_API df_code df_kernel_set_output(df_kernel *k, int i, df_tensor *t, df_error *err);

/* The end of an ASYNC kernel, by value: it may be kept for as long as one likes, and a second
 * completion is harmless, even when the step is long over. */
typedef struct df_kernel_handle {
    void *op;
    uint64_t generation;
} df_kernel_handle;

DF_API df_kernel_handle df_kernel_handle_of(const df_kernel *k);
/* why NULL: the outputs are there; else the kernel failed. The first call counts. Any thread; not
 * after the runtime has gone. */
DF_API void df_kernel_done(df_kernel_handle handle, const df_error *why);

#ifdef __cplusplus
}
#endif

#endif /* DATAFLOW_OP_H */
