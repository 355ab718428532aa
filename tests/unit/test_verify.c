/* SPDX-License-Identifier: MIT
 *
 * verify accepts what lower makes, and refuses what no lower may make: a good plan is
 * changed in one place, must be refused, and is changed back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/scale.h"

#include "unit/compile_world.h"

#include <string.h>

/* ---- one change ---------------------------------------------------------- */

/* The plan as it is now must be refused as a mistake of this library, with these words. */
static void refused(compile_world *w, const char *parts) {
    if (world_verify(w)) fail_msg("accepted; expected: %s", parts);
    assert_int_equal(w->err.code, DF_INTERNAL);
    assert_int_equal(strncmp(w->err.message, "verify: ", 8), 0);
    if (!strstr(w->err.message, parts)) fail_msg("\"%s\" is not in: %s", parts, w->err.message);
}

/* With `field` changed, the plan is refused. */
#define REFUSED_WITH(w, field, value, parts)                                                       \
    do {                                                                                           \
        __typeof__(field) was_ = (field);                                                          \
        (field) = (__typeof__(field))(value);                                                      \
        refused((w), (parts));                                                                     \
        (field) = was_;                                                                            \
    } while (0)

static void accepted(compile_world *w) {
    if (!world_verify(w)) fail_msg("%s", w->err.message);
}

/* ---- a good plan --------------------------------------------------------- */

static uint32_t number_of(const compile_world *w, const char *name) {
    const plan *p = w->c.plan;
    for (uint32_t i = 0; i < p->n_nodes; i++)
        if (strcmp(p->nodes[i].name, name) == 0) return i;
    fail_msg("the plan has no node %s", name);
    return 0;
}

static plan_node *node(const compile_world *w, const char *name) {
    return &w->c.plan->nodes[number_of(w, name)];
}

static plan_channel *channel_of(const compile_world *w, const char *send) {
    return &w->c.plan->channels[node(w, send)->index];
}

/* The block of a node. */
static plan_block *block(const compile_world *w, const char *name) {
    uint32_t n = number_of(w, name);
    plan_block *b = w->c.plan->blocks;
    while (n >= b->first + b->count) b++;
    return b;
}

static df_out neg(compile_world *w, const char *name, const char *device, df_out x) {
    df_graph_on(w->g, device);
    df_graph_name(w->g, name);
    df_out out = df_neg(w->g, x);
    df_graph_on(w->g, NULL);
    return out;
}

/* x goes to sim:0 and comes back as y; z needs both x and y, and runs behind the event
 * that y's Recv ends with. Blocks: what needs no event; z and what needs it; r. */
static void make_plan(compile_world *w) {
    df_out x = world_large_input(w, "x"), a = neg(w, "a", NULL, x), y = neg(w, "y", "sim:0", a);
    df_out few = world_input(w, "few"), shape = neg(w, "shape", NULL, few);
    df_graph_name(w->g, "z");
    df_out z = df_add(w->g, a, y);
    df_graph_name(w->g, "s");
    df_out s = df_add(w->g, z, a);
    df_out later = world_later(w, x);
    df_graph_name(w->g, "r");
    df_out r = df_add(w->g, later, z);
    df_graph_on(w->g, "sim:0");
    df_graph_name(w->g, "n");
    df_out n = df_cast(w->g, shape, DF_INT64);
    df_graph_name(w->g, "shaped");
    df_out shaped = df_reshape_to(w->g, y, n);
    df_graph_on(w->g, "cpu:1");
    df_graph_name(w->g, "far");
    df_out far = df_neg(w->g, z);
    world_passes(w, PASS_LOWER, DF_OUTS(x, few), DF_OUTS(s, r, shaped, far));
    accepted(w);
}

/* ---- counts and events --------------------------------------------------- */

