/* SPDX-License-Identifier: MIT
 *
 * Sessions over a cluster: which tasks take part, where variables are, and programs cut by task.
 *
 * All tasks of the specification that have an address are greeted; their devices, and the master's
 * own, are what the graph is placed on. Each then gets the variables that were placed on it, with
 * their first values, and of each program its part.
 */
#include "cluster/master.h"

#include <dataflow/ops.h>

#include "base/clock.h"
#include "base/options.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- devices --------------------------------------------------------------------- */

static df_code add_device(master *m, uint32_t task, uint64_t incarnation, bool has_queue,
                          const char *name, df_error *err) {
    if (m->n_devices == MOST)
        return error_set(err, DF_RESOURCE_EXHAUSTED, "the tasks have more than %d devices", MOST);
    uint32_t d = m->n_devices;
    plan_device *p = &m->devices[d];
    size_t length = strlen(m->cluster->names[task]);
    df_code code = device_name_parse(name, &p->name, err);
    if (code == DF_OK && (!device_name_is_full(&p->name) || strlen(name) >= DEVICE_NAME_MAX ||
                          strncmp(name, m->cluster->names[task], length) != 0))
        code = error_set(err, DF_DATA_LOSS, "%s: \"%.100s\" is no device of its",
                         m->cluster->names[task], name);
    if (code != DF_OK) return code;
    (void)strcpy(m->names[d], name);
    p->full_name = m->names[d];
    p->kind = p->name.kind;
    p->incarnation = incarnation;
    p->has_queue = has_queue;
    m->task_of[d] = (uint8_t)task;
    if (!has_queue && !m->tasks[task].full_name) m->tasks[task] = *p;
    if (!has_queue && task == m->cluster->self && m->client == MOST) m->client = d;
    m->n_devices++;
    return DF_OK;
}

/* What a greeting tells: lines of incarnation, whether it has queues, and name. */
static df_code read_devices(master *m, uint32_t task, const char *words, size_t size,
                            df_error *err) {
    df_code code = DF_OK;
    const char *at = words, *end = words + size;
    while (code == DF_OK && at < end) {
        char one[DEVICE_NAME_MAX + 32], name[DEVICE_NAME_MAX];
        uint64_t incarnation;
        int has_queue;
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t n = stop ? (size_t)(stop - at) : sizeof one;
        if (n >= sizeof one) return error_set(err, DF_DATA_LOSS, "a greeting that is none");
        memcpy(one, at, n);
        one[n] = '\0';
        if (sscanf(one, "%" SCNx64 " %d %159s", &incarnation, &has_queue, name) != 3)
            return error_set(err, DF_DATA_LOSS, "a greeting that is none");
        code = add_device(m, task, incarnation, has_queue, name, err);
        at = stop + 1;
    }
    if (code == DF_OK && !m->tasks[task].full_name)
        code = error_invalid(err, "%s has no CPU", m->cluster->names[task]);
    return code;
}

static df_code add_own_devices(master *m, df_error *err) {
    size_t n;
    char *words = cluster_devices(m->cluster, &n);
    if (!words) return error_memory(err, "a session");
    df_code code = read_devices(m, m->cluster->self, words, n, err);
    alloc_free(m->cluster->rt->alloc, words, n + 1);
    return code;
}

bool master_asks(const master *m, uint32_t task) {
    return task != m->cluster->self && m->cluster->spec->tasks[task].address;
}

void master_greet(master *m, asking *a, question *q, uint32_t task) {
    wire_out w = ask_begin(q, m, task, KIND_HELLO);
    greet_put(m->cluster, &w);
    ask(a, q, &w, (df_segments){NULL, 0});
}

static df_code learn(master *m, question *q, df_error *err) {
    if (!q->answer || !q->number)
        return error_set(err, DF_DATA_LOSS, "%s: a greeting that is none",
                         m->cluster->names[q->task]);
    remote_peer_is(remote_peer_at(m->cluster->remote, q->task), q->number);
    m->incarnations[q->task] = q->number;
    return read_devices(m, q->task, q->answer->data, q->answer->bytes, err);
}

