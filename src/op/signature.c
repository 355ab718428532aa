/* SPDX-License-Identifier: MIT
 *
 * A signature, read from left to right, as the graph's text form writes a node:
 *
 *   Name ( input : dtypes , ... ) { attr : type = default in [lo, hi] , ... } : output , ...
 *
 * Names mean what stood before them: an input may be like an earlier one, and an output like
 * an input or an attr. So one pass suffices, and what was read is right.
 */
#include "op/signature.h"

#include "base/error.h"
#include "op/scan.h"

#include <math.h>
#include <string.h>

enum { MAX_INPUTS = 16, MAX_CHOICES = 16 };

typedef struct reading {
    scan s;
    arena *mem;
    op_def *op;
    op_input inputs[MAX_INPUTS];
    op_attr_def attrs[DF_MAX_ATTRS];
    op_output outputs[DF_MAX_OUTPUTS];
} reading;

static bool wrong(const reading *r, const char *at, const char *words) {
    return scan_wrong(&r->s, at, DF_INVALID_ARGUMENT, "%s", words);
}

/* A word, copied; what it is called if it is missing. */
static bool take_word(reading *r, const char *what, const char **out) {
    const char *at = r->s.at;
    scan_span word = scan_word(&r->s);
    if (word.size == 0)
        return scan_wrong(&r->s, at, DF_INVALID_ARGUMENT,
                          "expected %s: a letter, then letters, digits and '_'", what);
    *out = arena_text(r->mem, word.at, word.size);
    return *out || scan_no_memory(&r->s, "an op");
}

static int input_named(const reading *r, scan_span word) {
    for (int i = 0; i < r->op->n_inputs; i++)
        if (span_is(word, r->inputs[i].name)) return i;
    return -1;
}

static int attr_named(const reading *r, scan_span word) {
    for (int i = 0; i < r->op->n_attrs; i++)
        if (span_is(word, r->attrs[i].name)) return i;
    return -1;
}

/* Inputs and attrs share their names: an output may be like either. */
static bool name_is_new(const reading *r, const char *at, const char *name) {
    scan_span word = {name, strlen(name)};
    if (input_named(r, word) < 0 && attr_named(r, word) < 0) return true;
    return wrong(r, at, "this name is there already");
}

/* ---- dtypes -------------------------------------------------------------- */

static dtype_set set_named(scan_span word) {
    static const struct {
        char name[8];
        dtype_set set;
    } sets[] = {{"any", DTYPES_ANY},
                {"plain", DTYPES_PLAIN},
                {"number", DTYPES_NUMBER},
                {"real", DTYPES_REAL},
                {"index", DTYPES_INDEX}};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        if (span_is(word, sets[i].name)) return sets[i].set;
    return 0;
}

static bool take_dtypes(scan *s, dtype_set *out) {
    *out = 0;
    do {
        scan from = *s;
        dtype_set set = set_named(scan_word(s));
        df_dtype one;
        if (!set) {
            *s = from;
            if (!scan_dtype(s, &one)) return false;
            set = DTYPE_BIT(one);
        }
        *out |= set;
    } while (scan_take(s, "|"));
    return true;
}

df_code dtype_set_read(const char *words, dtype_set *out, df_error *err) {
    scan s = scan_of(words, strlen(words), ERROR_OR_LOCAL(err));
    if (!take_dtypes(&s, out)) return s.err->code;
    if (scan_left(&s)) (void)scan_wrong(&s, s.at, DF_INVALID_ARGUMENT, "expected '|' or the end");
    return scan_left(&s) ? s.err->code : DF_OK;
}

/* ---- inputs -------------------------------------------------------------- */