static void a_block_that_waits_for_one_event_more_never_runs(void **state) {
    compile_world *w = world_of(state);
    make_plan(w);
    plan *p = w->c.plan;
    for (uint32_t b = 0; b < p->n_blocks; b++)
        REFUSED_WITH(w, p->blocks[b].pending, p->blocks[b].pending + 1, "would never run");
    REFUSED_WITH(w, p->blocks[p->n_blocks].pending, p->blocks[p->n_blocks].pending + 1,
                 "the end would never be reached");
    accepted(w);
}

static void a_block_that_waits_for_one_event_less_starts_too_early(void **state) {
    compile_world *w = world_of(state);
    make_plan(w);
    plan *p = w->c.plan;
    for (uint32_t b = 0; b <= p->n_blocks; b++)
        if (p->blocks[b].pending)
            REFUSED_WITH(w, p->blocks[b].pending, p->blocks[b].pending - 1, "on /job:localhost");
    accepted(w);
}

static void a_missing_event_is_missed(void **state) {
    compile_world *w = world_of(state);
    make_plan(w);
    plan *p = w->c.plan;
    for (uint32_t b = 0; b < p->n_blocks; b++)
        if (p->blocks[b].n_after)
            REFUSED_WITH(w, p->blocks[b].n_after, p->blocks[b].n_after - 1, "would never");
    for (uint32_t n = 0; n < p->n_nodes; n++)
        if (p->nodes[n].n_after)
            REFUSED_WITH(w, p->nodes[n].n_after, p->nodes[n].n_after - 1, "would never");
    accepted(w);
}

static void an_event_for_another_block_is_missed_here_and_too_many_there(void **state) {
    compile_world *w = world_of(state);
    make_plan(w);
    plan *p = w->c.plan;
    for (uint32_t i = 0; i < p->n_after; i++)
        for (uint32_t b = 0; b <= p->n_blocks; b++)
            if (p->after[i] != b) REFUSED_WITH(w, p->after[i], b, "");
    accepted(w);
}

static void an_end_that_is_not_waited_for_is_not_an_event(void **state) {
    compile_world *w = world_of(state);
    make_plan(w);
    plan *p = w->c.plan;
    for (uint32_t n = 0; n < p->n_nodes; n++)
        if (p->nodes[n].flags & PLAN_ENDS_LATER)
            REFUSED_WITH(w, p->nodes[n].flags, p->nodes[n].flags & ~(uint32_t)PLAN_ENDS_LATER,
                         "would never");
    accepted(w);
}

static void what_ends_later_cannot_be_read_at_once(void **state) {
    compile_world *w = world_of(state);
    make_plan(w);
    REFUSED_WITH(w, node(w, "a")->flags, node(w, "a")->flags | PLAN_ENDS_LATER,
                 "reads what is not yet written");
    accepted(w);
}

/* ---- blocks -------------------------------------------------------------- */

static void a_node_that_two_blocks_run_runs_twice(void **state) {
    compile_world *w = world_of(state);
    make_plan(w);
    plan *p = w->c.plan;
    assert_true(p->n_blocks > 1);
    for (uint32_t b = 0; b + 1 < p->n_blocks; b++)
        REFUSED_WITH(w, p->blocks[b].count, p->blocks[b].count + 1, "");
    plan_block first = p->blocks[0], *second = &p->blocks[1], was = *second;
    second->first = first.first; /* the same nodes, again */
    second->count = first.count;
    refused(w, "runs twice");
    *second = was;
    accepted(w);
}

static void a_node_that_no_block_runs_is_named(void **state) {
    compile_world *w = world_of(state);
    make_plan(w);
    plan_block *b = block(w, "r");
    const plan_node *last = &w->c.plan->nodes[b->first + b->count - 1];
    REFUSED_WITH(w, b->count, b->count - 1, "would never run");
    assert_non_null(strstr(w->err.message, last->name));
    accepted(w);
}

