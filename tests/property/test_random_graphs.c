/* SPDX-License-Identifier: MIT
 *
 * Random graphs: where a graph runs, and on how many threads, makes no difference.
 *
 *   equal   a graph with random pins on one to five devices of both kinds, with 0, 1, 2 or 4
 *           workers, gives bit for bit what the same graph gives without pins on one CPU
 *           and one thread: every fetch of every step, and at the end every variable
 *   fails   where one node fails in some steps, these name it, change no variable, and the
 *           steps around them are not disturbed
 *   wild    compiling and running whatever is asked for, mistakes of every kind included,
 *           gives an answer, crashes nowhere and leaks nothing
 *
 * Each graph has a seed, from which all is drawn: the graph, the script that is played with it,
 * devices and workers, placement, and the size of blocks, which in half of the cases is so small
 * that nearly every node can run on a thread of its own. Half of the graphs run with
 * random yields inside the library.
 *
 *   test_random_graphs                       many graphs; the seed of all is printed, and
 *   DATAFLOW_TEST_SEED=N test_random_graphs    draws the same graphs again
 *   test_random_graphs --graph SEED [TIMES]  one graph, as a failure prints it; schedules differ
 *                                            from run to run, so perhaps a few times
 *   test_random_graphs --graph SEED --nodes N  only its first N nodes: to make a failure small
 *
 * Floats take part because CPU and SIM run the same code: their bits are equal too. OPENCL, where
 * the system has it, takes part in graphs of ops that round nothing but the one result of theirs.
 */
#include "support/scale.h"

#include "property/last_words.h"
#include "property/random_run.h"

#include "session/runtime.h"
#include "support/fault.h"
#include "support/yield.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* ---- seeds --------------------------------------------------------------- */

typedef enum property { EQUAL, FAILS, WILD } property;

static uint64_t base_seed;
static const char *program = "";
static size_t only_nodes; /* --nodes; 0: as drawn */

/* The lowest bits say which property, and whether there are yields: so a seed alone is a
 * graph's whole story. */
static uint64_t seed_of(property p, bool yields, size_t i) {
    return hash_pair(base_seed, i) << 3 | (uint64_t)p << 1 | yields;
}

static property property_of(uint64_t seed) {
    return (property)(seed >> 1 & 3);
}

/* What was tried: a run that tried nothing must not pass. */
typedef struct tally {
    size_t graphs, nodes, steps, failed_steps, crossings, programs, refused_programs, on_opencl;
} tally;

static tally tried;

/* ---- runtimes ------------------------------------------------------------ */

static const char *const device_lists[] = {"cpu:1,sim:1",          "cpu:2",
                                           "cpu:3,sim:2",          "cpu:1",
                                           "sim:1,cpu:2",          "cpu:5",
                                           "cpu:1,sim:2",          "sim:2,cpu:1",
                                           "cpu:2,sim:1,opencl:1", "opencl:1,sim:1,cpu:1"};
static const int worker_counts[] = {0, 1, 2, 4};
enum {
    N_LISTS = sizeof device_lists / sizeof *device_lists,
    N_PLAIN = N_LISTS - 2, /* without OPENCL */
    N_COUNTS = sizeof worker_counts / sizeof *worker_counts
};

static bool has_opencl;
static df_runtime *reference_runtime;
static df_runtime *runtimes[N_LISTS][N_COUNTS]; /* made when first asked for, kept */

static df_runtime *new_runtime(const char *devices, int workers, const df_allocator *alloc) {
    df_runtime_options o = {.struct_size = sizeof o,
                            .devices = devices,
                            .workers = workers,
                            .allocator = alloc,
                            .device_memory = 64u << 20};
    df_runtime *rt = NULL;
    df_error err;
    if (df_runtime_new(&o, &rt, &err) != DF_OK) fail_msg("%s: %s", devices, err.message);
    return rt;
}

static void look_for_opencl(void) {
    const df_runtime_options o = {.struct_size = sizeof o, .devices = "cpu:1,opencl:1"};
    df_runtime *rt = NULL;
    df_error err;
    has_opencl = df_runtime_new(&o, &rt, &err) == DF_OK;
    printf("%s\n", has_opencl ? "with OPENCL" : err.message);
    df_runtime_free(rt);
}

/* A graph for OPENCL as well. */
static bool is_exact(uint64_t seed) {
    return has_opencl && hash_pair(seed, N_LISTS) % 16 == 0;
}

