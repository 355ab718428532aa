/* SPDX-License-Identifier: MIT
 *
 * verify - plays the lowered arrays once, with every kernel replaced by "done".
 *
 * Requires  plan; emitted, first_before, before.
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
#include "compile/state.h"

typedef enum slot_state { SLOT_EMPTY, SLOT_FULL, SLOT_DROPPED } slot_state;

typedef struct slot_play {
    uint32_t producer; /* the node */
    uint32_t readers;  /* blocks still to read it */
    uint32_t reads;    /* still to come, those of what it is lent to included */
    uint8_t state;     /* slot_state */
    bool read;
    bool is_bound; /* to the end of the step: read elsewhere, or when its node has gone by */
    bool is_taken; /* some slot has it for its `from` */
    uint8_t gives; /* variables it is given to, 2 at most: more are as wrong */
} slot_play;

typedef struct play {
    compile_state *c;
    const plan *p;
    const plan_block *block; /* that is played */
    uint32_t *pending;       /* by block */
    uint32_t *ready;         /* blocks */
    uint32_t n_ready;
    uint32_t *later; /* nodes whose end is still to come */
    uint32_t n_later;
    bool *ran; /* by node */
    uint32_t n_ran;
    slot_play *slots;
    bool *sent, *received; /* by channel */
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

static const char *producer_of(const play *y, uint32_t slot) {
    return y->p->nodes[y->slots[slot].producer].name;
}

static bool same_type(const edge_type *a, const edge_type *b) {
    return a->dtype == b->dtype && a->rank == b->rank && shape_equal(edge_shape(a), edge_shape(b));
}

/* The slot at a channel's end has its type, its memory and, where it is sent, its producer. */
static bool fits_channel(play *y, const plan_node *n, const plan_channel *ch) {
    bool sends = n->role == ROLE_SEND;
    bool reach =
        !y->p->devices[ch->src_device].has_queue && !y->p->devices[ch->dst_device].has_queue;
    if (ch->lent && !reach) return broken(y, n, "lends what the other end cannot read");
    if (sends && ch->control) return true;
    uint32_t slot = sends ? (uint32_t)y->p->inputs[n->first_input] : n->first_slot;
    const plan_slot *s = &y->p->slots[slot];
    if (!same_type(s->type, ch->type) || s->memory != (sends ? ch->src_memory : ch->dst_memory))
        return broken(y, n, "dtype, shape or memory is not its channel's");
    if (ch->lent && !s->stays) return broken(y, n, "lends, or borrows, what does not stay");
    if (sends && (producer_of(y, slot) != ch->producer || slot != ch->slot))
        return broken(y, n, "sends another output than its channel's");
    return true;
}

static bool play_channel(play *y, const plan_node *n) {
    const plan_channel *ch = &y->p->channels[n->index];
    bool sends = n->role == ROLE_SEND;
    bool *flag = sends ? &y->sent[n->index] : &y->received[n->index];
    if (*flag) return broken(y, n, "its channel is used twice");
    if (n->device != (sends ? ch->src_device : ch->dst_device))
        return broken(y, n, "its channel belongs to another device");
    if (ch->far == (sends ? PLAN_FAR_SOURCE : PLAN_FAR_TARGET))
        return broken(y, n, "its channel's other end is here");
    if (!sends && !ch->far && !y->sent[n->index]) return broken(y, n, "receives before the send");
    *flag = true;
    return fits_channel(y, n, ch);
}

/* What a kernel wants of an input: on an accelerator host memory or its own. */
static bool memory_fits(const play *y, const plan_node *n, uint32_t input, const plan_slot *s) {
    if (!n->kernel || n->role == ROLE_INLINE || s->device != n->device)
        return s->device == n->device;
    if (!y->p->devices[n->device].has_queue) return true;
    bool host = kernel_host_input(n->kernel, input);
    return s->memory == (host ? DF_MEMORY_HOST : DF_MEMORY_DEVICE);
}

/* Where the tensor of a slot comes from, which somebody reads, if it is lent. */
static slot_play *lender_of(const play *y, uint32_t slot) {
    const plan_node *n = &y->p->nodes[y->slots[slot].producer];
    const plan_channel *ch = n->role == ROLE_RECV ? &y->p->channels[n->index] : NULL;
    return &y->slots[ch && ch->lent ? ch->slot : slot];
}

static bool is_of_this_block(const play *y, const slot_play *s) {
    return s->producer - y->block->first < y->block->count;
}

static bool read_inputs(play *y, const plan_node *n) {
    bool now = n->role == ROLE_KERNEL || (n->role == ROLE_SEND && y->p->channels[n->index].lent);
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        int32_t s = y->p->inputs[n->first_input + i];
        if (s == PLAN_NONE) continue;
        slot_play *slot = &y->slots[s], *lender = lender_of(y, (uint32_t)s);
        slot->read = true;
        lender->reads--;
        lender->is_bound |= !now || !is_of_this_block(y, lender);
        if (slot->state == SLOT_EMPTY) return broken(y, n, "reads what is not yet written");
        if (slot->state == SLOT_DROPPED) return broken(y, n, "reads what was dropped");
        if (!memory_fits(y, n, i, &y->p->slots[s]))
            return broken(y, n, "an input lies in the wrong memory");
    }
    return true;
}

