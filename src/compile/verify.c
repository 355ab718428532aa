/* SPDX-License-Identifier: MIT
 *
 * verify - plays the lowered arrays once, with every kernel replaced by "done".
 *
 * Requires  plan.
 *
 * A node fires when its inputs are there and takes nothing that another could take, and
 * each channel has one sender and one receiver; so firing is confluent: if one complete
 * play exists, every play is complete. One play that reaches END with every node run
 * once, every channel sent once and received once and no slot read before it was
 * written or after it was dropped therefore proves that no step can wait on
 * itself, and a mistake of any pass before is an error here instead of a hang there.
 * What the proof leaves out is what happens inside a kernel, a device, or a peer.
 *
 * Besides: the two ends of a channel agree, and accesses of a variable are ordered.
 */
#include "compile/compile.h"

#include <string.h>

typedef struct play {
    compile_state *c;
    const plan *p;
    uint32_t *pending; /* by block */
    uint32_t *ready;   /* blocks */
    uint32_t n_ready;
    uint32_t *later; /* nodes whose end is still to come */
    uint32_t n_later;
    bool *ran; /* by node */
    uint32_t n_ran;
    enum { SLOT_EMPTY, SLOT_FULL, SLOT_DROPPED } * slots;
    uint32_t *readers;     /* by slot: blocks still to read it */
    bool *sent, *received; /* by channel */
    uint32_t n_received;
    bool end;
} play;

static bool broken(const play *y, const plan_node *n, const char *what) {
    return compile_fail(y->c, DF_INTERNAL, "verify: node %s on %s: %s", n->name,
                        y->p->devices[n->device].full_name, what);
}

static bool fire_events(play *y, const plan_node *n, uint32_t first, uint32_t count) {
    for (uint32_t i = first; i < first + count; i++) {
        uint32_t b = y->p->after[i];
        if (y->pending[b] == 0) return broken(y, n, "an event too many");
        if (--y->pending[b]) continue;
        if (b == y->p->n_blocks)
            y->end = true;
        else
            y->ready[y->n_ready++] = b;
    }
    return true;
}

static bool play_channel(play *y, const plan_node *n) {
    const plan_channel *ch = &y->p->channels[n->index];
    bool sends = n->role == ROLE_SEND;
    bool *flag = sends ? &y->sent[n->index] : &y->received[n->index];
    if (*flag) return broken(y, n, "its channel is used twice");
    if (n->device != (sends ? ch->src_device : ch->dst_device))
        return broken(y, n, "its channel belongs to another device");
    if (!sends && !y->sent[n->index]) return broken(y, n, "receives before the send");
    *flag = true;
    y->n_received += !sends;
    if (sends && !ch->control) {
        const plan_slot *s = &y->p->slots[y->p->inputs[n->first_input]];
        if (s->type.dtype != ch->type.dtype || s->memory != ch->src_memory)
            return broken(y, n, "dtype or memory is not its channel's");
    }
    if (sends) return true;
    const plan_slot *s = &y->p->slots[n->first_slot];
    if (s->type.dtype != ch->type.dtype || s->memory != ch->dst_memory)
        return broken(y, n, "dtype or memory is not its channel's");
    return true;
}

/* What a kernel wants of an input: on an accelerator host memory or its own. */
static bool memory_fits(const play *y, const plan_node *n, uint32_t input, const plan_slot *s) {
    if (!n->kernel || n->role == ROLE_INLINE || s->device != n->device)
        return s->device == n->device;
    if (!y->p->devices[n->device].has_queue) return true;
    bool host = n->kernel->host_inputs >> (input < 31 ? input : 31) & 1;
    return s->memory == (host ? DF_MEMORY_HOST : DF_MEMORY_DEVICE);
}

static bool read_inputs(play *y, const plan_node *n) {
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        int32_t s = y->p->inputs[n->first_input + i];
        if (s == PLAN_NONE) continue;
        if (y->slots[s] == SLOT_EMPTY) return broken(y, n, "reads what is not yet written");
        if (y->slots[s] == SLOT_DROPPED) return broken(y, n, "reads what was dropped");
        if (!memory_fits(y, n, i, &y->p->slots[s]))
            return broken(y, n, "an input lies in the wrong memory");
    }
    return true;
}

static bool drop_slots(play *y, const plan_node *n) {
    for (uint32_t i = n->first_drop; i < n->first_drop + n->n_drops; i++) {
        uint32_t s = y->p->drops[i];
        if (y->readers[s] > 1) {
            y->readers[s]--;
            continue;
        }
        if (y->slots[s] != SLOT_FULL) return broken(y, n, "drops what is not there");
        y->slots[s] = SLOT_DROPPED;
    }
    return true;
}

static void fill_slots(play *y, const plan_node *n) {
    for (uint32_t o = 0; o < n->n_outputs; o++) y->slots[n->first_slot + o] = SLOT_FULL;
}

static bool play_node(play *y, uint32_t i) {
    const plan_node *n = &y->p->nodes[i];
    if (y->ran[i]) return broken(y, n, "runs twice");
    y->ran[i] = true;
    y->n_ran++;
    if (!read_inputs(y, n)) return false;
    if ((n->role == ROLE_SEND || n->role == ROLE_RECV) && !play_channel(y, n)) return false;
    if (n->flags & PLAN_ENDS_LATER)
        y->later[y->n_later++] = i;
    else
        fill_slots(y, n);
    return drop_slots(y, n);
}

