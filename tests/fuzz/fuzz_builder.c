/* SPDX-License-Identifier: MIT
 *
 * Any bytes as calls of the builder; and what they have built is printed and read, compiled, looked
 * at, and run.
 *
 *   byte 0     0: there is memory; else so many blocks of it from then on
 *   byte 1     options of session and compile
 *   then       calls: one byte says which, those behind it are its arguments (0 behind the end)
 *
 * The graph begins with some inputs of several types, so that a few bytes are a graph already.
 * Sizes are small, and blocks above 64 KiB refused: what is looked for are not long runs.
 */
#include "fuzz/target.h"

#include "op/op.h"
#include "session/runtime.h"

#include <stdlib.h>
#include <string.h>

enum { OUTS = 64, MOST_CALLS = 100, LARGEST = 64 << 10 };

typedef struct script {
    const uint8_t *at, *end;
    df_runtime *rt;
    df_graph *g;
    df_out outs[OUTS]; /* the last ones, round and round */
    size_t n_outs;     /* ever */
} script;

/* ---- arguments ----------------------------------------------------------- */

static uint8_t byte(script *s) {
    return s->at < s->end ? *s->at++ : 0;
}

#define PICK(s, table) (table)[byte(s) % (sizeof(table) / sizeof *(table))]

static const char *word(script *s) {
    static const char *const words[] = {"a",   "b",    "a/b",     "valid",  "same", "",
                                        "a:0", "_",    NULL,      "a@send", "x;y",  "a_1",
                                        "Add", "\xff", "float32", "Add_1",  "same", "dtype"};
    return PICK(s, words);
}

static const char *place(script *s) {
    static const char *const places[] = {
        "cpu:0", "cpu:1", "cpu",        "",       NULL,     "/job:localhost/task:0/device:CPU:1",
        "cpu:2", "sim:0", "/job:other", "cpu:1x", "CPU:01", "/device:CPU:99999999999"};
    return PICK(s, places);
}

static int64_t number(script *s) {
    static const int64_t numbers[] = {0, 1,  2,  3,   4,         5,         -1,        -2,
                                      7, 16, 17, 100, INT64_MAX, INT64_MIN, INT32_MAX, 1 << 20};
    return PICK(s, numbers);
}

/* For the length of the next call that draws one. */
static df_shape shape(script *s) {
    static int64_t dims[2][DF_MAX_RANK + 1];
    static int turn;
    int rank = byte(s) % (DF_MAX_RANK + 3) - 1;
    int64_t *own = dims[turn = !turn];
    for (int i = 0; i < rank; i++) own[i] = number(s);
    return (df_shape){rank, own};
}

static df_dtype dtype(script *s) {
    return (df_dtype)(byte(s) % 14);
}

static df_out out(script *s) {
    uint8_t n = byte(s);
    size_t kept = s->n_outs < OUTS ? s->n_outs : OUTS;
    df_out o = s->outs[n % kept];
    if (n >= 252) o.index += n - 253;
    return n == 255 ? (df_out){NULL, 0} : o;
}

static void keep(script *s, df_out o) {
    if (o.node) s->outs[s->n_outs++ % OUTS] = o;
}

static void keep_all(script *s, df_node *n) {
    for (int i = 0; i < df_node_outputs(n); i++) keep(s, df_node_output(n, i));
}

/* A reference; NULL: there is none. */
static df_tensor *value(script *s) {
    static const df_string two[] = {{"some words", 10}, {"", 0}};
    static const int64_t numbers[] = {1, 2, 0, 3, -1, 2};
    static const float floats[] = {1, -0.5f, 0, 3e38f, 1e-40f, 2};
    df_tensor *t = NULL;
    switch (byte(s) % 6) {
    case 0:
        (void)df_tensor_from(s->rt->alloc, DF_INT64, DF_SHAPE(2), numbers, &t, NULL);
        break;
    case 1:
        (void)df_tensor_from(s->rt->alloc, DF_FLOAT32, DF_SHAPE(2, 3), floats, &t, NULL);
        break;
    case 2:
        (void)df_tensor_from(s->rt->alloc, DF_INT64, DF_SCALAR, numbers + byte(s) % 6, &t, NULL);
        break;
    case 3:
        (void)df_tensor_from(s->rt->alloc, DF_STRING, DF_SHAPE(2), two, &t, NULL);
        break;
    case 4:
        (void)df_tensor_new(s->rt->alloc, dtype(s), shape(s), &t, NULL);
        break;
    default:;
    }
    return t;
}

