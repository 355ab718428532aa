/* SPDX-License-Identifier: MIT
 *
 * Order: schedules that are right are never refused, and one with a wait removed always is.
 *
 * A schedule is a list of steps. The mutants are the schedule of a whole pipeline with one of its
 * waits left out; what is refused then must name both uses.
 */
#include "device/sim/order.h"

#include "support/crew.h"
#include "support/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { COMPUTE = 1, IN, OUT, ACROSS, QUEUES };

typedef struct world {
    fault_allocator heap;
    sim_order *order;
    df_error err; /* of the last use */
} world;

static char memory[1 << 16];

static void world_init(world *w) {
    static const char *const names[QUEUES] = {"host", "compute", "in", "out", "across"};
    fault_allocator_init(&w->heap);
    w->err = (df_error){.code = DF_OK};
    w->order = sim_order_new(&w->heap.allocator);
    assert_non_null(w->order);
    for (int i = COMPUTE; i < QUEUES; i++) {
        int number = -1;
        assert_int_equal(sim_order_queue(w->order, names[i], &number, NULL), DF_OK);
        assert_int_equal(number, i);
    }
}

static void world_end(world *w) {
    sim_order_free(w->order);
    fault_allocator_end(&w->heap);
}

static df_code touch(world *w, int queue, size_t at, size_t bytes, sim_order_use use,
                     const char *what) {
    return sim_order_access(w->order, queue, memory + at, bytes, use, what, &w->err);
}

static df_code reads(world *w, int queue, size_t at, size_t bytes) {
    return touch(w, queue, at, bytes, SIM_ORDER_READ, "a reader");
}

static df_code writes(world *w, int queue, size_t at, size_t bytes) {
    return touch(w, queue, at, bytes, SIM_ORDER_WRITE, "a writer");
}

static void passes(world *w, int from, int to) {
    sim_order_stamp stamp;
    sim_order_record(w->order, from, &stamp);
    if (to == SIM_ORDER_HOST)
        sim_order_host_saw(w->order, &stamp);
    else
        sim_order_wait(w->order, to, &stamp);
}

static void block(world *w, size_t at, size_t bytes) {
    assert_true(sim_order_block_add(w->order, memory + at, bytes));
}

static df_code drop(world *w, size_t at) {
    return sim_order_block_drop(w->order, memory + at, &w->err);
}

/* ---- two uses ---- */

static void a_queue_is_in_order_with_itself(void **state) {
    (void)state;
    world w;
    world_init(&w);
    block(&w, 0, 64);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(writes(&w, COMPUTE, 0, 64), DF_OK);
        assert_int_equal(reads(&w, COMPUTE, 0, 64), DF_OK);
    }
    world_end(&w);
}

static void a_use_that_does_not_wait_is_refused_and_both_are_named(void **state) {
    (void)state;
    world w;
    world_init(&w);
    block(&w, 0, 64);
    assert_int_equal(touch(&w, IN, 0, 64, SIM_ORDER_WRITE, "copy of x"), DF_OK);

    assert_int_equal(touch(&w, COMPUTE, 0, 8, SIM_ORDER_READ, "y (MatMul)"),
                     DF_FAILED_PRECONDITION);

    assert_non_null(strstr(w.err.message, "y (MatMul) on queue compute reads 8 bytes"));
    assert_non_null(strstr(w.err.message, "copy of x on queue in, which writes them"));
    world_end(&w);
}

static void reads_need_no_order_among_themselves(void **state) {
    (void)state;
    world w;
    world_init(&w);
    block(&w, 0, 64);
    for (int queue = COMPUTE; queue < QUEUES; queue++)
        assert_int_equal(reads(&w, queue, 0, 64), DF_OK);
    assert_int_equal(writes(&w, COMPUTE, 0, 64), DF_FAILED_PRECONDITION);
    for (int queue = IN; queue < QUEUES; queue++) passes(&w, queue, COMPUTE);
    assert_int_equal(writes(&w, COMPUTE, 0, 64), DF_OK);
    world_end(&w);
}

static void an_event_tells_only_what_was_before_it(void **state) {
    (void)state;
    world w;
    world_init(&w);
    block(&w, 0, 64);
    passes(&w, IN, COMPUTE);
    assert_int_equal(writes(&w, IN, 0, 64), DF_OK);
    assert_int_equal(reads(&w, COMPUTE, 0, 64), DF_FAILED_PRECONDITION);
    world_end(&w);
}

