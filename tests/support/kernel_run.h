/* SPDX-License-Identifier: MIT
 *
 * kernel_run.h - one op, without a graph: its infer and then its kernel, on host tensors.
 *
 *   kernel_lab lab;                      // before each test: lab_open, lab_close
 *   df_tensor *x = LAB(&lab, DF_FLOAT32, DF_SHAPE(2), 1, 2);
 *   df_tensor *y = lab_ok(&lab, "Neg", DF_TENSORS(x), LAB_NO_ATTRS);
 *   LAB_IS(y, DF_FLOAT32, DF_SHAPE(2), -1, -2);
 *
 * All memory comes from a fault_allocator, so a test also shows what leaks and what is
 * written past its end; outputs are full of junk before the kernel runs. The lab owns
 * every tensor that it gives out, until it is closed.
 */
#ifndef SUPPORT_KERNEL_RUN_H
#define SUPPORT_KERNEL_RUN_H

#include <dataflow/ops.h>

#include "kernels/blas.h"
#include "op/op.h"
#include "support/fault.h"

enum { LAB_TENSORS = 512, LAB_INPUTS = 4 };

typedef struct kernel_lab {
    fault_allocator memory_source;
    op_registry *ops;
    memory *mem;
    const char *kind;        /* of device whose kernels are run: "CPU" */
    const blas *blas;        /* for products of matrices; NULL: none */
    void *queue;             /* for kernels that are called on the host; NULL: there is none */
    void *report;            /* where they tell what is wrong; NULL: nowhere */
    int overwrite;           /* output 0 is computed into this input's elements; -1: into its own */
    df_error err;            /* of the last call */
    const kernel_node *node; /* of the one that runs */
    df_tensor *kept[LAB_TENSORS];
    int n_kept;
    df_tensor *outputs[DF_MAX_OUTPUTS]; /* of the last run */
} kernel_lab;

typedef struct lab_attrs {
    const df_attr *items;
    size_t n;
} lab_attrs;
#define LAB_NO_ATTRS ((lab_attrs){NULL, 0})
#define LAB_ATTRS(...)                                                                             \
    ((lab_attrs){(const df_attr[]){__VA_ARGS__},                                                   \
                 sizeof((const df_attr[]){__VA_ARGS__}) / sizeof(df_attr)})

/* For cmocka's setup and teardown: *state is a kernel_lab *. */
int lab_open(void **state);
int lab_close(void **state);

/* Runs an op on inputs. The outputs lie in lab->outputs, all NULL on failure. */
df_code lab_run(kernel_lab *lab, const char *op, df_tensors inputs, lab_attrs attrs);
/* Runs it, asserts that it succeeds, and gives output 0. */
df_tensor *lab_ok(kernel_lab *lab, const char *op, df_tensors inputs, lab_attrs attrs);
/* Runs it, and asserts that it fails with INVALID_ARGUMENT and words that contain `part`. */
void lab_refuses(kernel_lab *lab, const char *op, df_tensors inputs, lab_attrs attrs,
                 const char *part);

/* ---- infer alone --------------------------------------------------------- */

/* "float32[2,?]", "int64?": dtype and shape, as lab_infer writes them. `inputs` has
 * them one after another with a space between, or is "". Gives the outputs in the same way,
 * in memory that lasts until the next call; or, if infer fails, its message with "! " in
 * front. values[i] is the value of input i, if `values` is not NULL. */
const char *lab_infer_values(kernel_lab *lab, const char *op, const char *inputs,
                             df_tensor *const *values, lab_attrs attrs);
#define lab_infer(lab, op, inputs, attrs) lab_infer_values(lab, op, inputs, NULL, attrs)

/* ---- tensors ------------------------------------------------------------- */

/* A tensor of any numeric dtype from doubles, converted as Cast does; exact for whole
 * numbers below 2^53. */
df_tensor *lab_tensor(kernel_lab *lab, df_dtype dtype, df_shape shape, const double *values);
#define LAB(lab, dtype, shape, ...) lab_tensor(lab, dtype, shape, (const double[]){__VA_ARGS__})
/* The same from int64. */
df_tensor *lab_ints(kernel_lab *lab, df_dtype dtype, df_shape shape, const int64_t *values);
#define LAB_INTS(lab, dtype, shape, ...) lab_ints(lab, dtype, shape, (const int64_t[]){__VA_ARGS__})
df_tensor *lab_keep(kernel_lab *lab, df_tensor *tensor); /* takes the reference */

/* Asserts dtype and shape, and that the elements are equal to these doubles (as
 * exact for integers) once those have become the dtype; NaN equals NaN, -0 is not 0. */
void lab_is(const df_tensor *t, df_dtype dtype, df_shape shape, const double *values,
            const char *file, int line);
#define LAB_IS(t, dtype, shape, ...)                                                               \
    lab_is(t, dtype, shape, (const double[]){__VA_ARGS__}, __FILE__, __LINE__)
void lab_is_ints(const df_tensor *t, df_dtype dtype, df_shape shape, const int64_t *values,
                 const char *file, int line);
#define LAB_IS_INTS(t, dtype, shape, ...)                                                          \
    lab_is_ints(t, dtype, shape, (const int64_t[]){__VA_ARGS__}, __FILE__, __LINE__)
/* Asserts dtype and shape, and that each element is within `tolerance` of the double,
 * relative to it where it is larger than 1. */
void lab_is_near(const df_tensor *t, df_dtype dtype, df_shape shape, double tolerance,
                 const double *values, const char *file, int line);
#define LAB_IS_NEAR(t, dtype, shape, tolerance, ...)                                               \
    lab_is_near(t, dtype, shape, tolerance, (const double[]){__VA_ARGS__}, __FILE__, __LINE__)

/* The dtypes that most ops take, DF_DTYPE_NONE at the end. */
extern const df_dtype lab_numbers[];
extern const df_dtype lab_reals[];

#endif /* SUPPORT_KERNEL_RUN_H */
