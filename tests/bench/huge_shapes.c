/* SPDX-License-Identifier: MIT
 *
 * Graphs in which one thing is huge: a chain, a fan, a list, a group. Each is built at two sizes,
 * goes all the way from the builder to text and back, and gives the right result. What takes more
 * than four times as long for each node at the larger size is printed: it grows faster than the
 * graph. (Memory that lies further away makes up for some of that.)
 */
#include "bench/huge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A graph of a shape, what is asked of it, and the one result. */
typedef struct shaped {
    df_graph *g;
    size_t n;
    df_out *feeds, *fetches;
    size_t n_feeds, n_fetches;
    df_node *target;
    int64_t result, step; /* of the last fetch, in the first step; how it grows with each */
    bool strict;
} shaped;

typedef struct shape_case {
    const char *name;
    size_t divided_by; /* of the most nodes that are asked for */
    void (*build)(shaped *s);
} shape_case;

static const char *const places[] = {"cpu:0", "cpu:1", "cpu:2", "cpu:3"};

static df_out number(df_graph *g, int64_t value) {
    return df_const_int(g, DF_INT64, value);
}

static df_out *room(size_t n) {
    df_out *outs = calloc(n, sizeof *outs);
    bench_need(outs != NULL, "shapes", "out of memory");
    return outs;
}

static void fetch_one(shaped *s, df_out out, int64_t result) {
    s->fetches = room(1);
    s->fetches[0] = out;
    s->n_fetches = 1;
    s->result = result;
}

/* A quarter of the nodes on each device, one after another. */
static void go_on(shaped *s, size_t i) {
    if (i == 0 || 4 * i / s->n != 4 * (i - 1) / s->n) df_graph_on(s->g, places[4 * i / s->n]);
}

/* ---- the shapes ---------------------------------------------------------- */

static void chain(shaped *s) {
    df_out x = number(s->g, 1), one = x;
    for (size_t i = 0; i < s->n; i++) {
        go_on(s, i);
        x = df_add(s->g, x, one);
    }
    fetch_one(s, x, (int64_t)s->n + 1);
}

static void chain_that_crosses(shaped *s) {
    df_out x = number(s->g, 1), one = x;
    for (size_t i = 0; i < s->n; i++) {
        df_graph_on(s->g, places[i % 4]);
        x = df_add(s->g, x, one);
    }
    fetch_one(s, x, (int64_t)s->n + 1);
}

/* Only control edges, each to the node added before: the heap sorts it. */
static void chain_backward(shaped *s) {
    df_node *last = df_no_op(s->g), *n = last;
    for (size_t i = 1; i < s->n; i++) {
        df_node *before = df_no_op(s->g);
        df_control(s->g, before, n);
        n = before;
    }
    s->target = last;
}

static void fan_out(shaped *s) {
    df_out x = df_add(s->g, number(s->g, 3), number(s->g, 4));
    df_node *end = NULL;
    df_out y = x;
    for (size_t i = 0; i < s->n; i++) {
        go_on(s, i);
        y = df_neg(s->g, x);
        if (!end) end = df_no_op(s->g);
        df_control(s->g, y.node, end); /* as many as there can be */
    }
    s->target = end;
    fetch_one(s, y, -7);
}

static void fan_in(shaped *s, const char *op) {
    df_out *xs = room(s->n);
    for (size_t i = 0; i < s->n; i++) {
        go_on(s, i);
        xs[i] = df_neg(s->g, number(s->g, (int64_t)i));
        if (op[0] == 'C') xs[i] = df_reshape(s->g, xs[i], DF_SHAPE(1));
    }
    df_attr axis = df_attr_int("axis", 0);
    df_out y = df_node_output(df_node_add(s->g, op, xs, s->n, &axis, op[0] == 'C'), 0);
    int64_t n = (int64_t)s->n;
    fetch_one(s, op[0] == 'C' ? df_sum(s->g, y, NULL, 0, false) : y, -n * (n - 1) / 2);
    free(xs);
}

static void concat(shaped *s) {
    fan_in(s, "Concat");
}

static void join(shaped *s) {
    fan_in(s, "Join");
}

/* One input, as often as can be. */
static void join_one(shaped *s) {
    df_out *xs = room(s->n), x = df_neg(s->g, number(s->g, 2));
    for (size_t i = 0; i < s->n; i++) xs[i] = x;
    fetch_one(s, df_node_output(df_node_add(s->g, "Join", xs, s->n, NULL, 0), 0),
              -2 * (int64_t)s->n);
    free(xs);
}

static void variables(shaped *s) {
    df_out one = number(s->g, 1), v = one, sum = one;
    df_node *end = df_no_op(s->g);
    for (size_t i = 0; i < s->n; i++) {
        go_on(s, i);
        v = i % 2 ? df_variable_from(s->g, NULL, one)
                  : df_variable(s->g, NULL, DF_INT64, DF_SCALAR);
        sum = df_assign_add(s->g, v, one);
        df_control(s->g, sum.node, end);
    }
    s->target = end;
    s->step = 1;
    fetch_one(s, df_read(s->g, v), s->n % 2 ? 1 : 2);
}