static void what_a_queue_has_learnt_it_tells_others(void **state) {
    (void)state;
    world w;
    world_init(&w);
    block(&w, 0, 64);
    assert_int_equal(writes(&w, IN, 0, 64), DF_OK);
    passes(&w, IN, COMPUTE);
    passes(&w, COMPUTE, ACROSS);
    passes(&w, ACROSS, OUT);
    assert_int_equal(writes(&w, OUT, 0, 64), DF_OK);
    world_end(&w);
}

static void bytes_count_and_not_blocks(void **state) {
    (void)state;
    world w;
    world_init(&w);
    block(&w, 0, 64);
    assert_int_equal(writes(&w, IN, 0, 32), DF_OK);
    assert_int_equal(writes(&w, COMPUTE, 32, 32), DF_OK);
    assert_int_equal(writes(&w, OUT, 31, 1), DF_FAILED_PRECONDITION);
    assert_int_equal(writes(&w, OUT, 32, 1), DF_FAILED_PRECONDITION);
    passes(&w, IN, OUT);
    assert_int_equal(writes(&w, OUT, 31, 1), DF_OK);
    assert_int_equal(writes(&w, OUT, 31, 2), DF_FAILED_PRECONDITION);
    world_end(&w);
}

/* ---- the host ---- */

static void the_host_refills_a_block_only_when_it_saw_the_end_of_the_copy(void **state) {
    (void)state;
    world w;
    world_init(&w);
    block(&w, 0, 64);
    assert_int_equal(writes(&w, SIM_ORDER_HOST, 0, 64), DF_OK);
    assert_int_equal(reads(&w, IN, 0, 64), DF_OK);
    assert_int_equal(writes(&w, SIM_ORDER_HOST, 0, 64), DF_FAILED_PRECONDITION);
    passes(&w, IN, SIM_ORDER_HOST);
    assert_int_equal(writes(&w, SIM_ORDER_HOST, 0, 64), DF_OK);
    world_end(&w);
}

static void whatever_is_put_on_a_queue_knows_what_the_host_has_seen(void **state) {
    (void)state;
    world w;
    world_init(&w);
    block(&w, 0, 64);
    assert_int_equal(writes(&w, IN, 0, 64), DF_OK);
    passes(&w, IN, SIM_ORDER_HOST);
    assert_int_equal(writes(&w, OUT, 0, 64), DF_OK);
    world_end(&w);
}

static void the_host_is_not_behind_what_it_has_put_on_a_queue(void **state) {
    (void)state;
    world w;
    world_init(&w);
    block(&w, 0, 64);
    assert_int_equal(reads(&w, IN, 0, 64), DF_OK);
    assert_int_equal(writes(&w, SIM_ORDER_HOST, 0, 64), DF_FAILED_PRECONDITION);
    world_end(&w);
}

/* ---- blocks ---- */

static void a_block_is_given_back_only_when_the_host_saw_the_end_of_all_uses(void **state) {
    (void)state;
    world w;
    world_init(&w);
    for (int seen = 0; seen < 2; seen++) {
        block(&w, 0, 64);
        assert_int_equal(touch(&w, OUT, 0, 64, SIM_ORDER_READ, "copy of y"), DF_OK);
        if (seen) passes(&w, OUT, SIM_ORDER_HOST);
        assert_int_equal(drop(&w, 0), seen ? DF_OK : DF_FAILED_PRECONDITION);
    }
    assert_non_null(strstr(w.err.message, "copy of y on queue out"));
    world_end(&w);
}

static void a_new_block_has_no_history_and_its_neighbours_keep_theirs(void **state) {
    (void)state;
    world w;
    world_init(&w);
    for (size_t i = 0; i < 9; i++) {
        block(&w, (i * 5 % 9) * 64, 64);
        assert_int_equal(writes(&w, IN, (i * 5 % 9) * 64, 64), DF_OK);
    }
    assert_int_equal(drop(&w, 4 * 64), DF_FAILED_PRECONDITION);
    assert_int_equal(writes(&w, OUT, 4 * 64, 64), DF_OK); /* nobody's */
    block(&w, 4 * 64, 64);
    assert_int_equal(writes(&w, OUT, 4 * 64, 64), DF_OK);
    for (size_t i = 0; i < 9; i++)
        assert_int_equal(reads(&w, COMPUTE, i * 64, 64), DF_FAILED_PRECONDITION);
    world_end(&w);
}

static void memory_that_is_not_known_is_the_hosts(void **state) {
    (void)state;
    world w;
    world_init(&w);
    assert_int_equal(writes(&w, IN, 0, 64), DF_OK);
    assert_int_equal(writes(&w, OUT, 0, 64), DF_FAILED_PRECONDITION);
    assert_int_equal(writes(&w, OUT, 64, 64), DF_OK);
    assert_int_equal(drop(&w, 0), DF_OK); /* there is no such block */
    world_end(&w);
}