/* Those that have not answered yet. */
static df_code greet_missing(master *m, asking *a, question *qs, uint64_t timeout, df_error *err) {
    for (uint32_t t = 0; t < m->n_tasks; t++)
        if (master_asks(m, t) && !qs[t].answer) master_greet(m, a, &qs[t], t);
    return ask_await(a, qs, m->n_tasks, timeout, err);
}

/* They may be about to start: as long as nobody listens there, once more after a while. */
static df_code greet_all(master *m, asking *a, question *qs, df_error *err) {
    df_cluster *c = m->cluster;
    const uint64_t nap = UINT64_C(50000000), until = clock_after(c->o.timeout);
    df_error why = {.code = DF_OK};
    df_code code = DF_UNAVAILABLE;
    for (uint64_t now; code == DF_UNAVAILABLE && (now = clock_now()) < until;) {
        if (why.code != DF_OK) ask_nap(a, nap);
        code = greet_missing(m, a, qs, until - now, &why);
    }
    if (code != DF_OK && err) *err = why;
    for (uint32_t t = 0; code == DF_OK && t < m->n_tasks; t++)
        code = t == c->self        ? add_own_devices(m, err)
               : master_asks(m, t) ? learn(m, &qs[t], err)
                                   : DF_OK;
    for (uint32_t t = 0; t < m->n_tasks; t++) df_tensor_unref(qs[t].answer);
    return code;
}

/* ---- variables --------------------------------------------------------------------- */

/* Those of a task, as the text of a graph; their values beside. */
static df_code describe(master *m, df_session *values, uint32_t task, text *words, pack_item *items,
                        size_t *n, df_error *err) {
    const df_session *s = m->session;
    df_graph *g = df_graph_new(m->cluster->rt);
    if (!g) return error_memory(err, "a session");
    for (uint32_t v = 0; v < s->n_variables; v++) {
        const variable *var = &s->variables[v];
        if (m->task_of[var->device] != task) continue;
        df_graph_on(g, m->devices[var->device].full_name);
        df_graph_name(g, var->name);
        (void)df_variable(g, var->name, var->type->dtype, edge_shape(var->type));
        items[(*n)++] = (pack_item){.tensor = values->variables[v].value};
    }
    df_code code = df_graph_error(g, err);
    if (code == DF_OK) graph_print(g, words);
    df_graph_free(g);
    if (code == DF_OK && words->failed) code = error_memory(err, "a session");
    return code;
}

void master_put_incarnations(const master *m, wire_out *w) {
    for (uint32_t t = 0; t < m->n_tasks; t++)
        wire_put(w, remote_peer_incarnation(remote_peer_at(m->cluster->remote, t)), 8);
}

df_code master_open_part(master *m, asking *a, question *q, uint32_t task, df_session *values,
                         pack *packed, text *words, df_error *err) {
    df_cluster *c = m->cluster;
    size_t n = 1, room = (size_t)m->session->n_variables + 1;
    pack_item *items = alloc_array(c->rt->alloc, room, sizeof *items);
    if (!items) return error_memory(err, "a session");
    df_code code = describe(m, values, task, words, items, &n, err);
    items[0] = (pack_item){.bytes = words->data, .n_bytes = words->data ? strlen(words->data) : 0};
    if (code == DF_OK && task == c->self) {
        df_tensor *first[PACK_MOST];
        for (size_t i = 1; i < n && i <= PACK_MOST; i++) first[i - 1] = items[i].tensor;
        part_session_options o = {.rt = c->rt,
                                  .remote = c->remote,
                                  .id = m->id,
                                  .master = c->self,
                                  .words = words->data,
                                  .size = items[0].n_bytes,
                                  .values = first,
                                  .n_values = n - 1};
        code = n > PACK_MOST ? error_invalid(err, "more than %d variables on one task", PACK_MOST)
                             : part_session_new(&o, &m->own, err);
    } else if (code == DF_OK) {
        code = pack_make(c->rt->alloc, items, n, packed, err);
        if (code == DF_OK) {
            wire_out w = ask_begin(q, m, task, KIND_CREATE);
            wire_put(&w, m->id, 8);
            master_put_incarnations(m, &w);
            ask(a, q, &w, packed->segments);
        }
    }
    alloc_free(c->rt->alloc, items, room * sizeof *items);
    return code;
}