/* Rule 5 of plan.h. What is dropped when nobody will read it is dropped by this node. */
static bool may_take_over(play *y, const plan_node *n, uint32_t slot, uint32_t from) {
    const plan_slot *to = &y->p->slots[slot], *of = &y->p->slots[from];
    slot_play *f = &y->slots[from];
    uint32_t reads = 0;
    bool taken = f->is_taken, is_before = f->state == SLOT_EMPTY; /* of the step before */
    f->is_taken = true;
    for (uint32_t i = 0; i < n->n_inputs; i++)
        reads += y->p->inputs[n->first_input + i] == (int32_t)from;
    if (taken || reads > 1 || to->device != of->device || to->memory != of->memory ||
        (!is_before && f->reads) || (reads && to->type->dtype != of->type->dtype))
        return false;
    if (of->stays == PLAN_DROPPED) return reads && of->readers == 0;
    return to->stays == PLAN_KEPT && of->stays == PLAN_KEPT &&
           plan_block_size(to) == plan_block_size(of) && is_of_this_block(y, f) &&
           (is_before || !f->is_bound) &&
           (!reads || shape_equal(edge_shape(to->type), edge_shape(of->type)));
}

/* What is given to a variable is the value that this node, and no other, writes. */
static bool check_giver(play *y, const plan_node *n) {
    if (!(n->op->flags & OP_WRITES) || !y->p->givers[n->variable]) return true;
    uint32_t slot = y->p->givers[n->variable] - 1;
    if (slot == plan_written(y->p, n) && y->p->writes[n->variable] == 1 &&
        y->slots[slot].gives == 1 && y->p->slots[slot].stays == PLAN_KEPT)
        return true;
    return broken(y, n, "gives away what it may not");
}

/* Rules 4 and 5 of plan.h, of what the node produces. */
static bool check_outputs(play *y, const plan_node *n) {
    for (uint32_t s = n->first_slot; s < n->first_slot + n->n_outputs; s++) {
        const plan_slot *slot = &y->p->slots[s];
        bool plain = n->role == ROLE_KERNEL && (n->flags & PLAN_KNOWN_SHAPES);
        if (slot->stays == PLAN_KEPT && !plain) return broken(y, n, "keeps what it cannot");
        if (slot->stays == PLAN_BORROWED && !plan_borrows(y->p, n))
            return broken(y, n, "borrows what may not last");
        if (slot->from && !may_take_over(y, n, s, slot->from - 1))
            return broken(y, n, "would compute into what others read");
    }
    return true;
}

static bool drop_slots(play *y, const plan_node *n) {
    for (uint32_t i = n->first_drop; i < n->first_drop + n->n_drops; i++) {
        uint32_t slot = y->p->drops[i];
        slot_play *s = &y->slots[slot];
        if (y->p->slots[slot].stays) return broken(y, n, "drops what stays");
        if (s->readers > 1) {
            s->readers--;
            continue;
        }
        if (s->state != SLOT_FULL) return broken(y, n, "drops what is not there");
        s->state = SLOT_DROPPED;
    }
    return true;
}

static void fill_slots(play *y, const plan_node *n) {
    for (uint32_t o = 0; o < n->n_outputs; o++) y->slots[n->first_slot + o].state = SLOT_FULL;
}

static bool play_node(play *y, uint32_t i) {
    const plan_node *n = &y->p->nodes[i];
    if (y->ran[i]) return broken(y, n, "runs twice");
    y->ran[i] = true;
    y->n_ran++;
    if (!read_inputs(y, n) || !check_outputs(y, n) || !check_giver(y, n)) return false;
    if ((n->role == ROLE_SEND || n->role == ROLE_RECV) && !play_channel(y, n)) return false;
    if (n->flags & PLAN_ENDS_LATER) { /* drops when it has ended */
        y->later[y->n_later++] = i;
        return true;
    }
    fill_slots(y, n);
    return drop_slots(y, n);
}

static bool play_block(play *y, uint32_t b) {
    const plan_block *block = y->block = &y->p->blocks[b];
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
        if (!drop_slots(y, n)) return false;
        if (!fire_events(y, n, n->first_after, n->n_after)) return false;
    }
    return true;
}

/* Nothing moves any more: either all is done, or name a node that never ran. */
static bool judge(const play *y) {
    for (uint32_t i = 0; i < y->p->n_nodes; i++)
        if (!y->ran[i]) return broken(y, &y->p->nodes[i], "would never run");
    for (uint32_t i = 0; i < y->p->n_channels; i++)
        if (!y->received[i] && y->p->channels[i].far != PLAN_FAR_TARGET)
            return compile_fail(y->c, DF_INTERNAL, "verify: channel of node %s is never received",
                                y->p->channels[i].producer);
    for (uint32_t s = 0; s < y->p->n_slots; s++)
        if (y->slots[s].read && y->slots[s].state == SLOT_FULL && !y->p->slots[s].stays)
            return compile_fail(y->c, DF_INTERNAL, "verify: an output of node %s is never dropped",
                                producer_of(y, s));
    if (!y->end) (void)compile_fail(y->c, DF_INTERNAL, "verify: the end would never be reached");
    return y->end;
}

