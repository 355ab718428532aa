/* SPDX-License-Identifier: MIT
 *
 * Graphs of up to a million nodes: what each node costs, in which pass, and whether that grows
 * with the number of nodes.
 *
 *   huge [MOST]     random graphs of 1000, 10000, ... up to MOST nodes (1000000 if not given)
 *   huge --small    10000, or fewer where tests are scaled down
 *
 * A random graph has int64 scalars on four CPUs: each node adds or subtracts two others, and every
 * other one waits for a third: 2.5 edges a node. The first input is one that nobody has read yet,
 * out of at most 64, so nearly everything is used; the others are near or far alike (their
 * distance is log-uniform). Five of nine are looked for on the same device, so that about a third
 * of the edges is cut. What comes out is
 * compared with plain C.
 *
 * Times are ns of this thread per node, the best of several rounds where they are short; "executor"
 * is the rest of df_session_compile when the passes have run. A goal that is missed is printed so,
 * and is no failure; a wrong result is.
 */
#include "bench/huge.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "compile/state.h"
#include "session/runtime.h"
#include "support/scale.h"

enum { DEVICES = 4, WIDTH = 64, FEEDS = 4, RUN_OF_NODES = 8, SIZES = 8, NOBODY = -1 };

/* ---- what both parts share ----------------------------------------------- */

