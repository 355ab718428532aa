/* SPDX-License-Identifier: MIT
 *
 * The output is computed a tile at a time, from arrays that each hold what the tile needs of
 * one operand:
 *
 *   its elements lie in a row, in the type computed with   that row itself
 *   it is stretched, or small integers, or the last tile   an array on the stack, made of
 *   is no whole number of blocks                           copies, repeated or widened
 *
 * So a loop sees whole blocks of arrays only ("kernels/loops.h"). What fills up the last block
 * is the first element of each operand again: a case that occurs anyway.
 */
#include "kernels/elementwise.h"

#include <string.h>

#include "base/error.h"
#include "kernels/family.h"
#include "kernels/loops.h"
#include "op/number.h"

enum {
    OPERANDS = ELEMENTWISE_OPERANDS,
    FILL = 16,     /* bytes, at once */
    LONG_ROW = 256 /* elements */
};

/* ---- the ops ------------------------------------------------------------- */

const double elementwise_numbers[] = {0, 1, -0.0};

static const elementwise_recipe recipes[] = {
    [ELEMENTWISE_ADD] = {LOOP_ADD, {FROM_A, FROM_B}},
    [ELEMENTWISE_SUB] = {LOOP_SUB, {FROM_A, FROM_B}},
    [ELEMENTWISE_MUL] = {LOOP_MUL, {FROM_A, FROM_B}},
    [ELEMENTWISE_DIV] = {LOOP_DIV, {FROM_A, FROM_B}},
    [ELEMENTWISE_FLOOR_DIV] = {LOOP_FLOOR_DIV, {FROM_A, FROM_B}},
    [ELEMENTWISE_FLOOR_MOD] = {LOOP_FLOOR_MOD, {FROM_A, FROM_B}},
    [ELEMENTWISE_POW] = {LOOP_POW, {FROM_A, FROM_B}},
    [ELEMENTWISE_MAXIMUM] = {LOOP_MAX, {FROM_A, FROM_B}},
    [ELEMENTWISE_MINIMUM] = {LOOP_MIN, {FROM_A, FROM_B}},
    [ELEMENTWISE_EQUAL] = {LOOP_EQUAL, {FROM_A, FROM_B}},
    [ELEMENTWISE_NOT_EQUAL] = {LOOP_NOT_EQUAL, {FROM_A, FROM_B}},
    [ELEMENTWISE_LESS] = {LOOP_LESS, {FROM_A, FROM_B}},
    [ELEMENTWISE_LESS_EQUAL] = {LOOP_LESS_EQUAL, {FROM_A, FROM_B}},
    [ELEMENTWISE_GREATER] = {LOOP_LESS, {FROM_B, FROM_A}},
    [ELEMENTWISE_GREATER_EQUAL] = {LOOP_LESS_EQUAL, {FROM_B, FROM_A}},
    [ELEMENTWISE_LOGICAL_AND] = {LOOP_MIN, {FROM_A, FROM_B}},
    [ELEMENTWISE_LOGICAL_OR] = {LOOP_MAX, {FROM_A, FROM_B}},
    [ELEMENTWISE_LOGICAL_XOR] = {LOOP_NOT_EQUAL, {FROM_A, FROM_B}},
    [ELEMENTWISE_LOGICAL_NOT] = {LOOP_EQUAL, {FROM_A, FROM_ZERO}},
    [ELEMENTWISE_SELECT] = {LOOP_SELECT, {FROM_A, FROM_B, FROM_C}},
    [ELEMENTWISE_NEG] = {LOOP_SUB,
                         {FROM_MINUS_ZERO, FROM_A}}, /* 0 - x would turn 0 into 0 instead of -0 */
    [ELEMENTWISE_ABS] = {LOOP_ABS, {FROM_A}},
    [ELEMENTWISE_SIGN] = {LOOP_SIGN, {FROM_A}},
    [ELEMENTWISE_SQUARE] = {LOOP_MUL, {FROM_A, FROM_A}},
    [ELEMENTWISE_RELU] = {LOOP_MAX, {FROM_A, FROM_ZERO}},
    [ELEMENTWISE_RELU_GRAD] = {LOOP_SELECT, {FROM_B, FROM_A, FROM_ZERO}},
    [ELEMENTWISE_SIGMOID_GRAD] = {LOOP_SIGMOID_GRAD, {FROM_A, FROM_B}},
    [ELEMENTWISE_TANH_GRAD] = {LOOP_TANH_GRAD, {FROM_A, FROM_B}},
    [ELEMENTWISE_GELU_GRAD] = {LOOP_GELU_GRAD, {FROM_A, FROM_B}},
    [ELEMENTWISE_RECIPROCAL] = {LOOP_DIV, {FROM_ONE, FROM_A}},
};

