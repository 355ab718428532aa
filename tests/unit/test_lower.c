/* SPDX-License-Identifier: MIT
 *
 * The lowered arrays: what each node became, and, on random graphs, that the arrays agree
 * with each other and with the partitions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/scale.h"

#include "unit/compile_world.h"

#include <stdlib.h>
#include <string.h>

static const plan_node *node_named(const compile_world *w, const char *name) {
    const plan *p = w->c.plan;
    for (uint32_t i = 0; i < p->n_nodes; i++)
        if (strcmp(p->nodes[i].name, name) == 0) return &p->nodes[i];
    fail_msg("the plan has no node %s", name);
    return NULL;
}

static bool drops(const compile_world *w, const plan_node *n, uint32_t slot) {
    for (uint32_t i = 0; i < n->n_drops; i++)
        if (w->c.plan->drops[n->first_drop + i] == slot) return true;
    return false;
}

/* The slot whose block the node's output 0 may take over; NONE. */
static int32_t from(const compile_world *w, const char *name) {
    return (int32_t)w->c.plan->slots[node_named(w, name)->first_slot].from - 1;
}

static int32_t slot_of(const compile_world *w, const char *name) {
    return (int32_t)node_named(w, name)->first_slot;
}

static df_out neg(compile_world *w, const char *name, const char *device, df_out x) {
    df_graph_on(w->g, device);
    df_graph_name(w->g, name);
    df_out out = df_neg(w->g, x);
    df_graph_on(w->g, NULL);
    return out;
}

/* ---- roles --------------------------------------------------------------- */

static void a_role_says_how_a_node_is_run(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x"), here = neg(w, "here", "cpu:0", x);
    df_out there = neg(w, "there", "sim:0", here);
    df_graph_name(w->g, "by_reference");
    df_out same = df_identity(w->g, x);
    df_graph_name(w->g, "later");
    df_out later = world_later(w, same);
    df_node *none = world_node(w, "none");
    w->rq.targets = DF_NODES(none);
    world_passes(w, PASS_LOWER, DF_OUTS(x), DF_OUTS(there, later));
    static const struct {
        const char *name;
        plan_role role;
        uint32_t flags;
    } expected[] = {{"x@feed", ROLE_FEED, 0},         {"here", ROLE_KERNEL, 0},
                    {"here@send", ROLE_SEND, 0},      {"here@recv", ROLE_RECV, 0},
                    {"there", ROLE_QUEUE, 0},         {"there@recv", ROLE_RECV, PLAN_ENDS_LATER},
                    {"by_reference", ROLE_INLINE, 0}, {"later", ROLE_ASYNC, PLAN_ENDS_LATER},
                    {"none", ROLE_NOTHING, 0},        {"there@fetch", ROLE_FETCH, 0}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        const plan_node *n = node_named(w, expected[i].name);
        assert_int_equal(n->role, expected[i].role);
        assert_int_equal(n->flags & PLAN_ENDS_LATER, expected[i].flags);
    }
    assert_int_equal(w->c.plan->queues, 1u << 2); /* sim:0, not sim:1 */
}

/* Copies run on queues of their own, which a step waits for if it may have used them. */
static void a_plan_knows_into_which_memories_it_copies_and_out_of_which(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x"), here = neg(w, "here", "cpu:0", x);
    df_out a = neg(w, "a", "sim:0", here), b = neg(w, "b", "sim:1", a);
    world_passes(w, PASS_LOWER, DF_OUTS(x), DF_OUTS(b));
    const plan *p = w->c.plan;
    assert_string_equal(p->devices[2].full_name, "/job:localhost/task:0/device:SIM:0");
    assert_int_equal(p->queues, 1u << 2 | 1u << 3);
    assert_int_equal(p->arrives, 1u << 2 | 1u << 3);
    assert_int_equal(p->leaves, 1u << 2 | 1u << 3);
}

static void host_tensors_that_an_accelerator_reads_and_makes_are_not_copied(void **state) {
    compile_world *w = world_of(state);
    df_graph_on(w->g, "sim:0");
    df_out kept = df_const_int(w->g, DF_INT64, 3);
    df_out y = neg(w, "y", "sim:0", kept);
    world_passes(w, PASS_LOWER, DF_NO_OUTS, DF_OUTS(y));
    const plan *p = w->c.plan;
    assert_int_equal(p->queues, 1u << 2);
    assert_int_equal(p->arrives, 0);
    assert_int_equal(p->leaves, 1u << 2);
}

