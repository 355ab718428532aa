/* SPDX-License-Identifier: MIT
 *
 * A run and its end may be told in any order: it fails while it is being aborted, the decision
 * comes before it knows that it has failed, the session ends in between. Under the session's lock
 * each run has one state, and who changes it does what follows, without the lock:
 *
 *     RUNS ----> PREPARED ----> DECIDED ----> over
 *       `-----------------------> FAILED ---> over, when it was decided
 *
 * A decision may even overtake its run, if the connection of that was lost:
 *
 *     A  (run)     enters the list, then opens the step
 *     B  (decide)  closes the step, then looks for the run in the list
 *
 * So B finds the run, or A that its step is over; then nobody will decide it, and A does.
 *
 * What is of a program or a session here has no handles of the user's: the last to let go may be
 * the worker whose kernel was the last to end.
 */
#include "cluster/part.h"

#include "base/cold.h"

#include <string.h>

enum { RUNS, PREPARED, DECIDED, FAILED };

typedef struct part_program {
    struct part_program *next;
    uint64_t id;
    refcount refs;  /* of the session's list, and of each step's rendezvous */
    df_runtime *rt; /* a reference */
    df_graph *graph;
    df_session *session;
    df_program *program;
    remote_edge *edges;
    size_t n_edges;
    remote_program *far;
    uint32_t n_feeds;
} part_program;

/* (c) constant, (l) under lock */
struct part_session {
    refcount refs;
    df_runtime *rt;        /* (c) a reference */
    remote *remote;        /* (c) */
    uint64_t id;           /* (c) */
    uint32_t master;       /* (c) */
    df_session *base;      /* (c) has the variables */
    remote_session *steps; /* (c) */
    mutex lock;
    part_program *programs; /* (l) */
    part_run *runs;         /* (l) that are not over */
    bool has_ended;         /* (l) */
    df_error why;           /* (l) */
};

/* ---- programs ----------------------------------------------------------------- */

static void program_unref(void *of) {
    part_program *p = of;
    if (!refcount_unref(&p->refs)) return;
    df_runtime *rt = p->rt;
    remote_program_free(p->far);
    alloc_free(rt->alloc, p->edges, p->n_edges * sizeof *p->edges);
    session_drop_program(p->program);
    session_unref(p->session);
    graph_unref(p->graph);
    alloc_free(rt->alloc, p, sizeof *p);
    runtime_unref(rt);
}

static void program_ref(void *of) {
    refcount_ref(&((part_program *)of)->refs);
}

/* What of the part's graph is given, asked for, and otherwise to be run. */
typedef struct ends {
    df_out *feeds, *fetches;
    df_node **targets;
    size_t n_feeds, n_fetches, n_targets;
} ends;

static bool is_read(const df_graph *g, const bool *read, size_t i) {
    return read[i] || (g->nodes[i]->op->flags & (OP_VARIABLE | OP_FEED | OP_FETCH));
}

/* All that nobody in the graph comes behind. */
static bool find_ends(const df_graph *g, arena *mem, ends *e) {
    size_t n = g->n_nodes;
    bool *read = arena_array(mem, n, sizeof *read);
    e->feeds = arena_array(mem, n, sizeof *e->feeds);
    e->fetches = arena_array(mem, n, sizeof *e->fetches);
    e->targets = arena_array(mem, n, sizeof(df_node *));
    if (mem->failed) return false;
    for (size_t i = 0; i < n; i++) {
        df_node *node = g->nodes[i];
        if (node->op->flags & OP_FEED) e->feeds[e->n_feeds++] = (df_out){node, 0};
        if (node->op->flags & OP_FETCH) e->fetches[e->n_fetches++] = node_input(node, 0);
        for (int k = 0; k < node->n_inputs; k++) read[node->inputs[k].node] = true;
        for (int k = 0; k < node->n_controls; k++) read[node_controls(node)[k]] = true;
    }
    for (size_t i = 0; i < n; i++)
        if (!is_read(g, read, i)) e->targets[e->n_targets++] = g->nodes[i];
    return true;
}