double bench_now(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void *heap_alloc(void *user, size_t bytes, size_t alignment) {
    heap *h = user;
    void *block = NULL;
    if (posix_memalign(&block, alignment, bytes) != 0) return NULL;
    h->live += bytes;
    if (h->live > h->peak) h->peak = h->live;
    return block;
}

static void heap_free(void *user, void *block, size_t bytes, size_t alignment) {
    (void)alignment;
    ((heap *)user)->live -= bytes;
    free(block);
}

static df_code compute_join(df_kernel *k, df_error *err) {
    (void)err;
    int64_t *sum = df_tensor_data(df_kernel_output(k, 0));
    *sum = 0;
    for (int i = 0; i < df_kernel_inputs(k); i++)
        *sum += *(int64_t *)df_tensor_data(df_kernel_input(k, i));
    df_kernel_done(df_kernel_handle_of(k), NULL);
    return DF_OK;
}

static df_code compute_nowhere(df_kernel *k, df_error *err) {
    return df_error_set(err, DF_INTERNAL, "node %s runs", df_kernel_node(k));
}

void bench_open(bench *b) {
    df_error err;
    *b = (bench){.rt = NULL};
    b->heap.allocator = (df_allocator){.struct_size = sizeof(df_allocator),
                                       .user = &b->heap,
                                       .alloc = heap_alloc,
                                       .free = heap_free};
    const df_runtime_options o = {
        .struct_size = sizeof o, .devices = "cpu:4", .allocator = &b->heap.allocator};
    bench_ok(df_runtime_new(&o, &b->rt, &err), &err, "df_runtime_new");
    const df_op_def ops[] = {{.struct_size = sizeof(df_op_def),
                              .signature = "Join(xs: int64...) : xs",
                              .infer = df_infer_equal},
                             {.struct_size = sizeof(df_op_def),
                              .signature = "Nowhere(x: int64) : x",
                              .infer = df_infer_same}};
    const df_kernel_def kernels[] = {{.struct_size = sizeof(df_kernel_def),
                                      .op = "Join",
                                      .devices = "CPU",
                                      .compute = compute_join,
                                      .flags = DF_KERNEL_ASYNC},
                                     {.struct_size = sizeof(df_kernel_def),
                                      .op = "Nowhere",
                                      .devices = "SIM",
                                      .compute = compute_nowhere}};
    for (int i = 0; i < 2; i++) {
        bench_ok(df_op_register(b->rt, &ops[i], &err), &err, "df_op_register");
        bench_ok(df_kernel_register(b->rt, &kernels[i], &err), &err, "df_kernel_register");
    }
}

void bench_close(bench *b) {
    df_runtime_free(b->rt);
    bench_need(b->heap.live == 0, "memory", "not all was given back");
}

/* ---- a random graph, as a plan ------------------------------------------- */

typedef struct plan_of_node {
    uint32_t first, second; /* the nodes that it reads, if it is no source */
    int32_t waits_for;      /* NOBODY */
    uint8_t device;
    bool subtracts;
} plan_of_node;

/* The first WIDTH nodes are sources: FEEDS of them fed, the others constants, each with its
 * number as value. */
typedef struct random_plan {
    size_t n, n_open, edges, cut;
    plan_of_node *nodes;
    int64_t *values;
    uint32_t open[WIDTH]; /* that nobody reads: they are fetched */
    uint64_t seed;
} random_plan;

static uint32_t below(random_plan *p, uint64_t n) {
    return (uint32_t)(bench_draw(&p->seed) % n);
}

/* One of the nodes before i, all orders of distance alike. */
static uint32_t some_before(random_plan *p, uint32_t i) {
    uint32_t bits = 32 - (uint32_t)__builtin_clz(i), most = 1u << below(p, bits);
    uint32_t distance = 1 + below(p, most);
    return distance > i ? below(p, i) : i - distance;
}

/* Five of nine times one on the same device, if one is soon found. */
static uint32_t near(random_plan *p, uint32_t i) {
    bool same = below(p, 9) < 5;
    uint32_t found = some_before(p, i);
    for (int tries = 0; same && tries < 16 && p->nodes[found].device != p->nodes[i].device; tries++)
        found = some_before(p, i);
    return found;
}

static uint32_t take_open(random_plan *p, uint32_t i) {
    bool same = below(p, 9) < 5;
    uint32_t at = below(p, p->n_open);
    for (size_t k = 0; same && k < p->n_open && p->nodes[p->open[at]].device != p->nodes[i].device;
         k++)
        at = (at + 1) % (uint32_t)p->n_open;
    uint32_t node = p->open[at];
    p->open[at] = p->open[--p->n_open];
    return node;
}

static void count_edge(random_plan *p, uint32_t from, uint32_t to) {
    p->edges++;
    p->cut += from < WIDTH ? 0 : p->nodes[from].device != p->nodes[to].device;
}

static void plan_node_at(random_plan *p, uint32_t i) {
    plan_of_node *n = &p->nodes[i];
    n->waits_for = NOBODY;
    if (i < WIDTH) {
        p->open[p->n_open++] = i;
        p->values[i] = i;
        return;
    }
    n->device = i % RUN_OF_NODES ? p->nodes[i - 1].device : (uint8_t)below(p, DEVICES);
    n->first = take_open(p, i);
    n->second = near(p, i);
    n->subtracts = below(p, 2);
    uint64_t a = (uint64_t)p->values[n->first], b = (uint64_t)p->values[n->second];
    p->values[i] = (int64_t)(n->subtracts ? a - b : a + b);
    count_edge(p, n->first, i);
    count_edge(p, n->second, i);
    if (below(p, 2)) {
        n->waits_for = (int32_t)near(p, i);
        count_edge(p, (uint32_t)n->waits_for, i);
    }
    p->open[p->n_open++] = i;
}

static random_plan plan_new_random(size_t n) {
    random_plan p = {.n = n, .seed = n};
    p.nodes = calloc(n, sizeof *p.nodes);
    p.values = calloc(n, sizeof *p.values);
    bench_need(p.nodes && p.values, "plan", "out of memory");
    for (size_t i = 0; i < n; i++) plan_node_at(&p, (uint32_t)i);
    return p;
}

static void plan_drop(random_plan *p) {
    free(p->nodes);
    free(p->values);
}

/* ---- built --------------------------------------------------------------- */

typedef struct built {
    df_graph *g;
    df_out feeds[FEEDS], fetches[WIDTH];
    df_tensor *fed[FEEDS];
    size_t n_fetches;
} built;

static df_out source(df_graph *g, built *b, uint32_t i) {
    if (i >= FEEDS) return df_const_int(g, DF_INT64, i);
    return b->feeds[i] = df_placeholder(g, NULL, DF_INT64, DF_SCALAR);
}

/* outs: room for one of each node. */
static void build(df_runtime *rt, const random_plan *p, df_out *outs, built *b) {
    static const char *const names[DEVICES] = {"cpu:0", "cpu:1", "cpu:2", "cpu:3"};
    df_graph *g = b->g = df_graph_new(rt);
    for (uint32_t i = 0; i < p->n; i++) {
        const plan_of_node *n = &p->nodes[i];
        if (i < WIDTH) {
            outs[i] = source(g, b, i);
            continue;
        }
        if (i == WIDTH || n->device != n[-1].device) df_graph_on(g, names[n->device]);
        outs[i] = n->subtracts ? df_sub(g, outs[n->first], outs[n->second])
                               : df_add(g, outs[n->first], outs[n->second]);
        if (n->waits_for != NOBODY) df_control(g, outs[n->waits_for].node, outs[i].node);
    }
    df_graph_on(g, NULL);
    b->n_fetches = p->n_open;
    for (size_t i = 0; i < p->n_open; i++) b->fetches[i] = outs[p->open[i]];
}

/* ---- measured ------------------------------------------------------------ */

enum { PASSES = 7 };
static const char *const pass_names[PASSES] = {"prune",     "infer", "order", "place",
                                               "partition", "lower", "verify"};

typedef struct figures { /* ns per node, bytes per node */
    size_t n;
    double cut, build, open, passes[PASSES], all, executor, first, warm, end;
    double bytes_graph, bytes_passes, bytes_peak; /* the last: of the program and its steps too */
} figures;

static void keep_least(double *least, double x) {
    if (*least <= 0 || x < *least) *least = x;
}

static double since(double *start) {
    double was = *start;
    *start = bench_now();
    return *start - was;
}

static void time_passes(const bench *b, const built *g, figures *f) {
    static bool (*const passes[PASSES])(compile_state *) = {
        compile_prune,     compile_infer, compile_order, compile_place,
        compile_partition, compile_lower, compile_verify};
    const compile_request rq = {.graph = g->g,
                                .alloc = &b->heap.allocator,
                                .devices = b->rt->plan_devices,
                                .n_devices = b->rt->n_devices,
                                .client = b->rt->client,
                                .feeds = {g->feeds, FEEDS},
                                .fetches = {g->fetches, g->n_fetches},
                                .parallelism = 1,
                                .plan_id = 1};
    compile_state c;
    compile_begin(&c, &rq, NULL);
    double all = 0;
    for (int i = 0; i < PASSES; i++) {
        double start = bench_now();
        bool done = passes[i](&c);
        arena_fini(&c.pass);
        if (passes[i] == compile_partition) arena_fini(&c.early);
        double took = (bench_now() - start) / (double)f->n;
        bench_need(done, pass_names[i], c.err->message);
        keep_least(&f->passes[i], took);
        all += took;
    }
    keep_least(&f->all, all);
    (void)compile_end(&c);
}

static void run(df_program *program, const random_plan *p, const built *g) {
    df_error err;
    df_tensor *results[WIDTH];
    bench_ok(df_program_run(program, (df_tensors){g->fed, FEEDS}, results, NULL, &err), &err,
             "df_program_run");
    for (size_t i = 0; i < g->n_fetches; i++) {
        int64_t is = *(int64_t *)df_tensor_data(results[i]);
        bench_need(is == p->values[p->open[i]], "a result", "not what plain C gives");
        df_tensor_unref(results[i]);
    }
}

/* From the request to the warm step, by the public calls. */
static void time_program(bench *b, const random_plan *p, built *g, figures *f) {
    df_error err;
    df_session *s = NULL;
    df_program *program = NULL;
    double n = (double)f->n, t = bench_now();
    bench_ok(df_session_new(g->g, NULL, &s, &err), &err, "df_session_new");
    keep_least(&f->open, since(&t) / n);
    time_passes(b, g, f);
    t = bench_now();
    bench_ok(df_session_compile(s, (df_outs){g->feeds, FEEDS}, (df_outs){g->fetches, g->n_fetches},
                                NULL, &program, &err),
             &err, "df_session_compile");
    keep_least(&f->executor, since(&t) / n - f->all);
    run(program, p, g);
    keep_least(&f->first, since(&t) / n);
    for (int i = 0; i < 3; i++) {
        run(program, p, g);
        keep_least(&f->warm, since(&t) / n);
    }
    df_graph_free(g->g);
    df_session_free(s);
    df_program_free(program);
    keep_least(&f->end, since(&t) / n);
}

static figures measure(size_t n, size_t rounds) {
    bench b;
    figures f = {.n = n};
    random_plan p = plan_new_random(n);
    df_out *outs = calloc(n, sizeof *outs);
    bench_need(outs != NULL, "outs", "out of memory");
    while (rounds-- > 0) {
        built g = {.g = NULL};
        df_error err;
        bench_open(&b);
        for (int64_t i = 0; i < FEEDS; i++)
            bench_ok(df_tensor_from(NULL, DF_INT64, DF_SCALAR, &i, &g.fed[i], &err), &err, "feeds");
        size_t before = b.heap.live;
        double start = bench_now();
        build(b.rt, &p, outs, &g);
        keep_least(&f.build, since(&start) / (double)n);
        f.bytes_graph = (double)(b.heap.live - before) / (double)n;
        b.heap.peak = b.heap.live;
        time_passes(&b, &g, &f);
        f.bytes_passes = (double)(b.heap.peak - before) / (double)n;
        time_program(&b, &p, &g, &f);
        f.bytes_peak = (double)(b.heap.peak - before) / (double)n;
        for (int i = 0; i < FEEDS; i++) df_tensor_unref(g.fed[i]);
        bench_close(&b);
    }
    f.cut = (double)p.cut / (double)p.edges;
    plan_drop(&p);
    free(outs);
    return f;
}

/* ---- a small one --------------------------------------------------------- */

/* Eight nodes on four devices, one after another; in microseconds, the best of many rounds. */
static double time_eight(void) {
    static const char *const names[DEVICES] = {"cpu:0", "cpu:1", "cpu:2", "cpu:3"};
    enum { NODES = 8, ROUNDS = 200 };
    bench b;
    double best = 0;
    bench_open(&b);
    for (int round = 0; round < ROUNDS; round++) {
        built g = {.g = df_graph_new(b.rt), .n_fetches = 1};
        figures f = {.n = 1};
        double start = bench_now();
        for (int i = 0; i < FEEDS; i++) g.feeds[i] = df_placeholder(g.g, NULL, DF_INT64, DF_SCALAR);
        g.fetches[0] = g.feeds[0];
        for (int i = FEEDS; i < NODES; i++) {
            df_graph_on(g.g, names[i % DEVICES]);
            g.fetches[0] = df_add(g.g, g.fetches[0], g.feeds[i % FEEDS]);
        }
        double built_in = since(&start);
        time_passes(&b, &g, &f);
        keep_least(&best, built_in + f.all);
        df_graph_free(g.g);
    }
    bench_close(&b);
    return best / 1e3;
}

/* ---- an error in the last node ------------------------------------------- */

static df_code compile_last(bench *b, built *g, df_outs feeds, df_out last, const df_shape *shapes,
                            df_error *err, double *took) {
    df_session *s = NULL;
    df_program *p = NULL;
    const df_compile_options o = {.struct_size = sizeof o, .feed_shapes = shapes};
    bench_ok(df_session_new(g->g, NULL, &s, err), err, "df_session_new");
    size_t live = b->heap.live;
    double start = bench_now();
    df_code code = df_session_compile(s, feeds, DF_OUTS(last), &o, &p, err);
    *took = bench_now() - start;
    df_program_free(p);
    bench_need(code == DF_OK || b->heap.live == live, "memory", "a failed compilation kept some");
    df_session_free(s);
    return code;
}

/* Adds a node behind a random graph, with which all goes well, or which has no kernel, or whose
 * inputs do not fit as soon as the shape of its feed is known. */
static void time_last(size_t n, const char *kind, df_code expected) {
    bench b;
    built g = {.g = NULL};
    df_error err;
    double took;
    random_plan p = plan_new_random(n);
    df_out *outs = calloc(n, sizeof *outs);
    bench_need(outs != NULL, "outs", "out of memory");
    bench_open(&b);
    build(b.rt, &p, outs, &g);
    df_out last = g.fetches[0], z = df_placeholder(g.g, "z", DF_INT64, DF_SHAPE(-1));
    df_tensor *three = NULL;
    bench_ok(df_tensor_new(NULL, DF_INT64, DF_SHAPE(3), &three, &err), &err, "a constant");
    for (size_t i = 1; i < g.n_fetches; i++) last = df_add(g.g, last, g.fetches[i]);
    df_graph_name(g.g, "last");
    if (expected == DF_NOT_FOUND)
        last = df_node_output(df_node_add(g.g, "Nowhere", &last, 1, NULL, 0), 0);
    else
        last = df_add(g.g, df_add(g.g, z, last), df_const(g.g, three));
    df_out feeds[FEEDS + 1] = {g.feeds[0], g.feeds[1], g.feeds[2], g.feeds[3], z};
    const df_shape shapes[FEEDS + 1] = {DF_SCALAR, DF_SCALAR, DF_SCALAR, DF_SCALAR,
                                        expected == DF_INVALID_ARGUMENT ? DF_SHAPE(2)
                                                                        : DF_SHAPE(3)};
    df_code code = compile_last(&b, &g, (df_outs){feeds, FEEDS + 1}, last, shapes, &err, &took);
    bench_need(code == expected, kind, code == DF_OK ? "was accepted" : err.message);
    printf("last node %-24s %8.0f ns per node%s%s\n", kind, took / (double)n,
           code == DF_OK ? "" : "  ", code == DF_OK ? "" : err.message);
    df_tensor_unref(three);
    df_graph_free(g.g);
    bench_close(&b);
    plan_drop(&p);
    free(outs);
}

/* ---- the report ---------------------------------------------------------- */

static void print_head(void) {
    printf("%8s %4s %6s %7s", "nodes", "cut", "build", "session");
    for (int i = 0; i < PASSES; i++) printf(" %9s", pass_names[i]);
    printf(" %7s %8s %6s %6s %5s %11s %6s %6s\n", "passes", "executor", "first", "warm", "free",
           "bytes graph", "passes", "peak");
}

static void print_figures(const figures *f) {
    printf("%8zu %3.0f%% %6.0f %7.0f", f->n, 100 * f->cut, f->build, f->open);
    for (int i = 0; i < PASSES; i++) printf(" %9.0f", f->passes[i]);
    printf(" %7.0f %8.0f %6.0f %6.0f %5.0f %11.0f %6.0f %6.0f\n", f->all, f->executor, f->first,
           f->warm, f->end, f->bytes_graph, f->bytes_passes, f->bytes_peak);
    (void)fflush(stdout);
}

static void goal(const char *name, const char *of, double value, double bound) {
    printf("goal %s%s %.2f %.2f %s\n", name, of, value, bound, value <= bound ? "ok" : "missed");
}

/* The largest against the one a hundred times smaller. */
static void print_goals(const figures *small, const figures *large) {
    for (int i = 0; i < PASSES; i++)
        goal("linear_", pass_names[i], large->passes[i] / small->passes[i], 2);
    goal("linear_build", "", large->build / small->build, 2);
    goal("linear_passes", "", large->all / small->all, 2);
    goal("build_ns", "", large->build, 350);
    goal("passes_ns", "", large->all, 1000);
    goal("passes_bytes", "", large->bytes_passes, 400);
    goal("peak_bytes", "", large->bytes_peak, 400);
    goal("eight_nodes_us", "", time_eight(), 30);
}

static size_t most_of(int argc, char **argv) {
    if (argc < 2) return 1000000;
    if (strcmp(argv[1], "--small") != 0) return strtoul(argv[1], NULL, 10);
    size_t most = test_scaled(10000);
    return most > 1000 ? most : 1000;
}

int main(int argc, char **argv) {
    size_t most = most_of(argc, argv), count = 0;
    figures all[SIZES];
    bench_need(most >= 1000 && most <= 100000000, "huge [MOST]", "MOST is 1000 to 100000000");
    print_head();
    for (size_t n = 1000; n <= most && count < SIZES; n *= 10) {
        size_t rounds = most / 5 / n;
        all[count] = measure(n, rounds < 1 ? 1 : rounds > 20 ? 20 : rounds);
        print_figures(&all[count++]);
    }
    time_last(most, "fits", DF_OK);
    time_last(most, "has no kernel", DF_NOT_FOUND);
    time_last(most, "does not fit", DF_INVALID_ARGUMENT);
    bench_shapes(most);
    if (count > 2) print_goals(&all[count - 3], &all[count - 1]);
    return 0;
}