static void what_goes_from_host_memory_to_host_memory_is_not_copied(void **state) {
    compile_world *w = world_of(state);
    df_out to = df_placeholder(w->g, "to", DF_INT64, DF_SHAPE(1));
    df_graph_on(w->g, "sim:0");
    df_out kept = df_const_int(w->g, DF_INT64, 3), shape = df_shape_of(w->g, kept);
    df_graph_name(w->g, "r");
    df_out r = df_reshape_to(w->g, kept, to);
    world_passes(w, PASS_LOWER, DF_OUTS(to), DF_OUTS(shape));
    assert_int_equal(w->c.plan->queues, 1u << 2);
    assert_int_equal(w->c.plan->leaves, 0);
    w->rq.targets = DF_NODES(r.node);
    world_passes(w, PASS_LOWER, DF_OUTS(to), DF_OUTS(shape));
    assert_int_equal(node_named(w, "to@recv")->role, ROLE_RECV);
    assert_int_equal(w->c.plan->arrives, 0);
    assert_int_equal(w->c.plan->leaves, 0);
}

static void shapes_are_known_if_those_of_all_inputs_and_outputs_are(void **state) {
    compile_world *w = world_of(state);
    df_out any = df_placeholder(w->g, "any", DF_INT64, DF_SHAPE(-1));
    df_out three = df_placeholder(w->g, "three", DF_INT64, DF_SHAPE(3));
    df_graph_name(w->g, "known");
    df_out known = df_add(w->g, three, three);
    df_graph_name(w->g, "input");
    df_out input = df_add(w->g, any, three); /* [3], if they fit */
    df_graph_name(w->g, "output");
    df_out output = df_reshape_to(w->g, three, three);
    world_passes(w, PASS_LOWER, DF_OUTS(any, three), DF_OUTS(known, input, output));
    assert_true(node_named(w, "known")->flags & PLAN_KNOWN_SHAPES);
    assert_false(node_named(w, "input")->flags & PLAN_KNOWN_SHAPES);
    assert_false(node_named(w, "output")->flags & PLAN_KNOWN_SHAPES);
}

static void a_recv_waits_for_a_fence_from_a_queue_to_the_host_alone(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x"), a = neg(w, "a", "sim:0", x), b = neg(w, "b", "sim:1", a);
    df_graph_on(w->g, "sim:1");
    df_out shape = df_cast(w->g, b, DF_INT64);
    df_graph_name(w->g, "r");
    df_out r = df_reshape_to(w->g, b, shape);
    world_passes(w, PASS_LOWER, DF_OUTS(x), DF_OUTS(r));
    assert_false(node_named(w, "x@recv")->flags & PLAN_ENDS_LATER);   /* host to sim */
    assert_false(node_named(w, "a@recv")->flags & PLAN_ENDS_LATER);   /* sim to sim */
    assert_true(node_named(w, "Cast@recv")->flags & PLAN_ENDS_LATER); /* sim to its host memory */
    assert_true(node_named(w, "r@recv")->flags & PLAN_ENDS_LATER);    /* sim to cpu */
}

/* ---- slots --------------------------------------------------------------- */

static void a_consumer_names_its_producers_slot(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x"), a = neg(w, "a", NULL, x);
    df_graph_name(w->g, "b");
    df_out b = df_add(w->g, a, x);
    world_passes(w, PASS_LOWER, DF_OUTS(x), DF_OUTS(b));
    const plan *p = w->c.plan;
    const plan_node *n = node_named(w, "b");
    assert_int_equal(n->n_inputs, 2);
    assert_int_equal(p->inputs[n->first_input], node_named(w, "a")->first_slot);
    assert_int_equal(p->inputs[n->first_input + 1], node_named(w, "x@feed")->first_slot);
}

