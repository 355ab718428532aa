/* SPDX-License-Identifier: MIT
 *
 * Cutting an order into blocks: checked on random graphs against what blocks.h promises,
 * worked out by brute force.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/scale.h"

#include "compile/blocks.h"

#include <stdlib.h>
#include <string.h>

enum { MOST = 64 /* by brute force */, ROOM = 80, ROOM_EDGES = 1024 };

/* A graph whose arrays lie here; of[v] is the block of v. */
typedef struct world {
    arena mem;
    block_graph g;
    uint32_t first[ROOM + 1], before[ROOM_EDGES], of[ROOM];
    bool later[ROOM];
    float work[ROOM];
    uint32_t n_blocks;
} world;

static int open_world(void **state) {
    world *w = calloc(1, sizeof *w);
    if (!w) return -1;
    arena_init(&w->mem, NULL);
    *state = w;
    return 0;
}

static int close_world(void **state) {
    world *w = *state;
    arena_fini(&w->mem);
    free(w);
    return 0;
}

static void start(world *w) {
    arena_fini(&w->mem);
    memset(w, 0, sizeof *w);
    arena_init(&w->mem, NULL);
    w->g = (block_graph){&w->mem, 0, w->first, w->before, w->later, w->work, false};
}

/* Adds a node behind those of the list, which ends with -1. */
static void add(world *w, bool later, float work, const int *before) {
    uint32_t v = w->g.n++, at = w->first[v];
    assert_true(v < ROOM);
    for (; before && *before >= 0; before++) w->before[at++] = (uint32_t)*before;
    assert_true(at <= ROOM_EDGES);
    w->first[v + 1] = at;
    w->later[v] = later;
    w->work[v] = work;
}
#define BEHIND(...) ((const int[]){__VA_ARGS__, -1})

/* Behind the first n nodes. */
static void add_behind_first(world *w, int n) {
    int before[ROOM + 1];
    for (int v = 0; v < n; v++) before[v] = v;
    before[n] = -1;
    add(w, false, 1, before);
}

static void for_one(world *w) {
    w->n_blocks = blocks_for_one(&w->g, w->of);
    assert_true(w->n_blocks > 0);
}

static void for_many(world *w, uint32_t parallelism, float grain) {
    w->n_blocks = blocks_for_many(&w->g, parallelism, grain, w->of);
    assert_true(w->n_blocks > 0);
}

static void blocks_are(const world *w, const uint32_t *expected) {
    for (uint32_t v = 0; v < w->g.n; v++) assert_int_equal(w->of[v], expected[v]);
}

/* ---- by brute force ------------------------------------------------------ */