static df_attr attr(script *s, const op_attr_def *def) {
    uint8_t way = byte(s);
    const char *name = way == 255 ? word(s) : def->name;
    df_attr_type type = way >= 250 ? (df_attr_type)(way - 246) : def->type;
    df_attr a = df_attr_empty(name, type);
    a.i = type == DF_ATTR_DTYPE ? (int64_t)dtype(s) : number(s);
    a.f = (double)number(s) / 4;
    if (type == DF_ATTR_STRING) a.s = word(s);
    if (type == DF_ATTR_SHAPE || type == DF_ATTR_INTS) a.shape = shape(s);
    if (type == DF_ATTR_INTS && a.shape.rank < 0) a.shape.rank = 0;
    if (type == DF_ATTR_TENSOR) a.tensor = value(s);
    return a;
}

/* ---- calls --------------------------------------------------------------- */

static void add_node(script *s) {
    const op_def *op = op_at(s->rt->ops, byte(s) % op_count(s->rt->ops));
    df_out in[8];
    df_attr attrs[DF_MAX_ATTRS + 1];
    size_t n_in = byte(s) % 8, n_attrs = 0, most = byte(s) % (DF_MAX_ATTRS + 1);
    for (size_t i = 0; i < n_in; i++) in[i] = out(s);
    for (int i = 0; i < op->n_attrs && n_attrs < most; i++)
        attrs[n_attrs++] = attr(s, &op->attrs[i]);
    if (n_attrs && most == DF_MAX_ATTRS) attrs[n_attrs++] = attr(s, &op->attrs[0]); /* twice */
    keep_all(s, df_node_add(s->g, op->name, in, n_in, attrs, n_attrs));
    for (size_t i = 0; i < n_attrs; i++) df_tensor_unref(attrs[i].tensor);
}

/* As the helper functions call it: right but for what bytes make wrong. */
static void add_usual(script *s) {
    df_graph *g = s->g;
    df_out a = out(s), b = out(s);
    switch (byte(s) % 12) {
    case 0:
        keep(s, df_add(g, a, b));
        break;
    case 1: {
        bool transposes = byte(s) & 1;
        keep(s, df_matmul_t(g, a, transposes, b, byte(s) & 1));
        break;
    }
    case 2:
        keep(s, df_reshape(g, a, shape(s)));
        break;
    case 3:
        keep(s, df_reshape_to(g, a, b));
        break;
    case 4:
        keep(s, df_cast(g, a, dtype(s)));
        break;
    case 5:
        keep(s, df_concat(g, DF_OUTS(a, b), byte(s) % 4 - 2));
        break;
    case 6: {
        int n = byte(s) % 5;
        keep_all(s, df_split(g, a, n, byte(s) % 4 - 2, NULL));
        break;
    }
    case 7:
        keep(s, df_fill_to(g, a, b));
        break;
    case 8:
        keep(s, df_shape_of(g, a));
        break;
    case 9:
        keep(s, df_assign_add(g, a, b));
        break;
    case 10:
        keep(s, df_assign(g, a, b));
        break;
    default:
        keep(s, df_identity(g, a));
    }
}

static void set_device(script *s) {
    df_graph_on(s->g, place(s));
}

static void open_scope(script *s) {
    df_graph_scope(s->g, word(s));
}

static void close_scope(script *s) {
    df_graph_scope_end(s->g);
}

static void name_next(script *s) {
    df_graph_name(s->g, word(s));
}