elementwise_recipe elementwise_recipe_of(int op) {
    if (op < ELEMENTWISE_FUNCTIONS) return recipes[op];
    return (elementwise_recipe){(uint8_t)(LOOP_SQRT + (op - ELEMENTWISE_FUNCTIONS)), {FROM_A}};
}

/* The type that elements of a dtype are computed with. Select only moves them: any of its
 * type's size will do. */
static df_dtype type_for(df_dtype dtype, int op) {
    bool is_real = dtype == DF_FLOAT32 || dtype == DF_FLOAT64;
    if (is_real && op != ELEMENTWISE_SELECT) return dtype;
    return df_dtype_size(dtype) == 8 ? DF_INT64 : DF_INT32;
}

/* ---- operands ------------------------------------------------------------ */

typedef struct tile {
    _Alignas(16) unsigned char bytes[LOOP_TILE_BYTES + FILL];
} tile;

/* Dimensions that follow each other without a gap, or are all stretched, are one; the first
 * is the innermost. */
typedef struct operand {
    const unsigned char *next;
    int rank;                      /* at least 1 */
    int64_t n[DF_MAX_RANK];        /* elements */
    int64_t at[DF_MAX_RANK];       /* those before `next` */
    size_t stride[DF_MAX_RANK];    /* bytes; 0: stretched */
    df_dtype dtype;                /* as it is, */
    size_t size, width;            /* and its size then and in the type computed with */
    const unsigned char *repeated; /* the element that `made` repeats; NULL: none */
    size_t times;
    int64_t number; /* what `next` points to, if it is no input */
    tile made;
} operand;

static void add_dim(operand *o, int64_t n, size_t stride) {
    int last = o->rank - 1;
    if (n == 1) return;
    if (last >= 0 && stride == o->stride[last] * (size_t)o->n[last]) {
        o->n[last] *= n;
        return;
    }
    o->n[o->rank] = n;
    o->stride[o->rank] = stride;
    o->at[o->rank++] = 0;
}

static void set_input(operand *o, const df_tensor *t, const df_tensor *out) {
    size_t inside = df_dtype_size(t->dtype);
    o->next = t->data;
    o->dtype = t->dtype;
    o->size = inside;
    for (int i = 1; i <= out->rank; i++) {
        int64_t own = i <= t->rank ? t->dims[t->rank - i] : 1;
        add_dim(o, out->dims[out->rank - i], own == 1 ? 0 : inside);
        inside *= (size_t)own;
    }
}

static void set_operand(operand *o, elementwise_source from, const df_kernel *c, df_dtype type) {
    o->rank = 0;
    o->n[0] = 1;
    o->stride[0] = 0;
    o->at[0] = 0;
    o->repeated = NULL;
    o->width = df_dtype_size(type);
    if (from <= FROM_C) {
        set_input(o, kernel_input(c, (int)from - FROM_A), kernel_output(c, 0));
    } else {
        number_store_floats(type, &elementwise_numbers[from - FROM_ZERO], 1, &o->number);
        o->next = (const unsigned char *)&o->number;
        o->dtype = type;
        o->size = o->width;
        add_dim(o, kernel_output(c, 0)->elements, 0);
    }
    if (o->rank == 0) o->rank = 1;
}