static df_runtime *random_runtime(draws *d, bool exact, char *words, size_t size) {
    uint32_t list = exact ? N_PLAIN + draw_below(d, N_LISTS - N_PLAIN) : draw_below(d, N_PLAIN);
    uint32_t count = draw_below(d, N_COUNTS);
    df_runtime **rt = &runtimes[list][count];
    if (!*rt) *rt = new_runtime(device_lists[list], worker_counts[count], NULL);
    (*rt)->grain = draw_once_in(d, 2) ? 0.001f : 0;
    (void)snprintf(words, size, "devices %s, %d workers, grain %g", device_lists[list],
                   worker_counts[count], (double)(*rt)->grain);
    return *rt;
}

static void free_runtimes(void) {
    for (size_t i = 0; i < N_LISTS; i++)
        for (size_t k = 0; k < N_COUNTS; k++) {
            df_runtime_free(runtimes[i][k]);
            runtimes[i][k] = NULL;
        }
    df_runtime_free(reference_runtime);
    reference_runtime = NULL;
}

/* Graphs, sessions and programs hold their runtime: all of a case are gone. */
static bool is_alone(df_runtime *rt, uint64_t seed) {
    uint32_t n = atomic_get(&rt->refs.n, RELAXED);
    if (n != 1)
        (void)fprintf(stderr, "%u references of the runtime stay\nagain: --graph %" PRIu64 "\n",
                      n - 1, seed);
    return n == 1;
}

/* ---- reports ------------------------------------------------------------- */

static void print_graph(const df_graph *g) {
    size_t size = df_graph_print(g, NULL, 0) + 1;
    char *words = malloc(size);
    if (!words) return;
    (void)df_graph_print(g, words, size);
    (void)fprintf(stderr, "graph:\n%s", words);
    free(words);
}

static void print_program(const playing *p, size_t i) {
    const script_program *sp = &p->script->programs[i];
    (void)fprintf(stderr, "program %zu: targets", i);
    for (size_t k = 0; k < sp->n_targets; k++)
        (void)fprintf(stderr, " %s", df_node_name(df_graph_node(p->g->graph, sp->targets[k])));
    (void)fprintf(stderr, "; fetches");
    for (size_t k = 0; k < sp->n_fetches; k++) {
        df_out out = p->g->values[sp->fetches[k]].out;
        (void)fprintf(stderr, " %s:%d", df_node_name(out.node), out.index);
    }
    (void)fprintf(stderr, "; feeds");
    for (size_t k = 0; k < sp->n_feeds; k++) {
        df_out out = p->g->values[sp->feeds[k]].out;
        (void)fprintf(stderr, " %s:%d", df_node_name(out.node), out.index);
    }
    (void)fprintf(stderr, "%s\n", sp->promised ? "; shapes promised" : "");
    if (!p->programs[i]) return;
    size_t size = df_program_print(p->programs[i], NULL, 0) + 1;
    char *words = malloc(size);
    if (!words) return;
    (void)df_program_print(p->programs[i], words, size);
    (void)fprintf(stderr, "%s\n", words);
    free(words);
}

static void report(const playing *p, uint64_t seed, const char *where) {
    print_graph(p->g->graph);
    for (size_t i = 0; i < p->script->n_programs; i++) print_program(p, i);
    for (size_t i = 0; i < p->script->n_steps; i++)
        (void)fprintf(stderr, "step %zu: program %u, batch %d%s\n", i, p->script->steps[i].program,
                      (int)p->script->steps[i].batch, p->script->steps[i].spoilt ? ", spoilt" : "");
    (void)fprintf(stderr, "%s\n%s\nagain: --graph %" PRIu64 " 20\n", where, p->why, seed);
}

/* ---- equal, fails -------------------------------------------------------- */

/* Results stay until the end, or are given back at once, so that the next step uses their
 * memory again. Those that stay are compared once more: nothing may have changed them. */
static bool play_against(playing *p, const playing *reference, bool keep_results) {
    size_t n = p->script->n_steps;
    for (size_t i = 0; i < n; i++) {
        if (!playing_step(p, i) || !playing_same(p, reference, i)) return false;
        tried.steps++;
        tried.failed_steps += p->script->steps[i].spoilt;
        if (!keep_results) playing_drop(p, i);
    }
    for (size_t i = 0; keep_results && i < n; i++)
        if (!playing_same(p, reference, i)) return false;
    for (size_t i = 0; i < p->script->n_programs; i++, tried.programs++)
        tried.crossings += df_program_crossings(p->programs[i]);
    return playing_counted(p);
}

