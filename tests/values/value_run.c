/* SPDX-License-Identifier: MIT
 *
 * A way of running a case is a text: the case's own, with the lines of constants replaced.
 * The constants' values are read first, as a graph of nothing else.
 */
#include "values/value_run.h"

#include "base/text.h"
#include "values/value_compare.h"

#include <stdarg.h>
#include "device/cuda/cuda.h"
#include "device/opencl/opencl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum way { WRITTEN, FED, OF_SOME_RANK, UNKNOWN, COMPUTED, N_WAYS } way;

static const char *const way_words[] = {"constants", "fed", "fed, with ranks known",
                                        "fed, with no shape known", "computed"};

typedef struct outcome {
    df_tensor *results[CASE_OUTPUTS];
    size_t n;
} outcome;

typedef struct run {
    value_runner *runner;
    const value_case *c;
    char *why;
    size_t size;
    df_tensor *values[CASE_LINES]; /* of the line's constant; NULL: it is none */
    bool elsewhere;
    way way;
    outcome first; /* what all others must equal */
} run;

static bool wrong(run *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool wrong(run *r, const char *format, ...) {
    char words[800];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(words, sizeof words, format, args);
    va_end(args);
    (void)snprintf(r->why, r->size, "on %s, %s: %s", r->elsewhere ? r->runner->kind : "CPU",
                   way_words[r->way], words);
    return false;
}

static void drop(outcome *o) {
    for (size_t i = 0; i < o->n; i++) df_tensor_unref(o->results[i]);
    *o = (outcome){.n = 0};
}

/* ---- the values of constants --------------------------------------------- */

/* y may be a Const that is tried out: it is none of these. */
static bool is_value(const value_case *c, const value_line *l) {
    return l != c->y && line_is_op(l, "Const");
}

static df_code run_values(run *r, df_graph *g, df_error *err) {
    df_session *session = NULL;
    df_program *program = NULL;
    df_out outs[CASE_LINES];
    df_tensor *results[CASE_LINES] = {NULL};
    size_t n = df_graph_nodes(g), k = 0;
    for (size_t i = 0; i < n; i++) outs[i] = df_node_output(df_graph_node(g, i), 0);
    df_code code = df_session_new(g, NULL, &session, err);
    if (code == DF_OK)
        code = df_session_compile(session, DF_NO_OUTS, (df_outs){outs, n}, NULL, &program, err);
    if (code == DF_OK) code = df_program_run(program, DF_NO_TENSORS, results, NULL, err);
    for (size_t i = 0; code == DF_OK && i < r->c->n_lines; i++)
        if (is_value(r->c, &r->c->lines[i])) r->values[i] = results[k++];
    df_program_free(program);
    df_session_free(session);
    return code;
}

static bool read_values(run *r) {
    text t;
    df_graph *g = NULL;
    df_error err = {.code = DF_OK};
    df_code code = DF_OK;
    text_init(&t, NULL);
    for (size_t i = 0; i < r->c->n_lines; i++)
        if (is_value(r->c, &r->c->lines[i])) text_add(&t, "%s\n", r->c->lines[i].text);
    if (t.size) {
        code = df_graph_parse(r->runner->cpu, t.data, t.size, &g, &err);
        if (code == DF_OK) code = run_values(r, g, &err);
    }
    df_graph_free(g);
    text_fini(&t);
    return code == DF_OK || wrong(r, "its constants: %s", err.message);
}

/* ---- the text of a way --------------------------------------------------- */

static const char *device_of(const run *r) {
    return r->elsewhere ? r->runner->place : "/device:CPU:0";
}

static void add_placeholder(text *t, const run *r, size_t i, const char *suffix) {
    const value_line *l = &r->c->lines[i];
    df_shape s = df_tensor_shape(r->values[i]);
    text_add(t, "%.*s%s = Placeholder() {dtype=%s, shape=", l->name_size, l->text, suffix,
             df_dtype_name(df_tensor_dtype(r->values[i])));
    if (r->way == UNKNOWN || r->way == COMPUTED) {
        text_add(t, "?}\n");
        return;
    }
    for (int d = 0; d < s.rank; d++) {
        text_add(t, d ? "," : "[");
        if (r->way == FED)
            text_add(t, "%lld", (long long)s.dims[d]);
        else
            text_add(t, "?");
    }
    text_add(t, s.rank ? "]}\n" : "[]}\n");
}

/* By a node whose result nobody else holds. */
static void add_computed(text *t, const run *r, size_t i) {
    const value_line *l = &r->c->lines[i];
    add_placeholder(t, r, i, "_in");
    text_add(t, "%.*s = Fresh(%.*s_in) on %s\n", l->name_size, l->text, l->name_size, l->text,
             device_of(r));
}

static bool is_fed_value(const value_line *l) {
    return l->name_size > 4 && memcmp(l->text + l->name_size - 4, "_fed", 4) == 0;
}

/* A variable's first value cannot depend on what is fed. */
static bool is_replaced(const run *r, size_t i) {
    const value_line *l = &r->c->lines[i];
    return r->way != WRITTEN && r->values[i] && line_wanted(l) < 0 && !is_fed_value(l) &&
           !case_starts_from(r->c, l);
}

static bool is_computed(const run *r, size_t i) {
    return r->way == COMPUTED && df_tensor_dtype(r->values[i]) != DF_STRING;
}

static void add_line(text *t, const run *r, size_t i) {
    const value_line *l = &r->c->lines[i];
    if (line_wanted(l) >= 0 || (r->values[i] && is_fed_value(l))) return;
    if (!is_replaced(r, i))
        text_add(t, "%s%s%s\n", l->text, l == r->c->y ? " on " : "",
                 l == r->c->y ? device_of(r) : "");
    else if (is_computed(r, i))
        add_computed(t, r, i);
    else
        add_placeholder(t, r, i, "");
}

/* ---- a graph, and what it is asked for ----------------------------------- */

typedef struct request {
    df_graph *g;
    df_session *session;
    df_program *program;
    df_out feeds[CASE_LINES], fetches[CASE_OUTPUTS];
    df_tensor *fed[CASE_LINES];
    size_t n_feeds, n_fetches;
} request;

static df_node *find(const run *r, const df_graph *g, size_t i, const char *suffix) {
    char name[200];
    const value_line *l = &r->c->lines[i];
    (void)snprintf(name, sizeof name, "%.*s%s", l->name_size, l->text, suffix);
    return df_graph_find(g, name);
}

static void feed(request *q, df_node *node, df_tensor *value) {
    q->feeds[q->n_feeds] = df_node_output(node, 0);
    q->fed[q->n_feeds++] = value;
}

static void ask_for(const run *r, request *q) {
    for (size_t i = 0; i < r->c->n_lines; i++) {
        const value_line *l = &r->c->lines[i];
        if (line_is_op(l, "Placeholder")) {
            char name[200];
            (void)snprintf(name, sizeof name, "%.*s_fed", l->name_size, l->text);
            const value_line *value = case_find(r->c, name);
            if (value) feed(q, find(r, q->g, i, ""), r->values[value - r->c->lines]);
        } else if (is_replaced(r, i)) {
            feed(q, find(r, q->g, i, is_computed(r, i) ? "_in" : ""), r->values[i]);
        }
    }
    df_node *y = df_graph_find(q->g, "y");
    q->n_fetches = (size_t)df_node_outputs(y);
    for (size_t i = 0; i < q->n_fetches; i++) q->fetches[i] = df_node_output(y, (int)i);
}

static df_code prepare(run *r, request *q, df_error *err) {
    df_node *y = df_graph_find(q->g, "y");
    ask_for(r, q);
    df_code code = df_session_new(q->g, NULL, &q->session, err);
    if (code != DF_OK) return code;
    const df_compile_options o = {.struct_size = sizeof o, .targets = {&y, q->n_fetches == 0}};
    return df_session_compile(q->session, (df_outs){q->feeds, q->n_feeds},
                              (df_outs){q->fetches, q->n_fetches}, &o, &q->program, err);
}

static df_code step(run *r, request *q, outcome *out, df_error *err) {
    r->runner->n_runs++;
    df_code code =
        df_program_run(q->program, (df_tensors){q->fed, q->n_feeds}, out->results, NULL, err);
    out->n = code == DF_OK ? q->n_fetches : 0;
    return code;
}

/* ---- what came out ------------------------------------------------------- */

static bool check_failure(run *r, df_code code, const df_error *err, bool in_step) {
    const value_case *c = r->c;
    if (c->how < FAILS)
        return wrong(r, "fails%s: %s: %s", in_step ? " in the step" : "", df_code_name(code),
                     err->message);
    if (code != c->code)
        return wrong(r, "fails with %s and not %s: %s", df_code_name(code), df_code_name(c->code),
                     err->message);
    size_t n = r->way == OF_SOME_RANK && c->n_words ? 1 : c->n_words; /* no sizes to speak of */
    for (size_t i = 0; i < n; i++)
        if (!strstr(err->message, c->words[i]))
            return wrong(r, "the message has no \"%s\" in it: %s", c->words[i], err->message);
    if (c->how == FAILS_IN_STEP && !in_step)
        return wrong(r, "is refused before any step: %s", err->message);
    return true;
}

static const df_tensor *wanted(const run *r, size_t output) {
    for (size_t i = 0; i < r->c->n_lines; i++)
        if (r->values[i] && line_wanted(&r->c->lines[i]) == (int)output) return r->values[i];
    return NULL;
}

static size_t count_wanted(const run *r) {
    size_t n = 0;
    for (size_t i = 0; i < r->c->n_lines; i++) n += line_wanted(&r->c->lines[i]) >= 0;
    return n;
}

static bool check_values(run *r, const outcome *o) {
    char why[400];
    if (o->n != count_wanted(r))
        return wrong(r, "has %zu outputs, and %zu are wanted", o->n, count_wanted(r));
    for (size_t i = 0; i < o->n; i++) {
        const df_tensor *want = wanted(r, i);
        if (!want) return wrong(r, "there is no want_%zu", i);
        if (!value_is_wanted(r->c, o->results[i], want, why, sizeof why))
            return wrong(r, "output %zu: %s", i, why);
    }
    return true;
}

/* The first outcome is judged, and every other must have the same bits; but those of a GPU, whose
 * mathematics is its own, are judged each. */
static bool check_outcome(run *r, outcome *o, const char *what) {
    if (r->elsewhere && r->runner->is_gpu) {
        bool ok = check_values(r, o);
        drop(o);
        return ok;
    }
    if (!r->first.n) {
        if (!check_values(r, o)) return false;
        r->first = *o;
        *o = (outcome){.n = 0};
        return true;
    }
    for (size_t i = 0; i < o->n; i++) {
        if (value_is_same(o->results[i], r->first.results[i])) continue;
        return check_values(r, o) && wrong(r, "%sdiffers in bits from what was there before", what);
    }
    return true;
}

static bool has_variable(const value_case *c) {
    for (size_t i = 0; i < c->n_lines; i++)
        if (line_is_op(&c->lines[i], "Variable")) return true;
    return false;
}

static bool play(run *r, request *q) {
    df_error err = {.code = DF_OK};
    outcome once = {.n = 0}, again = {.n = 0};
    df_code code = prepare(r, q, &err);
    if (code != DF_OK) return check_failure(r, code, &err, false);
    code = step(r, q, &once, &err);
    if (code != DF_OK) return check_failure(r, code, &err, true);
    bool ok = r->c->how < FAILS || wrong(r, "does not fail");
    ok = ok && check_outcome(r, &once, "");
    drop(&once);
    if (!ok || has_variable(r->c)) return ok;
    code = step(r, q, &again, &err);
    ok = code == DF_OK ? check_outcome(r, &again, "the second step ")
                       : wrong(r, "the second step: %s", err.message);
    drop(&again);
    return ok;
}

static bool run_in(run *r, bool elsewhere, way w) {
    text t;
    request q = {.n_feeds = 0};
    df_error err = {.code = DF_OK};
    r->elsewhere = elsewhere;
    r->way = w;
    text_init(&t, NULL);
    for (size_t i = 0; i < r->c->n_lines; i++) add_line(&t, r, i);
    df_runtime *rt = elsewhere ? r->runner->other : r->runner->cpu;
    df_code code = df_graph_parse(rt, t.data, t.size, &q.g, &err);
    bool ok = code == DF_OK ? play(r, &q) : check_failure(r, code, &err, false);
    if (ok && r->c->how == FAILS && w == WRITTEN && code == DF_OK)
        ok = wrong(r, "is not refused when the node is added");
    df_program_free(q.program);
    df_session_free(q.session);
    df_graph_free(q.g);
    text_fini(&t);
    return ok;
}

bool value_run(value_runner *r, const value_case *c, char *why, size_t size) {
    run x = {.runner = r, .c = c, .why = why, .size = size};
    bool ok = read_values(&x);
    for (int elsewhere = 0; ok && elsewhere <= !c->cpu_only; elsewhere++)
        for (int w = WRITTEN; ok && w < N_WAYS; w++) ok = run_in(&x, elsewhere, (way)w);
    drop(&x.first);
    for (size_t i = 0; i < c->n_lines; i++) df_tensor_unref(x.values[i]);
    return ok;
}

/* ---- the runtimes -------------------------------------------------------- */

static df_code compute_fresh(df_kernel *k, df_error *err) {
    (void)err;
    const df_tensor *x = df_kernel_input(k, 0);
    df_tensor *out = df_kernel_output(k, 0);
    if (df_tensor_bytes(x)) memcpy(df_tensor_data(out), df_tensor_data(x), df_tensor_bytes(x));
    return DF_OK;
}

/* Called on the host; the work goes on the queue. */
static df_code copy_fresh(df_kernel *k, df_error *err) {
    const df_tensor *x = df_kernel_input(k, 0);
    df_tensor *out = df_kernel_output(k, 0);
    size_t bytes = df_tensor_bytes(x);
    if (!bytes) return DF_OK;
    const df_device_ops *ops = df_kernel_user(k);
    return ops->copy_within(df_kernel_queue(k), NULL, df_tensor_data(out), df_tensor_data(x), bytes,
                            err);
}

static df_code register_on_gpu(df_runtime *rt, const df_device_ops *ops, df_error *err) {
    const df_kernel_def kernel = {.struct_size = sizeof kernel,
                                  .op = "Fresh",
                                  .devices = ops->kind,
                                  .compute = copy_fresh,
                                  .user = (void *)(uintptr_t)ops};
    return df_kernel_register(rt, &kernel, err);
}

static bool open_one(const char *devices, df_runtime **out, df_error *err) {
    const df_runtime_options o = {.struct_size = sizeof o, .devices = devices};
    const df_op_def op = {
        .struct_size = sizeof op, .signature = "Fresh(x: plain) : x", .infer = df_infer_same};
    const df_kernel_def kernel = {.struct_size = sizeof kernel,
                                  .op = "Fresh",
                                  .devices = "CPU,SIM",
                                  .compute = compute_fresh};
    return df_runtime_new(&o, out, err) == DF_OK && df_op_register(*out, &op, err) == DF_OK &&
           df_kernel_register(*out, &kernel, err) == DF_OK &&
           register_on_gpu(*out, &cuda_ops, err) == DF_OK &&
           register_on_gpu(*out, &opencl_ops, err) == DF_OK;
}

bool value_runner_open(value_runner *r, df_error *err) {
    const char *kind = getenv("DATAFLOW_TEST_DEVICE");
    *r = (value_runner){.kind = kind ? kind : "SIM"};
    r->is_gpu = strcmp(r->kind, "SIM") != 0;
    char devices[64];
    (void)snprintf(devices, sizeof devices, "cpu:1,%s:1", r->kind);
    (void)snprintf(r->place, sizeof r->place, "/device:%s:0", r->kind);
    return open_one("cpu:1", &r->cpu, err) && open_one(devices, &r->other, err);
}

void value_runner_close(value_runner *r) {
    df_runtime_free(r->other);
    df_runtime_free(r->cpu);
}
