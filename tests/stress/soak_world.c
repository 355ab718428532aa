/* SPDX-License-Identifier: MIT
 *
 * Worlds: what there is in one, the threads that it lends, and how it goes.
 */
#include "stress/soak.h"

#include "session/runtime.h"
#include "support/yield.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* ---- the draw ---------------------------------------------------------------- */

static const struct layout {
    const char *devices;
    size_t n_places;
    const char *places[SOAK_DEVICES];
} layouts[] = {{"cpu:1", 1, {"cpu:0"}},
               {"cpu:2", 2, {"cpu:0", "cpu:1"}},
               {"cpu:1,sim:1", 2, {"cpu:0", "sim:0"}},
               {"cpu:2,sim:1", 3, {"cpu:0", "cpu:1", "sim:0"}},
               {"cpu:1,sim:2", 3, {"cpu:0", "sim:0", "sim:1"}},
               {"cpu:2,sim:2", 4, {"cpu:0", "cpu:1", "sim:0", "sim:1"}}};

static unsigned draw_of(draws *d, unsigned a, unsigned b, unsigned c, unsigned e) {
    const unsigned all[] = {a, b, c, e};
    return all[draw_below(d, 4)];
}

static soak_meet draw_meet(soak_world *w, draws *d) {
    if (draw_once_in(d, 2)) return MEET_OWN;
    soak_meet m = MEET_RELAY + draw_below(d, MEET_FAILS - MEET_RELAY + 1);
    return m == MEET_LOSSY && w->end == END_CALM ? MEET_LATE : m;
}

static void draw_world(soak_world *w, draws *d) {
    const struct layout *l = &layouts[draw_below(d, sizeof layouts / sizeof *layouts)];
    w->devices = l->devices;
    w->n_places = l->n_places;
    for (size_t i = 0; i < l->n_places; i++) w->places[i] = l->places[i];
    w->threads = draw_below(d, THREADS_LOOP + 1);
    w->n_threads = w->threads == THREADS_WORKERS ? 1 + (int)draw_below(d, 3)
                   : w->threads == THREADS_LENT  ? 1 + (int)draw_below(d, 2)
                                                 : 0;
    w->end = draw_of(d, END_CLOSED, END_CLOSED, END_FREED, END_CALM);
    w->n_sessions = 1 + draw_once_in(d, 3);
    w->n_issuers = 1 + draw_below(d, SOAK_ISSUERS);
    w->n_ops = 1 + draw_below(d, 14);
    w->n_troubles = draw_below(d, 12);
    w->acts = draw_of(d, 1, 1, 2, 3);
    w->fails = draw_of(d, 0, 6, 20, 60);
    w->lates = draw_of(d, 0, 3, 3, 8);
    w->stucks = draw_of(d, 0, 0, 8, 20);
    w->fires = draw_of(d, 0, 0, 20, 60);
    w->nests = draw_of(d, 0, 0, 10, 40);
    w->has_keeper = draw_once_in(d, 2);
    w->has_faults = draw_once_in(d, 8);
    for (size_t i = 0; i < w->n_sessions; i++) w->sessions[i].meets = draw_meet(w, d);
}

static void describe(soak_world *w, unsigned yields, unsigned sleeps) {
    static const char *const threads[] = {"poll", "workers", "lent", "loop"};
    static const char *const ends[] = {"closed", "freed", "calm"};
    (void)snprintf(
        w->words, sizeof w->words,
        "world %" PRIu64 ": %s, %s %d, %s, meets %d %d, issuers %zu of %zu, troubles "
        "%zu, once in: fails %u lates %u stucks %u fires %u nests %u yields %u sleeps %u%s%s",
        w->seed, w->devices, threads[w->threads], w->n_threads, ends[w->end],
        (int)w->sessions[0].meets, w->n_sessions > 1 ? (int)w->sessions[1].meets : -1, w->n_issuers,
        w->n_ops, w->n_troubles, w->fails, w->lates, w->stucks, w->fires, w->nests, yields, sleeps,
        w->has_keeper ? ", keeper" : "", w->has_faults ? ", faults" : "");
}

