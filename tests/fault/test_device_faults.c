/* SPDX-License-Identifier: MIT
 *
 * Devices under faults: whatever goes wrong on a device, and whenever, each step ends once, and
 * right.
 *
 * A world has a seed, from which all is drawn: a random graph over a CPU and two simulated
 * accelerators, what these cannot do, how slow their links are, the steps that are run, one by one
 * or several at once, and for each round what fails and when: copies, events, memory of the device
 * or of the host, threads; a node's kernel; the device itself. Some runs are cancelled, or have a
 * deadline. In each world
 *
 *   - a run ends once: with results that are bit for bit what a CPU alone gives, or with an
 *     error that one of these faults explains, that names a node, a key or a device, and no
 * results;
 *   - a run that failed has changed nothing: the runs after it, and other devices, are right;
 *   - when all is over each feed has been given back once, and all memory, of device and host.
 *
 *   test_device_faults                        some hundreds of worlds
 *   test_device_faults --first N --count M    those with the seeds N to N + M - 1
 *   test_device_faults --seed N [TIMES]       one; threads differ from run to run
 *
 * A world that hangs is ended after two minutes; its seed is the last word.
 */
#include "support/scale.h"

#include "base/clock.h"
#include "fault/faulty_kind.h"
#include "property/last_words.h"
#include "property/random_run.h"
#include "support/fault.h"
#include "support/yield.h"

#include <inttypes.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define PATIENCE UINT64_C(20000000000) /* ns */

enum { JOBS = 4, ROUNDS = 4, RELAYS = 4, KEPT = 64 };

/* A feed in memory of the caller's. */
typedef struct lent {
    df_tensor *inner;
    _Atomic int released;
    struct lent *next;
} lent;

/* A run. */
typedef struct job {
    bool is_relay;
    uint32_t which; /* step of the script; or relay */
    df_program *program;
    df_tensor **feeds, **results;
    size_t n_feeds, n_results;
    bool cancels, is_spoilt, is_beside;
    df_run_options options;
    df_run_stats stats;
    df_code code;
    df_error err;
    size_t n_given;   /* results that came with it */
    _Atomic int told; /* how often it has ended; what is above is written before */
} job;

typedef struct world {
    uint64_t seed;
    draws d;
    fault_allocator heap;
    fault_threads threads;
    df_runtime *rt;
    df_device *devices[FAULTY_DEVICES]; /* the accelerators */
    bool is_tight;                      /* they have little memory */

    script script;
    graph_recipe recipe;
    playing p, reference;

    /* Of x: from each accelerator -x, and x over both, in each order. */
    df_session *session;
    df_graph *graph;
    df_program *relays[RELAYS];

    unsigned excuses[FAULTY_DEVICES]; /* codes that a fault of this device explains, as bits */
    unsigned excused;                 /* those that another fault does */
    unsigned lost;                    /* the devices, as bits: perhaps */
    lent *lent;
    df_tensor *kept[KEPT]; /* results of relays */
    float kept_sign[KEPT];
    size_t n_kept;
    char why[800];
} world;

static struct { size_t worlds, lost, tight, codes[DF_UNAUTHENTICATED + 1]; } tally;

static const char *program_name = "";
static df_runtime *reference_runtime;

