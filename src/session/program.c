/* SPDX-License-Identifier: MIT
 *
 * The program: a compiled graph, ready to run, and what can be seen of it.
 */
#include "session/look.h"
#include "session/session.h"

#include "base/clock.h"
#include "base/options.h"
#include "compile/explain.h"

#include <stddef.h>
#include <string.h>

struct df_program {
    refcount refs; /* as program_head; the rest is (c) */
    df_session *session;
    df_outs feeds, fetches;
    df_nodes targets;
    const char *const *feed_devices, *const *fetch_devices; /* NULL: none say */
    arena asked;                                            /* what these point to */
    uint64_t id;                                            /* the plan's */
    df_shape *shapes; /* promised for the feeds; NULL: none are */
    compile_result compiled;
    /* (a) Its partitions, one a device that is used, once somebody looks; release and acquire:
     *   A  makes the graphs, puts them here
     *   B  finds them here, reads them: A's writes must be done */
    _Atomic(df_graph **) partitions;
    executor *exec;
    variable **variables; /* by the plan's numbers */
    touches touched;
};

_Static_assert(offsetof(struct df_program, session) == offsetof(program_head, session), "head");

/* ---- its life ------------------------------------------------------------ */

static void drop_partitions(const df_program *program, df_graph **partitions) {
    size_t n = df_program_partitions(program);
    for (size_t i = 0; partitions && i < n; i++) graph_unref(partitions[i]);
    alloc_free(program->session->rt->alloc, partitions, n * sizeof(df_graph *));
}

static void hold(void *owner) {
    df_program *program = owner;
    refcount_ref(&program->refs);
}

static void release(void *owner) {
    df_program *program = owner;
    if (!refcount_unref(&program->refs)) return;
    df_session *s = program->session;
    const df_allocator *alloc = s->rt->alloc;
    const plan *p = program->compiled.plan;
    executor_free(program->exec);
    if (p) alloc_free(alloc, program->variables, p->n_variables * sizeof *program->variables);
    alloc_free(alloc, program->touched.reads, 2 * program->touched.words * sizeof(uint64_t));
    drop_partitions(program, atomic_get(&program->partitions, RELAXED));
    arena_fini(&program->asked);
    plan_free(program->compiled.plan);
    alloc_free(alloc, program, sizeof *program);
    session_unref(s);
}

void session_drop_program(df_program *program) {
    if (program) release(program);
}

void df_program_free(df_program *program) {
    if (!program) return;
    df_runtime *rt = runtime_ref(program->session->rt);
    if (calls_of(program))
        calls_of(program)->forget(program);
    else
        release(program);
    runtime_leave(rt);
}

static df_code bind_variables(df_program *program, df_error *err) {
    df_session *s = program->session;
    const plan *p = program->compiled.plan;
    touches *t = &program->touched;
    t->words = ((size_t)s->n_variables + 63) / 64;
    t->reads = alloc_array(s->rt->alloc, 2 * t->words, sizeof *t->reads);
    program->variables = alloc_array(s->rt->alloc, p->n_variables, sizeof *program->variables);
    if (!t->reads || !program->variables) return error_memory(err, "a program");
    t->writes = t->reads + t->words;
    t->any = p->n_variables > 0;
    for (uint32_t i = 0; i < p->n_variables; i++) {
        uint32_t v = (uint32_t)s->variable_of[p->variables[i]];
        uint64_t *set = p->writes[i] ? t->writes : t->reads;
        set[v / 64] |= UINT64_C(1) << v % 64;
        program->variables[i] = &s->variables[v];
    }
    return DF_OK;
}

static df_code make_executor(df_program *program, df_error *err) {
    df_runtime *rt = program->session->rt;
    const plan *p = program->compiled.plan;
    df_code code = DF_OK;
    for (uint32_t i = 0; code == DF_OK && i < p->n_constants; i++)
        if (p->constants[i].memory != DF_MEMORY_HOST)
            code = runtime_may_wait(rt, "compiles a program with a constant to be copied", err);
    if (code != DF_OK) return code;
    executor_options o = {.plan = program->compiled.plan,
                          .devices = rt->devices,
                          .variables = program->variables,
                          .touches = &program->touched,
                          .pool = rt->pool,
                          .host = rt->host,
                          .alloc = rt->alloc,
                          .group = program->session->group,
                          .is_part = program->session->base != NULL,
                          .hold = hold,
                          .release = release,
                          .owner = program};
    return executor_new(&o, &program->exec, err);
}

