/* SPDX-License-Identifier: MIT
 *
 * uses - which tensors stay in a frame from step to step, where they lie, and who drops the others.
 *
 * A room is a block of memory that the frame keeps, in which values lie one after another. The
 * nodes of a block run in one fixed order, so one look through them, from first to last, finds for
 * each output a room that is free by then: that of an input, which the kernel may overwrite; or one
 * of the same size, whose value was read for the last time; or a new one. A value has its room
 * until the step is over if it is read elsewhere (by another block, an async kernel, a kernel that
 * passes references on, the caller), or given to a variable.
 *
 * What reads a slot that is lent a tensor reads the slot that lends it.
 */
#include "compile/uses.h"

typedef struct use {     /* of a slot */
    uint32_t n_blocks;   /* that read it */
    uint32_t read_block; /* that read it last, + 1 */
    uint32_t input;      /* that read it last, + 1 */
    uint32_t async_node; /* that read it last, + 1 */
    uint32_t room;       /* in which it is, + 1; 0: none */
    bool is_bound;       /* to the end of the step */
} use;

typedef struct room {
    uint32_t first, holder; /* slots */
    uint32_t *list;         /* of free ones, of its size and device */
    uint32_t next_free;     /* + 1 */
} room;

typedef struct uses {
    plan *p;
    use *of;          /* by slot */
    bool *drops;      /* by input: this read is the last one in its block */
    uint32_t *makers; /* by slot: the node */
    uint32_t *owned;  /* by variable: the slot of the node that owns it */
    room *rooms;
    uint32_t n_rooms;
    uint32_t *free; /* lists by device and size: rooms, + 1 */
    size_t kept;    /* bytes */
} uses;

/* ---- what stays ---------------------------------------------------------- */

static bool same_type(const plan_slot *a, const plan_slot *b) {
    return a->type->dtype == b->type->dtype &&
           shape_equal(edge_shape(a->type), edge_shape(b->type));
}

/* A kernel that runs here and now, and whose outputs can be made before. */
static bool is_plain(const uses *u, const plan_node *n, uint32_t slot) {
    return n->role == ROLE_KERNEL && (n->flags & PLAN_KNOWN_SHAPES) &&
           u->p->slots[slot].type->dtype != DF_STRING;
}

/* The one node that writes a variable may give it the tensor itself that a kernel has made, which
 * makes the next one in what the variable had before. */
static void find_giver(uses *u, const plan_node *n) {
    plan *p = u->p;
    if (!(n->op->flags & OP_WRITES) || p->writes[n->variable] != 1) return;
    uint32_t slot = plan_written(p, n);
    const plan_node *maker = &p->nodes[u->makers[slot]];
    const plan_slot *own = &p->slots[u->owned[n->variable]];
    if (u->of[slot].is_bound || !is_plain(u, maker, slot) || !same_type(own, &p->slots[slot]))
        return;
    if (n != maker && (maker->op->flags & OP_WRITES)) return; /* of another variable */
    u->of[slot].is_bound = true;
    p->givers[n->variable] = slot + 1;
}

/* Both ends can read what stays with the Send; a token stays in any case. */
static bool is_lent(const plan *p, const plan_channel *ch) {
    if (ch->far) return false;
    return (ch->control || p->slots[ch->slot].stays) && !p->devices[ch->src_device].has_queue &&
           !p->devices[ch->dst_device].has_queue;
}

static plan_stay stay_of(uses *u, const plan_node *n, uint32_t slot) {
    if (n->role == ROLE_RECV)
        u->p->channels[n->index].lent = is_lent(u->p, &u->p->channels[n->index]);
    if (plan_borrows(u->p, n)) return PLAN_BORROWED;
    if (!is_plain(u, n, slot)) return PLAN_DROPPED;
    if (u->of[slot].is_bound) return PLAN_KEPT;
    size_t size = plan_block_size(&u->p->slots[slot]);
    if (!size || (n->op->flags & OP_WRITES) || size > PLAN_KEPT_MOST ||
        size > PLAN_KEPT_ALL - u->kept)
        return PLAN_DROPPED;
    u->kept += size;
    return PLAN_KEPT;
}

/* Slots are numbered in the order in which a Send comes before its Recv. */
static void find_what_stays(uses *u) {
    plan *p = u->p;
    for (uint32_t i = 0; i < p->n_nodes; i++) {
        const plan_node *n = &p->nodes[i];
        for (uint32_t o = 0; o < n->n_outputs; o++) u->makers[n->first_slot + o] = i;
        if (n->op->flags & OP_VARIABLE) u->owned[n->variable] = n->first_slot;
    }
    for (uint32_t i = 0; i < p->n_nodes; i++) find_giver(u, &p->nodes[i]);
    for (uint32_t s = 0; s < p->n_slots; s++)
        p->slots[s].stays = (uint8_t)stay_of(u, &p->nodes[u->makers[s]], s);
}