/* Goes n elements on, which are not more than are left of the innermost dimension. */
static void step(operand *o, size_t n) {
    for (int d = 0; d < o->rank; d++) {
        o->next += n * o->stride[d];
        o->at[d] += (int64_t)n;
        if (o->at[d] < o->n[d]) return;
        o->next -= (size_t)o->n[d] * o->stride[d];
        o->at[d] = 0;
        n = 1;
    }
}

static size_t row_left(const operand *o) {
    return (size_t)(o->n[0] - o->at[0]);
}

/* 8 bytes full of elements. */
static uint64_t pattern_of(const unsigned char *element, size_t size) {
    uint32_t four;
    uint64_t eight;
    if (size == 8) {
        memcpy(&eight, element, sizeof eight);
        return eight;
    }
    if (size == 4)
        memcpy(&four, element, sizeof four);
    else
        four = element[0] * 0x01010101u;
    if (size == 2) {
        uint16_t two;
        memcpy(&two, element, sizeof two);
        four = two * 0x00010001u;
    }
    return four * UINT64_C(0x0000000100000001);
}

/* n times the element; writes up to FILL bytes more. */
static void repeat(const unsigned char *element, size_t size, size_t n, unsigned char *to) {
    const uint64_t eight = pattern_of(element, size), pattern[] = {eight, eight};
    for (size_t at = 0; at < n * size; at += FILL) memcpy(to + at, pattern, FILL);
}

/* The next n elements, in whole blocks. Here and below memmove, which is a call: where a compiler
 * is to make small code it puts a slow loop of bytes in memcpy's place. */
static void collect(operand *o, size_t n, unsigned char *to) {
    const size_t size = o->size;
    for (size_t done = 0, got; done < n; done += got) {
        got = row_left(o) < n - done ? row_left(o) : n - done;
        if (o->stride[0] == 0)
            repeat(o->next, size, got, to + done * size);
        else
            memmove(to + done * size, o->next, got * size);
        step(o, got);
    }
    if (n % LOOP_BLOCK) repeat(to, size, LOOP_BLOCK - n % LOOP_BLOCK, to + n * size);
}

static size_t blocks_of(size_t n) {
    return (n + LOOP_BLOCK - 1) / LOOP_BLOCK;
}

/* The array of the next n elements. */
static const void *take(operand *o, size_t n, tile *scratch) {
    const unsigned char *from = o->next;
    bool is_one = n <= row_left(o), is_widened = o->size != o->width;
    bool is_number = is_one && o->stride[0] == 0;
    if (is_number && from == o->repeated && n <= o->times) {
        step(o, n);
        return o->made.bytes;
    }
    if (is_one && !is_number && n % LOOP_BLOCK == 0) {
        step(o, n);
    } else {
        unsigned char *to = is_widened ? scratch->bytes : o->made.bytes;
        o->repeated = is_number ? from : NULL;
        o->times = n;
        collect(o, n, to);
        from = to;
    }
    if (!is_widened) return from;
    loop_widen(o->dtype, o->width, blocks_of(n), from, o->made.bytes);
    return o->made.bytes;
}

/* ---- tiles --------------------------------------------------------------- */

/* Writes n results, of `width` bytes, to where they belong. */
static void put(const tile *results, size_t width, size_t n, size_t size, unsigned char *to,
                tile *scratch) {
    const unsigned char *from = results->bytes;
    if (size != width) {
        bool is_whole = n % LOOP_BLOCK == 0;
        loop_narrow(size, blocks_of(n), from, is_whole ? to : scratch->bytes);
        if (is_whole) return;
        from = scratch->bytes;
    }
    memmove(to, from, n * size);
}

