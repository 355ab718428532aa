/* SPDX-License-Identifier: MIT
 *
 * The program: a compiled graph, ready to run, and what can be seen of it.
 */
#include "session/look.h"
#include "session/session.h"

#include "base/options.h"
#include "compile/explain.h"

#include <string.h>

/* (c), as all that it points to. */
struct df_program {
    df_session *session; /* a reference */
    df_outs feeds, fetches;
    df_nodes targets;
    arena asked;   /* what these three point to */
    bool promised; /* shapes of the feeds, which are in the plan */
    compile_result compiled;
    executor *exec;
    variable **variables; /* by the plan's numbers */
    touches touched;
};

/* ---- its life ------------------------------------------------------------ */

void df_program_free(df_program *program) {
    if (!program) return;
    df_session *s = program->session;
    const df_allocator *alloc = s->rt->alloc;
    const plan *p = program->compiled.plan;
    executor_free(program->exec);
    if (p) alloc_free(alloc, program->variables, p->n_variables * sizeof *program->variables);
    alloc_free(alloc, program->touched.reads, 2 * program->touched.words * sizeof(uint64_t));
    arena_fini(&program->asked);
    compile_result_fini(&program->compiled, alloc);
    alloc_free(alloc, program, sizeof *program);
    session_unref(s);
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
    executor_options o = {.plan = program->compiled.plan,
                          .devices = rt->devices,
                          .variables = program->variables,
                          .pool = rt->pool,
                          .host = rt->host,
                          .alloc = rt->alloc};
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
                             .fixed = s->fixed,
                             .soft_placement = s->soft_placement,
                             .strict_order = s->strict_order,
                             .parallelism = (uint32_t)rt->workers + 1,
                             .grain = rt->grain};
}

static void *copied(arena *a, const void *items, size_t n, size_t size) {
    void *copy = arena_array(a, n, size);
    if (copy && items) memcpy(copy, items, n * size); /* else NULLs, which prune refuses */
    return copy;
}

/* What was asked for, once more when it is to be explained. */
static df_code keep_request(df_program *p, df_outs feeds, df_outs fetches, df_nodes targets,
                            df_error *err) {
    arena *a = &p->asked;
    p->feeds = (df_outs){copied(a, feeds.items, feeds.n, sizeof(df_out)), feeds.n};
    p->fetches = (df_outs){copied(a, fetches.items, fetches.n, sizeof(df_out)), fetches.n};
    p->targets = (df_nodes){copied(a, targets.items, targets.n, sizeof(df_node *)), targets.n};
    if (p->feeds.items && p->fetches.items && p->targets.items) return DF_OK;
    return error_memory(err, "a program");
}

df_code session_compile(df_session *s, df_outs feeds, df_outs fetches,
                        const df_compile_options *options, df_program **out, df_error *err) {
    df_compile_options o = {.struct_size = sizeof o};
    df_code code = options_read(&o, options, "df_compile_options", err);
    if (code != DF_OK) return code;
    df_runtime *rt = s->rt;
    df_program *p = alloc_zeroed(rt->alloc, sizeof *p);
    if (!p) return error_memory(err, "a program");
    refcount_ref(&s->refs);
    p->session = s;
    arena_init(&p->asked, rt->alloc);
    code = keep_request(p, feeds, fetches, o.targets, err);
    if (code == DF_OK) {
        compile_request rq = request(p);
        p->promised = o.feed_shapes != NULL;
        rq.feed_shapes = o.feed_shapes;
        rq.plan_id = atomic_add(&rt->last_plan, 1, RELAXED) + 1;
        code = compile_program(&rq, &p->compiled, err);
    }
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
    return session_compile(session, feeds, fetches, options, out, err);
}

/* ---- running ------------------------------------------------------------- */

static df_code check_feed(const plan_feed *f, const df_tensor *t, df_error *err) {
    if (!t) return error_invalid(err, "the feed of %s is NULL", f->name);
    if (!t->is_host) return error_invalid(err, "the feed of %s is not in host memory", f->name);
    if (t->dtype == f->type.dtype && shape_fits(tensor_shape(t), edge_shape(&f->type)))
        return DF_OK;
    char is[SHAPE_TEXT_MAX], wanted[SHAPE_TEXT_MAX];
    (void)shape_print(tensor_shape(t), is, sizeof is);
    (void)shape_print(edge_shape(&f->type), wanted, sizeof wanted);
    return error_invalid(err, "the feed of %s is %s%s and must be %s%s", f->name,
                         df_dtype_name(t->dtype), is, df_dtype_name(f->type.dtype), wanted);
}

/* A kernel on an accelerator that runs a program holds up its queue: it must not wait for one, nor
 * for a step that does, as those may that have a variable first. */