static compile_request request(const df_program *program) {
    const df_session *s = program->session;
    df_runtime *rt = s->rt;
    return (compile_request){.graph = s->graph,
                             .alloc = rt->alloc,
                             .devices = rt->plan_devices,
                             .n_devices = rt->n_devices,
                             .client = rt->client,
                             .feeds = program->feeds,
                             .fetches = program->fetches,
                             .targets = program->targets,
                             .feed_devices = program->feed_devices,
                             .fetch_devices = program->fetch_devices,
                             .fixed = s->fixed,
                             .soft_placement = s->soft_placement,
                             .strict_order = s->strict_order,
                             .feed_shapes = program->shapes,
                             .plan_id = program->id,
                             .is_foreign = s->base || s->group->factory.create,
                             .parallelism = (uint32_t)pool_helpers(rt->pool) + 1,
                             .grain = rt->grain};
}

static void *copied(arena *a, const void *items, size_t n, size_t size) {
    void *copy = arena_array(a, n, size);
    if (copy && items) memcpy(copy, items, n * size); /* else NULLs, which prune refuses */
    return copy;
}

/* False: out of memory. */
static bool keep_names(arena *a, const char *const *names, size_t n, const char *const **out) {
    if (!names) return true;
    const char **copy = arena_array(a, n, sizeof *copy);
    for (size_t i = 0; copy && i < n; i++)
        copy[i] = names[i] ? copied(a, names[i], strlen(names[i]) + 1, 1) : NULL;
    *out = copy;
    return !a->failed;
}

/* What was asked for, once more when it is to be explained. */
static df_code keep_request(df_program *p, df_outs feeds, df_outs fetches,
                            const df_compile_options *o, df_error *err) {
    arena *a = &p->asked;
    df_nodes targets = o->targets;
    p->feeds = (df_outs){copied(a, feeds.items, feeds.n, sizeof(df_out)), feeds.n};
    p->fetches = (df_outs){copied(a, fetches.items, fetches.n, sizeof(df_out)), fetches.n};
    p->targets = (df_nodes){copied(a, targets.items, targets.n, sizeof(df_node *)), targets.n};
    bool ok = p->feeds.items && p->fetches.items && p->targets.items &&
              keep_names(a, o->feed_devices, feeds.n, &p->feed_devices) &&
              keep_names(a, o->fetch_devices, fetches.n, &p->fetch_devices);
    return ok ? DF_OK : error_memory(err, "a program");
}

/* As the plan has them. */
static df_code keep_shapes(df_program *p, df_error *err) {
    p->shapes = arena_array(&p->asked, p->feeds.n, sizeof *p->shapes);
    if (!p->shapes) return error_memory(err, "a program");
    for (size_t i = 0; i < p->feeds.n; i++)
        p->shapes[i] = edge_shape(&p->compiled.plan->feeds[i].type);
    return DF_OK;
}

df_code session_compile(df_session *s, df_outs feeds, df_outs fetches,
                        const df_compile_options *options, df_program **out, df_error *err) {
    df_compile_options o = {.struct_size = sizeof o};
    df_code code = options_read(&o, options, "df_compile_options", err);
    if (code != DF_OK) return code;
    df_runtime *rt = s->rt;
    df_program *p = alloc_zeroed(rt->alloc, sizeof *p);
    if (!p) return error_memory(err, "a program");
    refcount_init(&p->refs);
    refcount_ref(&s->refs);
    p->session = s;
    runtime_enter(rt);
    arena_init(&p->asked, rt->alloc);
    code = keep_request(p, feeds, fetches, &o, err);
    if (code == DF_OK) {
        p->id = atomic_add(&rt->last_plan, 1, RELAXED) + 1;
        compile_request rq = request(p);
        rq.feed_shapes = o.feed_shapes;
        code = compile_program(&rq, &p->compiled, err);
    }
    if (code == DF_OK && o.feed_shapes) code = keep_shapes(p, err);
    if (code == DF_OK) code = bind_variables(p, err);
    if (code == DF_OK) code = make_executor(p, err);
    if (code == DF_OK)
        *out = p;
    else
        df_program_free(p);
    return code;
}