/* ---- those who come in -------------------------------------------------------- */

bool soak_enter(soak_world *w) {
    (void)pthread_mutex_lock(&w->lock);
    bool may = !w->is_shut;
    w->n_inside += may;
    (void)pthread_mutex_unlock(&w->lock);
    return may;
}

void soak_leave(soak_world *w) {
    (void)pthread_mutex_lock(&w->lock);
    if (--w->n_inside == 0) (void)pthread_cond_broadcast(&w->changed);
    (void)pthread_mutex_unlock(&w->lock);
}

void soak_shut(soak_world *w) {
    (void)pthread_mutex_lock(&w->lock);
    w->is_shut = true;
    while (w->n_inside) (void)pthread_cond_wait(&w->changed, &w->lock);
    (void)pthread_mutex_unlock(&w->lock);
}

void soak_fire(soak_world *w) {
    uint32_t i = atomic_fetch_add(&w->n_fired, 1);
    if (i < SOAK_CANCELS) df_cancel_fire(w->cancels[i]);
}

df_cancel *soak_cancel(soak_world *w, draws *d) {
    uint32_t i = atomic_load(&w->n_fired) + draw_below(d, 2);
    if (draw_once_in(d, 2) || i >= SOAK_CANCELS) return NULL;
    return w->cancels[i && draw_once_in(d, 10) ? i - 1 : i];
}

/* ---- threads that it lends ----------------------------------------------------- */

static void wake(void *user) {
    soak_world *w = user;
    (void)pthread_mutex_lock(&w->lock);
    w->calls++;
    (void)pthread_cond_broadcast(&w->changed);
    (void)pthread_mutex_unlock(&w->lock);
}

/* Until somebody is called, or for so long: ns, UINT64_MAX: for ever. False: it is time to go. */
static bool await_call(soak_world *w, uint64_t ns) {
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    if (ns > 100000000) ns = 100000000; /* seen too early does no harm */
    ns += (uint64_t)until.tv_nsec;
    until.tv_sec += (time_t)(ns / 1000000000);
    until.tv_nsec = (long)(ns % 1000000000);
    int rc = 0;
    (void)pthread_mutex_lock(&w->lock);
    while (!w->calls && !w->servants_go && rc == 0)
        rc = pthread_cond_timedwait(&w->changed, &w->lock, &until);
    if (w->calls) w->calls--;
    bool stays = !w->servants_go;
    (void)pthread_mutex_unlock(&w->lock);
    return stays;
}

/* Comes when it is called, and for deadlines. */
static void serve_loop(void *world, int i) {
    soak_world *w = world;
    uint64_t next = UINT64_MAX;
    (void)i;
    while (await_call(w, next)) {
        if (!soak_enter(w)) continue;
        (void)df_runtime_poll(w->rt, 0, &next);
        soak_leave(w);
    }
}

/* Comes when it is called. */
static void serve_lent(void *world, int i) {
    soak_world *w = world;
    (void)i;
    for (;;) {
        (void)pthread_mutex_lock(&w->lock);
        while (!w->calls && !w->servants_go) (void)pthread_cond_wait(&w->changed, &w->lock);
        bool stays = !w->servants_go;
        if (w->calls) w->calls--;
        (void)pthread_mutex_unlock(&w->lock);
        if (!stays) return;
        if (!soak_enter(w)) continue;
        (void)df_runtime_poll(w->rt, 0, NULL);
        soak_leave(w);
    }
}

/* Comes all the time. */
static void serve_poller(void *world, int i) {
    soak_world *w = world;
    draws d = draws_of(w->seed, 20 + (uint64_t)i);
    for (uint64_t ns = 0; await_call(w, ns);) {
        if (!soak_enter(w)) continue;
        uint64_t timeout = draw_of(&d, 0, 1, 100000, 1000000);
        ns = df_runtime_poll(w->rt, timeout, NULL) ? 0 : 100000;
        soak_leave(w);
    }
}

static void hire(soak_world *w, void (*body)(void *, int), int n) {
    for (; n && w->n_servants < SOAK_SERVANTS; n--, w->n_servants++)
        crew_start(&w->servants[w->n_servants], body, w, w->n_servants);
}