static void too_many_uses_are_forgotten_but_none_that_is_right_is_refused(void **state) {
    (void)state;
    world w;
    world_init(&w);
    block(&w, 0, sizeof memory);
    for (size_t i = 0; i < 3 * SIM_ORDER_USES; i++)
        assert_int_equal(writes(&w, IN, i * 8, 8), DF_OK);
    assert_int_equal(reads(&w, OUT, 0, 8), DF_OK); /* wrong, and missed */
    assert_int_equal(reads(&w, OUT, (3 * SIM_ORDER_USES - 1) * 8, 8), DF_FAILED_PRECONDITION);
    passes(&w, IN, SIM_ORDER_HOST);
    for (size_t i = 0; i < 2 * SIM_ORDER_USES; i++) /* nothing that matters is forgotten now */
        assert_int_equal(writes(&w, OUT, i * 8, 1), DF_OK);
    assert_true(w.heap.bytes < 128 * 1024);
    world_end(&w);
}

static void there_is_a_last_queue(void **state) {
    (void)state;
    world w;
    world_init(&w);
    int number = -1;
    for (int i = QUEUES; i < SIM_ORDER_QUEUES; i++)
        assert_int_equal(sim_order_queue(w.order, "more", &number, NULL), DF_OK);
    assert_int_equal(number, SIM_ORDER_QUEUES - 1);
    assert_int_equal(sim_order_queue(w.order, "one more", &number, &w.err), DF_RESOURCE_EXHAUSTED);
    assert_int_equal(number, SIM_ORDER_QUEUES - 1);
    world_end(&w);
}

static void without_memory_less_is_found_and_nothing_else_happens(void **state) {
    (void)state;
    world w;
    world_init(&w);
    block(&w, 0, 64);
    fault_fail_allocation(&w.heap, 1, FAULT_FOR_EVER);
    assert_int_equal(writes(&w, IN, 0, 64), DF_OK);
    for (size_t i = 1; i < 8; i++)
        assert_true(sim_order_block_add(w.order, memory + i * 64, 64)); /* there is room */
    assert_false(sim_order_block_add(w.order, memory + 512, 64));
    fault_fail_allocation(&w.heap, 0, FAULT_ONCE);
    assert_int_equal(writes(&w, OUT, 0, 64), DF_OK);
    world_end(&w);

    fault_allocator_init(&w.heap);
    fault_fail_allocation(&w.heap, 1, FAULT_ONCE);
    assert_null(sim_order_new(&w.heap.allocator));
    sim_order_free(NULL);
    fault_allocator_end(&w.heap);
}

/* ---- a pipeline, and the same with a wait removed ---- */

enum { BATCHES = 6, BYTES = 256 };

/* Where the parts of a batch lie: two of each are used in turn. */
static size_t staged(int i) {
    return (size_t)(i % 2) * BYTES;
}
static size_t input(int i) {
    return (size_t)(2 + i % 2) * BYTES;
}
static size_t output(int i) {
    return (size_t)(4 + i % 2) * BYTES;
}
static size_t result(int i) {
    return (size_t)(6 + i % 2) * BYTES;
}

typedef struct pipeline {
    world w;
    int left_out; /* the number of a wait; -1: none */
    int waits, refused;
} pipeline;

static void use(pipeline *p, int queue, size_t at, sim_order_use kind, const char *what) {
    p->refused += touch(&p->w, queue, at, BYTES, kind, what) != DF_OK;
}

/* One that matters; so it can be left out. */
static void wait_for(pipeline *p, int queue, const sim_order_stamp *stamp) {
    if (p->waits++ == p->left_out) return;
    if (queue == SIM_ORDER_HOST)
        sim_order_host_saw(p->w.order, stamp);
    else
        sim_order_wait(p->w.order, queue, stamp);
}