static void add_source(script *s, df_out (*add)(df_graph *g, const char *name, df_dtype dtype,
                                                df_shape shape)) {
    const char *name = word(s);
    df_dtype type = dtype(s);
    keep(s, add(s->g, name, type, shape(s)));
}

static void add_placeholder(script *s) {
    add_source(s, df_placeholder);
}

static void add_variable(script *s) {
    add_source(s, df_variable);
}

static void add_variable_from(script *s) {
    keep(s, df_variable_from(s->g, NULL, out(s)));
}

static void add_control(script *s) {
    df_node *before = out(s).node;
    df_control(s->g, before, out(s).node);
}

static void colocate(script *s) {
    df_node *node = out(s).node;
    df_colocate(s->g, node, out(s).node);
}

static void add_no_op(script *s) {
    keep_all(s, df_no_op(s->g));
}

static void add_const(script *s) {
    df_tensor *t = value(s);
    keep(s, df_const(s->g, t));
    df_tensor_unref(t);
}

static void call(script *s) {
    static void (*const calls[])(script *) = {
        set_device,        open_scope,  close_scope, name_next, add_placeholder, add_variable,
        add_variable_from, add_control, colocate,    add_no_op, add_const,       add_usual,
        add_usual,         add_usual,   add_node,    add_node};
    PICK(s, calls)(s);
}

/* ---- what was built ------------------------------------------------------ */

/* 0: there is no memory. */
static void check_page(size_t n, const char *page, size_t size) {
    FUZZ_MUST(n == 0 || n >= size || strlen(page) == n, "%zu, and %zu", n, strlen(page));
}

static void look(const df_program *p) {
    static char page[1 << 16];
    page[0] = '\0';
    check_page(df_program_print(p, page, sizeof page), page, sizeof page);
    check_page(df_program_dot(p, page, sizeof page), page, sizeof page);
    check_page(df_program_explain(p, DF_EXPLAIN_TEXT, page, sizeof page), page, sizeof page);
    check_page(df_program_explain(p, DF_EXPLAIN_JSON, page, sizeof page), page, sizeof page);
    df_crossing c;
    for (size_t i = 0; df_program_crossing(p, i, &c); i++) {
        df_key *key = NULL;
        (void)df_key_text(c.key, page, sizeof page);
        df_error err;
        df_code code = df_key_parse(NULL, page, &key, &err);
        FUZZ_MUST(code == DF_OK && df_key_equal(key, c.key), "%s: %s", page, err.message);
        df_key_free(key);
    }
}

/* As far as it is known; else 2. NULL: no memory. */
static df_tensor *fed(const script *s, df_out o) {
    df_shape known = df_out_shape(o);
    int64_t dims[DF_MAX_RANK];
    df_tensor *t = NULL;
    int rank = known.rank < 0 ? 1 : known.rank;
    for (int i = 0; i < rank; i++)
        dims[i] = known.rank < 0 || known.dims[i] < 0 ? 2 : known.dims[i];
    (void)df_tensor_new(s->rt->alloc, df_out_dtype(o), (df_shape){rank, dims}, &t, NULL);
    return t;
}

static void run(const script *s, df_program *p, df_outs feeds, df_outs fetches) {
    df_tensor *in[2] = {NULL, NULL}, *results[4] = {NULL, NULL, NULL, NULL};
    df_error err = {.code = DF_OK};
    bool all = true;
    for (size_t i = 0; i < feeds.n; i++) all = (in[i] = fed(s, feeds.items[i])) && all;
    df_code code = all ? df_program_run(p, (df_tensors){in, feeds.n}, results, NULL, &err) : DF_OK;
    if (code != DF_OK) fuzz_check_error(code, &err);
    for (size_t i = 0; i < fetches.n; i++) {
        FUZZ_MUST((results[i] != NULL) == (all && code == DF_OK), "result %zu", i);
        if (results[i])
            FUZZ_MUST(df_tensor_dtype(results[i]) == df_out_dtype(fetches.items[i]),
                      "result %zu is of another type", i);
        df_tensor_unref(results[i]);
    }
    for (size_t i = 0; i < feeds.n; i++) df_tensor_unref(in[i]);
}