/* One variable: reads, and a write behind them; all in the order that the edges say. */
static void reads_and_a_write(shaped *s) {
    df_out v = df_variable(s->g, "v", DF_INT64, DF_SCALAR), one = number(s->g, 1);
    df_out *reads = room(s->n);
    for (size_t i = 0; i < s->n; i++) reads[i] = df_read(s->g, v);
    df_out set = df_assign_add(s->g, v, one);
    for (size_t i = 0; i < s->n; i++) df_control(s->g, reads[i].node, set.node);
    s->step = 1;
    fetch_one(s, set, 1);
    free(reads);
}

static void reads_and_a_write_strictly(shaped *s) {
    s->strict = true;
    reads_and_a_write(s);
}

/* The same where a path is the order. */
static void a_path_strictly(shaped *s) {
    s->strict = true;
    df_out v = df_variable(s->g, "v", DF_INT64, DF_SCALAR), one = number(s->g, 1);
    df_node *gate = df_no_op(s->g);
    for (size_t i = 0; i < s->n; i++) df_control(s->g, df_read(s->g, v).node, gate);
    df_node *behind = df_no_op(s->g);
    df_control(s->g, gate, behind);
    df_out set = df_assign_add(s->g, v, one);
    df_control(s->g, behind, set.node);
    s->step = 1;
    fetch_one(s, set, 1);
}

static void writes(shaped *s) {
    df_out v = df_variable(s->g, "v", DF_INT64, DF_SCALAR), one = number(s->g, 1), set = one;
    df_node *end = df_no_op(s->g);
    for (size_t i = 0; i < s->n; i++) {
        set = df_assign_add(s->g, v, one);
        df_control(s->g, set.node, end);
    }
    s->target = end;
    s->step = (int64_t)s->n;
    fetch_one(s, set, s->step);
}

static void feeds_and_fetches(shaped *s) {
    s->feeds = room(s->n);
    s->fetches = room(s->n);
    s->n_feeds = s->n_fetches = s->n;
    for (size_t i = 0; i < s->n; i++) {
        df_graph_on(s->g, places[i % 4]);
        s->feeds[i] = df_placeholder(s->g, NULL, DF_INT64, DF_SCALAR);
        s->fetches[i] = df_neg(s->g, s->feeds[i]);
    }
    s->result = -5;
}

static void one_fetch_often(shaped *s) {
    df_out y = df_neg(s->g, number(s->g, 6));
    s->fetches = room(s->n);
    s->n_fetches = s->n;
    for (size_t i = 0; i < s->n; i++) s->fetches[i] = y;
    s->result = -6;
}

/* Colocated each with the next, so that no root is the first. */
static void a_group(shaped *s) {
    df_out x = number(s->g, 1), one = x;
    df_node *last = NULL;
    for (size_t i = 0; i < s->n; i++) {
        x = df_add(s->g, x, one);
        if (last) df_colocate(s->g, last, x.node);
        last = x.node;
    }
    fetch_one(s, x, (int64_t)s->n + 1);
}

/* Names that the library would have given itself, and then names that it gives. */
static void taken_names(shaped *s) {
    df_out x = number(s->g, 1);
    char name[40];
    for (size_t i = 0; i < s->n; i++) {
        if (i < s->n / 2) {
            (void)snprintf(name, sizeof name, i ? "Neg_%zu" : "Neg", i);
            df_graph_name(s->g, name);
        }
        x = df_neg(s->g, x);
    }
    fetch_one(s, x, s->n % 2 ? -1 : 1);
}

static void deep_scopes(shaped *s) {
    df_out x = number(s->g, 1);
    for (size_t i = 0; i < s->n; i++) {
        df_graph_scope(s->g, i % (s->n / 100) ? NULL : "s");
        if (i % 3 == 0) df_graph_on(s->g, places[i % 4]);
        x = df_neg(s->g, x);
    }
    for (size_t i = 0; i < s->n; i++) df_graph_scope_end(s->g);
    fetch_one(s, x, s->n % 2 ? -1 : 1);
}

static const shape_case cases[] = {
    {"chain", 1, chain},
    {"chain, every edge cut", 1, chain_that_crosses},
    {"chain, control edges backward", 1, chain_backward},
    {"fan out, and as many control edges", 1, fan_out},
    {"concat of as many", 1, concat},
    {"async kernel of as many", 1, join},
    {"async kernel of one, as often", 1, join_one},
    {"variables", 10, variables},
    {"reads, then a write", 1, reads_and_a_write},
    {"reads, then a write; strict", 1, reads_and_a_write_strictly},
    {"reads, a path, a write; strict", 1, a_path_strictly},
    {"writes of one variable", 1, writes},
    {"feeds and fetches", 10, feeds_and_fetches},
    {"one fetch, as often", 10, one_fetch_often},
    {"one colocation group", 1, a_group},
    {"names that are taken", 1, taken_names},
    {"scopes in scopes", 1, deep_scopes},
};

/* ---- the stages ---------------------------------------------------------- */