void soak_hire(soak_world *w) {
    draws d = draws_of(w->seed, 10);
    if (w->threads == THREADS_LENT) hire(w, serve_lent, w->n_threads);
    if (w->threads == THREADS_LOOP) hire(w, serve_loop, 1);
    if (w->threads == THREADS_NONE) hire(w, serve_poller, (int)draw_below(&d, 3));
    if (w->threads == THREADS_WORKERS && draw_once_in(&d, 4)) hire(w, serve_poller, 1);
    crew_start(&w->keeper_of_ward, ward_main, &w->ward, 0);
}

void soak_dismiss(soak_world *w) {
    (void)pthread_mutex_lock(&w->lock);
    w->servants_go = true;
    (void)pthread_cond_broadcast(&w->changed);
    (void)pthread_mutex_unlock(&w->lock);
    while (w->n_servants) crew_join(&w->servants[--w->n_servants]);
}

/* ---- graphs --------------------------------------------------------------------- */

static void set_feed(soak_session *s, soak_kind k, df_out x) {
    s->feed_items[k][0] = x;
    s->feeds[k] = (df_outs){s->feed_items[k], 1};
}

static void add_fetch(soak_session *s, soak_kind k, df_out y) {
    s->fetches[k].items = s->fetch_items[k];
    s->fetch_items[k][s->fetches[k].n++] = y;
}

static void anywhere(soak_world *w, df_graph *g, draws *d) {
    df_graph_on(g, draw_once_in(d, 2) ? w->places[draw_below(d, w->n_places)] : NULL);
}

static df_out number(df_graph *g, int64_t value) {
    return df_const_int(g, DF_INT64, value);
}

static void build_counter(soak_session *s, draws *d) {
    soak_world *w = s->w;
    df_graph *g = s->graph;
    anywhere(w, g, d);
    df_out a = df_variable(g, "a", DF_INT64, DF_SCALAR);
    anywhere(w, g, d);
    /* Its first value is that of a step, which must not be late or fail. */
    bool from = s->meets <= MEET_OPEN && draw_once_in(d, 2);
    df_out b =
        from ? df_variable_from(g, "b", number(g, 0)) : df_variable(g, "b", DF_INT64, DF_SCALAR);
    df_graph_on(g, NULL);
    df_out more = soak_act(w, g, d, soak_act(w, g, d, number(g, 1)));
    df_out new_a = df_assign_add(g, a, more), new_b;
    if (draw_once_in(d, 2))
        new_b = df_assign(g, b, soak_act(w, g, d, new_a));
    else
        new_b = df_assign_add(g, b, soak_act(w, g, d, number(g, 1)));
    add_fetch(s, SOAK_COUNT, new_a);
    add_fetch(s, SOAK_COUNT, new_b);
    df_out left = soak_act(w, g, d, df_node_output(a.node, 0));
    df_out right = soak_act(w, g, d, df_node_output(b.node, 0));
    anywhere(w, g, d);
    df_out differ = df_sub(g, left, right);
    df_graph_on(g, NULL);
    add_fetch(s, SOAK_READ, a);
    add_fetch(s, SOAK_READ, b);
    add_fetch(s, SOAK_READ, soak_act(w, g, d, differ));
}

static void build_pure(soak_session *s, draws *d) {
    soak_world *w = s->w;
    df_graph *g = s->graph;
    df_out x = df_placeholder(g, "x", DF_INT64, DF_SCALAR);
    df_out left = soak_act(w, g, d, x), right = soak_act(w, g, d, x);
    anywhere(w, g, d);
    df_out twice = df_mul(g, right, number(g, 2));
    df_graph_on(g, NULL);
    twice = soak_act(w, g, d, twice);
    anywhere(w, g, d);
    df_out y = df_add(g, left, twice), z = df_neg(g, left);
    df_graph_on(g, NULL);
    set_feed(s, SOAK_PURE, x);
    add_fetch(s, SOAK_PURE, soak_act(w, g, d, y));
    add_fetch(s, SOAK_PURE, z);
}