static void two_nodes_in_the_wrong_order_are_noticed(void **state) {
    compile_world *w = world_of(state);
    make_plan(w);
    plan_node *a = node(w, "a"), *feed = node(w, "x@feed"), was = *a;
    assert_ptr_equal(block(w, "a"), block(w, "x@feed"));
    *a = *feed;
    *feed = was;
    refused(w, "node a on /job:localhost/task:0/device:CPU:0: reads what is not yet written");
    *feed = *a;
    *a = was;
    accepted(w);
}

/* ---- slots --------------------------------------------------------------- */

static void a_slot_that_is_written_later_is_refused(void **state) {
    compile_world *w = world_of(state);
    make_plan(w);
    int32_t *input = &w->c.plan->inputs[node(w, "a")->first_input];
    REFUSED_WITH(w, *input, (int32_t)node(w, "r")->first_slot, "reads what is not yet written");
    REFUSED_WITH(w, *input, (int32_t)node(w, "a")->first_slot, "reads what is not yet written");
    accepted(w);
}

static void a_slot_of_another_device_is_refused(void **state) {
    compile_world *w = world_of(state);
    make_plan(w);
    plan_node *y = node(w, "y");
    REFUSED_WITH(w, w->c.plan->inputs[y->first_input], (int32_t)node(w, "a")->first_slot,
                 "an input lies in the wrong memory");
    accepted(w);
}

static void a_slot_that_was_dropped_is_refused(void **state) {
    compile_world *w = world_of(state);
    make_plan(w);
    plan *p = w->c.plan;
    uint32_t slot = node(w, "y@recv")->first_slot;
    plan_node *recv = node(w, "y@recv"), was = *recv;
    for (uint32_t i = 0; i < p->n_drops; i++) {
        if (p->drops[i] != slot) continue;
        recv->first_drop = i; /* by its own producer: far too early */
        recv->n_drops = 1;
        refused(w, "reads what was dropped");
    }
    assert_true(recv->n_drops == 1);
    *recv = was;
    accepted(w);
}

static void a_slot_that_stays_is_not_dropped(void **state) {
    compile_world *w = world_of(state);
    make_plan(w);
    plan *p = w->c.plan;
    uint32_t i = node(w, "r@fetch")->first_drop;
    REFUSED_WITH(w, p->drops[i], node(w, "x@feed")->first_slot, "drops what stays");
    REFUSED_WITH(w, p->slots[p->drops[i]].stays, true, "drops what stays");
    accepted(w);
}

static void what_is_lent_stays_in_reach(void **state) {
    compile_world *w = world_of(state);
    make_plan(w);
    REFUSED_WITH(w, channel_of(w, "z@send")->lent, true, "lends, or borrows, what does not stay");
    REFUSED_WITH(w, channel_of(w, "a@send")->lent, true, "lends what the other end cannot read");
    accepted(w);
}

static void what_is_lent_is_borrowed(void **state) {
    compile_world *w = world_of(state);
    df_out few = world_input(w, "few"), here = neg(w, "here", "cpu:0", few);
    df_out there = neg(w, "there", "cpu:1", here);
    world_passes(w, PASS_LOWER, DF_OUTS(few), DF_OUTS(there));
    plan *p = w->c.plan;
    accepted(w);
    assert_true(channel_of(w, "here@send")->lent);
    REFUSED_WITH(w, p->slots[node(w, "here")->first_slot].stays, false, "does not stay");
    REFUSED_WITH(w, p->slots[node(w, "here@recv")->first_slot].stays, false, "does not stay");
    REFUSED_WITH(w, channel_of(w, "here@send")->lent, false, "may not last");
    accepted(w);
}

static void a_slot_is_not_dropped_twice(void **state) {
    compile_world *w = world_of(state);
    make_plan(w);
    plan *p = w->c.plan;
    plan_node *fetch = node(w, "r@fetch"), was = *fetch;
    assert_int_equal(fetch->n_drops, 1);
    for (uint32_t i = 0; i < p->n_drops; i++) {
        bool in_first = false; /* dropped in block 0, long before */
        for (uint32_t n = 0; n < p->blocks[0].count; n++)
            in_first |=
                i >= p->nodes[n].first_drop && i < p->nodes[n].first_drop + p->nodes[n].n_drops;
        if (!in_first || p->slots[p->drops[i]].readers) continue;
        fetch->first_drop = i;
        refused(w, "drops what is not there");
    }
    *fetch = was;
    accepted(w);
}