static df_code open_parts(master *m, opening *o, df_session *values, df_error *err) {
    df_code code = DF_OK;
    uint32_t t = 0;
    for (; code == DF_OK && t < m->n_tasks; t++) {
        text_init(&o->words[t], m->cluster->rt->alloc);
        o->qs[t] = (question){.of = NULL};
        if (t != m->cluster->self && !master_asks(m, t)) continue;
        code =
            master_open_part(m, &o->asking, &o->qs[t], t, values, &o->packs[t], &o->words[t], err);
    }
    df_error late;
    df_code ended = ask_await(&o->asking, o->qs, t, m->cluster->o.timeout, &late);
    if (code == DF_OK && ended != DF_OK) {
        code = ended;
        if (err) *err = late;
    }
    while (t--) {
        text_fini(&o->words[t]);
        pack_free(&o->packs[t]);
        df_tensor_unref(o->qs[t].answer);
        m->joined[t] = master_asks(m, t);
    }
    return code;
}

compile_request master_request(const master *m) {
    const df_session *s = m->session;
    return (compile_request){.graph = s->graph,
                             .alloc = s->rt->alloc,
                             .devices = m->devices,
                             .n_devices = m->n_devices,
                             .client = m->client,
                             .fixed = s->fixed,
                             .soft_placement = s->soft_placement,
                             .strict_order = s->strict_order,
                             .parallelism = 1};
}

static df_code place_variables(master *m, df_error *err) {
    df_session *s = m->session;
    const df_graph *g = s->graph;
    uint32_t n = 0;
    for (size_t i = 0; i < g->n_nodes; i++) n += (g->nodes[i]->op->flags & OP_VARIABLE) != 0;
    s->fixed = alloc_array(s->rt->alloc, g->n_nodes, sizeof *s->fixed);
    s->variable_of = alloc_array(s->rt->alloc, g->n_nodes, sizeof *s->variable_of);
    s->variables = alloc_array(s->rt->alloc, n, sizeof *s->variables);
    if (s->variables) s->n_variables = n;
    if (!s->fixed || !s->variable_of || !s->variables) return error_memory(err, "variables");
    compile_request rq = master_request(m);
    rq.fixed = NULL;
    df_code code = compile_place_variables(&rq, s->fixed, err);
    for (size_t i = 0, at = 0; code == DF_OK && i < g->n_nodes; i++) {
        s->variable_of[i] = PLAN_NONE;
        if (!(g->nodes[i]->op->flags & OP_VARIABLE)) continue;
        s->variable_of[i] = (int32_t)at;
        s->variables[at++] = (variable){.name = g->nodes[i]->name,
                                        .type = g->nodes[i]->outputs,
                                        .device = (uint32_t)s->fixed[i]};
    }
    return code;
}

/* First values are computed here: in a session of this process, whose variables are in the same
 * order. */
static df_code first_values(master *m, df_session **values, df_error *err) {
    df_session_options o = {.struct_size = sizeof o, .soft_placement = true};
    if (!m->session->n_variables) return DF_OK;
    df_code code = df_session_new(m->session->graph, &o, values, err);
    if (code != DF_OK) error_prefix(err, "first values, here: ");
    return code;
}

/* ---- sessions ------------------------------------------------------------------------ */

