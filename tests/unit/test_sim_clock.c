/* SPDX-License-Identifier: MIT
 *
 * Time of the simulated accelerator: the same on each run, and what formulas say, to the ns.
 */
#include "device/sim/clock.h"

#include "support/crew.h"
#include "support/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { IN, COMPUTE, OUT, OTHER };

typedef struct world {
    fault_allocator heap;
    sim_clock *clock;
} world;

static void world_init(world *w) {
    fault_allocator_init(&w->heap);
    w->clock = sim_clock_new(&w->heap.allocator);
    assert_non_null(w->clock);
}

static void world_end(world *w) {
    sim_clock_free(w->clock);
    fault_allocator_end(&w->heap);
}

static uint64_t work(world *w, int queue, sim_engine engine, uint64_t ns) {
    const sim_cost cost = {.latency = ns};
    return sim_clock_work(w->clock, queue, engine, &cost).end;
}

/* ---- costs ---- */

static uint64_t cost(uint64_t latency, uint64_t bytes, uint64_t bytes_per_s) {
    const sim_cost c = {latency, bytes, bytes_per_s};
    return sim_cost_ns(&c);
}

static void a_cost_is_exact_and_rounded_up(void **state) {
    (void)state;
    assert_int_equal(cost(0, 0, 0), 0);
    assert_int_equal(cost(7, 1 << 20, 0), 7);
    assert_int_equal(cost(7, 0, 1), 7);
    assert_int_equal(cost(0, 1, 1000000000), 1);
    assert_int_equal(cost(3000, 1, 1000000001), 3001);
    assert_int_equal(cost(0, 1000000007, 1000000007), 1000000000);
    assert_int_equal(cost(0, 1000000008, 1000000007), 1000000001);
    assert_int_equal(cost(0, 55600000000u, 55600000000u), 1000000000);
    assert_int_equal(cost(0, 1 << 24, 55600000000u), 301749); /* 301748.49... */
    assert_int_equal(cost(1, UINT64_MAX, 1), UINT64_MAX);
    assert_int_equal(cost(UINT64_MAX, 1, 1), UINT64_MAX);
    assert_int_equal(cost(0, UINT64_MAX, UINT64_C(1000000000)), UINT64_MAX);
}

/* ---- queues and engines ---- */

static void work_of_one_queue_is_done_one_after_the_other(void **state) {
    (void)state;
    world w;
    world_init(&w);
    assert_int_equal(work(&w, IN, SIM_ENGINE_IN, 10), 10);
    assert_int_equal(work(&w, IN, SIM_ENGINE_COMPUTE, 5), 15);
    assert_int_equal(work(&w, IN, SIM_ENGINE_IN, 1), 16);
    assert_int_equal(sim_clock_now(w.clock, IN), 16);
    world_end(&w);
}

static void queues_with_engines_of_their_own_are_beside_each_other(void **state) {
    (void)state;
    world w;
    world_init(&w);
    assert_int_equal(work(&w, IN, SIM_ENGINE_IN, 10), 10);
    assert_int_equal(work(&w, OUT, SIM_ENGINE_OUT, 10), 10);
    assert_int_equal(sim_clock_now(w.clock, COMPUTE), 0);
    world_end(&w);
}

static void queues_that_share_an_engine_have_it_in_the_order_of_the_calls(void **state) {
    (void)state;
    world w;
    world_init(&w);
    assert_int_equal(work(&w, IN, SIM_ENGINE_IN, 10), 10);
    assert_int_equal(work(&w, OTHER, SIM_ENGINE_IN, 10), 20);
    assert_int_equal(work(&w, IN, SIM_ENGINE_IN, 10), 30);
    assert_int_equal(sim_clock_busy(w.clock, SIM_ENGINE_IN), 30);
    assert_int_equal(sim_clock_busy(w.clock, SIM_ENGINE_OUT), 0);
    world_end(&w);
}

static void a_queue_waits_for_an_events_time_and_its_engine_stands_still(void **state) {
    (void)state;
    world w;
    world_init(&w);
    uint64_t event = work(&w, IN, SIM_ENGINE_IN, 100);
    sim_clock_wait(w.clock, COMPUTE, event);
    assert_int_equal(work(&w, COMPUTE, SIM_ENGINE_COMPUTE, 7), 107);
    sim_clock_wait(w.clock, COMPUTE, event); /* long past */
    assert_int_equal(work(&w, COMPUTE, SIM_ENGINE_COMPUTE, 7), 114);
    assert_int_equal(sim_clock_busy(w.clock, SIM_ENGINE_COMPUTE), 14);
    world_end(&w);
}

static void time_has_an_end_and_stays_there(void **state) {
    (void)state;
    world w;
    world_init(&w);
    assert_int_equal(work(&w, IN, SIM_ENGINE_IN, UINT64_MAX - 1), UINT64_MAX - 1);
    assert_int_equal(work(&w, IN, SIM_ENGINE_IN, 5), UINT64_MAX);
    assert_int_equal(work(&w, IN, SIM_ENGINE_IN, 5), UINT64_MAX);
    world_end(&w);
}

