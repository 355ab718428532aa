/* SPDX-License-Identifier: MIT
 *
 * Three ops that copy, and do what the world's chances say besides: SoakNow ends when its kernel
 * returns, SoakLater by its handle, and SoakMake too, which makes its output itself. What a kernel
 * does is drawn from the world's seed, its site's number and how often that ran: it holds no lock,
 * and asserts nothing.
 */
#include "stress/soak.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* ---- what both do ---------------------------------------------------------- */

static bool once_in(draws *d, unsigned n) {
    return n && draw_once_in(d, n);
}

static soak_site *site_of(const df_kernel *k) {
    return (soak_site *)(intptr_t)df_kernel_attr(k, 0)->i;
}

static draws draws_of_site(soak_site *s) {
    return draws_of(hash_pair(s->w->seed, 1000 + s->number), atomic_fetch_add(&s->n, 1));
}

/* The output is there, or is made; on a CPU it may be the input itself. */
static df_code copy_input(df_kernel *k, draws *d, df_error *err) {
    df_tensor *from = df_kernel_input(k, 0), *to = df_kernel_output(k, 0);
    df_code code = DF_OK;
    if (!to) {
        code = DF_UNKNOWN;
        if (draw_once_in(d, 4)) code = df_kernel_set_output(k, 0, df_tensor_ref(from), err);
        if (code == DF_OK) return DF_OK;
        code = df_kernel_allocate(k, 0, df_tensor_shape(from), &to, err);
    }
    if (code == DF_OK && df_tensor_bytes(from))
        memcpy(df_tensor_data(to), df_tensor_data(from), df_tensor_bytes(from));
    return code;
}

/* The same word for all that the test does itself: the check of a run knows it. */
static df_code planned(draws *d, df_error *err) {
    return df_error_set(err, draw_once_in(d, 2) ? DF_ABORTED : DF_DATA_LOSS, "as planned");
}

/* A program without variables, on CPUs: it may be run from anywhere. */
static df_code run_nested(soak_world *w, draws *d, df_error *err) {
    int64_t x = draw_between(d, -9, 9);
    df_tensor *feed = NULL, *result = NULL;
    df_run_options o = {.struct_size = sizeof o, .timeout = draw_once_in(d, 8) ? 1 : 0};
    df_code code = df_tensor_from(&w->memory.allocator, DF_INT64, DF_SCALAR, &x, &feed, err);
    if (code == DF_OK) code = df_program_run(w->nested, DF_TENSORS(feed), &result, &o, err);
    if (code == DF_OK)
        CHECK_EQUAL(&w->check, *(const int64_t *)df_tensor_data(result), -x);
    else
        CHECK(&w->check, result == NULL);
    df_tensor_unref(feed);
    df_tensor_unref(result);
    return code;
}

/* Cancels, perhaps its own run; starts a run, or runs a program. */
static df_code act(soak_world *w, draws *d, bool fires, bool nests, df_error *err) {
    if (fires && draw_once_in(d, 2))
        soak_fire(w);
    else if (fires)
        df_session_cancel(w->sessions[draw_below(d, w->n_sessions)].session);
    if (nests && draw_once_in(d, 2))
        soak_issue(w, d, 1);
    else if (nests)
        return run_nested(w, d, err);
    return DF_OK;
}

/* Its run may have been told already: so it is open by itself, and then the world is not calm. */
static df_code meddle(soak_world *w, draws *d, df_error *err) {
    df_code code = DF_OK;
    if (draw_once_in(d, 16)) (void)sched_yield();
    bool fires = once_in(d, w->fires), nests = once_in(d, w->nests);
    if ((!fires && !nests) || !soak_enter(w)) return DF_OK;
    (void)atomic_fetch_add(&w->n_open, 1);
    if (!atomic_load(&w->is_calm)) code = act(w, d, fires, nests, err);
    (void)atomic_fetch_sub(&w->n_open, 1);
    soak_leave(w);
    return code;
}

static df_code compute(df_kernel *k, df_error *err) {
    soak_site *s = site_of(k);
    draws d = draws_of_site(s);
    df_code code = DF_OK;
    if (!atomic_load(&s->w->is_calm)) {
        code = meddle(s->w, &d, err);
        if (code == DF_OK && once_in(&d, s->w->fails)) code = planned(&d, err);
    }
    return code == DF_OK ? copy_input(k, &d, err) : code;
}

/* ---- those that end later --------------------------------------------------- */

typedef struct late_end {
    soak_late base; /* first */
    df_kernel_handle handle;
    df_kernel *reads; /* what it copies first; NULL: nothing */
    bool fails, twice;
    draws d;
} late_end;