static void master_free(master *m) {
    df_cluster *c = m->cluster;
    steps_forget(m);
    part_session_unref(m->own);
    condition_fini(&m->idle);
    mutex_fini(&m->lock);
    alloc_free(c->rt->alloc, m, sizeof *m);
    cluster_unref(c);
}

static df_code master_new(df_session *s, df_cluster *c, df_error *err) {
    master *m = alloc_zeroed(c->rt->alloc, sizeof *m);
    bool locks = m && mutex_init(&m->lock);
    if (!locks || !condition_init(&m->idle)) {
        if (locks) mutex_fini(&m->lock);
        alloc_free(c->rt->alloc, m, sizeof *m);
        return error_memory(err, "a session");
    }
    m->session = s;
    m->cluster = cluster_ref(c);
    m->n_tasks = (uint32_t)c->spec->n_tasks;
    m->client = MOST;
    m->id = runtime_draw();
    s->master = m;
    s->calls = &master_calls;
    mutex_lock(&c->lock);
    bool leaving = c->leaving;
    m->next = c->masters;
    c->masters = m;
    mutex_unlock(&c->lock);
    return leaving ? error_set(err, DF_FAILED_PRECONDITION, "this task has left the cluster")
                   : DF_OK;
}

static df_code fill(master *m, df_error *err) {
    const df_allocator *alloc = m->cluster->rt->alloc;
    opening *o = alloc_zeroed(alloc, sizeof *o);
    if (!o || !asking_init(&o->asking)) {
        alloc_free(alloc, o, sizeof *o);
        return error_memory(err, "a session");
    }
    df_session *values = NULL;
    df_code code = greet_all(m, &o->asking, o->qs, err);
    if (code == DF_OK) code = place_variables(m, err);
    if (code == DF_OK) code = first_values(m, &values, err);
    if (code == DF_OK) code = open_parts(m, o, values, err);
    df_session_free(values);
    asking_fini(&o->asking);
    alloc_free(alloc, o, sizeof *o);
    return code;
}

static df_code open(df_graph *graph, const df_session_options *options, df_session **out,
                    df_error *err) {
    df_cluster *c = options->cluster;
    if (c->rt != graph->owner)
        return error_invalid(err, "the graph's runtime is not the task of the cluster");
    if (options->rendezvous)
        return error_invalid(err, "a session of a cluster has no rendezvous of the program's own");
    df_session *s = session_empty(c->rt, graph);
    if (!s) return error_memory(err, "a session");
    s->soft_placement = options->soft_placement;
    s->strict_order = options->strict_order;
    s->group = session_group_new(c->rt->alloc);
    df_code code = s->group ? master_new(s, c, err) : error_memory(err, "a session");
    if (code == DF_OK) code = fill(s->master, err);
    if (code == DF_OK) {
        graph_freeze(graph);
        *out = s;
    } else {
        df_session_free(s);
    }
    return code;
}

/* ---- words to all tasks that only a leave waits for ------------------------------------- */

/* One message to one task, which frees itself. */
typedef struct notice {
    remote_call call; /* first */
    df_cluster *c;    /* a reference */
    unsigned char meta[REMOTE_HEAD + 24 + FRAME_ERROR_MAX];
} notice;

static void notice_ended(remote_call *call, const df_error *err) {
    notice *n = (notice *)call;
    df_cluster *c = n->c;
    (void)err;
    alloc_free(c->rt->alloc, n, sizeof *n);
    mutex_lock(&c->lock);
    c->n_notices--;
    condition_broadcast(&c->changed);
    mutex_unlock(&c->lock);
    cluster_unref(c);
}

static df_code no_place(df_call *call, const df_arrival *reply, df_segments *place, df_error *err) {
    (void)call;
    (void)err;
    *place = (df_segments){NULL, 0};
    return reply->payload_bytes ? DF_DATA_LOSS : DF_OK;
}

