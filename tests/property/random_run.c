/* SPDX-License-Identifier: MIT */
#include "property/random_run.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the script ---------------------------------------------------------- */

static bool is_feed(const script_program *p, uint32_t which) {
    for (size_t i = 0; i < p->n_feeds; i++)
        if (p->feeds[i] == which) return true;
    return false;
}

static void draw_feeds(script_program *p, const random_graph *g, draws *d, bool inner) {
    for (uint32_t i = 0; i < g->n_values; i++)
        if (g->values[i].placeholder) p->feeds[p->n_feeds++] = i;
    for (uint32_t n = inner && draw_once_in(d, 3) ? 1 + draw_below(d, 3) : 0; n; n--) {
        uint32_t i = draw_below(d, g->n_values);
        if (!g->values[i].sealed && !is_feed(p, i)) p->feeds[p->n_feeds++] = i;
    }
    for (size_t i = p->n_feeds; i > 1; i--) {
        uint32_t j = draw_below(d, i), t = p->feeds[i - 1];
        p->feeds[i - 1] = p->feeds[j];
        p->feeds[j] = t;
    }
}

static void draw_program(script_program *p, const random_graph *g, draws *d) {
    draw_feeds(p, g, d, true);
    uint32_t n = draw_below(d, draw_once_in(d, 3) ? 40 : 8);
    for (; n; n--) p->fetches[p->n_fetches++] = draw_below(d, g->n_values);
    if (g->n_variables && draw_once_in(d, 2))
        p->fetches[p->n_fetches++] = g->variables[draw_below(d, g->n_variables)];
    if (p->n_fetches && draw_once_in(d, 4)) {
        p->fetches[p->n_fetches] = p->fetches[0];
        p->n_fetches++;
    }
    n = p->n_fetches ? draw_below(d, SCRIPT_TARGETS) : 1;
    for (; n; n--) p->targets[p->n_targets++] = draw_below(d, g->n_members);
    if (g->culprit) {
        uint32_t i = 0;
        while (df_graph_node(g->graph, i) != g->culprit) i++;
        p->targets[p->n_targets++] = i;
    }
    p->promised = draw_once_in(d, 4);
    p->batch = draw_between(d, 1, RANDOM_BATCH);
}

void script_draw(script *s, const random_graph *g) {
    draws d = draws_of(g->recipe.seed, 5);
    *s = (script){.n_programs = 1 + draw_below(&d, SCRIPT_PROGRAMS - 1)};
    for (size_t i = 0; i < s->n_programs; i++) draw_program(&s->programs[i], g, &d);
    uint32_t n = 2 + draw_below(&d, 3);
    for (; n; n--) {
        script_step *step = &s->steps[s->n_steps++];
        *step = (script_step){.program = draw_below(&d, s->n_programs), .seed = draw(&d)};
        const script_program *p = &s->programs[step->program];
        step->batch = p->promised ? p->batch : draw_between(&d, 0, RANDOM_BATCH);
        step->spoilt = g->culprit && step->batch && draw_once_in(&d, 2);
    }
    if (g->n_variables == 0) return;
    script_program *last = &s->programs[s->n_programs];
    draw_feeds(last, g, &d, false);
    for (size_t i = 0; i < g->n_variables; i++) last->fetches[last->n_fetches++] = g->variables[i];
    s->steps[s->n_steps++] =
        (script_step){.program = (uint32_t)s->n_programs++, .batch = 1, .seed = draw(&d)};
}

/* ---- playing it ---------------------------------------------------------- */