/* a's slot is read in several blocks: whoever comes last drops it. */
static void too_few_readers_drop_too_early(void **state) {
    compile_world *w = world_of(state);
    make_plan(w);
    plan_slot *s = &w->c.plan->slots[node(w, "a")->first_slot];
    assert_true(s->readers > 1);
    REFUSED_WITH(w, s->readers, 0, "what");
    accepted(w);
}

static void the_wrong_memory_is_refused(void **state) {
    compile_world *w = world_of(state);
    make_plan(w);
    plan *p = w->c.plan;
    /* shaped reads n in host memory, y in the device's */
    REFUSED_WITH(w, p->slots[node(w, "n@recv")->first_slot].memory, DF_MEMORY_DEVICE, "memory");
    REFUSED_WITH(w, p->slots[node(w, "a@recv")->first_slot].memory, DF_MEMORY_HOST, "memory");
    REFUSED_WITH(w, p->slots[node(w, "n")->first_slot].memory, DF_MEMORY_HOST, "memory");
    accepted(w);
}

/* ---- channels ------------------------------------------------------------ */

static void two_ends_that_disagree_are_refused(void **state) {
    compile_world *w = world_of(state);
    make_plan(w);
    static const char *const sends[] = {"x@send", "a@send", "y@send", "n@send", "z@send"};
    for (int i = 1; i < 5; i++) {
        plan_channel *ch = channel_of(w, sends[i]);
        edge_type other = *ch->type;
        other.dtype = DF_INT8;
        REFUSED_WITH(w, ch->type, &other, "memory is not its channel's");
        REFUSED_WITH(w, ch->src_device, 3, "its channel belongs to another device");
        REFUSED_WITH(w, ch->dst_device, 3, "its channel belongs to another device");
        REFUSED_WITH(w, ch->src_memory, !ch->src_memory, "memory is not its channel's");
        REFUSED_WITH(w, ch->dst_memory, !ch->dst_memory, "memory is not its channel's");
    }
    accepted(w);
}

static void two_recvs_that_change_places_are_noticed(void **state) {
    compile_world *w = world_of(state);
    make_plan(w);
    static const char *const pairs[][2] = {
        {"a@recv", "y@recv"}, {"a@recv", "n@recv"}, {"z@recv", "far@recv"}};
    for (int i = 0; i < 3; i++) {
        plan_node *one = node(w, pairs[i][0]), *two = node(w, pairs[i][1]);
        int32_t was = one->index;
        one->index = two->index;
        two->index = was;
        refused(w, ""); /* by device, dtype, memory or time */
        two->index = one->index;
        one->index = was;
    }
    accepted(w);
}

static void a_channel_that_is_used_twice_is_refused(void **state) {
    compile_world *w = world_of(state);
    make_plan(w);
    REFUSED_WITH(w, node(w, "far@recv")->index, node(w, "y@recv")->index,
                 "its channel is used twice");
    REFUSED_WITH(w, node(w, "n@send")->index, node(w, "y@send")->index, "channel");
    accepted(w);
}

static void a_recv_before_its_send_is_refused(void **state) {
    compile_world *w = world_of(state);
    make_plan(w);
    plan_node *send = node(w, "a@send"), *recv = node(w, "a@recv"), was = *send;
    assert_true(send < recv);
    assert_ptr_equal(block(w, "a@send"), block(w, "a@recv"));
    *send = *recv;
    *recv = was;
    refused(w, "receives before the send");
    *recv = *send;
    *send = was;
    accepted(w);
}