enum { BUILD, OPEN, COMPILE, FIRST, WARM, EXPLAIN, PRINT, PARSE, DRAW, FREE, STAGES };
static const char *const stage_names[STAGES] = {"build",   "session", "compile", "first", "warm",
                                                "explain", "print",   "parse",   "dot",   "free"};

typedef struct stages {
    double ns[STAGES], last;
} stages;

static void stage_begins(stages *t) {
    t->last = bench_now();
}

static void stage_ends(stages *t, int stage) {
    t->ns[stage] = bench_now() - t->last;
    t->last += t->ns[stage];
}

static void run(shaped *s, df_program *p, stages *t) {
    df_tensor **fed = calloc(s->n_feeds + 1, sizeof(df_tensor *));
    df_tensor **results = calloc(s->n_fetches + 1, sizeof(df_tensor *)), *five = NULL;
    df_error err;
    int64_t value = 5;
    bench_need(fed && results, "shapes", "out of memory");
    bench_ok(df_tensor_from(NULL, DF_INT64, DF_SCALAR, &value, &five, &err), &err, "feeds");
    for (size_t i = 0; i < s->n_feeds; i++) fed[i] = five;
    for (int stage = FIRST; stage <= WARM; stage++) {
        stage_begins(t);
        bench_ok(df_program_run(p, (df_tensors){fed, s->n_feeds}, results, NULL, &err), &err,
                 "df_program_run");
        stage_ends(t, stage);
        const df_tensor *last = s->n_fetches ? results[s->n_fetches - 1] : NULL;
        bench_need(!last || *(int64_t *)df_tensor_data(last) == s->result, "a result", "is wrong");
        s->result += s->step;
        for (size_t i = 0; i < s->n_fetches; i++) df_tensor_unref(results[i]);
    }
    df_tensor_unref(five);
    free(fed);
    free(results);
}

static void look(df_runtime *rt, const shaped *s, const df_program *p, stages *t) {
    df_error err;
    df_graph *again = NULL;
    stage_begins(t);
    bench_need(df_program_explain(p, DF_EXPLAIN_TEXT, NULL, 0) > 0, "explain", "gave nothing");
    stage_ends(t, EXPLAIN);
    bench_need(df_program_print(p, NULL, 0) > 0, "print", "gave nothing");
    size_t size = df_graph_print(s->g, NULL, 0);
    char *words = malloc(size + 1);
    bench_need(words && df_graph_print(s->g, words, size + 1) == size, "print", "failed");
    stage_ends(t, PRINT);
    bench_ok(df_graph_parse(rt, words, size, &again, &err), &err, "parse");
    stage_ends(t, PARSE);
    bench_need(df_graph_nodes(again) == df_graph_nodes(s->g), "parse", "lost a node");
    bench_need(df_program_dot(p, NULL, 0) && df_graph_dot(s->g, NULL, 0), "dot", "gave nothing");
    stage_ends(t, DRAW);
    df_graph_free(again);
    free(words);
}

static stages go(const shape_case *which, size_t n) {
    bench b;
    stages t;
    df_error err;
    df_session *session = NULL;
    df_program *p = NULL;
    bench_open(&b);
    shaped s = {.g = df_graph_new(b.rt), .n = n};
    stage_begins(&t);
    which->build(&s);
    stage_ends(&t, BUILD);
    const df_session_options strict = {.struct_size = sizeof strict, .strict_order = s.strict};
    bench_ok(df_session_new(s.g, &strict, &session, &err), &err, which->name);
    stage_ends(&t, OPEN);
    const df_compile_options o = {.struct_size = sizeof o,
                                  .targets = {&s.target, s.target ? 1 : 0}};
    bench_ok(df_session_compile(session, (df_outs){s.feeds, s.n_feeds},
                                (df_outs){s.fetches, s.n_fetches}, &o, &p, &err),
             &err, which->name);
    stage_ends(&t, COMPILE);
    run(&s, p, &t);
    look(b.rt, &s, p, &t);
    stage_begins(&t);
    df_program_free(p);
    df_session_free(session);
    df_graph_free(s.g);
    stage_ends(&t, FREE);
    free(s.feeds);
    free(s.fetches);
    bench_close(&b);
    return t;
}

void bench_shapes(size_t most) {
    enum { SMALLER = 10 };
    const double growth = 4, too_short = 5e6;
    printf("%-36s", "ns for each");
    for (int i = 0; i < STAGES; i++) printf(" %8s", stage_names[i]);
    printf("\n");
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        size_t n = most / cases[c].divided_by;
        stages small = go(&cases[c], n / SMALLER), large = go(&cases[c], n);
        printf("%-36s", cases[c].name);
        for (int i = 0; i < STAGES; i++) printf(" %8.0f", large.ns[i] / (double)n);
        for (int i = 0; i < STAGES; i++) {
            double times = large.ns[i] / small.ns[i] / SMALLER;
            if (large.ns[i] > too_short && times > growth)
                printf("  %s grows %.1f times", stage_names[i], times);
        }
        printf("\n");
        (void)fflush(stdout);
    }
}