/* The reference leaves the spoilt steps out: they must be as if they had not been. */
static bool play_reference(playing *p, const graph_recipe *recipe, const script *s) {
    bool ok = playing_start(p, reference_runtime, recipe, s);
    for (size_t i = 0; ok && i < s->n_steps; i++)
        if (!s->steps[i].spoilt) ok = playing_step(p, i);
    return ok;
}

static bool try_placement(uint64_t seed, uint64_t placement, graph_recipe recipe,
                          const playing *reference) {
    char where[200];
    playing p;
    draws d = draws_of(seed, placement);
    df_runtime *rt = random_runtime(&d, recipe.exact, where, sizeof where);
    tried.on_opencl += recipe.exact;
    recipe.placement = draw(&d) | 1;
    bool ok = playing_start(&p, rt, &recipe, reference->script) &&
              play_against(&p, reference, draw_once_in(&d, 2));
    if (!ok) report(&p, seed, where);
    playing_end(&p);
    return ok && is_alone(rt, seed);
}

static bool try_graph(uint64_t seed) {
    enum { PLACEMENTS = 2, FIRST_PLACEMENT = 100 };
    graph_recipe recipe = {.seed = seed,
                           .n_nodes = only_nodes ? only_nodes : random_size(seed),
                           .culprit = property_of(seed) == FAILS,
                           .exact = is_exact(seed)};
    random_graph *g = random_graph_new(reference_runtime, &recipe);
    script *s = malloc(sizeof *s);
    if (!s) abort();
    script_draw(s, g);
    tried.nodes += g->n_members;
    random_graph_free(g);
    playing reference;
    bool ok = play_reference(&reference, &recipe, s);
    if (!ok) report(&reference, seed, "on the reference: cpu:1, no workers");
    for (uint64_t i = 0; ok && i < PLACEMENTS; i++)
        ok = try_placement(seed, FIRST_PLACEMENT + i, recipe, &reference);
    playing_end(&reference);
    free(s);
    return ok;
}

/* ---- wild ---------------------------------------------------------------- */

typedef struct wild {
    draws d;
    random_graph *g, *other; /* a second graph, whose nodes do not belong here */
    df_session *session;
    df_program *program;
    df_out feeds[40], fetches[12];
    uint32_t fed[40]; /* values */
    df_node *targets[4];
    size_t n_feeds, n_fetches, n_targets;
    char why[600];
} wild;

/* An answer is right if it is no mistake of the library's own. */
static bool answered(wild *w, const char *what, df_code code, const df_error *err) {
    bool right = code == DF_OK || (code != DF_INTERNAL && err->code == code && err->message[0] &&
                                   !strstr(err->message, "starved"));
    if (!right) (void)snprintf(w->why, sizeof w->why, "%s: %s", what, err->message);
    return right;
}

static df_out wild_out(wild *w) {
    df_out out = w->g->values[draw_below(&w->d, w->g->n_values)].out;
    if (draw_once_in(&w->d, 100)) out.index = (int)draw_between(&w->d, -1, 3);
    if (draw_once_in(&w->d, 200)) out.node = NULL;
    if (draw_once_in(&w->d, 200)) out = w->other->values[0].out;
    return out;
}

static void wild_request(wild *w) {
    const random_graph *g = w->g;
    w->n_feeds = w->n_fetches = w->n_targets = 0;
    bool complete = !draw_once_in(&w->d, 6);
    for (uint32_t i = 0; i < g->n_values && w->n_feeds < 36; i++)
        if (g->values[i].placeholder && (complete || draw_once_in(&w->d, 2))) {
            w->fed[w->n_feeds] = i;
            w->feeds[w->n_feeds++] = g->values[i].out;
        }
    for (uint32_t n = draw_below(&w->d, 4); n; n--) {
        uint32_t i = draw_below(&w->d, g->n_values);
        if (g->values[i].placeholder && !draw_once_in(&w->d, 50)) continue;
        w->fed[w->n_feeds] = i;
        w->feeds[w->n_feeds++] = draw_once_in(&w->d, 8) ? wild_out(w) : g->values[i].out;
    }
    for (uint32_t n = draw_below(&w->d, 12); n; n--) w->fetches[w->n_fetches++] = wild_out(w);
    for (uint32_t n = draw_below(&w->d, 4); n; n--) {
        df_node *t = df_graph_node(g->graph, draw_below(&w->d, df_graph_nodes(g->graph)));
        if (draw_once_in(&w->d, 200)) t = w->other->values[0].out.node;
        w->targets[w->n_targets++] = draw_once_in(&w->d, 200) ? NULL : t;
    }
}

