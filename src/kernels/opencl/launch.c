/* SPDX-License-Identifier: MIT
 *
 * A kernel's name is that of a function in a text and, behind the last _, of a type, for which that
 * is compiled: "arith_float32", "copy_4". One without a type finds that in its arguments.
 */
#include "kernels/opencl/launch.h"

#include "base/error.h"
#include "device/opencl/launch.h"
#include "kernels/cuda/args.h"
#include "kernels/opencl/text.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* ---- arguments ----------------------------------------------------------- */

/* Where addresses stand in a struct of args.h: those that the kernel has buffers for, in its order.
 * The fault is none of them: what the kernel tells is brought there. */
typedef struct layout {
    size_t bytes;
    size_t fault; /* 0: it finds no mistakes */
    unsigned n;
    uint16_t addresses[10];
} layout;

enum { ELEMENTWISE, CAST, RANGE, RANDOM, COPY, GATHER, SCATTER, FOLD, ROWS, MATMUL, WINDOW };

#define AT(T, member) (uint16_t) offsetof(T, member)

static const layout layouts[] = {
    [ELEMENTWISE] = {sizeof(cuda_elementwise),
                     offsetof(cuda_elementwise, fault),
                     4,
                     {AT(cuda_elementwise, out), AT(cuda_elementwise, in[0].data),
                      AT(cuda_elementwise, in[1].data), AT(cuda_elementwise, in[2].data)}},
    [CAST] = {sizeof(cuda_cast), 0, 2, {AT(cuda_cast, in), AT(cuda_cast, out)}},
    [RANGE] = {sizeof(cuda_range), 0, 1, {AT(cuda_range, out)}},
    [RANDOM] = {sizeof(cuda_random), 0, 1, {AT(cuda_random, out)}},
    [COPY] = {sizeof(cuda_copy), 0, 2, {AT(cuda_copy, from), AT(cuda_copy, to)}},
    [GATHER] = {sizeof(cuda_gather),
                offsetof(cuda_gather, fault),
                3,
                {AT(cuda_gather, x), AT(cuda_gather, indices), AT(cuda_gather, out)}},
    [SCATTER] = {sizeof(cuda_scatter),
                 offsetof(cuda_scatter, fault),
                 3,
                 {AT(cuda_scatter, indices), AT(cuda_scatter, updates), AT(cuda_scatter, out)}},
    [FOLD] = {sizeof(cuda_fold), 0, 2, {AT(cuda_fold, in), AT(cuda_fold, out)}},
    [ROWS] = {sizeof(cuda_rows),
              offsetof(cuda_rows, fault),
              10,
              {AT(cuda_rows, x), AT(cuda_rows, dy), AT(cuda_rows, y), AT(cuda_rows, scale),
               AT(cuda_rows, offset), AT(cuda_rows, labels), AT(cuda_rows, out),
               AT(cuda_rows, loss), AT(cuda_rows, dscale), AT(cuda_rows, doffset)}},
    [MATMUL] = {sizeof(cuda_matmul),
                0,
                3,
                {AT(cuda_matmul, a), AT(cuda_matmul, b), AT(cuda_matmul, c)}},
    [WINDOW] = {sizeof(cuda_window),
                0,
                4,
                {AT(cuda_window, x), AT(cuda_window, filter), AT(cuda_window, y),
                 AT(cuda_window, to)}},
};

typedef union any_args {
    cuda_elementwise elementwise;
    cuda_cast cast;
    cuda_range range;
    cuda_random random;
    cuda_copy copy;
    cuda_gather gather;
    cuda_scatter scatter;
    cuda_fold fold;
    cuda_rows rows;
    cuda_matmul matmul;
    cuda_window window;
} any_args;

/* ---- functions and types ------------------------------------------------- */

enum text {
    NO_TEXT,
    TEXT_NUMBER,
    TEXT_ELEMENTWISE,
    TEXT_FUNCTION,
    TEXT_VALUES,
    TEXT_MOVE,
    TEXT_SCATTER,
    TEXT_FOLD,
    TEXT_ROWS,
    TEXT_MATMUL,
    TEXT_WINDOW,
    TEXT_POOL
};
static const char *const texts[] = {
    NULL,           opencl_number, opencl_elementwise, opencl_function, opencl_values, opencl_move,
    opencl_scatter, opencl_fold,   opencl_rows,        opencl_matmul,   opencl_window, opencl_pool};