static bool wrong(world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool wrong(world *w, const char *format, ...) {
    va_list args;
    va_start(args, format);
    if (!w->why[0]) (void)vsnprintf(w->why, sizeof w->why, format, args);
    va_end(args);
    return false;
}

static void *room_for(size_t n, size_t size) {
    void *room = calloc(n + 1, size);
    if (!room) abort();
    return room;
}

/* ---- faults ---------------------------------------------------------------- */

/* Most come early: there are few copies in a step. */
static uint64_t soon(draws *d) {
    return 1 + draw_below(d, (size_t)1 << draw_below(d, 7));
}

static void arm_one(world *w) {
    static const df_code codes[DF_SIM_FAULTS] = {[DF_SIM_COPY_REFUSED] = DF_INTERNAL,
                                                 [DF_SIM_COPY_FAILS] = DF_DATA_LOSS,
                                                 [DF_SIM_ALLOC_FAILS] = DF_RESOURCE_EXHAUSTED,
                                                 [DF_SIM_RECORD_FAILS] = DF_INTERNAL,
                                                 [DF_SIM_LOST] = DF_UNAVAILABLE};
    draws *d = &w->d;
    uint32_t device = draw_below(d, FAULTY_DEVICES), fault = draw_below(d, DF_SIM_FAULTS + 3);
    uint64_t n = soon(d);
    fault_span span = draw_once_in(d, 2) ? FAULT_ONCE : FAULT_FOR_EVER;
    if (fault == DF_SIM_LOST && !draw_once_in(d, 3)) fault = DF_SIM_COPY_FAILS;
    if (fault < DF_SIM_FAULTS) {
        if (df_sim_fail(w->devices[device], (df_sim_fault)fault, n, NULL) != DF_OK) abort();
        w->excuses[device] |= 1u << codes[fault];
        if (fault == DF_SIM_LOST) w->lost |= 1u << device;
    } else if (fault == DF_SIM_FAULTS) {
        faulty_kind_exhaust((int)device, n);
        w->excused |= 1u << DF_RESOURCE_EXHAUSTED;
    } else if (fault == DF_SIM_FAULTS + 1) {
        fault_fail_allocation(&w->heap, n, span);
        w->excused |= 1u << DF_RESOURCE_EXHAUSTED;
    } else {
        fault_fail_start(&w->threads, n % 4 + 1, span);
        w->excused |= 1u << DF_RESOURCE_EXHAUSTED;
    }
}

/* What is lost stays so. */
static void disarm(world *w) {
    w->excused = w->is_tight ? 1u << DF_RESOURCE_EXHAUSTED : 0;
    for (int i = 0; i < FAULTY_DEVICES; i++) {
        for (int f = 0; f < DF_SIM_FAULTS; f++)
            (void)df_sim_fail(w->devices[i], (df_sim_fault)f, 0, NULL);
        faulty_kind_exhaust(i, 0);
        w->excuses[i] = w->lost >> i & 1 ? 1u << DF_UNAVAILABLE : 0;
    }
    fault_fail_allocation(&w->heap, 0, FAULT_ONCE);
    fault_fail_start(&w->threads, 0, FAULT_ONCE);
}

static void arm(world *w) {
    for (uint32_t n = 1 + draw_below(&w->d, 2); n; n--) arm_one(w);
}

/* True: one of the faults explains the code, and the words say where. */
static bool is_explained(const world *w, df_code code, const char *words) {
    for (int i = 0; i < FAULTY_DEVICES; i++)
        if (w->excuses[i] >> code & 1 && strstr(words, df_device_name(w->devices[i]))) return true;
    static const char *const places[] = {"node ", "key ", "device", "out of memory", "thread "};
    bool is_somewhere = false;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        is_somewhere |= strstr(words, places[i]) != NULL;
    return w->excused >> code & 1 && is_somewhere;
}

/* ---- runs ------------------------------------------------------------------- */

static void give_back(void *user, void *data) {
    lent *l = user;
    (void)data;
    if (atomic_fetch_add(&l->released, 1) == 0) df_tensor_unref(l->inner);
}

/* The same elements, in memory that is borrowed and that somebody gives back. */
static df_tensor *lend(world *w, df_tensor *inner) {
    lent *l = room_for(1, sizeof *l);
    df_tensor *t = NULL;
    l->inner = inner;
    l->next = w->lent;
    w->lent = l;
    if (df_tensor_wrap(NULL, df_tensor_dtype(inner), df_tensor_shape(inner), df_tensor_data(inner),
                       give_back, l, &t, NULL) != DF_OK)
        abort();
    return t;
}

static df_tensor *relay_feed(draws *d) {
    int64_t n = draw_once_in(d, 64) ? draw_between(d, 200000, 900000) : draw_between(d, 0, 700);
    df_tensor *t = NULL;
    if (df_tensor_new(NULL, DF_FLOAT32, DF_SHAPE(n), &t, NULL) != DF_OK) abort();
    for (int64_t i = 0; i < n; i++) ((float *)df_tensor_data(t))[i] = (float)(i + 1);
    return t;
}

static void job_relay(world *w, job *j, uint32_t which) {
    *j = (job){.is_relay = true, .which = which, .program = w->relays[which]};
    j->n_feeds = j->n_results = 1;
    j->feeds = room_for(1, sizeof *j->feeds);
    j->results = room_for(1, sizeof *j->results);
    j->feeds[0] = relay_feed(&w->d);
}

static void job_step(world *w, job *j) {
    const script_step *st;
    *j = (job){.which = draw_below(&w->d, w->script.n_steps)};
    st = &w->script.steps[j->which];
    const script_program *sp = &w->script.programs[st->program];
    j->program = w->p.programs[st->program];
    j->is_spoilt = st->spoilt;
    j->n_feeds = sp->n_feeds;
    j->n_results = sp->n_fetches;
    j->feeds = room_for(j->n_feeds, sizeof *j->feeds);
    j->results = room_for(j->n_results, sizeof *j->results);
    for (size_t i = 0; i < j->n_feeds; i++) j->feeds[i] = playing_feed(&w->p, j->which, i);
}

static void job_draw(world *w, job *j, df_cancel *cancel) {
    draws *d = &w->d;
    if (draw_once_in(d, 3))
        job_relay(w, j, draw_below(d, RELAYS));
    else
        job_step(w, j);
    for (size_t i = 0; i < j->n_feeds; i++)
        if (draw_once_in(d, 2)) j->feeds[i] = lend(w, j->feeds[i]);
    j->options = (df_run_options){.struct_size = sizeof j->options};
    j->stats = (df_run_stats){.struct_size = sizeof j->stats};
    if (draw_once_in(d, 4)) j->options.stats = &j->stats;
    if (draw_once_in(d, 8)) j->options.timeout = 1 + draw_below(d, 1000000);
    j->cancels = cancel && draw_once_in(d, 2);
    if (j->cancels) j->options.cancel = cancel;
}

/* Inside of whatever ended it: a later call may be the second one. */
static void job_done(void *user, const df_error *err, df_tensor *const *results, size_t n) {
    job *j = user;
    if (atomic_load(&j->told) == 0) {
        j->code = err ? err->code : DF_OK;
        if (err) j->err = *err;
        j->n_given = n;
        for (size_t i = 0; i < n && i < j->n_results; i++) j->results[i] = results[i];
    }
    (void)atomic_fetch_add(&j->told, 1);
}

static void job_begin(job *j, bool beside) {
    const df_tensors feeds = {j->feeds, j->n_feeds};
    j->is_beside = beside;
    if (beside) {
        df_program_start(j->program, feeds, &j->options, job_done, j);
    } else {
        j->code = df_program_run(j->program, feeds, j->results, &j->options, &j->err);
        for (size_t i = 0; i < j->n_results; i++) j->n_given += j->results[i] != NULL;
        atomic_store(&j->told, 1);
    }
    for (size_t i = 0; i < j->n_feeds; i++) df_tensor_unref(j->feeds[i]);
}

static void job_end(job *j) {
    for (size_t i = 0; j->results && i < j->n_results; i++) df_tensor_unref(j->results[i]);
    free(j->feeds);
    free(j->results);
}

/* ---- what came out ------------------------------------------------------------ */

static bool is_times(const df_tensor *t, float sign) {
    const float *x = df_tensor_data(t);
    for (int64_t i = 0; i < df_tensor_elements(t); i++)
        if (x[i] != sign * (float)(i + 1)) return false;
    return true;
}

static bool relay_is_right(world *w, job *j) {
    float sign = j->which < FAULTY_DEVICES ? -1 : 1;
    if (!is_times(j->results[0], sign)) return wrong(w, "relay %u gave another value", j->which);
    if (w->n_kept == KEPT || draw_once_in(&w->d, 2)) return true;
    w->kept_sign[w->n_kept] = sign;
    w->kept[w->n_kept++] = j->results[0];
    j->results[0] = NULL;
    return true;
}

static bool same_as_on_a_cpu(world *w, job *j) {
    playing_drop(&w->reference, j->which);
    if (!playing_step(&w->reference, j->which)) return wrong(w, "on the CPU: %s", w->reference.why);
    w->p.results[j->which] = j->results;
    j->results = NULL;
    bool same = playing_same(&w->p, &w->reference, j->which);
    playing_drop(&w->p, j->which);
    return same || wrong(w, "%s", w->p.why);
}

static bool failed_rightly(world *w, const job *j) {
    const char *words = j->err.message;
    if (j->code != j->err.code || !words[0])
        return wrong(w, "%s, and the error says %s: %s", df_code_name(j->code),
                     df_code_name(j->err.code), words);
    if (j->n_given) return wrong(w, "a run failed and gave results: %s", words);
    if (j->err.flags & DF_ERROR_DERIVED) return wrong(w, "no cause was told: %s", words);
    if (j->code == DF_CANCELLED && j->cancels) return true;
    if (j->code == DF_DEADLINE_EXCEEDED && j->options.timeout) return true;
    if (j->code == DF_INVALID_ARGUMENT && j->is_spoilt && strstr(words, "culprit")) return true;
    if (is_explained(w, j->code, words)) return true;
    return wrong(w, "%s %u: no fault explains %s: %s", j->is_relay ? "relay" : "step", j->which,
                 df_code_name(j->code), words);
}

static bool job_is_right(world *w, job *j) {
    if (atomic_load(&j->told) != 1) return wrong(w, "a run ended %d times", atomic_load(&j->told));
    tally.codes[j->code]++;
    if (j->code != DF_OK) return failed_rightly(w, j);
    if (j->is_spoilt) return wrong(w, "step %u succeeded, and its culprit must fail", j->which);
    if (j->n_given != j->n_results) return wrong(w, "a run succeeded without all results");
    return j->is_relay ? relay_is_right(w, j) : same_as_on_a_cpu(w, j);
}

/* ---- rounds --------------------------------------------------------------------- */

static bool all_told(job *jobs, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!atomic_load(&jobs[i].told)) return false;
    return true;
}