static df_code compile(part_program *p, const df_allocator *alloc, df_error *err) {
    arena mem;
    ends e = {0};
    arena_init(&mem, alloc);
    df_code code = find_ends(p->graph, &mem, &e) ? DF_OK : error_memory(err, "a part");
    df_compile_options o = {.struct_size = sizeof o, .targets = {e.targets, e.n_targets}};
    if (code == DF_OK)
        code = session_compile(p->session, (df_outs){e.feeds, e.n_feeds},
                               (df_outs){e.fetches, e.n_fetches}, &o, &p->program, err);
    if (code == DF_OK) runtime_disown(p->rt);
    p->n_feeds = (uint32_t)e.n_feeds;
    arena_fini(&mem);
    return code;
}

/* The task whose device this is; NONE: of nobody. */
static int32_t task_of(remote *r, const char *device) {
    for (uint32_t i = 0; remote_peer_at(r, i); i++) {
        const char *name = remote_peer_name(remote_peer_at(r, i));
        size_t n = strlen(name);
        if (strncmp(name, device, n) == 0 && device[n] == '/') return (int32_t)i;
    }
    return REMOTE_NONE;
}

static df_code list_edges(part_session *s, part_program *p, df_error *err) {
    const plan *lowered;
    const df_key *const *keys = session_part_keys(p->program, &lowered);
    p->edges = alloc_array(s->rt->alloc, lowered->n_channels, sizeof *p->edges);
    if (!p->edges) return error_memory(err, "a part");
    p->n_edges = lowered->n_channels;
    for (uint32_t c = 0; c < lowered->n_channels; c++) {
        const plan_channel *ch = &lowered->channels[c];
        p->edges[c] = (remote_edge){.key = keys[c],
                                    .dtype = ch->type->dtype,
                                    .shape = edge_shape(ch->type),
                                    .peer = REMOTE_NONE,
                                    .leaves = ch->far == PLAN_FAR_TARGET};
        if (ch->far != PLAN_FAR_SOURCE) continue;
        p->edges[c].peer = task_of(s->remote, df_key_src_device(keys[c]));
        if (p->edges[c].peer == REMOTE_NONE)
            return error_invalid(err, "node %s receives from %s, which is no task's", ch->producer,
                                 df_key_src_device(keys[c]));
    }
    return remote_program_new(
        s->remote,
        &(remote_program_options){lowered->id, p->edges, p->n_edges, program_ref, program_unref, p},
        &p->far, err);
}

static part_program *find_program(const part_session *s, uint64_t id) {
    part_program *p = s->programs;
    while (p && p->id != id) p = p->next;
    return p;
}

static df_code enter_program(part_session *s, part_program *p, df_error *err) {
    mutex_lock(&s->lock);
    bool ended = s->has_ended, known = find_program(s, p->id);
    if (!ended && !known) {
        p->next = s->programs;
        s->programs = p;
    }
    mutex_unlock(&s->lock);
    if (ended) return error_set(err, DF_FAILED_PRECONDITION, "the session is over");
    if (known) program_unref(p);
    return DF_OK;
}

static bool has_program(part_session *s, uint64_t id) {
    mutex_lock(&s->lock);
    bool known = find_program(s, id);
    mutex_unlock(&s->lock);
    return known;
}

df_code part_compile(part_session *s, uint64_t program, const char *words, size_t size,
                     df_error *err) {
    if (has_program(s, program)) return DF_OK;
    part_program *p = alloc_zeroed(s->rt->alloc, sizeof *p);
    if (!p) return error_memory(err, "a part");
    refcount_init(&p->refs);
    p->rt = runtime_ref(s->rt);
    p->id = program;
    df_code code = df_graph_parse(s->rt, words, size, &p->graph, err);
    if (code == DF_OK) {
        runtime_disown(s->rt);
        code = session_new_part(s->base, p->graph, &p->session, err);
    }
    if (code == DF_OK) {
        runtime_disown(s->rt);
        code = compile(p, s->rt->alloc, err);
    }
    if (code == DF_OK) code = list_edges(s, p, err);
    if (code == DF_OK) code = enter_program(s, p, err);
    if (code != DF_OK) program_unref(p);
    return code;
}