/* ---- pipelines ---- */

/* Three stages over n batches, each batch in memory of its own. */
static uint64_t three_stages(world *w, int n, const sim_cost *in, const sim_cost *compute,
                             const sim_cost *out) {
    uint64_t end = 0;
    for (int i = 0; i < n; i++) {
        sim_clock_wait(w->clock, COMPUTE, sim_clock_work(w->clock, IN, SIM_ENGINE_IN, in).end);
        sim_clock_wait(w->clock, OUT,
                       sim_clock_work(w->clock, COMPUTE, SIM_ENGINE_COMPUTE, compute).end);
        end = sim_clock_work(w->clock, OUT, SIM_ENGINE_OUT, out).end;
    }
    return end;
}

/* The first batch goes through all stages, each further one costs the slowest. */
static void three_stages_overlap_as_the_formula_says(void **state) {
    (void)state;
    const sim_cost costs[] = {{.latency = 3000, .bytes = 1 << 20, .bytes_per_s = 55600000000u},
                              {.latency = 20000},
                              {.latency = 2500, .bytes = 999999, .bytes_per_s = 50000000000u}};
    for (int order = 0; order < 3; order++)
        for (int n = 1; n <= 64; n++) {
            const sim_cost *a = &costs[order], *b = &costs[(order + 1) % 3],
                           *c = &costs[(order + 2) % 3];
            uint64_t ns[] = {sim_cost_ns(a), sim_cost_ns(b), sim_cost_ns(c)}, slowest = ns[0];
            for (int i = 1; i < 3; i++) slowest = ns[i] > slowest ? ns[i] : slowest;
            world w;
            world_init(&w);
            uint64_t end = three_stages(&w, n, a, b, c);
            assert_int_equal(end, ns[0] + ns[1] + ns[2] + (uint64_t)(n - 1) * slowest);
            assert_int_equal(sim_clock_busy(w.clock, SIM_ENGINE_IN), (uint64_t)n * ns[0]);
            world_end(&w);
        }
}

/* With one block of memory, which a batch leaves when it is out, nothing overlaps. */
static void with_one_block_the_stages_follow_each_other(void **state) {
    (void)state;
    enum { N = 10 };
    const sim_cost in = {.latency = 10}, compute = {.latency = 20}, out = {.latency = 30};
    world w;
    world_init(&w);
    for (uint64_t i = 0; i < N; i++) {
        uint64_t end = three_stages(&w, 1, &in, &compute, &out);
        assert_int_equal(end, (i + 1) * 60);
        sim_clock_wait(w.clock, IN, end);
    }
    world_end(&w);
}

/* ---- threads ---- */

enum { PIECES = 1000 };

static void fill(void *arg, int queue) {
    static const sim_engine engines[] = {SIM_ENGINE_IN, SIM_ENGINE_COMPUTE, SIM_ENGINE_OUT,
                                         SIM_ENGINE_ACROSS};
    world *w = arg;
    for (uint64_t i = 0; i < PIECES; i++) (void)work(w, queue, engines[queue], i % 7 + 1);
}

static void times_do_not_depend_on_which_thread_was_faster(void **state) {
    (void)state;
    uint64_t expected = 0;
    world w;
    crew_job jobs[4];
    for (uint64_t i = 0; i < PIECES; i++) expected += i % 7 + 1;
    world_init(&w);
    crew_open(4);
    for (int i = 0; i < 4; i++) crew_start(&jobs[i], fill, &w, i);
    for (int i = 0; i < 4; i++) crew_join(&jobs[i]);
    crew_close();
    for (int i = 0; i < 4; i++) assert_int_equal(sim_clock_now(w.clock, i), expected);
    world_end(&w);
}

static void without_memory_there_is_no_clock(void **state) {
    (void)state;
    fault_allocator heap;
    fault_allocator_init(&heap);
    fault_fail_allocation(&heap, 1, FAULT_ONCE);
    assert_null(sim_clock_new(&heap.allocator));
    sim_clock_free(NULL);
    fault_allocator_end(&heap);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cost_is_exact_and_rounded_up),
        cmocka_unit_test(work_of_one_queue_is_done_one_after_the_other),
        cmocka_unit_test(queues_with_engines_of_their_own_are_beside_each_other),
        cmocka_unit_test(queues_that_share_an_engine_have_it_in_the_order_of_the_calls),
        cmocka_unit_test(a_queue_waits_for_an_events_time_and_its_engine_stands_still),
        cmocka_unit_test(time_has_an_end_and_stays_there),
        cmocka_unit_test(three_stages_overlap_as_the_formula_says),
        cmocka_unit_test(with_one_block_the_stages_follow_each_other),
        cmocka_unit_test(times_do_not_depend_on_which_thread_was_faster),
        cmocka_unit_test(without_memory_there_is_no_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