static bool wrong(playing *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool wrong(playing *p, const char *format, ...) {
    va_list args;
    va_start(args, format);
    (void)vsnprintf(p->why, sizeof p->why, format, args);
    va_end(args);
    return false;
}

static void *room_for(size_t n, size_t size) {
    void *room = calloc(n + 1, size);
    if (!room) abort();
    return room;
}

static bool compile_one(playing *p, size_t i) {
    const script_program *sp = &p->script->programs[i];
    const random_graph *g = p->g;
    df_out *feeds = room_for(sp->n_feeds, sizeof *feeds);
    df_out *fetches = room_for(sp->n_fetches, sizeof *fetches);
    df_shape *shapes = room_for(sp->n_feeds, sizeof *shapes);
    int64_t(*dims)[RANDOM_RANK] = room_for(sp->n_feeds, sizeof *dims);
    df_node *targets[SCRIPT_TARGETS + 1];
    df_error err = {.code = DF_OK};
    for (size_t k = 0; k < sp->n_feeds; k++) {
        const value *v = &g->values[sp->feeds[k]];
        feeds[k] = v->out;
        shapes[k] = (df_shape){formulas_dims(&v->shape, sp->batch, dims[k]), dims[k]};
    }
    for (size_t k = 0; k < sp->n_fetches; k++) fetches[k] = g->values[sp->fetches[k]].out;
    for (size_t k = 0; k < sp->n_targets; k++) targets[k] = df_graph_node(g->graph, sp->targets[k]);
    df_compile_options o = {.struct_size = sizeof o,
                            .targets = {targets, sp->n_targets},
                            .feed_shapes = sp->promised ? shapes : NULL};
    df_code code = df_session_compile(p->session, (df_outs){feeds, sp->n_feeds},
                                      (df_outs){fetches, sp->n_fetches}, &o, &p->programs[i], &err);
    free(feeds);
    free(fetches);
    free(shapes);
    free(dims);
    return code == DF_OK || wrong(p, "program %zu does not compile: %s", i, err.message);
}

bool playing_start(playing *p, df_runtime *rt, const graph_recipe *recipe, const script *s) {
    *p = (playing){.script = s, .g = random_graph_new(rt, recipe)};
    df_error err = {.code = DF_OK};
    if (df_session_new(p->g->graph, NULL, &p->session, &err) != DF_OK)
        return wrong(p, "no session: %s", err.message);
    for (size_t i = 0; i < s->n_programs; i++)
        if (!compile_one(p, i)) return false;
    return true;
}

void playing_drop(playing *p, size_t step) {
    if (!p->results[step]) return;
    const script_program *sp = &p->script->programs[p->script->steps[step].program];
    for (size_t i = 0; i < sp->n_fetches; i++) df_tensor_unref(p->results[step][i]);
    free(p->results[step]);
    p->results[step] = NULL;
}

void playing_end(playing *p) {
    for (size_t i = 0; p->script && i < p->script->n_steps; i++) playing_drop(p, i);
    for (size_t i = 0; i < SCRIPT_PROGRAMS; i++) df_program_free(p->programs[i]);
    df_session_free(p->session);
    random_graph_free(p->g);
}

/* ---- steps --------------------------------------------------------------- */

static bool same_tensor(const df_tensor *a, const df_tensor *b) {
    df_shape s = df_tensor_shape(a), t = df_tensor_shape(b);
    if (df_tensor_dtype(a) != df_tensor_dtype(b) || s.rank != t.rank) return false;
    for (int d = 0; d < s.rank; d++)
        if (s.dims[d] != t.dims[d]) return false;
    return memcmp(df_tensor_data(a), df_tensor_data(b), df_tensor_bytes(a)) == 0;
}

df_tensor *playing_feed(const playing *p, size_t step, size_t k) {
    const script_step *st = &p->script->steps[step];
    uint32_t v = p->script->programs[st->program].feeds[k];
    bool spoilt = st->spoilt && v == p->g->poison;
    return random_feed(&p->g->values[v], st->batch, hash_pair(st->seed, v), spoilt);
}

/* Nobody wrote into what the caller lent. */
static bool feeds_are_whole(playing *p, size_t step, df_tensor *const *feeds, size_t n) {
    for (size_t k = 0; k < n; k++) {
        df_tensor *again = playing_feed(p, step, k);
        bool same = same_tensor(feeds[k], again);
        df_tensor_unref(again);
        if (!same) return wrong(p, "step %zu wrote into feed %zu", step, k);
    }
    return true;
}

static bool failed_rightly(playing *p, size_t step, df_code code, const df_error *err) {
    const script_program *sp = &p->script->programs[p->script->steps[step].program];
    for (size_t i = 0; i < sp->n_fetches; i++)
        if (p->results[step][i]) return wrong(p, "step %zu failed and left a result", step);
    if (code == DF_INVALID_ARGUMENT && err->code == code && strstr(err->message, "culprit") &&
        !(err->flags & DF_ERROR_DERIVED))
        return true;
    return wrong(p, "step %zu must fail by the culprit: %s: %s", step, df_code_name(code),
                 code == DF_OK ? "" : err->message);
}

bool playing_step(playing *p, size_t step) {
    const script_step *st = &p->script->steps[step];
    const script_program *sp = &p->script->programs[st->program];
    df_tensor **feeds = room_for(sp->n_feeds, sizeof *feeds);
    for (size_t k = 0; k < sp->n_feeds; k++) feeds[k] = playing_feed(p, step, k);
    p->results[step] = room_for(sp->n_fetches, sizeof(df_tensor *));
    df_error err = {.code = DF_OK};
    df_code code = df_program_run(p->programs[st->program], (df_tensors){feeds, sp->n_feeds},
                                  p->results[step], NULL, &err);
    bool ok = feeds_are_whole(p, step, feeds, sp->n_feeds);
    for (size_t k = 0; k < sp->n_feeds; k++) df_tensor_unref(feeds[k]);
    free(feeds);
    if (!ok) return false;
    if (st->spoilt) return failed_rightly(p, step, code, &err);
    p->runs[st->program]++;
    return code == DF_OK || wrong(p, "step %zu: %s: %s", step, df_code_name(code), err.message);
}

/* ---- what came out ------------------------------------------------------- */

static void tensor_text(const df_tensor *t, char *into, size_t size) {
    df_shape s = df_tensor_shape(t);
    size_t at = (size_t)snprintf(into, size, "%s[", df_dtype_name(df_tensor_dtype(t)));
    for (int d = 0; d < s.rank && at < size; d++)
        at += (size_t)snprintf(into + at, size - at, "%s%lld", d ? "," : "", (long long)s.dims[d]);
    if (at < size) at += (size_t)snprintf(into + at, size - at, "]");
    const unsigned char *bytes = df_tensor_data(t);
    for (size_t i = 0; i < df_tensor_bytes(t) && i < 64 && at < size; i++)
        at += (size_t)snprintf(into + at, size - at, "%s%02x", i % 4 ? "" : " ", bytes[i]);
}

bool playing_same(playing *p, const playing *reference, size_t step) {
    const script_program *sp = &p->script->programs[p->script->steps[step].program];
    if (p->script->steps[step].spoilt) return true;
    for (size_t i = 0; i < sp->n_fetches; i++) {
        const df_tensor *is = p->results[step][i], *wanted = reference->results[step][i];
        if (same_tensor(is, wanted)) continue;
        char a[400], b[400];
        tensor_text(is, a, sizeof a);
        tensor_text(wanted, b, sizeof b);
        df_out out = p->g->values[sp->fetches[i]].out;
        return wrong(p, "step %zu, fetch %zu, %s:%d\n  is       %s\n  and was  %s", step, i,
                     df_node_name(out.node), out.index, a, b);
    }
    return true;
}

bool playing_counted(playing *p) {
    for (size_t i = 0; i < p->script->n_programs; i++) {
        bool failed = false;
        for (size_t k = 0; k < p->script->n_steps; k++)
            failed |= p->script->steps[k].program == i && p->script->steps[k].spoilt;
        df_crossing c;
        for (size_t k = 0; !failed && df_program_crossing(p->programs[i], k, &c); k++)
            if (c.transfers != p->runs[i])
                return wrong(p, "program %zu: %llu runs, and crossing %zu carried %llu", i,
                             (unsigned long long)p->runs[i], k, (unsigned long long)c.transfers);
    }
    return true;
}
