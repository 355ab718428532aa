/* SPDX-License-Identifier: MIT
 *
 * tasks - the graph of each process of a cluster.
 *
 * Requires  items with devices.
 * Leaves    homes; items whose devices are tasks.
 *
 * A task is cut off like a device: partition and graphs do not know that it has several. What its
 * devices have between them is cut where the task compiles its graph.
 *
 * So a value goes once from one task to another, however many devices use it there. It leaves and
 * arrives in host memory, by a Send and a Recv that nobody has placed.
 */
#include "compile/state.h"

/* A value that is fetched stays where it is made. */
static uint32_t task_of(const compile_state *c, const compile_tasks *tasks, const item *it) {
    if (it->kind != ITEM_FETCH) return tasks->of[it->device];
    return (uint32_t)c->items[c->inputs[it->first_input].item].device;
}

static bool place_on_tasks(compile_state *c, const compile_tasks *tasks) {
    c->homes = arena_array(&c->mem, c->n_items, sizeof *c->homes);
    if (!compile_had_memory(c)) return false;
    for (uint32_t i = 0; i < c->n_items; i++) {
        item *it = &c->items[i];
        c->homes[i] = &c->rq->devices[it->device];
        it->device = (int8_t)task_of(c, tasks, it);
    }
    return true;
}

df_code compile_cut(const compile_request *rq, const compile_tasks *tasks, df_graph **graphs,
                    df_error *err) {
    compile_state c;
    compile_request by_task = *rq;
    compile_begin(&c, rq, err);
    bool ok = compile_placed(&c) && place_on_tasks(&c, tasks);
    by_task.devices = tasks->items;
    by_task.n_devices = tasks->n;
    c.rq = &by_task;
    ok = ok && compile_partition(&c) && compile_graphs(&c);
    for (uint32_t t = 0; t < tasks->n; t++) {
        graphs[t] = ok ? c.graphs[t] : NULL;
        if (ok) c.graphs[t] = NULL;
    }
    return compile_end(&c);
}
