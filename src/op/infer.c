/* SPDX-License-Identifier: MIT
 *
 * What a signature says of a node: how many inputs, which dtypes, which attrs, and the
 * dtypes of the outputs. What is left to an op's own infer function is shapes.
 */
#include "base/error.h"
#include "op/op.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- inputs -------------------------------------------------------------- */

/* A list in words, cut where there is no room: "a, b or c". */
typedef struct word_list {
    char s[160];
    size_t size;
} word_list;

static void word_add(word_list *w, const char *word, int left) {
    const char *comma = w->size == 0 ? "" : left ? ", " : " or ";
    int n = snprintf(w->s + w->size, sizeof w->s - w->size, "%s%s", comma, word);
    if (n > 0) w->size += (size_t)n;
    if (w->size >= sizeof w->s) w->size = sizeof w->s - 1;
}

static word_list dtype_words(dtype_set set) {
    word_list w = {.size = 0};
    for (int d = DF_FLOAT32; d <= DF_BFLOAT16; d++) {
        if (!dtype_in(set, (df_dtype)d)) continue;
        set &= ~(UINT32_C(1) << d);
        word_add(&w, df_dtype_name((df_dtype)d), __builtin_popcount(set >> d));
    }
    return w;
}

/* Which of the definition's inputs input i is. */
static const op_input *input_of(const op_def *op, int i) {
    return &op->inputs[i < op->n_inputs ? i : op->n_inputs - 1];
}

static df_code wrong_number(const df_infer *c, df_error *err) {
    return error_invalid(err, "got %d inputs, and takes those of %s", c->n_inputs,
                         c->op->signature);
}

static df_code wrong_dtype(const df_infer *c, int i, df_error *err) {
    df_dtype is = c->inputs[i]->dtype;
    const op_input *in = input_of(c->op, i);
    const char *hint = is == DF_STRING ? "" : ": use Cast";
    int like = in->same_as >= 0 ? in->same_as : c->op->n_inputs - 1;
    if (in->same_as >= 0 || dtype_in(in->dtypes, is))
        return error_invalid(
            err, "input %d (%s) is %s and input %d (%s) is %s; make them one dtype%s", like,
            input_of(c->op, like)->name, df_dtype_name(c->inputs[like]->dtype), i, in->name,
            df_dtype_name(is), hint[0] ? " with Cast" : "");
    return error_invalid(err, "input %d (%s) is %s; it takes %s%s", i, in->name, df_dtype_name(is),
                         dtype_words(in->dtypes).s, hint);
}

df_code op_check_inputs(const df_infer *c, df_error *err) {
    const op_def *op = c->op;
    if (c->n_inputs < op->min_inputs || (op->max_inputs != OP_ANY && c->n_inputs > op->max_inputs))
        return wrong_number(c, err);
    for (int i = 0; i < c->n_inputs; i++) {
        const op_input *in = input_of(op, i);
        df_dtype is = c->inputs[i]->dtype;
        bool fits =
            in->same_as >= 0 ? is == c->inputs[in->same_as]->dtype : dtype_in(in->dtypes, is);
        if (i >= op->n_inputs) fits = fits && is == c->inputs[op->n_inputs - 1]->dtype;
        if (!fits) return wrong_dtype(c, i, err);
    }
    return DF_OK;
}

/* ---- attrs --------------------------------------------------------------- */

static df_code check_number(const op_attr_def *def, double x, df_error *err) {
    if (x >= def->lowest && x <= def->highest) return DF_OK;
    if (isinf(def->highest))
        return error_invalid(err, "attr %s is %g; it can be %g or more", def->name, x, def->lowest);
    return error_invalid(err, "attr %s is %g; it can be %g to %g", def->name, x, def->lowest,
                         def->highest);
}

static df_code check_choice(const op_attr_def *def, const char *s, df_error *err) {
    if (!def->choices) return DF_OK;
    for (int i = 0; i < def->n_choices; i++)
        if (strcmp(def->choices[i], s) == 0) return DF_OK;
    word_list w = {.size = 0};
    for (int i = 0; i < def->n_choices; i++) word_add(&w, def->choices[i], def->n_choices - 1 - i);
    return error_invalid(err, "attr %s is \"%.100s\"; it can be %s", def->name, s, w.s);
}

df_code op_check_attr(const op_attr_def *def, const df_attr *a, df_error *err) {
    if (a->type != def->type)
        return error_invalid(err, "attr %s is of type %s and was given as %s", def->name,
                             attr_type_name(def->type), attr_type_name(a->type));
    df_code code = attr_check(a, err);
    if (code != DF_OK) return code;
    bool bounded = def->is_bounded;
    if (a->type == DF_ATTR_STRING) return check_choice(def, a->s, err);
    if (a->type == DF_ATTR_INT && bounded) return check_number(def, (double)a->i, err);
    if (a->type == DF_ATTR_FLOAT && bounded) return check_number(def, a->f, err);
    for (int i = 0; a->type == DF_ATTR_INTS && bounded && code == DF_OK && i < a->shape.rank; i++)
        code = check_number(def, (double)a->shape.dims[i], err);
    return code;
}

/* ---- outputs ------------------------------------------------------------- */

int op_outputs(const op_def *op, const df_attr *attrs) {
    return op->outputs_by >= 0 ? (int)attrs[op->outputs_by].i : op->n_outputs;
}

static df_dtype output_dtype(const df_infer *c, const op_output *o) {
    if (o->input >= 0) return c->inputs[o->input]->dtype;
    if (o->attr < 0) return o->dtype;
    const df_attr *a = &c->attrs[o->attr];
    if (a->type == DF_ATTR_TENSOR) return df_tensor_dtype(a->tensor);
    return (df_dtype)a->i;
}

/* The user's function. What it returns counts, whether it found words for it or not. */
static df_code call_infer(df_infer *c, df_error *err) {
    df_error why;
    error_clear(&why);
    df_code code = error_from(&why, c->op->infer(c, &why), "its infer function");
    if (code != DF_OK && err) *err = why;
    return code;
}

df_code op_infer(df_infer *c, df_error *err) {
    for (int i = 0; i < c->n_outputs; i++) {
        const op_output *o = &c->op->outputs[c->op->outputs_by >= 0 ? 0 : i];
        df_code code = edge_type_set(&c->outputs[i], output_dtype(c, o), DF_SHAPE_UNKNOWN, err);
        if (code != DF_OK) return code;
    }
    return c->op->infer ? call_infer(c, err) : DF_OK;
}