void part_forget(part_session *s, uint64_t program) {
    mutex_lock(&s->lock);
    part_program **at = &s->programs, *p;
    while (*at && (*at)->id != program) at = &(*at)->next;
    p = *at;
    if (p) *at = p->next;
    mutex_unlock(&s->lock);
    if (p) program_unref(p);
}

/* ---- sessions ----------------------------------------------------------------- */

static df_code set_values(part_session *s, const part_session_options *o, df_error *err) {
    if (o->n_values != s->base->n_variables)
        return error_invalid(err, "%zu first values of %u variables", o->n_values,
                             s->base->n_variables);
    df_code code = DF_OK;
    for (size_t i = 0; code == DF_OK && i < o->n_values; i++) {
        variable *v = &s->base->variables[i];
        df_tensor *t = o->values[i], *was = v->value;
        if (!t) continue;
        if (t->dtype != v->type->dtype || !shape_fits(tensor_shape(t), edge_shape(v->type)))
            return error_invalid(err, "variable %s: its first value has another dtype or shape",
                                 v->name);
        v->value = NULL;
        df_tensor_unref(was);
        code = move_tensor(s->rt->devices[v->device], DF_MEMORY_DEVICE, t, &v->value, err);
        if (code != DF_OK) error_prefix(err, "first value of variable %.150s: ", v->name);
    }
    return code;
}

static df_code open(part_session *s, const part_session_options *o, df_error *err) {
    df_graph *variables = NULL;
    df_code code = df_graph_parse(o->rt, o->words, o->size, &variables, err);
    if (code == DF_OK) code = df_session_new(variables, NULL, &s->base, err);
    df_graph_free(variables);
    if (code == DF_OK) runtime_disown(o->rt);
    if (code == DF_OK) code = set_values(s, o, err);
    if (code == DF_OK) code = remote_session_open(o->remote, o->id, &s->steps, err);
    return code;
}

df_code part_session_new(const part_session_options *options, part_session **out, df_error *err) {
    df_runtime *rt = options->rt;
    part_session *s = alloc_zeroed(rt->alloc, sizeof *s);
    if (!s || !mutex_init(&s->lock)) {
        alloc_free(rt->alloc, s, sizeof *s);
        return error_memory(err, "a session");
    }
    refcount_init(&s->refs);
    s->rt = runtime_ref(rt);
    s->remote = options->remote;
    s->id = options->id;
    s->master = options->master;
    df_code code = open(s, options, err);
    if (code == DF_OK)
        *out = s;
    else
        part_session_unref(s);
    return code;
}

part_session *part_session_ref(part_session *s) {
    refcount_ref(&s->refs);
    return s;
}

void part_session_unref(part_session *s) {
    if (!s || !refcount_unref(&s->refs)) return;
    df_runtime *rt = s->rt;
    df_error why;
    (void)error_set(&why, DF_ABORTED, "its session is over");
    if (s->steps) remote_session_close(s->steps, &why);
    while (s->programs) {
        part_program *p = s->programs;
        s->programs = p->next;
        program_unref(p);
    }
    session_unref(s->base);
    mutex_fini(&s->lock);
    alloc_free(rt->alloc, s, sizeof *s);
    runtime_unref(rt);
}

uint64_t part_session_id(const part_session *s) {
    return s->id;
}

uint32_t part_session_master(const part_session *s) {
    return s->master;
}

/* ---- runs --------------------------------------------------------------------- */