df_code df_session_compile(df_session *session, df_outs feeds, df_outs fetches,
                           const df_compile_options *options, df_program **out, df_error *err) {
    if (!session) return error_invalid(err, "the session is NULL");
    if (!out) return error_no_out(err);
    df_code code = session_check_open(session, err);
    if (code != DF_OK) return code;
    if (session->calls) return session->calls->compile(session, feeds, fetches, options, out, err);
    return session_compile(session, feeds, fetches, options, out, err);
}

/* ---- running ------------------------------------------------------------- */

static df_code check_feed(const df_runtime *rt, const plan_feed *f, const df_tensor *t,
                          df_error *err) {
    const df_device *d = f->device == PLAN_NONE ? NULL : rt->devices[f->device];
    if (!t) return error_invalid(err, "the feed of %.200s is NULL", f->name);
    bool elsewhere =
        d && (t->is_host != device_is_host(d) || (!t->is_host && t->buf->mem != d->mem));
    if (elsewhere)
        return error_invalid(
            err,
            "the feed of %.150s does not lie %s%s: df_device_copy brings it there, and "
            "df_compile_options.feed_devices says where it may lie",
            f->name, device_is_host(d) ? "in host memory" : "on ",
            device_is_host(d) ? "" : d->full_name);
    if (t->dtype == f->type.dtype && shape_fits(tensor_shape(t), edge_shape(&f->type)))
        return DF_OK;
    char is[SHAPE_TEXT_MAX], wanted[SHAPE_TEXT_MAX];
    (void)shape_print(tensor_shape(t), is, sizeof is);
    (void)shape_print(edge_shape(&f->type), wanted, sizeof wanted);
    return error_invalid(err, "the feed of %.200s is %s%s and must be %s%s", f->name,
                         df_dtype_name(t->dtype), is, df_dtype_name(f->type.dtype), wanted);
}

static df_code check_thread(const df_program *program, df_error *err) {
    const plan *p = program->compiled.plan;
    const char *does =
        p->queues ? "runs a program that uses an accelerator" : "runs a program that has variables";
    if (!p->queues && !p->n_variables) return DF_OK;
    return runtime_may_wait(program->session->rt, does, err);
}

static df_code check_run(const df_program *program, df_tensors feeds, bool waits, df_error *err) {
    const plan *p = program->compiled.plan;
    if (feeds.n != p->n_feeds)
        return error_invalid(err, "the number of feeds is %zu and must be %u", feeds.n, p->n_feeds);
    df_code code = waits ? check_thread(program, err) : DF_OK;
    for (uint32_t i = 0; code == DF_OK && i < p->n_feeds; i++)
        code = check_feed(program->session->rt, &p->feeds[i], feeds.items ? feeds.items[i] : NULL,
                          err);
    return code;
}

static bool has_room(const df_program *program, df_tensor **results, const df_span *into) {
    if (results) return true;
    for (uint32_t i = 0; i < program->compiled.plan->n_fetches; i++)
        if (!into || !into[i].data) return false;
    return true;
}

/* What there is to be done; stats that say that nothing was, also if it is refused. */
static df_code read_run(const df_program *program, df_tensors feeds, const df_run_options *options,
                        bool waits, run_request *rq, df_error *err) {
    *rq = (run_request){.feeds = feeds.items};
    if (!options) return check_run(program, feeds, waits, err);
    df_run_options o = {.struct_size = sizeof o};
    df_code code = options_read(&o, options, "df_run_options", err);
    if (code != DF_OK) return code;
    rq->cancel = o.cancel;
    rq->into = o.into;
    rq->stats = o.stats;
    if (o.stats && o.stats->struct_size < sizeof *o.stats)
        return error_invalid(err,
                             "df_run_stats: struct_size is %zu; set it to sizeof(df_run_stats)",
                             o.stats->struct_size);
    rq->timed = o.stats && o.stats->timed;
    if (o.stats) rq->room = account_none(program->exec, o.stats);
    if (o.timeout) rq->deadline = clock_after(o.timeout);
    code = session_check_cancel(program->session, o.cancel, err);
    return code == DF_OK ? check_run(program, feeds, waits, err) : code;
}