/* ---- last reads ---------------------------------------------------------- */

/* Nodes lie block by block, in order: the last reader of a slot within a block is the last that is
 * met before the block changes. */

/* Where the tensor comes from that is in a slot, which somebody reads. */
static use *use_of(const uses *u, uint32_t slot) {
    const plan_node *n = &u->p->nodes[u->makers[slot]];
    bool borrows = n->role == ROLE_RECV && u->p->slots[slot].stays;
    return &u->of[borrows ? u->p->channels[n->index].slot : slot];
}

/* An async kernel reads on when its block has long gone by: it counts as a block of its own,
 * and drops when it has ended. */
static void note_async_read(uses *u, use *s, uint32_t node, uint32_t input) {
    bool again = s->async_node == node + 1;
    s->async_node = node + 1;
    s->is_bound = true;
    u->drops[input] = !again;
    s->n_blocks += !again;
}

static void note_read(uses *u, use *s, uint32_t block, uint32_t input) {
    if (s->read_block == block + 1)
        u->drops[s->input - 1] = false;
    else
        s->n_blocks++;
    u->drops[input] = true;
    s->input = input + 1;
    s->read_block = block + 1;
}

static void note_reads(uses *u, uint32_t node, uint32_t block) {
    const plan_node *n = &u->p->nodes[node];
    for (uint32_t input = n->first_input; input < n->first_input + n->n_inputs; input++) {
        if (u->p->inputs[input] == PLAN_NONE) continue;
        use *s = use_of(u, (uint32_t)u->p->inputs[input]);
        if (n->role == ROLE_ASYNC || n->role == ROLE_QUEUE_LATER)
            note_async_read(u, s, node, input);
        else
            note_read(u, s, block, input);
        s->is_bound |= n->role == ROLE_INLINE || n->role == ROLE_FETCH ||
                       (n->role == ROLE_SEND && !u->p->channels[n->index].lent);
    }
}

static bool make_drops(uses *u) {
    plan *p = u->p;
    size_t most = p->n_slots;
    for (uint32_t i = 0; i < p->n_inputs; i++) {
        int32_t s = p->inputs[i];
        u->drops[i] = u->drops[i] && !p->slots[s].stays;
        most += u->drops[i];
    }
    p->drops = arena_array(&p->mem, most, sizeof *p->drops);
    if (!p->drops) return false;
    for (uint32_t n = 0; n < p->n_nodes; n++) {
        plan_node *node = &p->nodes[n];
        node->first_drop = p->n_drops;
        for (uint32_t k = 0; k < node->n_inputs; k++)
            if (u->drops[node->first_input + k])
                p->drops[p->n_drops++] = (uint32_t)p->inputs[node->first_input + k];
        /* a kernel that ends later drops then; a Recv has readers */
        for (uint32_t s = node->first_slot;
             s < node->first_slot + node->n_outputs && node->role != ROLE_RECV; s++)
            if (u->of[s].n_blocks == 0 && !p->slots[s].stays)
                p->drops[p->n_drops++] = s; /* nobody reads it */
        node->n_drops = p->n_drops - node->first_drop;
    }
    for (uint32_t s = 0; s < p->n_slots; s++)
        if (!p->slots[s].stays && u->of[s].n_blocks > 1) p->slots[s].readers = u->of[s].n_blocks;
    return true;
}

/* ---- rooms --------------------------------------------------------------- */

enum { CLASSES = 48 /* more than there are sizes of blocks up to PLAN_KEPT_MOST */ };

/* Of blocks of one size and device. Those of a class have one logarithm, and two bits behind. */
static uint32_t *list_of(const uses *u, const plan_slot *s) {
    size_t block = plan_block_size(s);
    uint32_t log = 63u - (uint32_t)__builtin_clzll(block);
    return &u->free[s->device * (uint32_t)CLASSES + (log - 6) * 4 + (block >> (log - 2) & 3)];
}

static void enter(uses *u, uint32_t slot, uint32_t i) {
    u->p->slots[slot].from = u->rooms[i].holder + 1;
    u->rooms[i].holder = slot;
    u->of[slot].room = i + 1;
}