static void build_vector(soak_session *s, draws *d) {
    soak_world *w = s->w;
    df_graph *g = s->graph;
    df_out x = df_placeholder(g, "v", DF_INT64, DF_SHAPE(-1));
    df_out y = soak_act(w, g, d, x);
    anywhere(w, g, d);
    df_out sum = df_sum(g, y, NULL, 0, false);
    df_graph_on(g, NULL);
    set_feed(s, SOAK_VECTOR, x);
    add_fetch(s, SOAK_VECTOR, soak_act(w, g, d, sum));
    add_fetch(s, SOAK_VECTOR, soak_act(w, g, d, y));
}

/* ---- sessions --------------------------------------------------------------------- */

static void must(soak_world *w, df_code code, const df_error *err) {
    if (code != DF_OK) fail_msg("%s: %s", w->words, err->message);
}

static void open_session(soak_world *w, soak_session *s, draws *d) {
    df_rendezvous_factory factory = soak_factory(s);
    df_session_options o = {.struct_size = sizeof o,
                            .rendezvous = s->meets == MEET_OWN ? NULL : &factory};
    df_error err;
    s->w = w;
    s->graph = df_graph_new(w->rt);
    build_counter(s, d);
    build_pure(s, d);
    build_vector(s, d);
    must(w, df_session_new(s->graph, &o, &s->session, &err), &err);
    for (soak_kind k = 0; k < SOAK_KINDS; k++) {
        must(
            w,
            df_session_compile(s->session, s->feeds[k], s->fetches[k], NULL, &s->programs[k], &err),
            &err);
        s->crossings[k] = df_program_crossings(s->programs[k]);
    }
    if (draw_once_in(d, 2)) {
        df_graph_free(s->graph);
        s->graph = NULL;
    }
    if (w->end == END_CALM && draw_once_in(d, 3)) {
        df_session_free(s->session);
        s->session = NULL;
    }
}

static void open_nest(soak_world *w) {
    bool has_two = w->n_places > 1 && w->places[1][0] == 'c';
    df_error err;
    df_graph *g = df_graph_new(w->rt);
    df_graph_on(g, "cpu:0");
    df_out x = df_placeholder(g, "x", DF_INT64, DF_SCALAR);
    df_graph_on(g, has_two ? "cpu:1" : "cpu:0");
    df_out y = df_neg(g, x);
    must(w, df_session_new(g, NULL, &w->nest, &err), &err);
    must(w, df_session_compile(w->nest, DF_OUTS(x), DF_OUTS(y), NULL, &w->nested, &err), &err);
    df_graph_free(g);
}

static void open_runtime(soak_world *w, draws *d) {
    bool counts_threads = draw_once_in(d, 2), small = draw_once_in(d, 2);
    df_lent_threads lent = {
        .struct_size = sizeof lent, .user = w, .count = w->n_threads, .wake = wake};
    bool lends = w->threads == THREADS_LENT || w->threads == THREADS_LOOP;
    df_runtime_options o = {.struct_size = sizeof o,
                            .devices = w->devices,
                            .workers = w->threads == THREADS_WORKERS ? w->n_threads : 0,
                            .allocator = &w->memory.allocator,
                            .threads = counts_threads ? &w->sources.threads : NULL,
                            .lent = lends ? &lent : NULL};
    df_error err;
    must(w, df_runtime_new(&o, &w->rt, &err), &err);
    must(w, soak_register(w->rt, &err), &err);
    if (small) w->rt->grain = 1e-6f;
    for (size_t i = 0; i < SOAK_CANCELS; i++)
        must(w, df_cancel_new(w->rt, &w->cancels[i], &err), &err);
    if (w->has_keeper) must(w, df_cancel_new(w->rt, &w->keeper, &err), &err);
}