df_code df_program_run(df_program *program, df_tensors feeds, df_tensor **results,
                       const df_run_options *options, df_error *err) {
    run_request rq;
    if (!program) return error_invalid(err, "the program is NULL");
    if (calls_of(program)) return calls_of(program)->run(program, feeds, results, options, err);
    size_t n = program->compiled.plan->n_fetches;
    for (size_t i = 0; results && i < n; i++) results[i] = NULL;
    df_code code = read_run(program, feeds, options, true, &rq, err);
    if (code != DF_OK) return code;
    if (!has_room(program, results, rq.into))
        return error_invalid(err, "results is NULL; the number of fetches is %zu", n);
    return executor_run(program->exec, &rq, results, err);
}

void df_program_start(df_program *program, df_tensors feeds, const df_run_options *options,
                      df_run_done done, void *user) {
    run_request rq;
    df_error err;
    if (!done) return;
    if (program && calls_of(program)) {
        calls_of(program)->start(program, feeds, options, done, user);
        return;
    }
    df_code code = program ? read_run(program, feeds, options, false, &rq, &err)
                           : error_invalid(&err, "the program is NULL");
    if (code != DF_OK) {
        done(user, &err, NULL, 0);
        return;
    }
    rq.done = done;
    rq.user = user;
    executor_start(program->exec, &rq);
}

const df_key *const *session_part_keys(const df_program *program, const plan **p) {
    *p = program->compiled.plan;
    return executor_keys(program->exec);
}

void session_start_part(df_program *program, df_tensors feeds, df_cancel *cancel,
                        df_rendezvous *meets,
                        void (*prepared)(void *user, struct step *s, df_tensor *const *results,
                                         size_t n),
                        df_run_done done, void *user) {
    df_error err;
    if (check_run(program, feeds, false, &err) != DF_OK) {
        df_rendezvous_unref(meets);
        done(user, &err, NULL, 0);
        return;
    }
    executor_start(program->exec, &(run_request){.feeds = feeds.items,
                                                 .cancel = cancel,
                                                 .meets = meets,
                                                 .prepared = prepared,
                                                 .done = done,
                                                 .user = user});
}

/* ---- cancelling ------------------------------------------------------------ */

typedef struct session_cancel {
    df_cancel base; /* first */
    df_runtime *rt; /* (c) a reference */
} session_cancel;

static void cancel_free(df_cancel *c) {
    df_runtime *rt = ((session_cancel *)c)->rt;
    alloc_free(rt->alloc, c, sizeof(session_cancel));
    runtime_unref(rt);
}

df_code df_cancel_new(df_runtime *runtime, df_cancel **out, df_error *err) {
    if (!runtime) return error_invalid(err, "the runtime is NULL");
    if (!out) return error_no_out(err);
    session_cancel *c = alloc_zeroed(runtime->alloc, sizeof *c);
    if (!c) return error_memory(err, "a cancel handle");
    refcount_init(&c->base.refs);
    c->base.free = cancel_free;
    c->rt = runtime_ref(runtime);
    *out = &c->base;
    return DF_OK;
}

df_code session_check_cancel(const df_session *s, const df_cancel *cancel, df_error *err) {
    if (!cancel || ((const session_cancel *)cancel)->rt == s->rt) return DF_OK;
    return error_invalid(err, "df_run_options.cancel is a handle of another runtime: make it with "
                              "df_cancel_new of the program's own");
}

void df_cancel_fire(df_cancel *cancel) {
    df_error why;
    if (!cancel || atomic_swap(&cancel->is_fired, 1, RELAXED)) return;
    (void)error_set(&why, DF_CANCELLED, "the run was cancelled");
    df_runtime *rt = ((session_cancel *)cancel)->rt;
    runs_end(rt->pool, NULL, cancel, &why);
    mutex_lock(&rt->lock);
    session_cluster *c = rt->cluster;
    if (c) c->calls->hold(c);
    mutex_unlock(&rt->lock);
    if (!c) return;
    c->calls->cancel(c, cancel, &why);
    c->calls->release(c);
}

