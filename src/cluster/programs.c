/* SPDX-License-Identifier: MIT
 *
 * Programs of a session over a cluster: cut by task, and each part with its task.
 */
#include "cluster/master.h"

#include "base/options.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>

void program_hold(cluster_program *p) {
    refcount_ref(&p->head.refs);
}

static void enter(master *m, cluster_program *p) {
    mutex_lock(&m->lock);
    p->next = m->programs;
    p->link = &m->programs;
    if (p->next) p->next->link = &p->next;
    m->programs = p;
    mutex_unlock(&m->lock);
}

static void leave(master *m, cluster_program *p) {
    mutex_lock(&m->lock);
    if (p->link) {
        *p->link = p->next;
        if (p->next) p->next->link = p->link;
    }
    mutex_unlock(&m->lock);
}

void program_release(cluster_program *p) {
    if (!refcount_unref(&p->head.refs)) return;
    master *m = p->master;
    df_session *s = p->head.session;
    const df_allocator *alloc = s->rt->alloc;
    leave(m, p);
    for (uint32_t i = 0; i < p->n_parts; i++) {
        cluster_part *part = &p->parts[i];
        if (part->task == m->cluster->self && m->own)
            part_forget(m->own, p->id);
        else if (m->joined[part->task])
            master_notify(m, part->task, KIND_FORGET, p->id, NULL);
        graph_unref(part->graph);
    }
    alloc_free(alloc, p->touched.reads, 2 * p->touched.words * sizeof(uint64_t));
    arena_fini(&p->mem);
    alloc_free(alloc, p, sizeof *p);
    session_unref(s);
}

void programs_forget(df_program *p) {
    program_release((cluster_program *)(void *)p);
}

/* Which of the program's feeds and fetches a part has, and what variables it touches. */
static df_code read_part(cluster_program *p, cluster_part *part, df_error *err) {
    const df_session *s = p->head.session;
    const df_graph *g = part->graph;
    part->feeds = arena_array(&p->mem, p->n_feeds, sizeof *part->feeds);
    part->fetches = arena_array(&p->mem, p->n_fetches, sizeof *part->fetches);
    if (p->mem.failed) return error_memory(err, "a program");
    for (size_t i = 0; i < g->n_nodes; i++) {
        const df_node *n = g->nodes[i];
        if (n->op->flags & OP_FEED) part->feeds[part->n_feeds++] = (uint32_t)n->attrs[0].i;
        if (n->op->flags & OP_FETCH) part->fetches[part->n_fetches++] = (uint32_t)n->attrs[0].i;
        bool uses = n->op->flags & (OP_READS | OP_WRITES);
        if (!uses) continue;
        const char *name = node_input(n, 0).node->name;
        const variable *v = session_variable((df_session *)(uintptr_t)s, name);
        if (!v) return error_set(err, DF_INTERNAL, "variable %s is not the session's", name);
        size_t at = (size_t)(v - s->variables);
        uint64_t *set = n->op->flags & OP_WRITES ? p->touched.writes : p->touched.reads;
        set[at / 64] |= UINT64_C(1) << at % 64;
        p->touched.any = true;
    }
    return DF_OK;
}

static df_code read_feeds(cluster_program *p, df_outs feeds, const df_shape *shapes,
                          df_error *err) {
    p->feeds = arena_array(&p->mem, feeds.n, sizeof *p->feeds);
    if (!p->feeds) return error_memory(err, "a program");
    for (size_t i = 0; i < feeds.n; i++) {
        df_out out = feeds.items[i];
        size_t room = strlen(out.node->name) + sizeof ":1234567890";
        char *name = arena_alloc(&p->mem, room);
        if (!name) return error_memory(err, "a program");
        (void)snprintf(name, room, "%s:%d", out.node->name, out.index);
        p->feeds[i] = (plan_feed){.name = name, .type = out.node->outputs[out.index]};
        if (shapes) {
            p->feeds[i].type.rank = shapes[i].rank;
            for (int d = 0; d < shapes[i].rank; d++) p->feeds[i].type.dims[d] = shapes[i].dims[d];
        }
    }
    return DF_OK;
}

static df_code cut(cluster_program *p, const compile_request *rq, df_error *err) {
    master *m = p->master;
    df_graph *graphs[MOST] = {NULL};
    const compile_tasks tasks = {m->tasks, m->n_tasks, m->task_of};
    df_code code = compile_cut(rq, &tasks, graphs, err);
    for (uint32_t t = 0; t < m->n_tasks; t++)
        if (graphs[t]) p->parts[p->n_parts++] = (cluster_part){.task = t, .graph = graphs[t]};
    if (code == DF_OK) code = read_feeds(p, rq->feeds, rq->feed_shapes, err);
    for (uint32_t i = 0; code == DF_OK && i < p->n_parts; i++)
        code = read_part(p, &p->parts[i], err);
    return code;
}