/* Every placeholder's batch is its own, now and then: shapes meet that do not fit. */
static int64_t wild_batch(wild *w, int64_t batch) {
    return draw_once_in(&w->d, 30) ? draw_between(&w->d, 0, RANDOM_BATCH) : batch;
}

static bool wild_compile(wild *w) {
    df_error err = {.code = DF_OK};
    df_shape shapes[40];
    int64_t dims[40][RANDOM_RANK], batch = draw_between(&w->d, 0, RANDOM_BATCH);
    for (size_t i = 0; i < w->n_feeds; i++) {
        const value *v = &w->g->values[w->fed[i]];
        shapes[i] = (df_shape){formulas_dims(&v->shape, wild_batch(w, batch), dims[i]), dims[i]};
        if (shapes[i].rank && draw_once_in(&w->d, 20)) dims[i][0] = -1;
    }
    df_compile_options o = {.struct_size = sizeof o,
                            .targets = {w->targets, w->n_targets},
                            .feed_shapes = draw_once_in(&w->d, 3) ? shapes : NULL};
    df_code code = df_session_compile(w->session, (df_outs){w->feeds, w->n_feeds},
                                      (df_outs){w->fetches, w->n_fetches}, &o, &w->program, &err);
    tried.programs++;
    tried.refused_programs += code != DF_OK;
    return answered(w, "compile", code, &err);
}

static bool wild_run(wild *w) {
    df_tensor *feeds[40], *results[12];
    df_error err = {.code = DF_OK};
    int64_t batch = draw_between(&w->d, 0, RANDOM_BATCH);
    bool spoilt = draw_once_in(&w->d, 4);
    for (size_t i = 0; i < w->n_feeds; i++)
        feeds[i] = random_feed(&w->g->values[w->fed[i]], wild_batch(w, batch), draw(&w->d),
                               spoilt && w->g->values[w->fed[i]].contents != ANYTHING);
    df_code code = df_program_run(w->program, (df_tensors){feeds, w->n_feeds}, results, NULL, &err);
    tried.steps++;
    tried.failed_steps += code != DF_OK;
    for (size_t i = 0; i < w->n_feeds; i++) df_tensor_unref(feeds[i]);
    for (size_t i = 0; i < w->n_fetches; i++) df_tensor_unref(results[i]);
    return answered(w, "run", code, &err);
}

static bool wild_program(wild *w) {
    char words[200]; /* mostly too short: printing cuts to fit */
    wild_request(w);
    bool ok = wild_compile(w);
    if (w->program) {
        (void)df_program_print(w->program, words, sizeof words);
        for (int i = 0; ok && i < 3; i++) ok = wild_run(w);
    }
    df_program_free(w->program);
    w->program = NULL;
    return ok;
}

static bool wild_session(wild *w) {
    df_session_options o = {.struct_size = sizeof o,
                            .soft_placement = draw_once_in(&w->d, 2),
                            .strict_order = draw_once_in(&w->d, 4)};
    df_error err = {.code = DF_OK};
    df_code code = df_session_new(w->g->graph, &o, &w->session, &err);
    bool ok = answered(w, "session", code, &err);
    for (int i = 0; w->session && ok && i < 4; i++) ok = wild_program(w);
    df_session_free(w->session);
    w->session = NULL;
    return ok;
}

static fault_allocator books[N_LISTS][N_COUNTS];
static df_runtime *wild_runtimes[N_LISTS][N_COUNTS];

static df_runtime *wild_runtime(draws *d) {
    uint32_t list = draw_below(d, has_opencl ? N_LISTS : N_PLAIN), count = draw_below(d, N_COUNTS);
    df_runtime **rt = &wild_runtimes[list][count];
    if (!*rt) {
        fault_allocator_init(&books[list][count]);
        *rt = new_runtime(device_lists[list], worker_counts[count], &books[list][count].allocator);
    }
    (*rt)->grain = draw_once_in(d, 2) ? 0.001f : 0;
    return *rt;
}

static void end_wild_runtimes(void) {
    for (size_t i = 0; i < N_LISTS; i++)
        for (size_t k = 0; k < N_COUNTS; k++) {
            if (!wild_runtimes[i][k]) continue;
            df_runtime_free(wild_runtimes[i][k]);
            wild_runtimes[i][k] = NULL;
            fault_allocator_end(&books[i][k]);
        }
}