static void compile_and_run(script *s, df_session *session, uint8_t options) {
    df_out feed[2], fetch[4];
    size_t n_feeds = byte(s) % 3, n_fetches = byte(s) % 5;
    for (size_t i = 0; i < n_feeds; i++) feed[i] = out(s);
    for (size_t i = 0; i < n_fetches; i++) fetch[i] = out(s);
    df_node *target[] = {out(s).node};
    df_compile_options o = {.struct_size = sizeof o, .targets = {target, options >> 2 & 1}};
    df_outs feeds = {feed, n_feeds}, fetches = {fetch, n_fetches};
    df_error err = {.code = DF_OK};
    df_program *p = NULL;
    df_code code = df_session_compile(session, feeds, fetches, &o, &p, &err);
    FUZZ_MUST((code == DF_OK) == (p != NULL), "%s: %s", df_code_name(code), err.message);
    if (p) {
        look(p);
        for (int i = 0; i < 2; i++) run(s, p, feeds, fetches); /* the second uses all again */
    } else {
        fuzz_check_error(code, &err);
    }
    df_program_free(p);
}

/* The graph is as good as its text. */
static void check_text(const script *s) {
    size_t n;
    bool is_graph;
    char *words = fuzz_print(s->g, &n);
    const char *wrong = fuzz_text_wrong(s->rt, words, n, &is_graph);
    FUZZ_MUST(!wrong && is_graph, "%s: %s", wrong ? wrong : "what was built is not read", words);
    free(words);
}

static void use(script *s, bool has_memory, uint8_t options) {
    df_error first = {.code = DF_OK}, err = {.code = DF_OK};
    df_session_options o = {
        .struct_size = sizeof o, .soft_placement = options & 1, .strict_order = options >> 1 & 1};
    df_session *session = NULL;
    df_code wrong = df_graph_error(s->g, &first);
    if (wrong == DF_OK && has_memory) check_text(s);
    df_code code = df_session_new(s->g, &o, &session, &err);
    if (wrong != DF_OK) {
        fuzz_check_error(wrong, &first);
        FUZZ_MUST(code == wrong && !session, "%s, then %s", first.message, err.message);
    } else if (code != DF_OK) {
        fuzz_check_error(code, &err);
        FUZZ_MUST(!session, "a session without success");
    } else {
        compile_and_run(s, session, options);
    }
    df_session_free(session);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static fuzz_heap heap;
    static df_runtime *rt;
    if (!rt) {
        fuzz_heap_init(&heap);
        df_runtime_options o = {
            .struct_size = sizeof o, .devices = "cpu:2", .allocator = &heap.allocator};
        FUZZ_MUST(df_runtime_new(&o, &rt, NULL) == DF_OK, "no runtime");
    }
    if (size < 2) return 0;
    memory_trim(rt->host);
    size_t before = heap.blocks;
    heap.most = LARGEST;
    heap.countdown = data[0];
    script s = {.at = data + 2, .end = data + size, .rt = rt, .g = df_graph_new(rt)};
    s.outs[s.n_outs++] = df_placeholder(s.g, "x", DF_FLOAT32, DF_SHAPE(2, 3));
    keep(&s, df_placeholder(s.g, "n", DF_INT64, DF_SHAPE(-1)));
    keep(&s, df_variable(s.g, "v", DF_FLOAT32, DF_SHAPE(2, 3)));
    keep(&s, df_const_int(s.g, DF_INT64, 2));
    keep(&s, df_placeholder(s.g, "i", DF_FLOAT32, DF_SHAPE(1, 4, 4, 2)));
    for (int i = 0; i < MOST_CALLS && s.at < s.end && byte(&s) != 0xff; i++) call(&s);
    use(&s, heap.countdown == 0, data[1]);
    df_graph_free(s.g);
    heap.most = heap.countdown = 0;
    memory_trim(rt->host);
    FUZZ_MUST(heap.blocks == before, "%zu blocks have leaked", heap.blocks - before);
    return 0;
}