df_code programs_hand_out(cluster_program *p, const cluster_part *part, asking *a, question *q,
                          text *words, df_error *err) {
    master *m = p->master;
    text_init(words, m->cluster->rt->alloc);
    graph_print(part->graph, words);
    size_t n = words->data ? strlen(words->data) : 0;
    if (words->failed) return error_memory(err, "a program");
    if (part->task == m->cluster->self) return part_compile(m->own, p->id, words->data, n, err);
    wire_out w = ask_begin(q, m, part->task, KIND_COMPILE);
    wire_put(&w, m->id, 8);
    wire_put(&w, p->id, 8);
    q->place = (df_segment){.at = words->data, .bytes = n};
    ask(a, q, &w, (df_segments){&q->place, n != 0});
    return DF_OK;
}

static df_code hand_out(cluster_program *p, opening *o, df_error *err) {
    df_code code = DF_OK;
    uint32_t i = 0;
    for (; code == DF_OK && i < p->n_parts; i++) {
        o->qs[i] = (question){.code = DF_OK};
        code = programs_hand_out(p, &p->parts[i], &o->asking, &o->qs[i], &o->words[i], err);
    }
    df_error late;
    df_code ended = ask_await(&o->asking, o->qs, i, p->master->cluster->o.timeout, &late);
    if (code == DF_OK && ended != DF_OK) {
        code = ended;
        if (err) *err = late;
    }
    while (i--) {
        repair_note(p->master, p->parts[i].task, o->qs[i].code);
        text_fini(&o->words[i]);
    }
    return code;
}

/* A task that was restarted gets the session again, and this program with the others: it is in
 * their list. But it may have been restarted just before that, or just behind. */
static df_code distribute(cluster_program *p, df_error *err) {
    const df_allocator *alloc = p->head.session->rt->alloc;
    opening *o = alloc_zeroed(alloc, sizeof *o);
    if (!o || !asking_init(&o->asking)) {
        alloc_free(alloc, o, sizeof *o);
        return error_memory(err, "a program");
    }
    df_code code = hand_out(p, o, err);
    if (code == DF_ABORTED) {
        code = repair_await(p, err);
        if (code == DF_OK) code = hand_out(p, o, err);
    }
    asking_fini(&o->asking);
    alloc_free(alloc, o, sizeof *o);
    return code;
}

df_code programs_make(df_session *s, compile_request *rq, df_program **out, df_error *err) {
    df_code code = DF_OK;
    master *m = s->master;
    cluster_program *p = alloc_zeroed(s->rt->alloc, sizeof *p);
    if (!p) return error_memory(err, "a program");
    refcount_init(&p->head.refs);
    refcount_ref(&s->refs);
    p->head.session = s;
    p->master = m;
    runtime_enter(s->rt);
    arena_init(&p->mem, s->rt->alloc);
    p->n_feeds = (uint32_t)rq->feeds.n;
    p->n_fetches = (uint32_t)rq->fetches.n;
    p->id = rq->plan_id = atomic_add(&m->last_program, 1, RELAXED) + 1;
    p->touched.words = ((size_t)s->n_variables + 63) / 64;
    p->touched.reads = alloc_array(s->rt->alloc, 2 * p->touched.words, sizeof(uint64_t));
    if (p->touched.reads)
        p->touched.writes = p->touched.reads + p->touched.words;
    else
        code = error_memory(err, "a program");
    if (code == DF_OK) code = cut(p, rq, err);
    if (code == DF_OK) {
        enter(m, p);
        code = distribute(p, err);
    }
    if (code == DF_OK)
        *out = (df_program *)(void *)p;
    else
        df_program_free((df_program *)(void *)p);
    return code;
}

df_code programs_compile(df_session *s, df_outs feeds, df_outs fetches,
                         const df_compile_options *options, df_program **out, df_error *err) {
    df_compile_options o = {.struct_size = sizeof o};
    df_code code = options_read(&o, options, "df_compile_options", err);
    if (code == DF_OK && (o.feed_devices || o.fetch_devices))
        code = error_invalid(err, "feeds and fetches of a cluster's session are in host memory");
    if (code != DF_OK) return code;
    compile_request rq = master_request(s->master);
    rq.feeds = feeds;
    rq.fetches = fetches;
    rq.targets = o.targets;
    rq.feed_shapes = o.feed_shapes;
    return programs_make(s, &rq, out, err);
}

size_t programs_parts(const df_program *program) {
    return ((const cluster_program *)(const void *)program)->n_parts;
}

const df_graph *programs_part(const df_program *program, size_t i, const char **name) {
    const cluster_program *p = (const cluster_program *)(const void *)program;
    if (name) *name = p->master->cluster->names[p->parts[i].task];
    return p->parts[i].graph;
}