static void an_input_that_names_a_variable_has_no_slot(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x"), v = df_variable(w->g, "v", DF_FLOAT32, DF_SHAPE(4));
    df_out u = df_variable(w->g, "u", DF_FLOAT32, DF_SHAPE(4));
    df_graph_name(w->g, "r");
    df_out r = df_read(w->g, u);
    df_graph_name(w->g, "add");
    df_out add = df_assign_add(w->g, v, x);
    world_passes(w, PASS_LOWER, DF_OUTS(x), DF_OUTS(r, add));
    const plan *p = w->c.plan;
    const plan_node *n = node_named(w, "add");
    assert_int_equal(p->inputs[n->first_input], PLAN_NONE);
    assert_int_equal(p->n_variables, 2);
    assert_int_equal(p->variables[n->variable], v.node->id);
    assert_true(p->writes[n->variable]);
    assert_int_equal(p->variables[node_named(w, "r")->variable], u.node->id);
    assert_false(p->writes[node_named(w, "r")->variable]);
    assert_int_equal(node_named(w, "x@feed")->variable, PLAN_NONE);
}

static void a_constant_lies_where_its_reader_wants_it(void **state) {
    compile_world *w = world_of(state);
    static const int64_t four[] = {4};
    df_tensor *t = NULL;
    assert_int_equal(df_tensor_from(&w->heap.allocator, DF_INT64, DF_SHAPE(1), four, &t, NULL),
                     DF_OK);
    df_out x = world_input(w, "x");
    df_graph_name(w->g, "n");
    df_out n = df_const(w->g, t);
    df_graph_on(w->g, "sim:0");
    df_out shaped = df_reshape_to(w->g, x, n), number = df_neg(w->g, n);
    world_passes(w, PASS_LOWER, DF_OUTS(x), DF_OUTS(shaped, number));
    const plan *p = w->c.plan;
    assert_int_equal(p->n_constants, 2);
    const plan_node *host = node_named(w, "n@host"), *own = node_named(w, "n");
    assert_int_equal(p->constants[host->index].memory, DF_MEMORY_HOST);
    assert_int_equal(p->slots[host->first_slot].memory, DF_MEMORY_HOST);
    assert_int_equal(p->constants[own->index].memory, DF_MEMORY_DEVICE);
    assert_int_equal(p->constants[own->index].device, 2);
    assert_ptr_equal(p->constants[own->index].value, t);
    df_tensor_unref(t);
}

static void feeds_have_names_and_types(void **state) {
    compile_world *w = world_of(state);
    df_out x = df_placeholder(w->g, "x", DF_FLOAT32, DF_SHAPE(-1));
    df_out unused = df_placeholder(w->g, "unused", DF_INT8, DF_SHAPE(-1, 2));
    w->rq.feed_shapes = (df_shape[]){DF_SHAPE(5, 2), DF_SHAPE(3)};
    world_passes(w, PASS_LOWER, DF_OUTS(unused, x), DF_OUTS(x));
    const plan *p = w->c.plan;
    assert_int_equal(p->n_feeds, 2);
    assert_int_equal(p->n_fetches, 1);
    assert_string_equal(p->feeds[0].name, "unused:0");
    assert_int_equal(p->feeds[0].type.dtype, DF_INT8);
    assert_string_equal(p->feeds[1].name, "x:0");
    assert_int_equal(p->feeds[1].type.dims[0], 3);
    assert_true(node_named(w, "x@feed")->flags & PLAN_KNOWN_SHAPES);
}

/* ---- last uses ----------------------------------------------------------- */

static void the_last_reader_drops_a_slot_and_may_take_its_buffer(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_large_input(w, "x"), a = neg(w, "a", NULL, x), b = neg(w, "b", NULL, a);
    df_out c = neg(w, "c", NULL, a), d = neg(w, "d", NULL, c);
    world_passes(w, PASS_LOWER, DF_OUTS(x), DF_OUTS(b, d));
    uint32_t slot = node_named(w, "a")->first_slot;
    assert_false(drops(w, node_named(w, "b"), slot));
    assert_int_equal(from(w, "b"), PLAN_NONE);
    assert_true(drops(w, node_named(w, "c"), slot));
    assert_int_equal(from(w, "c"), slot);
    assert_int_equal(from(w, "d"), slot_of(w, "c"));
}

static void an_output_that_nobody_reads_is_dropped_at_once(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_large_input(w, "x"), a = neg(w, "a", NULL, x);
    w->rq.targets = DF_NODES(a.node);
    world_passes(w, PASS_LOWER, DF_OUTS(x), DF_NO_OUTS);
    assert_true(drops(w, node_named(w, "a"), node_named(w, "a")->first_slot));
}