/* Runs that are begun together, in whose order the variables change. */
static bool play_round(world *w, bool with_faults) {
    job jobs[JOBS];
    df_cancel *cancel = NULL;
    bool beside = draw_once_in(&w->d, 2), ok = true;
    size_t n = beside ? 1 + draw_below(&w->d, JOBS) : 1;
    if (with_faults && draw_once_in(&w->d, 5)) (void)df_cancel_new(w->rt, &cancel, NULL);
    for (size_t i = 0; i < n; i++) job_draw(w, &jobs[i], cancel);
    if (cancel) faulty_kind_cancel(cancel, soon(&w->d));
    if (with_faults && !draw_once_in(&w->d, 8)) arm(w);
    for (size_t i = 0; i < n; i++) job_begin(&jobs[i], beside);
    while (!all_told(jobs, n)) (void)df_runtime_poll(w->rt, 1000000, NULL);
    while (df_runtime_poll(w->rt, 1000000, NULL)) { /* the last done may not have returned */
    }
    faulty_kind_cancel(NULL, 0);
    for (size_t i = 0; i < n; i++) ok = ok && job_is_right(w, &jobs[i]);
    for (size_t i = 0; i < n; i++) job_end(&jobs[i]);
    df_cancel_free(cancel);
    disarm(w);
    return ok;
}