static df_code check_thread(const df_program *program, df_error *err) {
    const df_runtime *rt = program->session->rt;
    const plan *p = program->compiled.plan;
    for (uint32_t d = 0; (p->queues || p->n_variables) && d < rt->n_devices; d++) {
        const df_device *device = rt->devices[d];
        if (!device->queue || !device->ops->is_inside(device->queue)) continue;
        return error_set(err, DF_FAILED_PRECONDITION,
                         "the program is run by a kernel on the thread of %s and %s: it would wait "
                         "for ever; run it from a kernel on a CPU, or from a thread of your own",
                         device->full_name, p->queues ? "uses an accelerator" : "has variables");
    }
    return DF_OK;
}

static df_code check_run(const df_program *program, df_tensors feeds, df_tensor **results,
                         df_error *err) {
    if (!program) return error_invalid(err, "the program is NULL");
    const plan *p = program->compiled.plan;
    if (p->n_fetches && !results)
        return error_invalid(err, "results is NULL; the number of fetches is %u", p->n_fetches);
    if (feeds.n != p->n_feeds)
        return error_invalid(err, "the number of feeds is %zu and must be %u", feeds.n, p->n_feeds);
    df_code code = check_thread(program, err);
    for (uint32_t i = 0; code == DF_OK && i < p->n_feeds; i++)
        code = check_feed(&p->feeds[i], feeds.items ? feeds.items[i] : NULL, err);
    return code;
}

df_code df_program_run(df_program *program, df_tensors feeds, df_tensor **results,
                       const df_run_options *options, df_error *err) {
    df_run_options o = {.struct_size = sizeof o};
    df_code code = options_read(&o, options, "df_run_options", err);
    if (code == DF_OK) code = check_run(program, feeds, results, err);
    if (code != DF_OK) {
        for (uint32_t i = 0; program && results && i < program->compiled.plan->n_fetches; i++)
            results[i] = NULL;
        return code;
    }
    tickets *t = &program->session->tickets;
    ticket mine;
    tickets_take(t, &mine, &program->touched);
    code = executor_run(program->exec, feeds.items, results, err);
    tickets_give(t, &mine);
    return code;
}

/* ---- looking at it ------------------------------------------------------- */

size_t df_program_partitions(const df_program *program) {
    return program ? program->compiled.n_partitions : 0;
}

const df_graph *df_program_partition(const df_program *program, size_t i) {
    return i < df_program_partitions(program) ? program->compiled.partitions[i].graph : NULL;
}

df_device *df_program_partition_device(const df_program *program, size_t i) {
    if (i >= df_program_partitions(program)) return NULL;
    return program->session->rt->devices[program->compiled.partitions[i].device];
}

size_t df_program_crossings(const df_program *program) {
    return program ? program->compiled.plan->n_channels : 0;
}

bool df_program_crossing(const df_program *program, size_t i, df_crossing *out) {
    if (i >= df_program_crossings(program) || !out) return false;
    const plan_channel *ch = &program->compiled.plan->channels[i];
    *out = (df_crossing){.key = ch->key, .dtype = ch->type.dtype, .shape = edge_shape(&ch->type)};
    executor_traffic(program->exec, (uint32_t)i, &out->transfers, &out->bytes);
    return true;
}

/* A NULL program has nothing to tell. */
static text text_about(const df_program *program) {
    text t;
    text_init(&t, program ? program->session->rt->alloc : NULL);
    return t;
}

size_t df_program_print(const df_program *program, char *into, size_t size) {
    text t = text_about(program);
    for (size_t i = 0; i < df_program_partitions(program); i++) {
        const compile_part *part = &program->compiled.partitions[i];
        text_add(&t, "%spartition %s:\n", i ? "\n" : "",
                 program->session->rt->plan_devices[part->device].full_name);
        graph_print(part->graph, &t);
    }
    return text_give(&t, into, size);
}

static bool explain(const df_program *program, df_explain_form form, text *t) {
    const plan *p = program->compiled.plan;
    if (form != DF_EXPLAIN_TEXT && form != DF_EXPLAIN_JSON) return false;
    df_shape *shapes = alloc_array(t->alloc, p->n_feeds, sizeof *shapes);
    if (!shapes) return false;
    for (uint32_t i = 0; i < p->n_feeds; i++) shapes[i] = edge_shape(&p->feeds[i].type);
    compile_request rq = request(program);
    rq.feed_shapes = program->promised ? shapes : NULL;
    rq.plan_id = p->id;
    df_code code = compile_explain(&rq, form == DF_EXPLAIN_JSON, t, NULL);
    alloc_free(t->alloc, shapes, p->n_feeds * sizeof *shapes);
    return code == DF_OK;
}

/* Half an explanation is none. */
size_t df_program_explain(const df_program *program, df_explain_form form, char *into,
                          size_t size) {
    text t = text_about(program);
    if (!program || !explain(program, form, &t)) text_fini(&t);
    return text_give(&t, into, size);
}

size_t df_program_dot(const df_program *program, char *into, size_t size) {
    text t = text_about(program);
    look_draw(&t, program);
    return text_give(&t, into, size);
}