static void end_now(soak_late *l) {
    late_end e = *(late_end *)l;
    df_error err, why;
    free(l);
    bool fails = e.reads && copy_input(e.reads, &e.d, &err) != DF_OK;
    (void)planned(&e.d, &why);
    df_kernel_done(e.handle, fails ? &err : e.fails ? &why : NULL);
    if (e.twice) df_kernel_done(e.handle, &why);
}

/* True: *code is how it has begun. */
static bool is_late(df_kernel *k, draws *d, df_code *code, df_error *err) {
    soak_world *w = site_of(k)->w;
    bool stuck = once_in(d, w->stucks), reads = draw_once_in(d, 2);
    late_end *e = stuck || once_in(d, w->lates) ? malloc(sizeof *e) : NULL;
    if (!e) return false;
    *e = (late_end){.base = {.now = end_now},
                    .handle = df_kernel_handle_of(k),
                    .reads = reads ? k : NULL,
                    .fails = once_in(d, w->fails),
                    .twice = w->has_keeper && draw_once_in(d, 4),
                    .d = *d};
    *code = reads ? DF_OK : copy_input(k, d, err);
    if (*code == DF_OK)
        ward_add(&w->ward, &e->base, stuck);
    else
        free(e);
    return true;
}

/* It ends here, perhaps twice: the runtime is there until the second, since compute has not
 * returned. */
static df_code end_here(df_kernel *k, draws *d, bool fails, df_error *err) {
    df_kernel_handle h = df_kernel_handle_of(k);
    df_error why;
    df_code code = copy_input(k, d, err);
    if (code != DF_OK) return code;
    (void)planned(d, &why);
    df_kernel_done(h, fails ? &why : NULL);
    if (!draw_once_in(d, 8)) return DF_OK;
    df_kernel_done(h, &why);
    return df_error_set(err, DF_INTERNAL, "too late to count");
}

static df_code start(df_kernel *k, df_error *err) {
    soak_site *s = site_of(k);
    draws d = draws_of_site(s);
    if (atomic_load(&s->w->is_calm)) return end_here(k, &d, false, err);
    df_code code = meddle(s->w, &d, err);
    if (code != DF_OK || is_late(k, &d, &code, err)) return code;
    bool fails = once_in(&d, s->w->fails);
    if (fails && draw_once_in(&d, 2)) return planned(&d, err);
    return end_here(k, &d, fails, err);
}

/* ---- ops -------------------------------------------------------------------- */

#define KERNEL(OP, DEVICES, COMPUTE, ...)                                                          \
    {                                                                                              \
        .struct_size = sizeof(df_kernel_def), .op = OP, .devices = DEVICES, .compute = COMPUTE,    \
        __VA_ARGS__                                                                                \
    }
#define IN_HOST .flags = DF_KERNEL_ASYNC, .host_inputs = 1, .host_outputs = 1

df_code soak_register(df_runtime *rt, df_error *err) {
    static const df_op_def ops[] = {
        {sizeof(df_op_def), "SoakNow(x: any) {site: int} : x", df_infer_same, 0, NULL},
        {sizeof(df_op_def), "SoakLater(x: any) {site: int} : x", df_infer_same, 0, NULL},
        {sizeof(df_op_def), "SoakMake(x: any) {site: int} : x", NULL, 0, NULL}};
    static const df_kernel_def kernels[] = {
        KERNEL("SoakNow", "CPU,SIM", compute, .flags = 0),
        KERNEL("SoakLater", "CPU", start, .flags = DF_KERNEL_ASYNC),
        KERNEL("SoakLater", "SIM", start, IN_HOST),
        KERNEL("SoakMake", "CPU", start, .flags = DF_KERNEL_ASYNC),
        KERNEL("SoakMake", "SIM", start, IN_HOST)};
    df_code code = DF_OK;
    for (size_t i = 0; code == DF_OK && i < sizeof ops / sizeof *ops; i++)
        code = df_op_register(rt, &ops[i], err);
    for (size_t i = 0; code == DF_OK && i < sizeof kernels / sizeof *kernels; i++)
        code = df_kernel_register(rt, &kernels[i], err);
    return code;
}

df_out soak_act(soak_world *w, df_graph *g, draws *d, df_out x) {
    if (!once_in(d, w->acts) || w->n_sites == SOAK_SITES) return x;
    soak_site *s = &w->sites[w->n_sites++];
    s->w = w;
    s->number = w->n_sites;
    df_attr attr = df_attr_int("site", (int64_t)(intptr_t)s);
    df_graph_on(g, w->places[draw_below(d, w->n_places)]);
    static const char *const ops[] = {"SoakNow", "SoakNow", "SoakLater", "SoakLater", "SoakMake"};
    df_out y = df_node_output(df_node_add(g, ops[draw_below(d, 5)], &x, 1, &attr, 1), 0);
    df_graph_on(g, NULL);
    return y;
}
