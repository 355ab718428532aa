/* SPDX-License-Identifier: MIT
 *
 * A program as one picture: its partitions, and their crossings as edges.
 *
 * The partitioner emits the pairs in the order of their channels. So the next Send of the one
 * device and the next Recv of the other belong to the next channel, and nothing is searched for.
 */
#include "session/look.h"

#include "graph/dot.h"
#include "plan/plan.h"

#include <string.h>

/* A partition, and up to where its Sends and Recvs are joined. */
typedef struct cursor {
    const df_graph *g;
    const char *device;
    size_t next;
} cursor;

static size_t cursor_of(const cursor *all, size_t n, const char *device) {
    size_t i = 0;
    while (i < n && strcmp(all[i].device, device) != 0) i++;
    return i;
}

/* NULL: there is none. */
static const df_node *next_of(cursor *c, uint32_t flag) {
    while (c->next < c->g->n_nodes) {
        const df_node *n = c->g->nodes[c->next++];
        if (n->op->flags & flag) return n;
    }
    return NULL;
}

static void draw_crossing(text *t, cursor *all, size_t n, const df_crossing *c) {
    dot_end send = {.number = cursor_of(all, n, df_key_src_device(c->key))};
    dot_end recv = {.number = cursor_of(all, n, df_key_dst_device(c->key))};
    if (send.number == n || recv.number == n) return;
    send.node = next_of(&all[send.number], OP_SEND);
    recv.node = next_of(&all[recv.number], OP_RECV);
    if (send.node && recv.node) dot_crossing(t, send, recv, c->bytes, c->transfers);
}

void look_draw(text *t, const df_program *program) {
    cursor all[PLAN_MAX_DEVICES];
    df_crossing c;
    size_t n = df_program_partitions(program);
    dot_begin(t);
    for (size_t i = 0; i < n; i++) {
        const df_graph *g = df_program_partition(program, i);
        t->failed |= !g;
        if (!g) return;
        all[i] =
            (cursor){.g = g, .device = df_device_name(df_program_partition_device(program, i))};
        dot_graph(t, all[i].g, i, all[i].device, true);
    }
    for (size_t i = 0; df_program_crossing(program, i, &c); i++) draw_crossing(t, all, n, &c);
    dot_finish(t);
}