soak_world *soak_open(uint64_t seed) {
    draws d = draws_of(seed, 1);
    soak_world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->seed = seed;
    w->runs = calloc(SOAK_RUNS, sizeof *w->runs);
    assert_non_null(w->runs);
    draw_world(w, &d);
    unsigned yields = draw_of(&d, 0, 64, 8, 3), sleeps = draw_of(&d, 0, 0, 64, 16);
    describe(w, yields, sleeps);
    yield_set_rate(yields, sleeps);
    fault_allocator_init(&w->memory);
    fault_threads_init(&w->sources);
    check_init(&w->check);
    ward_init(&w->ward);
    pthread_condattr_t attr;
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    assert_int_equal(pthread_mutex_init(&w->lock, NULL), 0);
    assert_int_equal(pthread_cond_init(&w->changed, &attr), 0);
    (void)pthread_condattr_destroy(&attr);
    open_runtime(w, &d);
    for (size_t i = 0; i < w->n_sessions; i++) open_session(w, &w->sessions[i], &d);
    open_nest(w);
    if (w->has_faults) {
        fault_fail_allocation(&w->memory, 1 + draw_below(&d, 200), (fault_span)draw_below(&d, 2));
        fault_fail_start(&w->sources, 1 + draw_below(&d, 2), FAULT_ONCE);
    }
    return w;
}

/* ---- the end ------------------------------------------------------------------------ */

typedef enum handle_kind { A_GRAPH, A_SESSION, A_PROGRAM, A_RUNTIME } handle_kind;

typedef struct handle {
    handle_kind what;
    void *it;
} handle;

typedef struct handles {
    handle all[SOAK_RUNS + 32];
    size_t n, half;
} handles;

static void add(handles *h, handle_kind what, void *it) {
    if (it) h->all[h->n++] = (handle){what, it};
}

static void free_range(handles *h, size_t from, size_t to) {
    for (size_t i = from; i < to; i++) {
        handle *x = &h->all[i];
        switch (x->what) {
        case A_GRAPH:
            df_graph_free(x->it);
            break;
        case A_SESSION:
            df_session_free(x->it);
            break;
        case A_PROGRAM:
            df_program_free(x->it);
            break;
        default:
            df_runtime_free(x->it);
            break;
        }
        soak_moves();
    }
}

static void free_half(void *arg, int i) {
    handles *h = arg;
    (void)i;
    free_range(h, 0, h->half);
}

static void collect(soak_world *w, handles *h) {
    add(h, A_RUNTIME, w->rt);
    add(h, A_SESSION, w->nest);
    add(h, A_PROGRAM, w->nested);
    for (size_t i = 0; i < w->n_sessions; i++) {
        soak_session *s = &w->sessions[i];
        add(h, A_GRAPH, s->graph);
        add(h, A_SESSION, s->session);
        for (soak_kind k = 0; k < SOAK_KINDS; k++) add(h, A_PROGRAM, s->programs[k]);
    }
    for (size_t i = 0; i < SOAK_RUNS; i++)
        add(h, A_PROGRAM, atomic_exchange(&w->runs[i].own, NULL));
}

void soak_free_all(soak_world *w) {
    draws d = draws_of(w->seed, 12);
    handles h = {.n = 0};
    collect(w, &h);
    for (size_t i = h.n; i > 1; i--) {
        size_t j = draw_below(&d, i);
        handle x = h.all[j];
        h.all[j] = h.all[i - 1];
        h.all[i - 1] = x;
    }
    h.half = draw_below(&d, h.n);
    bool two = draw_once_in(&d, 2);
    if (two) crew_start(&w->helper, free_half, &h, 0);
    free_range(&h, two ? h.half : 0, h.n);
    if (two) crew_join(&w->helper);
}

void soak_free_cancels(soak_world *w) {
    for (size_t i = 0; i < SOAK_CANCELS; i++) {
        df_cancel_free(w->cancels[i]);
        w->cancels[i] = NULL;
    }
}

void soak_close(soak_world *w) {
    df_cancel_free(w->keeper);
    if (check_has_failed(&w->check) || fault_live_blocks(&w->memory))
        print_error("%s\nagain: --world %" PRIu64 "\n", w->words, w->seed);
    check_end(&w->check);
    fault_allocator_end(&w->memory);
    fault_threads_end(&w->sources);
    ward_fini(&w->ward);
    (void)pthread_cond_destroy(&w->changed);
    (void)pthread_mutex_destroy(&w->lock);
    free(w->runs);
    free(w);
}