/* Each device that is not lost computes; one that is says so. */
static bool others_go_on(world *w) {
    bool ok = true;
    for (uint32_t i = 0; ok && i < FAULTY_DEVICES; i++) {
        job j;
        job_relay(w, &j, i);
        j.options = (df_run_options){.struct_size = sizeof j.options};
        job_begin(&j, false);
        ok = job_is_right(w, &j);
        tally.lost += j.code == DF_UNAVAILABLE;
        job_end(&j);
    }
    return ok;
}

/* ---- the world -------------------------------------------------------------------- */

static bool make_runtime(world *w) {
    static const char *const lists[] = {"cpu:1,sim:2", "sim:2,cpu:1", "cpu:2,sim:2"};
    static const uint32_t flags[] = {DF_SIM_NO_PEERS, DF_SIM_PINNED, DF_SIM_ASKED};
    draws *d = &w->d;
    uint32_t has = draw_once_in(d, 16) ? DF_SIM_UNCHECKED : 0;
    for (int i = 0; i < 3; i++)
        if (draw_once_in(d, 2)) has |= flags[i];
    w->is_tight = draw_once_in(d, 8);
    tally.tight += w->is_tight;
    const df_device_ops *kinds[] = {faulty_kind_begin(draw(d), has)};
    const df_runtime_options o = {.struct_size = sizeof o,
                                  .devices = lists[draw_below(d, 3)],
                                  .workers = draw_once_in(d, 2) ? 0 : 1 + (int)draw_below(d, 2),
                                  .allocator = &w->heap.allocator,
                                  .threads = &w->threads.threads,
                                  .device_memory = (w->is_tight ? 2u << draw_below(d, 8) : 32768u)
                                                   << 10,
                                  .kinds = kinds,
                                  .n_kinds = 1};
    df_error err;
    if (df_runtime_new(&o, &w->rt, &err) != DF_OK) return wrong(w, "no runtime: %s", err.message);
    int n = 0;
    for (size_t i = 0; i < df_runtime_devices(w->rt); i++)
        if (df_device_queue(df_runtime_device(w->rt, i)))
            w->devices[n++] = df_runtime_device(w->rt, i);
    return true;
}