/* Without memory nobody is told: heartbeats, and the end of the process, tell them. */
void master_notify(master *m, uint32_t task, unsigned kind, uint64_t program, const df_error *why) {
    df_cluster *c = m->cluster;
    notice *n = alloc_zeroed(c->rt->alloc, sizeof *n);
    if (!n) return;
    n->c = cluster_ref(c);
    mutex_lock(&c->lock);
    c->n_notices++;
    mutex_unlock(&c->lock);
    n->call.ended = notice_ended;
    n->call.base.on_meta = no_place;
    wire_out w = remote_meta(remote_peer_at(c->remote, task), kind, n->meta, sizeof n->meta);
    wire_put(&w, m->id, 8);
    if (kind == KIND_FORGET)
        wire_put(&w, program, 8);
    else
        wire_put_error(&w, why);
    remote_send(remote_peer_at(c->remote, task), &n->call, n->meta, &w, sizeof n->meta,
                (df_segments){NULL, 0});
}

static void end(df_session *s, const df_error *why) {
    steps_end(s->master, NULL, why);
}

static bool await_runs(df_session *s, uint64_t until) {
    return steps_await(s->master, until);
}

/* Once: as it is freed, or as its master leaves. */
static void close_parts(master *m, const df_error *why) {
    df_cluster *c = m->cluster;
    mutex_lock(&c->lock);
    bool first = !m->is_closed;
    m->is_closed = true;
    mutex_unlock(&c->lock);
    for (uint32_t t = 0; first && t < m->n_tasks; t++)
        if (m->joined[t]) master_notify(m, t, KIND_CLOSE, 0, why);
}

/* The last reference of the session has gone: no run goes on. */
static void close(df_session *s) {
    master *m = s->master;
    df_cluster *c = m->cluster;
    df_error why;
    (void)error_set(&why, DF_CANCELLED, "the session was freed");
    mutex_lock(&c->lock);
    master **at = &c->masters;
    while (*at && *at != m) at = &(*at)->next;
    if (*at) *at = m->next;
    mutex_unlock(&c->lock);
    close_parts(m, &why);
    if (m->own) part_session_end(m->own, &why);
    master_free(m);
}

/* One after the other, each once: those that have not been visited. Its session is held. */
static master *next_master(df_cluster *c, uint64_t visit) {
    mutex_lock(&c->lock);
    master *m = c->masters;
    while (m && (m->visited == visit || !refcount_try(&m->session->refs))) m = m->next;
    if (m) m->visited = visit;
    mutex_unlock(&c->lock);
    return m;
}

/* handle NULL: this task leaves. */
static void end_all(df_cluster *c, const df_cancel *handle, const df_error *why) {
    mutex_lock(&c->lock);
    uint64_t visit = ++c->last_visit;
    mutex_unlock(&c->lock);
    for (master *m; (m = next_master(c, visit)) != NULL;) {
        df_session *s = m->session;
        steps_end(m, handle, why);
        if (!handle) close_parts(m, why);
        session_unref(s);
    }
}

void masters_end(df_cluster *c, const df_error *why) {
    end_all(c, NULL, why);
}

/* ---- what a session asks of this -------------------------------------------------------- */

static void hold_cluster(session_cluster *c) {
    (void)cluster_ref((df_cluster *)c);
}

static void cancel(session_cluster *c, df_cancel *handle, const df_error *why) {
    end_all((df_cluster *)c, handle, why);
}

static void release_cluster(session_cluster *c) {
    cluster_unref((df_cluster *)c);
}

const session_calls master_calls = {.open = open,
                                    .end = end,
                                    .await = await_runs,
                                    .close = close,
                                    .compile = programs_compile,
                                    .forget = programs_forget,
                                    .run = steps_run,
                                    .start = steps_start,
                                    .parts = programs_parts,
                                    .part = programs_part,
                                    .read = save_read,
                                    .write = save_write,
                                    .hold = hold_cluster,
                                    .cancel = cancel,
                                    .release = release_cluster};