/* ---- variables ----------------------------------------------------------- */

/* What is known of one variable so far, in the emitted order. */
typedef struct accesses {
    uint32_t write;      /* the last: its place, + 1 */
    uint32_t first_read; /* since then: its place, + 1 */
    uint32_t device;
    bool any;
} accesses;

typedef struct access_check {
    compile_state *c;
    accesses *of;        /* by the variable's node id */
    uint32_t *next_read; /* by place: + 1 */
    uint32_t *behind;    /* by place: the place of the node that was last found to stand directly
                            behind it, + 1 */
} access_check;

static void mark_before(access_check *k, uint32_t place) {
    const compile_state *c = k->c;
    for (uint32_t i = c->first_before[place]; i < c->first_before[place + 1]; i++)
        k->behind[c->before[i]] = place + 1;
}

/* A write follows every read since the last write, or, if there was none, that write: the
 * variable's own node is its first read. A read follows the last write. */
static bool check_access(access_check *k, accesses *a, uint32_t place) {
    const emitted *e = &k->c->emitted[place];
    bool ok = !a->any || a->device == e->device;
    mark_before(k, place);
    if (emitted_op(k->c, e)->flags & OP_WRITES) {
        for (uint32_t r = a->first_read; ok && r; r = k->next_read[r - 1])
            ok = k->behind[r - 1] == place + 1;
        if (!a->first_read) ok = ok && a->write && k->behind[a->write - 1] == place + 1;
        a->write = place + 1;
        a->first_read = 0;
    } else {
        ok = ok && (!a->write || k->behind[a->write - 1] == place + 1);
        k->next_read[place] = a->first_read;
        a->first_read = place + 1;
    }
    a->device = e->device;
    a->any = true;
    return ok;
}

/* order promised an edge for each; under strict_order there is a path, which it has checked. */
static bool check_accesses(play *y) {
    compile_state *c = y->c;
    if (c->rq->strict_order || !c->plan->n_variables) return true;
    access_check k = {.c = c};
    k.of = arena_array(&y->c->pass, c->rq->graph->n_nodes, sizeof *k.of);
    k.next_read = arena_array(&y->c->pass, c->n_emitted, sizeof *k.next_read);
    k.behind = arena_array(&y->c->pass, c->n_emitted, sizeof *k.behind);
    if (!compile_had_memory(c)) return false;
    for (uint32_t i = 0; i < c->n_emitted; i++) {
        const emitted *e = &c->emitted[i];
        const df_node *v = e->what == EMITTED_ITEM ? item_variable(&c->items[e->item]) : NULL;
        if (v && !check_access(&k, &k.of[v->id], i))
            return compile_fail(c, DF_INTERNAL,
                                "verify: accesses of variable %s are not ordered at node %s",
                                v->name, c->items[e->item].node->name);
    }
    return true;
}

/* ---- the pass ------------------------------------------------------------ */

static void note_nodes(play *y) {
    const plan *p = y->p;
    for (uint32_t n = 0; n < p->n_nodes; n++)
        for (uint32_t o = 0; o < p->nodes[n].n_outputs; o++)
            y->slots[p->nodes[n].first_slot + o].producer = n;
    for (uint32_t i = 0; i < p->n_inputs; i++)
        if (p->inputs[i] != PLAN_NONE) lender_of(y, (uint32_t)p->inputs[i])->reads++;
    for (uint32_t v = 0; v < p->n_variables; v++) {
        if (!p->givers[v]) continue;
        slot_play *s = &y->slots[p->givers[v] - 1];
        s->gives = s->gives ? 2 : 1;
        s->is_bound = true;
    }
}

static bool play_init(play *y) {
    const plan *p = y->p;
    arena *a = &y->c->pass;
    y->pending = arena_array(a, (size_t)p->n_blocks + 1, sizeof *y->pending);
    y->ready = arena_array(a, p->n_blocks, sizeof *y->ready);
    y->later = arena_array(a, p->n_nodes, sizeof *y->later);
    y->ran = arena_array(a, p->n_nodes, sizeof *y->ran);
    y->slots = arena_array(a, p->n_slots, sizeof *y->slots);
    y->sent = arena_array(a, p->n_channels, sizeof *y->sent);
    y->received = arena_array(a, p->n_channels, sizeof *y->received);
    if (!compile_had_memory(y->c)) return false;
    note_nodes(y);
    for (uint32_t b = 0; b <= p->n_blocks; b++) y->pending[b] = p->blocks[b].pending;
    for (uint32_t s = 0; s < p->n_slots; s++) y->slots[s].readers = p->slots[s].readers;
    return true;
}

bool compile_verify(compile_state *c) {
    play y = {.c = c, .p = c->plan};
    return play_init(&y) && play_all(&y) && judge(&y) && check_accesses(&y);
}