static bool make_relays(world *w) {
    df_graph *g = w->graph = df_graph_new(w->rt);
    df_out x = df_placeholder(g, "x", DF_FLOAT32, DF_SHAPE(-1)), out[RELAYS];
    df_error err;
    for (int i = 0; i < FAULTY_DEVICES; i++) {
        df_graph_on(g, i ? "sim:1" : "sim:0");
        out[i] = df_neg(g, x);
        df_graph_on(g, i ? "sim:0" : "sim:1");
        out[FAULTY_DEVICES + i] = df_neg(g, out[i]);
    }
    if (df_session_new(g, NULL, &w->session, &err) != DF_OK)
        return wrong(w, "no relays: %s", err.message);
    for (int i = 0; i < RELAYS; i++)
        if (df_session_compile(w->session, DF_OUTS(x), DF_OUTS(out[i]), NULL, &w->relays[i],
                               &err) != DF_OK)
            return wrong(w, "no relay: %s", err.message);
    return true;
}

static void draw_script(world *w) {
    draws *d = &w->d;
    w->recipe = (graph_recipe){.seed = draw(d),
                               .n_nodes = 1 + draw_below(d, draw_once_in(d, 2) ? 8 : 30),
                               .culprit = draw_once_in(d, 4)};
    random_graph *g = random_graph_new(reference_runtime, &w->recipe);
    script_draw(&w->script, g);
    random_graph_free(g);
    if (!playing_start(&w->reference, reference_runtime, &w->recipe, &w->script))
        (void)wrong(w, "on the CPU: %s", w->reference.why);
    w->recipe.placement = draw(d) | 1;
}