/* How many elements the next tile has: whole blocks, unless there are none left. It ends where a
 * long row does, so that this need not be copied. */
static size_t next_tile(const operand *operands, int n_operands, size_t most) {
    size_t n = most;
    for (int i = 0; i < n_operands; i++)
        if (operands[i].n[0] >= LONG_ROW && row_left(&operands[i]) < n) n = row_left(&operands[i]);
    return n > LOOP_BLOCK ? n - n % LOOP_BLOCK : n;
}

/* Sets the operands, and gives how many there are. *is_plain: all are as the output is. */
static int set_operands(operand *operands, const uint8_t *from, const df_kernel *c, df_dtype type,
                        bool *is_plain) {
    int n = 0;
    *is_plain = df_dtype_size(kernel_output(c, 0)->dtype) == df_dtype_size(type);
    for (; n < OPERANDS && from[n] != FROM_NONE; n++) {
        operand *o = &operands[n];
        set_operand(o, from[n], c, type);
        if (o->size != o->width || o->rank > 1 || o->stride[0] == 0) *is_plain = false;
    }
    return n;
}

static void run(df_kernel *c, elementwise_recipe r, df_dtype type) {
    df_tensor *out = kernel_output(c, 0);
    size_t size = df_dtype_size(out->dtype), left = (size_t)out->elements;
    size_t width = df_dtype_size(out->dtype == DF_BOOL ? DF_INT32 : type); /* of a result */
    operand operands[OPERANDS];
    tile results, scratch;
    bool is_plain;
    int n_operands = set_operands(operands, r.operands, c, type, &is_plain);
    size_t most = is_plain ? SIZE_MAX : LOOP_TILE_BYTES / df_dtype_size(type);
    for (unsigned char *to = out->data; left > 0;) {
        size_t n = next_tile(operands, n_operands, left < most ? left : most);
        bool is_direct = size == width && n % LOOP_BLOCK == 0;
        const void *in[OPERANDS];
        for (int i = 0; i < OPERANDS; i++)
            in[i] = i < n_operands ? take(&operands[i], n, &scratch) : in[0];
        loop_run(type, r.loop, blocks_of(n), is_direct ? (void *)to : results.bytes, in);
        if (!is_direct) put(&results, width, n, size, to, &scratch);
        to += n * size;
        left -= n;
    }
}

/* ---- what integers cannot do --------------------------------------------- */

/* The index of the first that is 0, or, if asked for, negative; -1: none is. */
static int64_t find_bad(const df_tensor *t, bool negative) {
    int64_t piece[64];
    for (int64_t i = 0; i < t->elements; i++) {
        if (i % 64 == 0)
            number_load_ints(t->dtype, (const char *)t->data + (size_t)i * df_dtype_size(t->dtype),
                             t->elements - i < 64 ? t->elements - i : 64, piece);
        if (negative ? piece[i % 64] < 0 : piece[i % 64] == 0) return i;
    }
    return -1;
}

static df_code check_values(const df_kernel *c, int op, df_error *err) {
    if (op < ELEMENTWISE_DIV || op > ELEMENTWISE_POW || number_is_float(kernel_output(c, 0)->dtype))
        return DF_OK;
    const df_tensor *t = kernel_input(c, 1);
    int64_t bad = find_bad(t, op == ELEMENTWISE_POW);
    if (bad < 0) return DF_OK;
    if (op == ELEMENTWISE_POW)
        return error_invalid(
            err,
            "element %lld of input 1, the exponent (%s), is negative; only floats can "
            "be raised to that: use Cast",
            (long long)bad, df_dtype_name(t->dtype));
    return error_invalid(err,
                         "division by 0: element %lld of input 1, the divisor (%s), is 0; only "
                         "floats can be divided by 0",
                         (long long)bad, df_dtype_name(t->dtype));
}