static const struct {
    char name[14];
    uint8_t layout, texts[3]; /* behind the common one */
} functions[] = {
    {"arith", ELEMENTWISE, {TEXT_ELEMENTWISE}},
    {"function", ELEMENTWISE, {TEXT_ELEMENTWISE, TEXT_FUNCTION}},
    {"select", ELEMENTWISE, {TEXT_ELEMENTWISE}},
    {"cast", CAST, {TEXT_NUMBER, TEXT_VALUES}},
    {"range", RANGE, {TEXT_NUMBER, TEXT_VALUES}},
    {"random_fill", RANDOM, {TEXT_NUMBER, TEXT_VALUES}},
    {"copy", COPY, {TEXT_MOVE}},
    {"turn", COPY, {TEXT_MOVE}},
    {"gather", GATHER, {TEXT_MOVE}},
    {"scatter_add", SCATTER, {TEXT_SCATTER}},
    {"fold", FOLD, {TEXT_NUMBER, TEXT_FOLD}},
    {"softmax", ROWS, {TEXT_NUMBER, TEXT_ROWS}},
    {"softmax_grad", ROWS, {TEXT_NUMBER, TEXT_ROWS}},
    {"cross_entropy", ROWS, {TEXT_NUMBER, TEXT_ROWS}},
    {"layer_norm", ROWS, {TEXT_NUMBER, TEXT_ROWS}},
    {"norm_moments", ROWS, {TEXT_NUMBER, TEXT_ROWS}},
    {"norm_columns", ROWS, {TEXT_NUMBER, TEXT_ROWS}},
    {"norm_grad", ROWS, {TEXT_NUMBER, TEXT_ROWS}},
    {"matmul", MATMUL, {TEXT_MATMUL}},
    {"conv", WINDOW, {TEXT_WINDOW}},
    {"conv_image", WINDOW, {TEXT_WINDOW}},
    {"conv_filter", WINDOW, {TEXT_WINDOW}},
    {"pool", WINDOW, {TEXT_NUMBER, TEXT_WINDOW, TEXT_POOL}},
    {"pool_grad", WINDOW, {TEXT_NUMBER, TEXT_WINDOW, TEXT_POOL}},
};
enum { FUNCTIONS = sizeof functions / sizeof *functions };

/* What the text is compiled with: T; then, if they matter, A, W, and one thing more. */
static const struct {
    char name[8], t[7], a[7], w[7], is[18];
} types[] = {
    {"float32", "float", "float", "float", "FLOATS"},
    {"float64", "double", "double", "double", "FLOATS -D DOUBLES"},
    {"int8", "char", "int", "uint", "INTS"},
    {"int16", "short", "int", "uint", "INTS"},
    {"int32", "int", "int", "uint", "INTS"},
    {"int64", "long", "long", "ulong", "INTS"},
    {"uint8", "uchar", "int", "uint", "INTS"},
    {"bool", "uchar", "int", "uint", "BOOLS"},
    {"1", "uchar", "", "", ""},
    {"2", "ushort", "", "", ""},
    {"4", "uint", "", "", ""},
    {"8", "ulong", "", "", ""},
    {"float", "double", "double", "double", "FLOATS -D DOUBLES"}, /* what is folded */
    {"int", "long", "long", "ulong", "INTS"},
};
enum { TYPES = sizeof types / sizeof *types, NAME = 32 };

/* The number of a type; TYPES: it is none. */
static int type_find(const char *name) {
    int t = 0;
    while (t < TYPES && strcmp(types[t].name, name) != 0) t++;
    return t;
}

static int function_find(const char *name, size_t length) {
    int f = 0;
    while (f < FUNCTIONS &&
           (strncmp(functions[f].name, name, length) != 0 || functions[f].name[length] != '\0'))
        f++;
    return f;
}

static void set_options(char *out, size_t size, int type) {
    size_t used = (size_t)snprintf(out, size, "-cl-std=CL1.2 -w");
    if (type == TYPES) return;
    used += (size_t)snprintf(out + used, size - used, " -D T=%s", types[type].t);
    if (types[type].a[0])
        (void)snprintf(out + used, size - used, " -D A=%s -D W=%s -D %s", types[type].a,
                       types[type].w, types[type].is);
}

df_code opencl_kernel_launch(void *queue, const cuda_launch *l, df_error *err) {
    any_args args;
    char name[NAME], entry[NAME], options[96];
    const char *last = strrchr(l->kernel, '_');
    int type = last ? type_find(last + 1) : TYPES;
    size_t length = type < TYPES ? (size_t)(last - l->kernel) : strlen(l->kernel);
    int f = function_find(l->kernel, length);
    if (f == FUNCTIONS || sizeof(void *) != sizeof(uint64_t))
        return error_set(err, DF_NOT_FOUND, "kernel %s: there is none for OpenCL", l->kernel);
    const layout *a = &layouts[functions[f].layout];
    bool names_none = functions[f].layout == SCATTER;
    memcpy(&args, l->params[0], a->bytes);
    if (names_none) type = type_find(df_dtype_name((df_dtype)args.scatter.dtype));
    (void)snprintf(name, sizeof name, "%s%s", l->kernel, names_none ? types[type].name : "");
    (void)snprintf(entry, sizeof entry, "df_%s", functions[f].name);
    set_options(options, sizeof options, type);
    opencl_launch launch = {.name = name,
                            .entry = entry,
                            .options = options,
                            .texts = {opencl_common},
                            .groups = l->grid[0],
                            .group = l->block[0],
                            .args = &args,
                            .bytes = a->bytes,
                            .addresses = a->addresses,
                            .n_addresses = a->n,
                            .report_bytes = a->fault ? sizeof(cuda_fault) : 0};
    for (int i = 0; i < 3; i++) launch.texts[i + 1] = texts[functions[f].texts[i]];
    if (a->fault) memcpy(&launch.report, (char *)&args + a->fault, sizeof launch.report);
    return opencl_queue_launch(queue, &launch, err);
}