/* Making a session evaluates initialisers, and copies values to devices. */
static bool start_script(world *w) {
    if (draw_once_in(&w->d, 4)) {
        for (uint32_t i = 0; i < 3; i++) arm_one(w);
        fault_fail_allocation(&w->heap, 0, FAULT_ONCE); /* the graph must be built */
        bool ok = playing_start(&w->p, w->rt, &w->recipe, &w->script);
        bool explained = true;
        for (int c = 0; !ok && c <= DF_UNAUTHENTICATED; c++)
            explained = (explained && c) || is_explained(w, (df_code)c, w->p.why);
        disarm(w);
        if (ok) return true;
        if (!explained) return wrong(w, "no fault explains: %s", w->p.why);
        playing_end(&w->p);
    }
    if (playing_start(&w->p, w->rt, &w->recipe, &w->script)) return true;
    if (!w->lost && !w->is_tight) (void)wrong(w, "without faults: %s", w->p.why);
    return false;
}

static bool live(world *w) {
    draw_script(w);
    if (w->why[0] || !make_runtime(w)) return false;
    disarm(w);
    if (!make_relays(w)) return false;
    if (!start_script(w)) return !w->why[0] && others_go_on(w);
    for (uint32_t n = 1 + draw_below(&w->d, ROUNDS); n; n--)
        if (!play_round(w, true) || (draw_once_in(&w->d, 3) && !others_go_on(w))) return false;
    return play_round(w, false) && others_go_on(w);
}

/* ---- the end ------------------------------------------------------------------------- */

static void free_relays(world *w) {
    for (int i = 0; i < RELAYS; i++) df_program_free(w->relays[i]);
    df_session_free(w->session);
    df_graph_free(w->graph);
}

static bool close_session(world *w, df_session *s) {
    df_error err;
    if (!s || df_session_close(s, PATIENCE, &err) == DF_OK) return true;
    return wrong(w, "a session is not closed: %s", err.message);
}

static uint64_t bytes_in_use(const df_device *d) {
    df_memory_info info = {.struct_size = sizeof info};
    return df_device_memory(d, &info, NULL) == DF_OK ? info.in_use : UINT64_MAX;
}

/* A thread that ended a run early lets go of its program last, perhaps a moment after the session
 * was closed. */
static bool memory_is_back(world *w) {
    for (int i = 0; i < FAULTY_DEVICES; i++) {
        if (w->lost >> i & 1) continue;
        for (uint64_t until = clock_after(PATIENCE); bytes_in_use(w->devices[i]);) {
            if (clock_now() > until)
                return wrong(w, "%" PRIu64 " bytes of %s are in use", bytes_in_use(w->devices[i]),
                             df_device_name(w->devices[i]));
            (void)sched_yield();
        }
    }
    return true;
}

static bool end_in_order(world *w) {
    bool ok = close_session(w, w->session) && close_session(w, w->p.session);
    playing_end(&w->p);
    free_relays(w);
    ok = ok && memory_is_back(w);
    df_runtime_free(w->rt);
    return ok;
}

/* What goes on goes on, and ends with the last of these. */
static void end_at_once(world *w) {
    df_runtime_free(w->rt);
    free_relays(w);
    playing_end(&w->p);
}

static bool feeds_are_back(world *w) {
    bool ok = true;
    for (lent *l = w->lent, *next; l; l = next) {
        int n = atomic_load(&l->released);
        next = l->next;
        if (n != 1) ok = wrong(w, "a feed was given back %d times", n);
        free(l);
    }
    return ok;
}

static bool kept_are_as_they_were(world *w) {
    bool ok = true;
    for (size_t i = 0; i < w->n_kept; i++) {
        if (!is_times(w->kept[i], w->kept_sign[i])) ok = wrong(w, "a result has changed");
        df_tensor_unref(w->kept[i]);
    }
    return ok;
}

static bool nothing_is_left(world *w) {
    size_t pinned = faulty_kind_end(), threads = fault_live_threads(&w->threads);
    size_t blocks = fault_live_blocks(&w->heap);
    if (pinned || threads || blocks)
        return wrong(w, "%zu blocks, %zu pinned ones and %zu threads are left", blocks, pinned,
                     threads);
    if (check_has_failed(&w->heap.mistakes))
        return wrong(w, "%s", check_message(&w->heap.mistakes));
    return !check_has_failed(&w->threads.mistakes) ||
           wrong(w, "%s", check_message(&w->threads.mistakes));
}