static bool play_block(play *y, uint32_t b) {
    const plan_block *block = &y->p->blocks[b];
    for (uint32_t i = block->first; i < block->first + block->count; i++)
        if (!play_node(y, i)) return false;
    return fire_events(y, &y->p->nodes[block->first], block->first_after, block->n_after);
}

static bool play_all(play *y) {
    for (uint32_t b = 0; b < y->p->n_blocks; b++)
        if (y->pending[b] == 0) y->ready[y->n_ready++] = b;
    while (y->n_ready || y->n_later) {
        if (y->n_ready) {
            if (!play_block(y, y->ready[--y->n_ready])) return false;
            continue;
        }
        const plan_node *n = &y->p->nodes[y->later[--y->n_later]];
        fill_slots(y, n);
        if (!fire_events(y, n, n->first_after, n->n_after)) return false;
    }
    return true;
}

/* Nothing moves any more: either all is done, or name a node that never ran. */
static bool judge(const play *y) {
    if (y->end && y->n_ran == y->p->n_nodes && y->n_received == y->p->n_channels) return true;
    for (uint32_t i = 0; i < y->p->n_nodes; i++)
        if (!y->ran[i]) return broken(y, &y->p->nodes[i], "would never run");
    for (uint32_t i = 0; i < y->p->n_channels; i++)
        if (!y->received[i])
            return compile_fail(y->c, DF_INTERNAL, "verify: channel of node %s is never received",
                                y->p->channels[i].producer);
    return compile_fail(y->c, DF_INTERNAL, "verify: the end would never be reached");
}

/* ---- variables ----------------------------------------------------------- */

static bool follows(const df_node *after, const df_node *before) {
    for (int i = 0; i < after->n_inputs; i++)
        if (after->inputs[i].node == before) return true;
    for (int i = 0; i < after->n_controls; i++)
        if (after->controls[i] == before) return true;
    return false;
}

/* Of each variable, in the emitted order: a write follows every read since the last
 * write (or, if there was none, that write); a read follows the last write. order
 * promised an edge for each; under strict_order there is a path, which it has checked. */
static bool check_accesses(compile_state *c) {
    typedef struct seen {
        const df_node *write;
        int32_t first_read; /* place in the emitted order, + 1 */
        uint32_t device;
        bool any;
    } seen;
    seen *of = arena_array(&c->mem, c->rq->graph->n_nodes, sizeof *of);
    int32_t *next = arena_array(&c->mem, c->n_emitted, sizeof *next);
    if (!of || !next) return compile_no_memory(c);
    for (uint32_t i = 0; i < c->n_emitted; i++) {
        const emitted *e = &c->emitted[i];
        const df_node *v = e->item == PLAN_NONE ? NULL : item_variable(&c->items[e->item]);
        if (!v) continue;
        seen *s = &of[v->id];
        bool ok = !s->any || s->device == e->device;
        if (e->node->op->flags & OP_WRITES) {
            for (int32_t r = s->first_read; r; r = next[r - 1])
                ok &= follows(e->node, c->emitted[r - 1].node);
            if (!s->first_read && s->write) ok &= follows(e->node, s->write);
            s->write = e->node;
            s->first_read = 0;
        } else {
            ok &= !s->write || follows(e->node, s->write);
            next[i] = s->first_read;
            s->first_read = (int32_t)i + 1;
        }
        s->device = e->device;
        s->any = true;
        if (!ok && !c->rq->strict_order)
            return compile_fail(c, DF_INTERNAL,
                                "verify: accesses of variable %s are not ordered at node %s",
                                v->name, e->node->name);
    }
    return true;
}

/* ---- the pass ------------------------------------------------------------ */

static bool play_init(play *y, compile_state *c) {
    const plan *p = c->plan;
    *y = (play){.c = c, .p = p};
    arena *a = &c->mem;
    y->pending = arena_array(a, (size_t)p->n_blocks + 1, sizeof *y->pending);
    y->ready = arena_array(a, p->n_blocks, sizeof *y->ready);
    y->later = arena_array(a, p->n_nodes, sizeof *y->later);
    y->ran = arena_array(a, p->n_nodes, sizeof *y->ran);
    y->slots = arena_array(a, p->n_slots, sizeof *y->slots);
    y->readers = arena_array(a, p->n_slots, sizeof *y->readers);
    y->sent = arena_array(a, p->n_channels, sizeof *y->sent);
    y->received = arena_array(a, p->n_channels, sizeof *y->received);
    if (!y->pending || !y->ready || !y->later || !y->ran || !y->slots || !y->readers || !y->sent ||
        !y->received)
        return compile_no_memory(c);
    for (uint32_t b = 0; b <= p->n_blocks; b++) y->pending[b] = p->blocks[b].pending;
    for (uint32_t s = 0; s < p->n_slots; s++) y->readers[s] = p->slots[s].readers;
    return true;
}

bool compile_verify(compile_state *c) {
    play y;
    return play_init(&y, c) && play_all(&y) && judge(&y) && check_accesses(c);
}