static void a_channel_that_nobody_uses_is_named(void **state) {
    compile_world *w = world_of(state);
    make_plan(w);
    plan *p = w->c.plan;
    plan_channel more[32];
    assert_true(p->n_channels < 32);
    memcpy(more, p->channels, p->n_channels * sizeof *more);
    more[p->n_channels] = more[0];
    more[p->n_channels].producer = "nobody";
    plan_channel *was = p->channels;
    p->channels = more;
    p->n_channels++;
    refused(w, "channel of node nobody is never received");
    p->n_channels--;
    p->channels = was;
    accepted(w);
}

/* ---- variables ----------------------------------------------------------- */

static uint32_t place_of(const compile_world *w, const df_node *n) {
    for (uint32_t i = 0; i < w->c.n_emitted; i++)
        if (w->c.emitted[i].what == EMITTED_ITEM && w->c.items[w->c.emitted[i].item].node == n)
            return i;
    fail_msg("node %s was not emitted", n->name);
    return 0;
}

static void accesses_without_their_edge_are_refused(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x"), v = df_variable(w->g, "v", DF_FLOAT32, DF_SHAPE(4));
    static const char *const names[] = {"r", "one", "two", "s"};
    df_out out[4];
    for (int i = 0; i < 4; i++) {
        df_graph_name(w->g, names[i]);
        out[i] = i == 0 || i == 3 ? df_read(w->g, v) : df_assign_add(w->g, v, x);
    }
    world_passes(w, PASS_LOWER, DF_OUTS(x), (df_outs){out, 4});
    accepted(w);
    for (int i = 1; i < 4; i++) {
        uint32_t place = place_of(w, out[i].node);
        uint32_t *edge = &w->c.before[w->c.first_before[place + 1] - 1];
        REFUSED_WITH(w, *edge, place, "accesses of variable v are not ordered at node");
        assert_non_null(strstr(w->err.message, names[i]));
    }
    accepted(w);
}

static void accesses_on_two_devices_are_refused(void **state) {
    compile_world *w = world_of(state);
    df_out v = df_variable(w->g, "v", DF_FLOAT32, DF_SHAPE(4)), r = df_read(w->g, v);
    world_passes(w, PASS_LOWER, DF_NO_OUTS, DF_OUTS(r));
    accepted(w);
    emitted *e = &w->c.emitted[place_of(w, r.node)];
    REFUSED_WITH(w, e->device, 1, "accesses of variable v");
    accepted(w);
}

/* ---- random plans -------------------------------------------------------- */

/* Each count and each event of a random plan, changed by one. */
static void spoil_everything(compile_world *w) {
    plan *p = w->c.plan;
    for (uint32_t b = 0; b <= p->n_blocks; b++) {
        plan_block *at = &p->blocks[b];
        REFUSED_WITH(w, at->pending, at->pending + 1, "");
        if (at->pending) REFUSED_WITH(w, at->pending, at->pending - 1, "");
        if (b < p->n_blocks && at->count > 1) REFUSED_WITH(w, at->count, at->count - 1, "");
    }
    for (uint32_t i = 0; i < p->n_after; i++)
        REFUSED_WITH(w, p->after[i], (p->after[i] + 1) % (p->n_blocks + 1), "");
    for (uint32_t i = 0; i < p->n_channels; i++) {
        plan_channel *ch = &p->channels[i];
        edge_type other = *ch->type;
        other.dtype = DF_INT8;
        REFUSED_WITH(w, ch->type, &other, "");
        REFUSED_WITH(w, ch->src_device, (ch->src_device + 1u) % p->n_devices, "");
        REFUSED_WITH(w, ch->dst_device, (ch->dst_device + 1u) % p->n_devices, "");
    }
}