static bool take_input(reading *r) {
    scan *s = &r->s;
    op_def *op = r->op;
    const char *at = s->at;
    op_input in = {.same_as = -1};
    if (op->n_inputs == MAX_INPUTS) return wrong(r, at, "there are at most 16 inputs with a name");
    if (op->max_inputs == OP_ANY) return wrong(r, at, "behind \"...\" there can be no input");
    if (!take_word(r, "the name of an input", &in.name) || !name_is_new(r, at, in.name))
        return false;
    bool optional = scan_take(s, "?");
    if (!optional && op->min_inputs < op->n_inputs)
        return wrong(r, at, "an input that may be left out comes before it");
    if (!scan_want(s, ":")) return false;
    scan from = *s;
    in.same_as = input_named(r, scan_word(s));
    if (in.same_as < 0) {
        *s = from;
        if (!take_dtypes(s, &in.dtypes)) return false;
    }
    r->inputs[op->n_inputs++] = in;
    op->min_inputs += !optional;
    op->max_inputs = scan_take(s, "...") ? OP_ANY : op->max_inputs + 1;
    return true;
}

static bool take_inputs(reading *r) {
    if (!scan_want(&r->s, "(")) return false;
    if (scan_take(&r->s, ")")) return true;
    do {
        if (!take_input(r)) return false;
    } while (scan_take(&r->s, ","));
    return scan_want(&r->s, ")");
}

/* ---- attrs --------------------------------------------------------------- */

static bool take_type(reading *r, df_attr_type *out) {
    const char *at = r->s.at;
    scan_span word = scan_word(&r->s);
    for (int t = DF_ATTR_INT; t <= DF_ATTR_TENSOR; t++) {
        if (!span_is(word, attr_type_name((df_attr_type)t))) continue;
        *out = (df_attr_type)t;
        return true;
    }
    return wrong(r, at, "expected int, float, bool, string, dtype, shape, ints or tensor");
}

static bool take_choices(reading *r, op_attr_def *a) {
    const char **choices = arena_array(r->mem, MAX_CHOICES, sizeof *choices);
    size_t size;
    if (!choices) return scan_no_memory(&r->s, "an op");
    a->choices = choices;
    do {
        if (a->n_choices == MAX_CHOICES) return wrong(r, r->s.at, "there are at most 16 choices");
        if (!scan_string(&r->s, r->mem, &choices[a->n_choices++], &size)) return false;
    } while (scan_take(&r->s, ","));
    return true;
}

static bool take_bounds(reading *r, op_attr_def *a) {
    scan *s = &r->s;
    a->is_bounded = true;
    a->lowest = -INFINITY;
    a->highest = INFINITY;
    if (!scan_take(s, ",")) {
        if (!scan_float(s, DF_FLOAT64, &a->lowest) || !scan_want(s, ",")) return false;
    }
    if (s->at < s->end && *s->at == ']') return true;
    return scan_float(s, DF_FLOAT64, &a->highest);
}

static bool take_range(reading *r, op_attr_def *a) {
    const char *at = r->s.at;
    if (!scan_want(&r->s, "[")) return false;
    bool is_number = a->type == DF_ATTR_INT || a->type == DF_ATTR_FLOAT || a->type == DF_ATTR_INTS;
    if (!is_number && a->type != DF_ATTR_STRING)
        return wrong(r, at, "only int, float, ints and string can say what is allowed");
    if (!(is_number ? take_bounds(r, a) : take_choices(r, a))) return false;
    if (is_number && !(a->lowest <= a->highest)) return wrong(r, at, "no number is in this range");
    return scan_want(&r->s, "]");
}

static bool take_attr(reading *r) {
    scan *s = &r->s;
    const char *at = s->at;
    op_attr_def a = {.required = true};
    if (r->op->n_attrs == DF_MAX_ATTRS) return wrong(r, at, "there are at most 8 attrs");
    if (!take_word(r, "the name of an attr", &a.name) || !name_is_new(r, at, a.name) ||
        !scan_want(s, ":") || !take_type(r, &a.type))
        return false;
    if (scan_take(s, "?")) {
        a.required = false;
    } else if (scan_take(s, "=")) {
        at = s->at;
        a.required = false;
        if (a.type == DF_ATTR_TENSOR) return wrong(r, at, "a tensor has no default");
        if (!attr_parse(s, r->mem, NULL, a.type, &a.initial)) return false;
    }
    if (scan_take(s, "in") && !take_range(r, &a)) return false;
    a.initial.name = a.name;
    if (a.initial.type != DF_ATTR_NONE && op_check_attr(&a, &a.initial, s->err) != DF_OK)
        return scan_place(s, at);
    r->attrs[r->op->n_attrs++] = a;
    return true;
}