static bool try_world(uint64_t seed) {
    world *w = room_for(1, sizeof *w);
    w->seed = seed;
    w->d = draws_of(seed, 1);
    last_words_set(seed);
    yield_set_rate(draw_once_in(&w->d, 2) ? 0 : 8, draw_below(&w->d, 2) * 4);
    fault_allocator_init(&w->heap);
    fault_threads_init(&w->threads);
    bool ok = live(w), in_order = draw_once_in(&w->d, 2);
    if (in_order)
        ok = end_in_order(w) && ok;
    else
        end_at_once(w);
    playing_end(&w->reference);
    ok = kept_are_as_they_were(w) && ok;
    ok = feeds_are_back(w) && ok;
    ok = nothing_is_left(w) && ok;
    if (!ok)
        (void)fprintf(stderr, "%s\nagain: %s --seed %" PRIu64 " 20\n", w->why, program_name, seed);
    tally.worlds++;
    if (ok) fault_threads_end(&w->threads);
    if (ok) fault_allocator_end(&w->heap);
    free(w);
    return ok;
}

/* ---- all ------------------------------------------------------------------------------ */

static uint64_t first_seed;
static size_t n_worlds;

static void begin(void) {
    const df_runtime_options o = {.struct_size = sizeof o, .devices = "cpu:1"};
    char seed[32], *argv[] = {"yields:", seed, NULL};
    (void)snprintf(seed, sizeof seed, "%" PRIu64, first_seed);
    last_words_install(program_name, "--seed");
    (void)yield_install(2, argv);
    if (df_runtime_new(&o, &reference_runtime, NULL) != DF_OK) abort();
}

static void end(void) {
    last_words_done();
    df_runtime_free(reference_runtime);
    yield_remove();
}

static void print_tally(void) {
    printf("%zu worlds, %zu tight; a device was lost %zu times; runs:", tally.worlds, tally.tight,
           tally.lost);
    for (int c = 0; c <= DF_UNAUTHENTICATED; c++)
        if (tally.codes[c]) printf(" %zu %s", tally.codes[c], df_code_name((df_code)c));
    printf("\n");
    (void)fflush(stdout);
}

static void whatever_fails_each_run_ends_once_and_right(void **state) {
    static const df_code all[] = {DF_OK,       DF_CANCELLED,   DF_DATA_LOSS,
                                  DF_INTERNAL, DF_UNAVAILABLE, DF_RESOURCE_EXHAUSTED};
    bool ok = true;
    (void)state;
    begin();
    for (uint64_t i = 0; ok && i < n_worlds; i++) ok = try_world(first_seed + i);
    end();
    print_tally();
    if (!ok) fail_msg("a world went wrong; see above");
    for (size_t i = 0; n_worlds >= 300 && i < sizeof all / sizeof *all; i++)
        assert_true(tally.codes[all[i]] > 0);
}

static int try_one(uint64_t seed, unsigned long times) {
    bool ok = true;
    first_seed = seed;
    begin();
    for (unsigned long i = 0; ok && i < times; i++) ok = try_world(seed);
    end();
    print_tally();
    return !ok;
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_fails_each_run_ends_once_and_right),
    };
    program_name = argv[0];
    first_seed = (uint64_t)time(NULL) * 1000;
    n_worlds = test_scaled(600);
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seed") == 0)
            return try_one(strtoull(argv[i + 1], NULL, 0),
                           argc > i + 2 ? strtoul(argv[i + 2], NULL, 0) : 1);
        if (strcmp(argv[i], "--first") == 0) first_seed = strtoull(argv[i + 1], NULL, 0);
        if (strcmp(argv[i], "--count") == 0) n_worlds = strtoul(argv[i + 1], NULL, 0);
    }
    printf("seeds from %" PRIu64 ", %zu of them\n", first_seed, n_worlds);
    (void)fflush(stdout);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