void df_cancel_free(df_cancel *cancel) {
    cancel_unref(cancel);
}

/* ---- looking at it ------------------------------------------------------- */

size_t df_program_partitions(const df_program *program) {
    if (program && calls_of(program)) return calls_of(program)->parts(program);
    return program ? (size_t)__builtin_popcountll(program->compiled.used) : 0;
}

/* NULL: out of memory. Two threads may make them at once; one of them for nothing. */
static df_graph *const *partitions_of(df_program *program) {
    df_graph **there = atomic_get(&program->partitions, ACQUIRE);
    if (there) return there;
    const df_allocator *alloc = program->session->rt->alloc;
    df_graph **made = alloc_array(alloc, df_program_partitions(program), sizeof *made);
    compile_request rq = request(program);
    bool ok = made && compile_look(&rq, made, NULL) == DF_OK;
    if (ok && atomic_cas(&program->partitions, &there, made, RELEASE, ACQUIRE)) return made;
    drop_partitions(program, made);
    return there;
}

const df_graph *df_program_partition(const df_program *program, size_t i) {
    if (i >= df_program_partitions(program)) return NULL;
    if (calls_of(program)) return calls_of(program)->part(program, i, NULL);
    df_graph *const *all = partitions_of((df_program *)(uintptr_t)program);
    return all ? all[i] : NULL;
}

static uint32_t partition_device(const df_program *program, size_t i) {
    uint64_t used = program->compiled.used;
    while (i--) used &= used - 1;
    return (uint32_t)__builtin_ctzll(used);
}

df_device *df_program_partition_device(const df_program *program, size_t i) {
    if (i >= df_program_partitions(program) || calls_of(program)) return NULL;
    return program->session->rt->devices[partition_device(program, i)];
}

size_t df_program_crossings(const df_program *program) {
    return program && !calls_of(program) ? program->compiled.plan->n_channels : 0;
}

bool df_program_crossing(const df_program *program, size_t i, df_crossing *out) {
    if (i >= df_program_crossings(program) || !out) return false;
    const plan_channel *ch = &program->compiled.plan->channels[i];
    *out = (df_crossing){.key = ch->key, .dtype = ch->type->dtype, .shape = edge_shape(ch->type)};
    executor_traffic(program->exec, (uint32_t)i, &out->transfers, &out->bytes);
    return true;
}

/* A NULL program has nothing to tell. */
static text text_about(const df_program *program) {
    text t;
    text_init(&t, program ? program->session->rt->alloc : NULL);
    return t;
}

/* Of its device, or of the task that has it. */
static const char *partition_name(const df_program *program, size_t i) {
    const char *name = "";
    if (!calls_of(program))
        return program->session->rt->plan_devices[partition_device(program, i)].full_name;
    (void)calls_of(program)->part(program, i, &name);
    return name;
}

size_t df_program_print(const df_program *program, char *into, size_t size) {
    text t = text_about(program);
    for (size_t i = 0; i < df_program_partitions(program); i++) {
        const df_graph *g = df_program_partition(program, i);
        t.failed |= !g;
        if (!g) break;
        text_add(&t, "%spartition %s:\n", i ? "\n" : "", partition_name(program, i));
        graph_print(g, &t);
    }
    return text_give(&t, into, size);
}

/* Half an explanation is none. */
size_t df_program_explain(const df_program *program, df_explain_form form, char *into,
                          size_t size) {
    text t = text_about(program);
    bool known = form == DF_EXPLAIN_TEXT || form == DF_EXPLAIN_JSON;
    if (program && known && !calls_of(program)) {
        compile_request rq = request(program);
        if (compile_explain(&rq, form == DF_EXPLAIN_JSON, &t, NULL) != DF_OK) text_fini(&t);
    }
    return text_give(&t, into, size);
}

size_t df_program_dot(const df_program *program, char *into, size_t size) {
    text t = text_about(program);
    look_draw(&t, program);
    return text_give(&t, into, size);
}