/* Takes it out of the list; nothing of it is used afterwards. Who stops it goes first. */
static void run_over(part_session *s, part_run *run) {
    mutex_lock(&s->lock);
    run->is_over = true;
    bool waits = run->n_stopping > 0;
    part_run **at = &s->runs;
    while (!waits && *at != run) at = &(*at)->next;
    if (!waits) *at = run->next;
    mutex_unlock(&s->lock);
    if (waits) return;
    cancel_unref(run->cancel);
    run->over(run);
    part_session_unref(s);
}

static part_run *find_run(const part_session *s, uint64_t step) {
    part_run *run = s->runs;
    while (run && run->step != step) run = run->next;
    return run;
}

/* Ends what executes, with the run's own reason. n_stopping was counted by the caller. */
static void stop(part_session *s, part_run *run, const df_error *why) {
    atomic_put(&run->cancel->is_fired, 1, RELAXED);
    runs_end(s->rt->pool, NULL, run->cancel, why);
    mutex_lock(&s->lock);
    bool over = --run->n_stopping == 0 && run->is_over;
    mutex_unlock(&s->lock);
    if (over) run_over(s, run);
}

static void tell_failed(part_session *s, part_run *run, const df_error *err) {
    remote_step_abort(s->steps, run->step, err);
    run->failed(run, err);
}

/* The step has ended: by itself, or because that was decided. */
static void run_done(void *user, const df_error *err, df_tensor *const *results, size_t n) {
    part_run *run = user;
    part_session *s = run->session;
    for (size_t i = 0; i < n; i++) df_tensor_unref(results[i]);
    mutex_lock(&s->lock);
    bool fails = run->state == RUNS;
    if (fails) run->state = FAILED;
    mutex_unlock(&s->lock);
    if (!fails) return; /* who decided goes on */
    tell_failed(s, run, err);
    mutex_lock(&s->lock);
    run->is_told = true;
    bool over = run->is_decided;
    mutex_unlock(&s->lock);
    if (over) run_over(s, run);
}

static void decide(part_session *s, part_run *run, struct step *held, const df_error *why) {
    executor_decide(held, why);
    run_over(s, run);
}

static void run_prepared(void *user, struct step *held, df_tensor *const *results, size_t n) {
    part_run *run = user;
    part_session *s = run->session;
    mutex_lock(&s->lock);
    bool decided = run->is_decided;
    run->held = held;
    mutex_unlock(&s->lock);
    /* Told before it can be decided by others, but where that has come already. */
    if (decided && run->fails)
        run->failed(run, &run->why);
    else
        run->prepared(run, results, n);
    mutex_lock(&s->lock);
    run->is_told = true;
    decided = run->is_decided;
    run->state = decided ? DECIDED : PREPARED;
    mutex_unlock(&s->lock);
    if (decided) decide(s, run, held, run->fails ? &run->why : NULL);
}

/* What the run is to end with is kept, for when it can. */
static void decide_locked(part_run *run, const df_error *why) {
    run->is_decided = true;
    run->fails = why != NULL;
    if (why) run->why = *why;
}

static void settle(part_session *s, uint64_t step, const df_error *why) {
    mutex_lock(&s->lock);
    part_run *run = find_run(s, step);
    bool first = run && !run->is_decided;
    struct step *held = NULL;
    bool over = false, stops = false;
    if (first) {
        decide_locked(run, why);
        over = run->state == FAILED && run->is_told;
        stops = run->state == RUNS && why;
        run->n_stopping += stops;
        if (run->state == PREPARED) {
            run->state = DECIDED;
            held = run->held;
        }
    }
    mutex_unlock(&s->lock);
    if (stops) stop(s, run, why);
    if (held) decide(s, run, held, why);
    if (over) run_over(s, run);
}

/* By which a run is ended: it lives as long as what executes, which may be longer than the run. */
typedef struct handle {
    df_cancel base; /* first */
    const df_allocator *alloc;
} handle;

static void handle_free(df_cancel *c) {
    alloc_free(((handle *)c)->alloc, c, sizeof(handle));
}