/* Batches go from host memory through three queues and back, two at a time. */
static void pipeline_run(pipeline *p) {
    sim_order_stamp in[BATCHES], compute[BATCHES], out[BATCHES];
    sim_order *o = p->w.order;
    for (int i = 0; i < BATCHES; i++) {
        if (i >= 2) wait_for(p, SIM_ORDER_HOST, &in[i - 2]); /* the staging block is free */
        use(p, SIM_ORDER_HOST, staged(i), SIM_ORDER_WRITE, "refill");
        if (i >= 2) wait_for(p, IN, &compute[i - 2]); /* so is the input */
        use(p, IN, staged(i), SIM_ORDER_READ, "copy in");
        use(p, IN, input(i), SIM_ORDER_WRITE, "copy in");
        sim_order_record(o, IN, &in[i]);
        wait_for(p, COMPUTE, &in[i]);
        if (i >= 2) wait_for(p, COMPUTE, &out[i - 2]); /* and the output */
        use(p, COMPUTE, input(i), SIM_ORDER_READ, "kernel");
        use(p, COMPUTE, output(i), SIM_ORDER_WRITE, "kernel");
        sim_order_record(o, COMPUTE, &compute[i]);
        wait_for(p, OUT, &compute[i]);
        use(p, OUT, output(i), SIM_ORDER_READ, "copy out");
        use(p, OUT, result(i), SIM_ORDER_WRITE, "copy out");
        sim_order_record(o, OUT, &out[i]);
    }
    wait_for(p, SIM_ORDER_HOST, &out[BATCHES - 1]); /* which tells of those before it */
    for (int i = BATCHES - 2; i < BATCHES; i++)
        use(p, SIM_ORDER_HOST, result(i), SIM_ORDER_READ, "who asked");
}

static void pipeline_play(pipeline *p, int left_out) {
    world_init(&p->w);
    p->left_out = left_out;
    p->waits = p->refused = 0;
    for (size_t i = 0; i < 8; i++) block(&p->w, i * BYTES, BYTES);
    pipeline_run(p);
    world_end(&p->w);
}

static void a_pipeline_that_is_right_passes(void **state) {
    (void)state;
    pipeline p;
    pipeline_play(&p, -1);
    assert_int_equal(p.refused, 0);
    assert_true(p.waits >= 20);
}

static void each_wait_that_is_left_out_is_found(void **state) {
    (void)state;
    pipeline p;
    pipeline_play(&p, -1);
    int waits = p.waits;
    for (int i = 0; i < waits; i++) {
        pipeline_play(&p, i);
        if (p.refused == 0) print_message("  wait %d was not missed\n", i);
        assert_true(p.refused > 0);
        assert_non_null(strstr(p.w.err.message, "not ordered behind"));
    }
    print_message("  %d mutants found\n", waits);
}

/* ---- threads ---- */

typedef struct several {
    world w;
    _Atomic int refused;
} several;

static void own_block(void *arg, int i) {
    several *s = arg;
    const char *at = memory + (i - 1) * 4096;
    for (int n = 0; n < 2000; n++) {
        sim_order_stamp stamp;
        df_error err;
        if (!sim_order_block_add(s->w.order, at, 4096)) break;
        s->refused += sim_order_access(s->w.order, i, at, 4096, SIM_ORDER_WRITE, "w", &err) != 0;
        sim_order_record(s->w.order, i, &stamp);
        sim_order_wait(s->w.order, i % 4 + 1, &stamp);
        sim_order_host_saw(s->w.order, &stamp);
        s->refused += sim_order_block_drop(s->w.order, at, &err) != DF_OK;
    }
}

static void threads_use_it_at_the_same_time(void **state) {
    (void)state;
    several s = {.refused = 0};
    crew_job jobs[4];
    world_init(&s.w);
    crew_open(4);
    for (int i = 0; i < 4; i++) crew_start(&jobs[i], own_block, &s, i + 1);
    for (int i = 0; i < 4; i++) crew_join(&jobs[i]);
    crew_close();
    assert_int_equal(s.refused, 0);
    world_end(&s.w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_queue_is_in_order_with_itself),
        cmocka_unit_test(a_use_that_does_not_wait_is_refused_and_both_are_named),
        cmocka_unit_test(reads_need_no_order_among_themselves),
        cmocka_unit_test(an_event_tells_only_what_was_before_it),
        cmocka_unit_test(what_a_queue_has_learnt_it_tells_others),
        cmocka_unit_test(bytes_count_and_not_blocks),
        cmocka_unit_test(the_host_refills_a_block_only_when_it_saw_the_end_of_the_copy),
        cmocka_unit_test(whatever_is_put_on_a_queue_knows_what_the_host_has_seen),
        cmocka_unit_test(the_host_is_not_behind_what_it_has_put_on_a_queue),
        cmocka_unit_test(a_block_is_given_back_only_when_the_host_saw_the_end_of_all_uses),
        cmocka_unit_test(a_new_block_has_no_history_and_its_neighbours_keep_theirs),
        cmocka_unit_test(memory_that_is_not_known_is_the_hosts),
        cmocka_unit_test(too_many_uses_are_forgotten_but_none_that_is_right_is_refused),
        cmocka_unit_test(there_is_a_last_queue),
        cmocka_unit_test(without_memory_less_is_found_and_nothing_else_happens),
        cmocka_unit_test(a_pipeline_that_is_right_passes),
        cmocka_unit_test(each_wait_that_is_left_out_is_found),
        cmocka_unit_test(threads_use_it_at_the_same_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