static uint64_t draw(uint64_t *seed) {
    uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static void random_world(world *w, uint64_t *seed) {
    start(w);
    uint32_t n = 1 + (uint32_t)(draw(seed) % MOST);
    uint64_t async = draw(seed) % 4, dense = 1 + draw(seed) % 3;
    for (uint32_t v = 0; v < n; v++) {
        int before[8], k = 0;
        for (uint64_t e = 0; v && e < draw(seed) % (2 * dense + 1) && k < 7; e++)
            before[k++] = (int)(draw(seed) % v);
        before[k] = -1;
        add(w, draw(seed) % 8 < async, (float)(draw(seed) % 100) / 10, before);
    }
}

/* A bit for each node that v depends on. */
static void closure(const world *w, uint64_t *reach) {
    for (uint32_t v = 0; v < w->g.n; v++) {
        reach[v] = 0;
        for (uint32_t e = w->first[v]; e < w->first[v + 1]; e++)
            reach[v] |= reach[w->before[e]] | UINT64_C(1) << w->before[e];
    }
}

static void numbered_by_their_first_node(const world *w) {
    uint32_t next = 0;
    for (uint32_t v = 0; v < w->g.n; v++) {
        assert_true(w->of[v] <= next);
        next += w->of[v] == next;
    }
    assert_int_equal(next, w->n_blocks);
}

/* Blocks are taken away as long as one depends on no other that is left. */
static void their_graph_has_no_cycle(const world *w) {
    static bool edge[MOST][MOST];
    bool gone[MOST] = {false};
    memset(edge, 0, sizeof edge);
    for (uint32_t v = 0; v < w->g.n; v++)
        for (uint32_t e = w->first[v]; e < w->first[v + 1]; e++)
            if (w->of[v] != w->of[w->before[e]]) edge[w->of[v]][w->of[w->before[e]]] = true;
    for (uint32_t left = w->n_blocks; left; left--) {
        uint32_t found = w->n_blocks;
        for (uint32_t b = 0; b < w->n_blocks && found == w->n_blocks; b++) {
            bool waits = gone[b];
            for (uint32_t a = 0; a < w->n_blocks; a++) waits |= edge[b][a] && !gone[a];
            if (!waits) found = b;
        }
        if (found == w->n_blocks) fail_msg("%u blocks wait for each other", left);
        gone[found] = true;
    }
}

static void no_node_is_with_an_event_that_it_needs(const world *w) {
    uint64_t reach[MOST];
    closure(w, reach);
    for (uint32_t v = 0; v < w->g.n; v++)
        for (uint32_t a = 0; a < v; a++)
            if (w->later[a] && (reach[v] >> a & 1)) assert_int_not_equal(w->of[v], w->of[a]);
}

/* A(v): the asynchronous nodes that reach v without passing another. */
static uint64_t events_before(const world *w, uint32_t v) {
    uint64_t set = 0, seen = 0;
    uint32_t stack[MOST], top = 0;
    stack[top++] = v;
    while (top) {
        uint32_t u = stack[--top];
        for (uint32_t e = w->first[u]; e < w->first[u + 1]; e++) {
            uint32_t b = w->before[e];
            if (w->later[b])
                set |= UINT64_C(1) << b;
            else if (!(seen >> b & 1))
                stack[top++] = b;
            seen |= UINT64_C(1) << b;
        }
    }
    return set;
}

/* ---- one thread ---------------------------------------------------------- */

static void without_an_event_all_is_one_block(void **state) {
    world *w = *state;
    start(w);
    add(w, false, 1, NULL);
    add(w, false, 1, NULL);
    add(w, false, 1, BEHIND(0, 1));
    for_one(w);
    blocks_are(w, (uint32_t[]){0, 0, 0});
    assert_int_equal(w->n_blocks, 1);
}

static void behind_an_event_a_block_begins(void **state) {
    world *w = *state;
    start(w);
    add(w, false, 1, NULL);
    add(w, true, 1, BEHIND(0)); /* itself in the first: it is only started there */
    add(w, false, 1, BEHIND(1));
    add(w, false, 1, BEHIND(0)); /* needs no event */
    for_one(w);
    blocks_are(w, (uint32_t[]){0, 0, 1, 0});
}

static void nodes_that_wait_for_the_same_events_are_together(void **state) {
    world *w = *state;
    start(w);
    add(w, true, 1, NULL);
    add(w, true, 1, NULL);
    add(w, false, 1, BEHIND(0));
    add(w, false, 1, BEHIND(1));
    add(w, false, 1, BEHIND(2, 3));
    add(w, false, 1, BEHIND(1, 0));
    add(w, false, 1, BEHIND(3));
    for_one(w);
    blocks_are(w, (uint32_t[]){0, 0, 1, 2, 3, 3, 2});
}

static void an_event_hides_those_before_it(void **state) {
    world *w = *state;
    start(w);
    add(w, true, 1, NULL);
    add(w, true, 1, BEHIND(0));
    add(w, false, 1, BEHIND(1));
    add(w, false, 1, BEHIND(0, 1));
    for_one(w);
    blocks_are(w, (uint32_t[]){0, 1, 2, 3}); /* A is {}, {0}, {1}, {0,1} */
}

static void in_random_graphs_a_block_is_all_nodes_with_equal_events(void **state) {
    world *w = *state;
    uint64_t seed = 1;
    for (size_t round = 0; round < test_scaled(3000); round++) {
        random_world(w, &seed);
        for_one(w);
        numbered_by_their_first_node(w);
        their_graph_has_no_cycle(w);
        no_node_is_with_an_event_that_it_needs(w);
        uint64_t events[MOST];
        for (uint32_t v = 0; v < w->g.n; v++) events[v] = events_before(w, v);
        for (uint32_t v = 0; v < w->g.n; v++)
            for (uint32_t u = 0; u < v; u++)
                assert_int_equal(w->of[u] == w->of[v], events[u] == events[v]);
    }
}

/* More events than a set holds: 200 before one node, and then more behind it. */
static void a_node_behind_too_many_events_is_a_block_and_an_event(void **state) {
    world *w = *state;
    enum { WIDE = 200, N = WIDE + 4 };
    start(w);
    uint32_t *first = calloc(N + 1, sizeof *first), *before = calloc(2 * N, sizeof *before);
    uint32_t *of = calloc(N, sizeof *of), at = 0;
    bool *later = calloc(N, sizeof *later);
    assert_true(first && before && of && later);
    for (uint32_t v = 0; v < WIDE; v++) later[v] = true;
    for (uint32_t v = 0; v < WIDE; v++) before[at++] = v;
    first[WIDE + 1] = at; /* the node behind all events */
    before[at++] = WIDE;
    first[WIDE + 2] = at; /* two behind that: one block */
    before[at++] = WIDE;
    first[WIDE + 3] = at;
    before[at++] = 0; /* one behind a single event */
    first[WIDE + 4] = at;
    block_graph g = {&w->mem, N, first, before, later, NULL, false};
    uint32_t n = blocks_for_one(&g, of);
    for (uint32_t v = 0; v < WIDE; v++) assert_int_equal(of[v], 0);
    assert_int_equal(of[WIDE], 1);
    assert_int_equal(of[WIDE + 1], 2);
    assert_int_equal(of[WIDE + 2], 2);
    assert_int_equal(of[WIDE + 3], 3);
    assert_int_equal(n, 4);
    free(first);
    free(before);
    free(of);
    free(later);
}

static void a_node_behind_one_event_more_than_a_set_holds_is_a_block(void **state) {
    world *w = *state;
    enum { HOLDS = 64 };
    start(w);
    for (int v = 0; v <= HOLDS; v++) add(w, true, 1, NULL);
    for (int i = 0; i < 2; i++) add_behind_first(w, HOLDS);
    for (int i = 0; i < 2; i++) add_behind_first(w, HOLDS + 1);
    for_one(w);
    for (uint32_t i = 0; i < 4; i++) assert_int_equal(w->of[HOLDS + 1 + i], i < 2 ? 1 : i);
    assert_int_equal(w->n_blocks, 4);
}

static void events_that_come_by_several_ways_count_once(void **state) {
    world *w = *state;
    enum { N = 62 };
    start(w);
    for (int v = 0; v < N; v++) add(w, true, 1, NULL);
    for (int n = N - 2; n <= N; n++) add_behind_first(w, n);
    add(w, false, 1, BEHIND(N, N + 1, N + 2));
    for_one(w);
    assert_int_equal(w->of[N + 3], w->of[N + 2]);
    assert_int_equal(w->n_blocks, 4);
}

/* ---- several threads ----------------------------------------------------- */

static void narrow_levels_are_merged_until_there_is_a_grain_of_work(void **state) {
    world *w = *state;
    start(w);
    add(w, false, 4, NULL);
    for (int v = 1; v < 6; v++) add(w, false, 4, BEHIND(v - 1));
    for_many(w, 2, 8);
    blocks_are(w, (uint32_t[]){0, 0, 1, 1, 2, 2});
    for_many(w, 2, 1000);
    blocks_are(w, (uint32_t[]){0, 0, 0, 0, 0, 0});
}

static void a_wide_level_is_cut_into_pieces(void **state) {
    world *w = *state;
    start(w);
    for (int v = 0; v < 32; v++) add(w, false, 10, NULL);
    add(w, false, 1, BEHIND(0, 31));
    for_many(w, 2, 10); /* 320 of work, pieces of 320 / 16 */
    for (uint32_t v = 0; v < 32; v++) assert_int_equal(w->of[v], v / 2);
    assert_int_equal(w->of[32], 16);
    for_many(w, 2, 100); /* no piece is below the grain */
    for (uint32_t v = 0; v < 32; v++) assert_int_equal(w->of[v], v / 10);
}

static void a_level_that_is_not_worth_it_stays_whole(void **state) {
    world *w = *state;
    start(w);
    for (int v = 0; v < 16; v++) add(w, false, 1, NULL);
    add(w, false, 1, BEHIND(0));
    for_many(w, 4, 16);
    for (uint32_t v = 0; v < 16; v++) assert_int_equal(w->of[v], 0);
    assert_int_equal(w->of[16], 1);
}

/* What another process ends may wait for what is sent in between: 2 for what comes of 1. */
static void nodes_behind_events_of_others_do_not_wait_for_each_other(void **state) {
    world *w = *state;
    start(w);
    add(w, true, 0, NULL);
    add(w, true, 0, NULL);
    add(w, false, 1, BEHIND(0));
    add(w, false, 1, BEHIND(1));
    add(w, false, 1, BEHIND(0, 1));
    add(w, false, 1, BEHIND(2));
    for_many(w, 2, 1000);
    blocks_are(w, (uint32_t[]){0, 0, 1, 1, 1, 1});
    w->g.is_part = true;
    for_many(w, 2, 1000);
    blocks_are(w, (uint32_t[]){0, 0, 1, 2, 3, 1});
    for_many(w, 2, 1);
    assert_int_not_equal(w->of[2], w->of[3]);
}

static void of_a_part_pieces_without_an_event_stay_apart(void **state) {
    world *w = *state;
    start(w);
    w->g.is_part = true;
    for (int v = 0; v < 32; v++) add(w, false, 10, NULL);
    for_many(w, 2, 10);
    for (uint32_t v = 0; v < 32; v++) assert_int_equal(w->of[v], v / 2);
}

static void an_event_ends_a_block_however_small_it_is(void **state) {
    world *w = *state;
    start(w);
    add(w, false, 1, NULL);
    add(w, true, 1, BEHIND(0));
    add(w, false, 1, BEHIND(1));
    for_many(w, 2, 1000);
    blocks_are(w, (uint32_t[]){0, 0, 1});
}

/* Levels are sorted by how many events lie before them, whatever the order given. */
static void blocks_are_intervals_of_depth_and_level(void **state) {
    world *w = *state;
    uint64_t seed = 2;
    for (size_t round = 0; round < test_scaled(3000); round++) {
        random_world(w, &seed);
        for_many(w, 1 + (uint32_t)(draw(&seed) % 8), (float)(draw(&seed) % 40) / 4 + 0.01f);
        their_graph_has_no_cycle(w);
        no_node_is_with_an_event_that_it_needs(w);
        uint32_t depth[MOST] = {0}, level[MOST] = {0};
        for (uint32_t v = 0; v < w->g.n; v++) {
            for (uint32_t e = w->first[v]; e < w->first[v + 1]; e++) {
                uint32_t u = w->before[e], d = depth[u] + w->later[u];
                if (d > depth[v]) depth[v] = d;
            }
            for (uint32_t e = w->first[v]; e < w->first[v + 1]; e++) {
                uint32_t u = w->before[e];
                bool above = depth[u] == depth[v] && !w->later[u];
                if (above && level[u] + 1 > level[v]) level[v] = level[u] + 1;
            }
        }
        for (uint32_t v = 0; v < w->g.n; v++)
            for (uint32_t u = 0; u < w->g.n; u++) {
                bool earlier = depth[u] < depth[v] || (depth[u] == depth[v] && level[u] < level[v]);
                if (earlier) assert_true(w->of[u] <= w->of[v]);
            }
    }
}

static void no_node_at_all_is_no_block(void **state) {
    world *w = *state;
    start(w);
    assert_int_equal(blocks_for_one(&w->g, w->of), 0);
    assert_int_equal(blocks_for_many(&w->g, 2, 1, w->of), 0);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_world, close_world)
    const struct CMUnitTest tests[] = {
        TEST(without_an_event_all_is_one_block),
        TEST(behind_an_event_a_block_begins),
        TEST(nodes_that_wait_for_the_same_events_are_together),
        TEST(an_event_hides_those_before_it),
        TEST(in_random_graphs_a_block_is_all_nodes_with_equal_events),
        TEST(a_node_behind_too_many_events_is_a_block_and_an_event),
        TEST(a_node_behind_one_event_more_than_a_set_holds_is_a_block),
        TEST(events_that_come_by_several_ways_count_once),
        TEST(narrow_levels_are_merged_until_there_is_a_grain_of_work),
        TEST(a_wide_level_is_cut_into_pieces),
        TEST(a_level_that_is_not_worth_it_stays_whole),
        TEST(nodes_behind_events_of_others_do_not_wait_for_each_other),
        TEST(of_a_part_pieces_without_an_event_stay_apart),
        TEST(an_event_ends_a_block_however_small_it_is),
        TEST(blocks_are_intervals_of_depth_and_level),
        TEST(no_node_at_all_is_no_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