static df_cancel *handle_new(const df_allocator *alloc) {
    handle *h = alloc_zeroed(alloc, sizeof *h);
    if (!h) return NULL;
    refcount_init(&h->base.refs);
    h->base.free = handle_free;
    h->alloc = alloc;
    return &h->base;
}

static df_code find_start(part_session *s, uint64_t program, part_run *run, part_program **p,
                          df_error *err) {
    mutex_lock(&s->lock);
    df_error *why = s->has_ended ? &s->why : NULL;
    *p = find_program(s, program);
    if (*p) refcount_ref(&(*p)->refs);
    if (why) *err = *why;
    bool known = find_run(s, run->step);
    if (!known) {
        run->next = s->runs;
        s->runs = run;
    }
    if (why) { /* nobody will say how it ends */
        run->is_decided = run->fails = true;
        run->why = *why;
    }
    mutex_unlock(&s->lock);
    if (known) return error_set(err, DF_ALREADY_EXISTS, "the step has begun already");
    if (why) return err->code;
    return *p ? DF_OK
              : error_set(err, DF_ABORTED, "%s has no program %llu of the session",
                          remote_name(s->remote), (unsigned long long)program);
}

void part_start(part_session *s, uint64_t program, uint64_t step, uint64_t watermark,
                df_tensors feeds, part_run *run) {
    part_program *p = NULL;
    df_rendezvous *meets = NULL;
    df_error err;
    run->session = part_session_ref(s);
    run->step = step;
    run->state = RUNS;
    run->cancel = handle_new(s->rt->alloc);
    df_code code = run->cancel ? find_start(s, program, run, &p, &err) : DF_RESOURCE_EXHAUSTED;
    if (!run->cancel || code == DF_ALREADY_EXISTS) { /* it is not in the list */
        if (!run->cancel) (void)error_memory(&err, "a run");
        if (p) program_unref(p);
        cancel_unref(run->cancel);
        run->failed(run, &err);
        run->over(run);
        part_session_unref(s);
        return;
    }
    if (code == DF_OK && feeds.n != p->n_feeds)
        code = error_invalid(&err, "%zu feeds of %u", feeds.n, p->n_feeds);
    if (code == DF_OK) code = remote_step_open(s->steps, step, watermark, p->far, &meets, &err);
    if (code == DF_OK)
        session_start_part(p->program, feeds, run->cancel, meets, run_prepared, run_done, run);
    if (p) program_unref(p);
    if (code == DF_OK) return;
    run_done(run, &err, NULL, 0);
    if (remote_step_is_over(s->steps, step)) settle(s, step, &err);
}

void part_decide(part_session *s, uint64_t step, uint64_t watermark, const df_error *why) {
    remote_step_close(s->steps, step, watermark);
    settle(s, step, why);
}

void part_abort(part_session *s, uint64_t step, const df_error *why) {
    mutex_lock(&s->lock);
    part_run *run = find_run(s, step);
    bool stops = run && run->state == RUNS;
    if (stops) run->n_stopping++;
    mutex_unlock(&s->lock);
    remote_step_abort(s->steps, step, why);
    if (stops) stop(s, run, why);
}

/* One after the other: each may end others. */
static part_run *next_to_end(part_session *s) {
    for (part_run *run = s->runs; run; run = run->next)
        if (!run->is_decided) return run;
    return NULL;
}

void part_session_end(part_session *s, const df_error *why) {
    (void)part_session_ref(s);
    mutex_lock(&s->lock);
    if (!s->has_ended) s->why = *why;
    s->has_ended = true;
    for (part_run *run; (run = next_to_end(s)) != NULL;) {
        uint64_t step = run->step;
        mutex_unlock(&s->lock);
        settle(s, step, why);
        remote_step_close(s->steps, step, 0);
        mutex_lock(&s->lock);
    }
    mutex_unlock(&s->lock);
    part_session_unref(s);
}