df_code elementwise_compute(df_kernel *c, df_error *err) {
    int op = kernel_which(c);
    if (kernel_output(c, 0)->elements == 0) return DF_OK;
    df_code code = check_values(c, op, err);
    if (code == DF_OK)
        run(c, elementwise_recipe_of(op),
            type_for(kernel_input(c, kernel_inputs(c) - 1)->dtype, op));
    return code;
}

/* ---- the family ---------------------------------------------------------- */

/* bias [n] for the last dimension of x, n. */
static df_code infer_bias_add(df_infer *c, df_error *err) {
    df_code code = infer_rank(c, 1, 1, err);
    const edge_type *x = c->inputs[0], *bias = c->inputs[1];
    if (code != DF_OK || x->rank == -1) return code;
    int64_t n = bias->rank == 1 ? bias->dims[0] : -1;
    edge_type result = *x;
    if (x->rank == 0 || !infer_equal_dims(x->dims[x->rank - 1], n, &result.dims[x->rank - 1]))
        return error_invalid(err,
                             "input 0 has shape %s and the bias %s; it takes one number for each "
                             "element along the last dimension of input 0",
                             edge_text(x).s, edge_text(bias).s);
    return df_infer_set(c, 0, edge_shape(&result), err);
}

void elementwise_ops(adder *a) {
    const uint32_t how = ADD_OVERWRITES(0) | ADD_OVERWRITES(1) | ADD_OVERWRITES(2);
    add_op_with(a, "Add|Sub|Mul|Div|FloorDiv|FloorMod|Pow|Maximum|Minimum(a: number, b: a) : a",
                infer_broadcast, elementwise_compute, how, ELEMENTWISE_ADD);
    add_op_with(a, "Equal|NotEqual(a: number|bool, b: a) : bool", infer_broadcast,
                elementwise_compute, how, ELEMENTWISE_EQUAL);
    add_op_with(a, "Less|LessEqual|Greater|GreaterEqual(a: number, b: a) : bool", infer_broadcast,
                elementwise_compute, how, ELEMENTWISE_LESS);
    add_op_with(a, "LogicalAnd|LogicalOr|LogicalXor(a: bool, b: bool) : bool", infer_broadcast,
                elementwise_compute, how, ELEMENTWISE_LOGICAL_AND);
    add_op_with(a, "LogicalNot(x: bool) : bool", df_infer_same, elementwise_compute, how,
                ELEMENTWISE_LOGICAL_NOT);
    add_op_with(a, "Select(condition: bool, a: plain, b: a) : a", infer_broadcast,
                elementwise_compute, how, ELEMENTWISE_SELECT);
    add_op_with(a, "Neg|Abs|Sign|Square|Relu(x: number) : x", df_infer_same, elementwise_compute,
                how, ELEMENTWISE_NEG);
    add_op_with(a, "ReluGrad(dy: number, x: dy) : dy", df_infer_equal, elementwise_compute, how,
                ELEMENTWISE_RELU_GRAD);
    add_op_with(a, "SigmoidGrad|TanhGrad(dy: real, y: dy) : dy", df_infer_equal,
                elementwise_compute, how, ELEMENTWISE_SIGMOID_GRAD);
    add_op_with(a, "GeluGrad(dy: real, x: dy) : dy", df_infer_equal, elementwise_compute, how,
                ELEMENTWISE_GELU_GRAD);
    add_op_with(
        a,
        "Reciprocal|Sqrt|Rsqrt|Exp|Expm1|Log|Log1p|Sin|Cos|Tan|Tanh|Sigmoid|Erf|Floor|Ceil|Round|"
        "Gelu(x: real) : x",
        df_infer_same, elementwise_compute, how, ELEMENTWISE_RECIPROCAL);
    add_op_with(a, "BiasAdd(x: number, bias: x) : x", infer_bias_add, elementwise_compute, how,
                ELEMENTWISE_ADD);
}