/* Output 0 may be computed into input i, which nobody needs after this node. */
static bool may_overwrite(const uses *u, const plan_node *n, uint32_t i) {
    const plan *p = u->p;
    int32_t s = p->inputs[n->first_input + i];
    if (s == PLAN_NONE || i >= 31 || !(n->kernel->may_overwrite >> i & 1)) return false;
    if (u->of[s].n_blocks != 1 || u->of[s].input != n->first_input + i + 1) return false;
    for (uint32_t k = 0; k < i; k++) /* not read through another input as well */
        if (p->inputs[n->first_input + k] == s) return false;
    const plan_slot *to = &p->slots[n->first_slot], *from = &p->slots[s];
    return from->memory == to->memory &&
           (from->stays ? same_type(from, to) : from->type->dtype == to->type->dtype);
}

/* Into the room of an input, which leaves it now; or, without rooms, into what is dropped. */
static bool enter_in_place(uses *u, const plan_node *n, bool has_room) {
    plan_slot *to = &u->p->slots[n->first_slot];
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        if (!may_overwrite(u, n, i)) continue;
        uint32_t s = (uint32_t)u->p->inputs[n->first_input + i];
        const plan_slot *from = &u->p->slots[s];
        use *of = &u->of[s];
        if (!has_room && !from->stays) {
            to->from = s + 1;
            return true;
        }
        if (!has_room || !of->room || of->is_bound) continue;
        enter(u, n->first_slot, of->room - 1);
        of->room = 0;
        return true;
    }
    return false;
}

static void enter_any(uses *u, uint32_t slot) {
    uint32_t *list = list_of(u, &u->p->slots[slot]), i = *list;
    if (i)
        *list = u->rooms[--i].next_free;
    else
        u->rooms[i = u->n_rooms++] = (room){.first = slot, .holder = slot, .list = list};
    enter(u, slot, i);
}

static void leave(uses *u, use *of) {
    if (!of->room || of->n_blocks > 1 || of->is_bound) return;
    room *left = &u->rooms[of->room - 1];
    left->next_free = *left->list;
    *left->list = of->room;
    of->room = 0;
}

static void find_rooms(uses *u, const plan_node *n) {
    plan *p = u->p;
    bool computes = n->role == ROLE_KERNEL || n->role == ROLE_QUEUE;
    for (uint32_t s = n->first_slot; computes && s < n->first_slot + n->n_outputs; s++) {
        size_t size = plan_block_size(&p->slots[s]);
        bool kept = p->slots[s].stays, has_room = kept && size <= PLAN_KEPT_MOST;
        if (kept && size <= TENSOR_INLINE) continue;
        if (s == n->first_slot && enter_in_place(u, n, has_room)) continue;
        if (has_room) enter_any(u, s);
        if (kept && !has_room) p->slots[s].from = s + 1;
    }
    for (uint32_t s = n->first_slot; s < n->first_slot + n->n_outputs; s++)
        if (!u->of[s].n_blocks) leave(u, &u->of[s]);
    for (uint32_t i = n->first_input; i < n->first_input + n->n_inputs; i++) {
        if (p->inputs[i] == PLAN_NONE) continue;
        use *of = use_of(u, (uint32_t)p->inputs[i]);
        if (of->input == i + 1) leave(u, of);
    }
}

/* In the next step the first has what the last had in this one. Rooms are a block's own. */
static void close_rings(uses *u, uint32_t first) {
    for (uint32_t i = first; i < u->n_rooms; i++) {
        u->p->slots[u->rooms[i].first].from = u->rooms[i].holder + 1;
        u->of[u->rooms[i].holder].room = 0;
        *u->rooms[i].list = 0;
    }
}

/* ---- all ----------------------------------------------------------------- */

bool uses_make(plan *p, arena *mem) {
    uses u = {.p = p};
    u.of = arena_array(mem, p->n_slots, sizeof *u.of);
    u.drops = arena_array(mem, p->n_inputs, sizeof *u.drops);
    u.owned = arena_array(mem, p->n_variables, sizeof *u.owned);
    u.makers = arena_array(mem, p->n_slots, sizeof *u.makers);
    u.rooms = arena_array(mem, p->n_slots, sizeof *u.rooms);
    u.free = arena_array(mem, (size_t)p->n_devices * CLASSES, sizeof *u.free);
    p->givers = arena_array(&p->mem, p->n_variables, sizeof *p->givers);
    if (mem->failed || p->mem.failed) return false;
    find_what_stays(&u);
    for (uint32_t b = 0; b < p->n_blocks; b++)
        for (uint32_t i = 0; i < p->blocks[b].count; i++) note_reads(&u, p->blocks[b].first + i, b);
    for (uint32_t b = 0; b < p->n_blocks; b++) {
        uint32_t first = u.n_rooms;
        for (uint32_t i = 0; i < p->blocks[b].count; i++)
            find_rooms(&u, &p->nodes[p->blocks[b].first + i]);
        close_rings(&u, first);
    }
    return make_drops(&u);
}