static void random_plans_are_accepted_and_no_change_goes_unseen(void **state) {
    compile_world *w = world_of(state);
    for (uint64_t seed = 1; seed <= test_scaled(80); seed++) {
        world_reopen(w, "cpu:2,sim:2");
        random_graph r = world_random(w, 1000 + seed, 60);
        w->rq.targets = DF_NODES(r.target);
        w->rq.parallelism = 1 + (uint32_t)(seed % 4);
        w->rq.grain = seed % 3 ? 0.01f : 0;
        world_passes(w, PASS_VERIFY, (df_outs){r.feeds, 2}, (df_outs){r.fetches, 4});
        spoil_everything(w);
        accepted(w);
    }
}

static void two_channels_of_one_type_that_change_places_are_noticed(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x"), b = neg(w, "b", "cpu:1", x), c = neg(w, "c", "cpu:1", x);
    w->rq.parallelism = 2; /* one block, in which a Send is not right before its Recv */
    w->rq.grain = 0.08f;
    world_passes(w, PASS_LOWER, DF_OUTS(x), DF_OUTS(b, c));
    accepted(w);
    plan_node *one = node(w, "b@send"), *two = node(w, "c@send");
    int32_t was = one->index;
    one->index = two->index;
    two->index = was;
    refused(w, "channel");
    two->index = one->index;
    one->index = was;
}

static void two_ends_of_different_shape_are_refused(void **state) {
    compile_world *w = world_of(state);
    make_plan(w);
    plan_channel *ch = channel_of(w, "y@send");
    edge_type longer = *ch->type, scalar = *ch->type;
    longer.dims[0] = 5;
    scalar.rank = 0;
    REFUSED_WITH(w, ch->type, &longer, "channel");
    REFUSED_WITH(w, ch->type, &scalar, "channel");
}

static void a_buffer_that_others_read_is_not_taken_over(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x"), a = neg(w, "a", NULL, x), b = neg(w, "b", NULL, a);
    df_out c = neg(w, "c", NULL, a);
    world_passes(w, PASS_LOWER, DF_OUTS(x), DF_OUTS(b, c));
    plan_slot *to = &w->c.plan->slots[node(w, "b")->first_slot];
    REFUSED_WITH(w, to->from, node(w, "a")->first_slot + 1, "would compute into what others read");
}

static void a_slot_that_nobody_drops_is_refused(void **state) {
    compile_world *w = world_of(state);
    make_plan(w);
    REFUSED_WITH(w, node(w, "r@fetch")->n_drops, 0, "");
}

/* ---- more of channels, rooms and givers ------------------------------------ */

static void a_channels_other_end_and_its_slot_are_known(void **state) {
    compile_world *w = world_of(state);
    make_plan(w);
    plan_channel *y = channel_of(w, "y@send");
    REFUSED_WITH(w, y->far, PLAN_FAR_SOURCE, "its channel's other end is here");
    REFUSED_WITH(w, y->slot, y->slot + 1, "sends another output than its channel's");
    REFUSED_WITH(w, w->c.plan->slots[node(w, "y@recv")->first_slot].stays, PLAN_KEPT,
                 "keeps what it cannot");
    /* its end is taken up by itself, and drops */
    REFUSED_WITH(w, node(w, "y@recv")->n_drops, 1, "drops");
    accepted(w);
}

static plan_slot *out_of(const compile_world *w, const char *name) {
    return &w->c.plan->slots[node(w, name)->first_slot];
}

#define TAKES_OVER_REFUSED(w, to, of)                                                              \
    REFUSED_WITH(w, out_of(w, to)->from, node(w, of)->first_slot + 1,                              \
                 "would compute into what others read")

/* What is dropped is taken over only by who reads it, once and last, in its own memory and dtype.
 */