static bool try_wild(uint64_t seed) {
    wild w = {.d = draws_of(seed, 6)};
    df_runtime *rt = wild_runtime(&w.d);
    graph_recipe small = {.seed = seed, .n_nodes = 1};
    graph_recipe recipe = {.seed = seed,
                           .placement = draw(&w.d) | 1,
                           .n_nodes = only_nodes ? only_nodes : random_size(seed),
                           .culprit = draw_once_in(&w.d, 2),
                           .wild = true};
    w.g = random_graph_new(rt, &recipe);
    w.other = random_graph_new(rt, &small);
    tried.nodes += w.g->n_members;
    bool ok = wild_session(&w);
    if (!ok) {
        print_graph(w.g->graph);
        (void)fprintf(stderr, "%s\nagain: --graph %" PRIu64 " 20\n", w.why, seed);
    }
    random_graph_free(w.other);
    random_graph_free(w.g);
    return ok && is_alone(rt, seed);
}

/* ---- all ----------------------------------------------------------------- */

static bool try_seed(uint64_t seed) {
    last_words_set(seed);
    tried.graphs++;
    return property_of(seed) == WILD ? try_wild(seed) : try_graph(seed);
}

static void begin(bool yields) {
    /* each time: cmocka has its own handlers around a test */
    last_words_install(program, "--graph");
    char seed[32], *argv[] = {"the yields' seed is", seed, NULL};
    (void)snprintf(seed, sizeof seed, "%" PRIu64, base_seed);
    if (yields) (void)yield_install(2, argv); /* before any runtime: no thread reads it yet */
    reference_runtime = new_runtime("cpu:1", 0, NULL);
}

static void end(void) {
    last_words_done();
    free_runtimes();
    end_wild_runtimes();
    yield_remove();
}

static void print_tally(void) {
    printf("%zu graphs, %zu nodes; %zu programs, %zu refused, %zu crossings; %zu steps, %zu "
           "failed; %zu on OPENCL\n",
           tried.graphs, tried.nodes, tried.programs, tried.refused_programs, tried.crossings,
           tried.steps, tried.failed_steps, tried.on_opencl);
    (void)fflush(stdout);
}

static void try_many(property p, size_t n) {
    tried = (tally){0};
    for (int yields = 0; yields < 2; yields++) {
        begin(yields);
        bool ok = true;
        size_t half = test_scaled(n) / 2 + 20; /* few enough would miss a kind of case */
        for (size_t i = 0; ok && i < half; i++) ok = try_seed(seed_of(p, yields, i));
        end();
        if (!ok) fail_msg("a graph went wrong; see above");
    }
    print_tally();
}

static void placement_and_threads_change_no_bit(void **state) {
    (void)state;
    try_many(EQUAL, 4000);
    assert_true(tried.crossings > 0);
    assert_true(tried.failed_steps == 0);
    assert_true(!has_opencl || tried.on_opencl > 0);
}

static void a_failing_node_is_named_and_changes_nothing(void **state) {
    (void)state;
    try_many(FAILS, 1000);
    assert_true(tried.failed_steps > 0 && tried.failed_steps < tried.steps);
}

static void whatever_is_asked_for_gets_an_answer(void **state) {
    (void)state;
    try_many(WILD, 2000);
    assert_true(tried.refused_programs > 0 && tried.refused_programs < tried.programs);
    assert_true(tried.failed_steps > 0 && tried.failed_steps < tried.steps);
}

static int try_one(int argc, char **argv) {
    uint64_t seed = strtoull(argv[2], NULL, 0);
    unsigned long times = 1;
    for (int i = 3; i < argc; i++) {
        if (strcmp(argv[i], "--nodes") == 0 && i + 1 < argc)
            only_nodes = strtoul(argv[++i], NULL, 10);
        else
            times = strtoul(argv[i], NULL, 10);
    }
    begin(seed & 1);
    bool ok = true;
    for (unsigned long i = 0; ok && i < times; i++) ok = try_seed(seed);
    end();
    printf("graph %" PRIu64 ": %s\n", seed, ok ? "right" : "wrong");
    return !ok;
}

int main(int argc, char **argv) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(placement_and_threads_change_no_bit),
        cmocka_unit_test(a_failing_node_is_named_and_changes_nothing),
        cmocka_unit_test(whatever_is_asked_for_gets_an_answer),
    };
    const char *seed = getenv("DATAFLOW_TEST_SEED");
    if (!seed || !yield_parse_seed(seed, &base_seed)) base_seed = (uint64_t)time(NULL);
    program = argv[0];
    look_for_opencl();
    if (argc > 2 && strcmp(argv[1], "--graph") == 0) return try_one(argc, argv);
    printf("seed %" PRIu64 " (again: DATAFLOW_TEST_SEED=%" PRIu64 " %s)\n", base_seed, base_seed,
           argv[0]);
    (void)fflush(stdout);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