static void what_is_read_twice_by_one_node_is_not_taken_over(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_large_input(w, "x"), a = neg(w, "a", NULL, x);
    df_graph_name(w->g, "b");
    df_out b = df_add(w->g, a, a);
    world_passes(w, PASS_LOWER, DF_OUTS(x), DF_OUTS(b));
    const plan_node *n = node_named(w, "b");
    assert_int_equal(from(w, "b"), PLAN_NONE);
    assert_int_equal(n->n_drops, 1);
}

static void what_several_blocks_read_is_taken_over_by_none(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_large_input(w, "x"), a = neg(w, "a", NULL, x), later = world_later(w, x);
    df_graph_name(w->g, "b");
    df_out b = neg(w, "b", NULL, a);
    df_graph_name(w->g, "c");
    df_out c = df_add(w->g, a, later);
    world_passes(w, PASS_LOWER, DF_OUTS(x), DF_OUTS(b, c));
    uint32_t slot = node_named(w, "a")->first_slot;
    assert_int_equal(w->c.plan->slots[slot].readers, 2);
    assert_true(drops(w, node_named(w, "b"), slot));
    assert_true(drops(w, node_named(w, "c"), slot));
    assert_int_equal(from(w, "b"), PLAN_NONE);
    assert_int_equal(from(w, "c"), slot_of(w, "Later")); /* of what it alone reads */
}

static bool stays(const compile_world *w, const char *name) {
    return w->c.plan->slots[node_named(w, name)->first_slot].stays;
}