static void what_is_dropped_is_taken_over_by_its_last_reader_alone(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_large_input(w, "x"), a = neg(w, "a", "sim:0", x), b = neg(w, "b", "sim:0", x);
    df_graph_on(w->g, "sim:0");
    df_graph_name(w->g, "twice");
    df_out twice = df_add(w->g, a, a);
    df_graph_name(w->g, "cast");
    df_out cast = df_cast(w->g, b, DF_INT32);
    df_graph_on(w->g, NULL);
    df_out c = neg(w, "c", "sim:0", cast), d = neg(w, "d", "sim:0", twice);
    df_out here = neg(w, "here", NULL, x), later = world_later(w, x);
    df_graph_name(w->g, "one");
    df_out one = df_add(w->g, here, later);
    df_out back = neg(w, "back", NULL, d);
    df_graph_name(w->g, "other");
    df_out other = df_add(w->g, here, back);
    world_passes(w, PASS_LOWER, DF_OUTS(x), DF_OUTS(c, one, other));
    accepted(w);
    TAKES_OVER_REFUSED(w, "twice", "a");
    TAKES_OVER_REFUSED(w, "cast", "b");
    out_of(w, "d")->from = 0;
    TAKES_OVER_REFUSED(w, "d", "c"); /* which does not read it */
    TAKES_OVER_REFUSED(w, "one", "here");
    TAKES_OVER_REFUSED(w, "other", "here"); /* one of the two is the last */
}

static df_out product(compile_world *w, const char *name, df_out x) {
    df_graph_name(w->g, name);
    return df_matmul(w->g, x, x);
}

/* A room passes only between kept slots of one block and size, when nobody can see the old value.
 */
static void a_room_is_passed_on_within_its_block_when_nobody_can_see_it(void **state) {
    compile_world *w = world_of(state);
    df_out x = df_placeholder(w->g, "x", DF_FLOAT32, DF_SHAPE(16, 16));
    df_out wide = df_placeholder(w->g, "wide", DF_FLOAT32, DF_SHAPE(8, 32));
    df_out a = product(w, "a", x), b = product(w, "b", x), c = product(w, "c", x);
    df_graph_name(w->g, "passed");
    df_out passed = df_reshape(w->g, b, DF_SHAPE(256)), d = product(w, "d", a);
    df_out flat = neg(w, "flat", NULL, wide);
    df_graph_name(w->g, "tall");
    df_out tall = df_transpose(w->g, flat, (const int64_t[]){1, 0}, 2);
    df_out later = world_later(w, x), after = df_add(w->g, later, c);
    df_graph_name(w->g, "behind");
    df_out behind = df_add(w->g, after, c);
    world_passes(w, PASS_LOWER, DF_OUTS(x, wide), DF_OUTS(d, passed, tall, behind));
    accepted(w);
    for (const char *name = "a\0b\0c\0d\0"; *name; name += 2) out_of(w, name)->from = 0;
    out_of(w, "flat")->from = out_of(w, "tall")->from = out_of(w, "behind")->from = 0;
    plan_slot *added = &w->c.plan->slots[node(w, "Add")->first_slot];
    added->from = 0;
    accepted(w);
    TAKES_OVER_REFUSED(w, "d", "b");       /* which was passed on to the caller */
    TAKES_OVER_REFUSED(w, "tall", "flat"); /* of another shape, and read while it is written */
    TAKES_OVER_REFUSED(w, "behind", "c");  /* of another block */
}

static void only_what_is_kept_takes_over_what_is_kept(void **state) {
    compile_world *w = world_of(state);
    df_out x = df_placeholder(w->g, "x", DF_FLOAT32, DF_SHAPE(16, 16)), a = neg(w, "a", NULL, x);
    df_out b = neg(w, "b", NULL, a);
    world_passes(w, PASS_LOWER, DF_OUTS(x), DF_OUTS(b));
    accepted(w);
    out_of(w, "a")->from = 0;
    out_of(w, "b")->from = 0;
    accepted(w);
    TAKES_OVER_REFUSED(w, "a", "x@feed"); /* that is the caller's */
    out_of(w, "b")->from = node(w, "a")->first_slot + 1;
    accepted(w);
    REFUSED_WITH(w, out_of(w, "b")->stays, PLAN_DROPPED, "would compute into what others read");
}