static bool take_attrs(reading *r) {
    if (!scan_take(&r->s, "{")) return true;
    do {
        if (!take_attr(r)) return false;
    } while (scan_take(&r->s, ","));
    return scan_want(&r->s, "}");
}

/* ---- outputs ------------------------------------------------------------- */

static bool take_output_dtype(reading *r, op_output *o) {
    scan from = r->s;
    scan_span word = scan_word(&r->s);
    *o = (op_output){.input = input_named(r, word), .attr = attr_named(r, word)};
    if (o->input >= 0 || o->attr >= 0) {
        df_attr_type type = o->attr >= 0 ? r->attrs[o->attr].type : DF_ATTR_DTYPE;
        bool absent = o->attr >= 0 ? !r->attrs[o->attr].required &&
                                         r->attrs[o->attr].initial.type == DF_ATTR_NONE
                                   : o->input >= r->op->min_inputs;
        if (type != DF_ATTR_DTYPE && type != DF_ATTR_TENSOR)
            return wrong(r, from.at, "an attr that gives a dtype is a dtype or a tensor");
        return !absent || wrong(r, from.at, "what may be left out cannot give a dtype");
    }
    r->s = from;
    return scan_dtype(&r->s, &o->dtype);
}

static bool take_outputs(reading *r) {
    scan *s = &r->s;
    op_def *op = r->op;
    op->outputs_by = -1;
    if (!scan_take(s, ":")) return true;
    do {
        if (op->n_outputs == DF_MAX_OUTPUTS || op->outputs_by >= 0)
            return wrong(r, s->at, "there are at most 64 outputs, and none beside a \"*\"");
        if (!take_output_dtype(r, &r->outputs[op->n_outputs++])) return false;
        if (!scan_take(s, "*")) continue;
        const char *at = s->at;
        int by = op->outputs_by = attr_named(r, scan_word(s));
        if (by < 0 || op->n_outputs > 1 || r->attrs[by].type != DF_ATTR_INT ||
            !(r->attrs[by].is_bounded && r->attrs[by].lowest >= 0 &&
              r->attrs[by].highest <= (double)DF_MAX_OUTPUTS))
            return wrong(r, at, "\"*\" takes the one output, and an int attr in [0, 64]");
    } while (scan_take(s, ","));
    return true;
}

/* ---- all ----------------------------------------------------------------- */

static void *keep(reading *r, const void *from, int n, size_t size) {
    void *kept = arena_array(r->mem, (size_t)n, size);
    if (kept && n) memcpy(kept, from, (size_t)n * size);
    if (!kept) (void)scan_no_memory(&r->s, "an op");
    return kept;
}

static bool read_all(reading *r) {
    op_def *op = r->op;
    if (!take_word(r, "the name of the op", &op->name) || !take_inputs(r) || !take_attrs(r) ||
        !take_outputs(r))
        return false;
    if (scan_left(&r->s)) return wrong(r, r->s.at, "expected the end");
    op->inputs = keep(r, r->inputs, op->n_inputs, sizeof *r->inputs);
    op->attrs = keep(r, r->attrs, op->n_attrs, sizeof *r->attrs);
    op->outputs = keep(r, r->outputs, op->n_outputs, sizeof *r->outputs);
    return op->inputs && op->attrs && op->outputs;
}

df_code signature_read(arena *mem, const char *line, op_def *out, df_error *err) {
    df_error *why = ERROR_OR_LOCAL(err);
    if (!line) return error_invalid(err, "the signature of an op is NULL");
    *out = (op_def){.signature = arena_text(mem, line, strlen(line))};
    reading r = {.s = scan_of(line, strlen(line), why), .mem = mem, .op = out};
    if (!out->signature) return error_memory(err, "an op");
    if (read_all(&r)) return DF_OK;
    if (why->code != DF_RESOURCE_EXHAUSTED) error_prefix(err, "signature \"%.160s\", ", line);
    return why->code;
}