static void what_is_small_or_the_callers_or_lent_stays(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x"), y = world_large_input(w, "y");
    df_out small = neg(w, "small", "cpu:0", x), large = neg(w, "large", "cpu:0", y);
    df_graph_name(w->g, "passed");
    df_out passed = df_identity(w->g, small);
    df_out lent = neg(w, "lent", "cpu:1", small), sent = neg(w, "sent", "cpu:1", large);
    df_out far = neg(w, "far", "sim:0", small), back = neg(w, "back", "cpu:1", far);
    world_passes(w, PASS_LOWER, DF_OUTS(x, y), DF_OUTS(passed, lent, sent, back));
    static const struct {
        const char *name;
        bool stays;
    } expected[] = {{"x@feed", true},      {"y@feed", true},  {"small", true},
                    {"large", false},      {"passed", false}, {"small@recv", true},
                    {"large@recv", false}, {"far", false},    {"far@recv", false},
                    {"back", true},        {"sent", false},   {"lent", true}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        if (stays(w, expected[i].name) != expected[i].stays) fail_msg("%s", expected[i].name);
}

/* ---- random plans -------------------------------------------------------- */

static uint32_t block_of(const plan *p, uint32_t node) {
    for (uint32_t b = 0; b < p->n_blocks; b++)
        if (node >= p->blocks[b].first && node < p->blocks[b].first + p->blocks[b].count) return b;
    fail_msg("node %u is in no block", node);
    return 0;
}

static void every_node_is_in_one_block(const compile_world *w) {
    const plan *p = w->c.plan;
    uint32_t next = 0;
    for (uint32_t b = 0; b < p->n_blocks; b++) {
        assert_int_equal(p->blocks[b].first, next);
        assert_true(p->blocks[b].count > 0);
        next += p->blocks[b].count;
    }
    assert_int_equal(next, p->n_nodes);
    assert_int_equal(p->n_nodes, w->c.n_emitted);
    assert_int_equal(p->blocks[p->n_blocks].count, 0);
}

static void pending_counts_are_the_events(const compile_world *w) {
    const plan *p = w->c.plan;
    uint32_t *events = calloc(p->n_blocks + 1, sizeof *events), used = 0;
    assert_non_null(events);
    for (uint32_t b = 0; b < p->n_blocks; b++)
        for (uint32_t i = 0; i < p->blocks[b].n_after; i++, used++)
            events[p->after[p->blocks[b].first_after + i]]++;
    for (uint32_t n = 0; n < p->n_nodes; n++)
        for (uint32_t i = 0; i < p->nodes[n].n_after; i++, used++)
            events[p->after[p->nodes[n].first_after + i]]++;
    for (uint32_t b = 0; b <= p->n_blocks; b++) assert_int_equal(events[b], p->blocks[b].pending);
    assert_int_equal(used, p->n_after);
    free(events);
}

static bool is_later(const plan_node *n) {
    return n->role == ROLE_ASYNC || n->role == ROLE_QUEUE_LATER;
}

/* A slot is dropped once in each block that reads it, by the last there; by its own producer
 * if nobody does; and by each async kernel that reads it, as if that were a block. One that stays
 * is not dropped. */
static void each_reading_block_drops_once(const compile_world *w) {
    const plan *p = w->c.plan;
    for (uint32_t s = 0; s < p->n_slots; s++) {
        uint32_t blocks = 0, last = UINT32_MAX, dropping = 0;
        bool stays = p->slots[s].stays;
        for (uint32_t n = 0; n < p->n_nodes; n++) {
            const plan_node *node = &p->nodes[n];
            bool reads = false;
            for (uint32_t k = 0; k < node->n_inputs; k++)
                reads |= p->inputs[node->first_input + k] == (int32_t)s;
            dropping += drops(w, node, s);
            bool is_async = is_later(node);
            if (reads && (is_async || block_of(p, n) != last)) {
                blocks++;
                if (!is_async) last = block_of(p, n);
            }
            for (uint32_t m = n + 1; !is_async && drops(w, node, s) && m < p->n_nodes; m++)
                for (uint32_t k = 0; k < p->nodes[m].n_inputs; k++)
                    if (block_of(p, m) == block_of(p, n) && !is_later(&p->nodes[m]))
                        assert_int_not_equal(p->inputs[p->nodes[m].first_input + k], s);
        }
        assert_int_equal(p->slots[s].readers, blocks > 1 && !stays ? blocks : 0);
        if (stays) assert_int_equal(dropping, 0);
        if (blocks && !stays) assert_int_equal(dropping, blocks);
    }
}

/* The slot whose tensor a slot has, if it is lent. */
static uint32_t lender_of(const plan *p, uint32_t slot) {
    for (uint32_t r = 0; r < p->n_nodes; r++) {
        const plan_node *recv = &p->nodes[r];
        if (recv->role != ROLE_RECV || recv->first_slot != slot) continue;
        for (uint32_t i = 0; p->channels[recv->index].lent && i < p->n_nodes; i++)
            if (p->nodes[i].role == ROLE_SEND && p->nodes[i].index == recv->index &&
                p->nodes[i].n_inputs)
                return (uint32_t)p->inputs[p->nodes[i].first_input];
    }
    return slot;
}

static uint32_t producer_of(const plan *p, uint32_t slot) {
    for (uint32_t n = 0; n < p->n_nodes; n++)
        if (slot - p->nodes[n].first_slot < p->nodes[n].n_outputs) return n;
    fail_msg("slot %u has no producer", slot);
    return 0;
}

/* Every node that reads what is in the slot has gone by in this block, or is this one, and looks at
 * it no more. */
static void nobody_reads_on(const plan *p, uint32_t slot, uint32_t node) {
    for (uint32_t n = 0; n < p->n_nodes; n++) {
        const plan_node *reader = &p->nodes[n];
        for (uint32_t k = 0; k < reader->n_inputs; k++) {
            int32_t input = p->inputs[reader->first_input + k];
            if (input == PLAN_NONE || lender_of(p, (uint32_t)input) != slot) continue;
            assert_true(n <= node && block_of(p, n) == block_of(p, node));
            assert_true(reader->role == ROLE_KERNEL || reader->role == ROLE_SEND);
        }
    }
}

static void a_block_is_taken_over_when_nobody_reads_on(const compile_world *w) {
    const plan *p = w->c.plan;
    for (uint32_t s = 0; s < p->n_slots; s++) {
        if (!p->slots[s].from) continue;
        const plan_slot *to = &p->slots[s], *from = &p->slots[to->from - 1];
        uint32_t node = producer_of(p, s), before = producer_of(p, to->from - 1);
        assert_int_equal(from->device, to->device);
        for (uint32_t other = 0; other < s; other++)
            assert_int_not_equal(p->slots[other].from, to->from);
        if (from->stays == PLAN_DROPPED) {
            assert_true(drops(w, &p->nodes[node], to->from - 1));
            assert_int_equal(from->readers, 0);
            continue;
        }
        assert_int_equal(to->stays, PLAN_KEPT);
        assert_int_equal(from->stays, PLAN_KEPT);
        assert_int_equal(from->type->dims[0], to->type->dims[0]);
        assert_int_equal(block_of(p, node), block_of(p, before));
        if (before < node) nobody_reads_on(p, to->from - 1, node);
        for (uint32_t v = 0; before < node && v < p->n_variables; v++)
            assert_int_not_equal(p->givers[v], to->from);
    }
}

static void each_channel_has_two_ends_and_a_key_of_its_own(const compile_world *w) {
    const plan *p = w->c.plan;
    for (uint32_t i = 0; i < p->n_channels; i++) {
        const plan_node *send = NULL, *recv = NULL;
        for (uint32_t n = 0; n < p->n_nodes; n++) {
            const plan_node *node = &p->nodes[n];
            if (node->role == ROLE_SEND && node->index == (int32_t)i) {
                assert_null(send);
                send = node;
            }
            if (node->role == ROLE_RECV && node->index == (int32_t)i) {
                assert_null(recv);
                recv = node;
            }
        }
        assert_true(send && recv && send < recv); /* a Send comes first */
        assert_int_equal(df_key_channel(p->channels[i].key), i);
        char words[512];
        df_key *read;
        assert_true(df_key_text(p->channels[i].key, words, sizeof words) < sizeof words);
        assert_int_equal(df_key_parse(NULL, words, &read, NULL), DF_OK);
        assert_true(df_key_equal(read, p->channels[i].key));
        assert_int_equal(df_key_hash(read), df_key_hash(p->channels[i].key));
        df_key_free(read);
        for (uint32_t k = 0; k < i; k++)
            assert_false(df_key_equal(p->channels[i].key, p->channels[k].key));
    }
}

static void the_arrays_of_random_plans_agree(void **state) {
    compile_world *w = world_of(state);
    for (uint64_t seed = 1; seed <= test_scaled(60); seed++) {
        world_reopen(w, "cpu:2,sim:2");
        random_graph r = world_random(w, seed, 50);
        w->rq.targets = DF_NODES(r.target);
        w->rq.parallelism = 1 + (uint32_t)(seed % 4);
        w->rq.grain = seed % 3 ? 0.01f : 0;
        world_passes(w, PASS_LOWER, (df_outs){r.feeds, 2}, (df_outs){r.fetches, 4});
        every_node_is_in_one_block(w);
        pending_counts_are_the_events(w);
        each_reading_block_drops_once(w);
        a_block_is_taken_over_when_nobody_reads_on(w);
        each_channel_has_two_ends_and_a_key_of_its_own(w);
    }
}

/* ---- memory -------------------------------------------------------------- */

typedef struct short_of_memory {
    compile_world *w;
    random_graph r;
} short_of_memory;

static void compile_short_of_memory(fault_allocator *f, void *arg) {
    short_of_memory *s = arg;
    compile_request rq = s->w->rq;
    rq.alloc = &f->allocator;
    rq.feeds = (df_outs){s->r.feeds, 2};
    rq.fetches = (df_outs){s->r.fetches, 4};
    compile_result result;
    df_error err;
    df_code code = compile_program(&rq, &result, &err);
    assert_int_equal(code, fault_allocations_failed(f) ? DF_RESOURCE_EXHAUSTED : DF_OK);
    if (code == DF_OK)
        plan_free(result.plan);
    else
        assert_true(result.plan == NULL && result.used == 0);
}

static void out_of_memory_in_any_pass_leaves_nothing(void **state) {
    compile_world *w = world_of(state);
    short_of_memory s = {.w = w, .r = world_random(w, 7, 40)};
    assert_true(fault_each_allocation(compile_short_of_memory, &s) > 5);
}

/* The very first node that is emitted may be the copy of a constant. */
static void out_of_memory_for_the_first_node_is_no_exception(void **state) {
    compile_world *w = world_of(state);
    df_out c = df_const_float(w->g, DF_FLOAT32, 1);
    short_of_memory s = {.w = w,
                         .r = {{world_input(w, "x"), world_input(w, "y")}, {c, c, c, c}, NULL}};
    assert_true(fault_each_allocation(compile_short_of_memory, &s) > 5);
}

static void what_an_async_kernel_reads_lasts_until_its_end(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_large_input(w, "x");
    df_graph_name(w->g, "made");
    df_out made = df_exp(w->g, x), later = world_later(w, made);
    df_graph_name(w->g, "beside");
    df_out beside = df_neg(w->g, made);
    world_passes(w, PASS_LOWER, DF_OUTS(x), DF_OUTS(later, beside));
    /* The kernel and its neighbour of the same block are two readers, whoever is last. */
    assert_int_equal(w->c.plan->slots[node_named(w, "made")->first_slot].readers, 2);
    assert_int_equal(from(w, "beside"), PLAN_NONE);
}

/* ---- rare nodes ---------------------------------------------------------- */

static void a_kernel_without_outputs_has_nothing_to_end_later_for(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x");
    df_graph_on(w->g, "sim:0");
    df_graph_name(w->g, "sink");
    df_node *sink = world_op(w, "Sink", DF_OUTS(x));
    w->rq.targets = DF_NODES(sink);
    world_passes(w, PASS_VERIFY, DF_OUTS(x), DF_NO_OUTS);
    assert_int_equal(node_named(w, "sink")->role, ROLE_QUEUE);
}

static void the_end_waits_for_what_nobody_else_waits_for(void **state) {
    compile_world *w = world_of(state);
    df_out x = world_input(w, "x");
    df_graph_name(w->g, "later");
    w->rq.targets = DF_NODES(world_later(w, x).node);
    world_passes(w, PASS_VERIFY, DF_OUTS(x), DF_NO_OUTS);
    const plan *p = w->c.plan;
    assert_int_equal(p->n_blocks, 1);
    assert_int_equal(node_named(w, "later")->n_after, 1);
    assert_int_equal(p->after[node_named(w, "later")->first_after], 1);
    assert_int_equal(p->blocks[1].pending, 2); /* the block, and the node */
}

static uint32_t blocks_of_eight(compile_world *w, df_out (*make)(compile_world *w, df_out x)) {
    df_out x = df_placeholder(w->g, NULL, DF_FLOAT32, DF_SHAPE(100, -1)), fetches[8];
    for (int i = 0; i < 8; i++) fetches[i] = make(w, x);
    w->rq.parallelism = 2;
    w->rq.grain = 16;
    world_passes(w, PASS_VERIFY, DF_OUTS(x), (df_outs){fetches, 8});
    return w->c.plan->n_blocks;
}

static df_out cheap(compile_world *w, df_out x) {
    return df_node_output(world_op(w, "Many", DF_OUTS(x)), 0);
}

static df_out negated(compile_world *w, df_out x) {
    return df_neg(w->g, x);
}

/* Unknown sizes count as 32: the product touches 3200 elements for each of 32 columns. */
static df_out product(compile_world *w, df_out x) {
    return df_matmul(w->g, df_transpose(w->g, x, (const int64_t[]){1, 0}, 2), x);
}

static void what_is_worth_a_thread_depends_on_what_is_touched(void **state) {
    compile_world *w = world_of(state);
    assert_int_equal(blocks_of_eight(w, cheap), 1);
    world_reopen(w, "cpu:2");
    assert_true(blocks_of_eight(w, negated) < 8);
    world_reopen(w, "cpu:2");
    assert_true(blocks_of_eight(w, product) >= 8);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, world_open, world_close)
    const struct CMUnitTest tests[] = {
        TEST(a_role_says_how_a_node_is_run),
        TEST(a_plan_knows_into_which_memories_it_copies_and_out_of_which),
        TEST(host_tensors_that_an_accelerator_reads_and_makes_are_not_copied),
        TEST(what_goes_from_host_memory_to_host_memory_is_not_copied),
        TEST(shapes_are_known_if_those_of_all_inputs_and_outputs_are),
        TEST(a_recv_waits_for_a_fence_from_a_queue_to_the_host_alone),
        TEST(a_consumer_names_its_producers_slot),
        TEST(an_input_that_names_a_variable_has_no_slot),
        TEST(a_constant_lies_where_its_reader_wants_it),
        TEST(feeds_have_names_and_types),
        TEST(the_last_reader_drops_a_slot_and_may_take_its_buffer),
        TEST(an_output_that_nobody_reads_is_dropped_at_once),
        TEST(what_is_read_twice_by_one_node_is_not_taken_over),
        TEST(what_several_blocks_read_is_taken_over_by_none),
        TEST(what_is_small_or_the_callers_or_lent_stays),
        TEST(the_arrays_of_random_plans_agree),
        TEST(out_of_memory_in_any_pass_leaves_nothing),
        TEST(out_of_memory_for_the_first_node_is_no_exception),
        TEST(what_an_async_kernel_reads_lasts_until_its_end),
        TEST(a_kernel_without_outputs_has_nothing_to_end_later_for),
        TEST(the_end_waits_for_what_nobody_else_waits_for),
        TEST(what_is_worth_a_thread_depends_on_what_is_touched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