static void what_is_given_to_a_variable_is_kept_and_written_once(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x"), v = df_variable(w->g, "v", DF_FLOAT32, DF_SHAPE(4));
    df_graph_name(w->g, "more");
    df_out more = df_assign_add(w->g, v, x);
    world_passes(w, PASS_LOWER, DF_OUTS(x), DF_OUTS(more));
    accepted(w);
    assert_int_equal(w->c.plan->givers[0], node(w, "more")->first_slot + 1);
    out_of(w, "more")->from = 0;
    accepted(w);
    REFUSED_WITH(w, out_of(w, "more")->stays, PLAN_DROPPED, "gives away what it may not");
    out_of(w, "v")->stays = PLAN_DROPPED; /* else that is refused before */
    REFUSED_WITH(w, w->c.plan->writes[0], 2, "gives away what it may not");
}

static void a_write_without_the_variables_own_node_is_refused(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x"), v = df_variable(w->g, "v", DF_FLOAT32, DF_SHAPE(4));
    df_graph_name(w->g, "one");
    df_out one = df_assign_add(w->g, v, x);
    df_graph_name(w->g, "two");
    df_out two = df_assign_add(w->g, v, x);
    world_passes(w, PASS_LOWER, DF_OUTS(x), DF_OUTS(one, two));
    accepted(w);
    uint32_t *own = &w->c.emitted[place_of(w, v.node)].item;
    REFUSED_WITH(w, *own, 0, "accesses of variable v"); /* the feed of x in its place */
    REFUSED_WITH(w, w->c.emitted[place_of(w, two.node)].device, 1, "accesses of variable v");
    accepted(w);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, world_open, world_close)
    const struct CMUnitTest tests[] = {
        TEST(a_block_that_waits_for_one_event_more_never_runs),
        TEST(a_block_that_waits_for_one_event_less_starts_too_early),
        TEST(a_missing_event_is_missed),
        TEST(two_channels_of_one_type_that_change_places_are_noticed),
        TEST(two_ends_of_different_shape_are_refused),
        TEST(a_buffer_that_others_read_is_not_taken_over),
        TEST(a_slot_that_nobody_drops_is_refused),
        TEST(an_event_for_another_block_is_missed_here_and_too_many_there),
        TEST(an_end_that_is_not_waited_for_is_not_an_event),
        TEST(what_ends_later_cannot_be_read_at_once),
        TEST(a_node_that_two_blocks_run_runs_twice),
        TEST(a_node_that_no_block_runs_is_named),
        TEST(two_nodes_in_the_wrong_order_are_noticed),
        TEST(a_slot_that_is_written_later_is_refused),
        TEST(a_slot_of_another_device_is_refused),
        TEST(a_slot_that_was_dropped_is_refused),
        TEST(a_slot_that_stays_is_not_dropped),
        TEST(what_is_lent_stays_in_reach),
        TEST(what_is_lent_is_borrowed),
        TEST(a_slot_is_not_dropped_twice),
        TEST(too_few_readers_drop_too_early),
        TEST(the_wrong_memory_is_refused),
        TEST(two_ends_that_disagree_are_refused),
        TEST(two_recvs_that_change_places_are_noticed),
        TEST(a_channel_that_is_used_twice_is_refused),
        TEST(a_recv_before_its_send_is_refused),
        TEST(a_channel_that_nobody_uses_is_named),
        TEST(accesses_without_their_edge_are_refused),
        TEST(accesses_on_two_devices_are_refused),
        TEST(random_plans_are_accepted_and_no_change_goes_unseen),
        TEST(a_channels_other_end_and_its_slot_are_known),
        TEST(what_is_dropped_is_taken_over_by_its_last_reader_alone),
        TEST(a_room_is_passed_on_within_its_block_when_nobody_can_see_it),
        TEST(only_what_is_kept_takes_over_what_is_kept),
        TEST(what_is_given_to_a_variable_is_kept_and_written_once),
        TEST(a_write_without_the_variables_own_node_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
