/* SPDX-License-Identifier: MIT
 *
 * The pieces that steps are shared in, checked against the plan that they are joined from; and
 * which plans are not joined at all.
 */
#include "unit/share_world.h"

#include "exec/join.h"
#include "support/scale.h"
#include "support/yield.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

/* ---- pieces -------------------------------------------------------------- */

static bool waits(const plan_block *blocks, const uint32_t *after, uint32_t from, uint32_t to) {
    const plan_block *b = &blocks[from];
    for (uint32_t i = b->first_after; i < b->first_after + b->n_after; i++)
        if (after[i] == to) return true;
    return false;
}

/* Each holds some nodes behind those of the one before; all that there are, together. */
static void are_intervals(const plan *p, const plan_block *blocks, uint32_t n, uint32_t *piece_of) {
    uint32_t at = 0, plain = 0;
    for (uint32_t b = 0; b < n; b++) {
        assert_int_equal(blocks[b].first, at);
        assert_true(blocks[b].count > 0);
        for (uint32_t i = 0; i < blocks[b].count; i++) piece_of[at++] = b;
        while (plain < p->n_blocks && p->blocks[plain].first < at) plain++;
        assert_int_equal(p->blocks[plain].first, at); /* no block is cut */
    }
    assert_int_equal(at, p->n_nodes);
    assert_int_equal(blocks[n].first, at);
    assert_int_equal(blocks[n].count, 0);
}

static void count_their_events(const plan *p, const plan_block *blocks, uint32_t n,
                               const uint32_t *after) {
    uint32_t *pending = calloc(n + 1, sizeof *pending), at = 0;
    for (uint32_t b = 0; b < n; b++) {
        assert_int_equal(blocks[b].first_after, at);
        assert_true(blocks[b].n_after > 0); /* so END comes after all */
        for (uint32_t i = 0; i < blocks[b].n_after; i++, at++) {
            assert_true(after[at] > b && after[at] <= n);
            for (uint32_t k = 0; k < i; k++) assert_int_not_equal(after[at], after[at - 1 - k]);
            pending[after[at]]++;
        }
    }
    assert_true(at <= p->n_after);
    for (uint32_t b = 0; b <= n; b++) assert_int_equal(blocks[b].pending, pending[b]);
    assert_true(pending[n] > 0);
    free(pending);
}

static void wait_for_what_they_need(const plan *p, const plan_block *blocks, const uint32_t *after,
                                    const uint32_t *piece_of) {
    uint32_t *maker = calloc(p->n_slots, sizeof *maker);
    for (uint32_t b = 0; b < p->n_blocks; b++)
        for (uint32_t i = 0; i < p->blocks[b].n_after; i++) {
            uint32_t to = p->after[p->blocks[b].first_after + i];
            if (to == p->n_blocks) continue;
            uint32_t from = piece_of[p->blocks[b].first], then = piece_of[p->blocks[to].first];
            assert_true(from == then || waits(blocks, after, from, then));
        }
    for (uint32_t i = 0; i < p->n_nodes; i++) {
        const plan_node *n = &p->nodes[i];
        for (uint32_t k = 0; k < n->n_inputs; k++) {
            int32_t slot = p->inputs[n->first_input + k];
            if (slot == PLAN_NONE) continue;
            uint32_t from = piece_of[maker[slot]];
            assert_true(maker[slot] < i);
            assert_true(from == piece_of[i] || waits(blocks, after, from, piece_of[i]));
        }
        for (uint32_t k = 0; k < n->n_outputs; k++) maker[n->first_slot + k] = i;
    }
    free(maker);
}

static void pieces_are_right(const plan *p, const plan_block *blocks, uint32_t n,
                             const uint32_t *after) {
    uint32_t *piece_of = calloc(p->n_nodes, sizeof *piece_of);
    assert_true(n >= 1 && n <= p->n_blocks);
    are_intervals(p, blocks, n, piece_of);
    count_their_events(p, blocks, n, after);
    wait_for_what_they_need(p, blocks, after, piece_of);
    free(piece_of);
}

static void all_cuts_are_right(const plan *p) {
    static const double grains[] = {1e-9, 1, 1000, 1500, 24000, 1e6, 1e15};
    static const uint32_t threads[] = {1, 2, 3, 5, 64, 1000};
    plan_block *blocks = calloc(p->n_blocks + 1, sizeof *blocks);
    uint32_t *after = calloc(p->n_after, sizeof *after), last = UINT32_MAX;
    assert_true(p->is_fine);
    for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
        joining j;
        arena mem;
        arena_init(&mem, NULL);
        assert_true(joining_init(&j, &mem, p, threads[t], 1000.0 * p->n_nodes, blocks, after));
        for (size_t g = 0; g < sizeof grains / sizeof *grains; g++) {
            joining_cut(&j, grains[g]);
            pieces_are_right(p, blocks, j.n, after);
            assert_true(g == 0 || j.n <= last); /* a larger grain gives no more */
            last = j.n;
            double ns = joining_play(&j);
            assert_true(ns >= 1000.0 * p->n_nodes / j.threads);
            assert_true(ns < 1000.0 * p->n_nodes + 1000.0 * (j.n + 1) + 40.0 * p->n_after);
        }
        assert_int_equal(j.n, 1);
        if (joining_best(&j)) {
            pieces_are_right(p, blocks, j.n, after);
            assert_true(joining_play(&j) < 850.0 * p->n_nodes);
        }
        arena_fini(&mem);
    }
    free(blocks);
    free(after);
}

static void pieces_are_right_whatever_the_graph(void **state) {
    (void)state;
    static drawing d;
    for (size_t i = 0; i < test_scaled(40); i++) {
        uint32_t n = 2 + share_draw(200);
        drawing_open(&d, "cpu:2", 1 + (int)share_draw(5), (shape_drawn)(i % DRAWN_SHAPES), n,
                     i % 8 < 4 ? "cpu:1" : NULL);
        all_cuts_are_right(d.exec->o.plan);
        drawing_close(&d);
    }
}

static void a_wide_graph_is_shared_and_a_chain_is_not(void **state) {
    (void)state;
    static drawing d;
    for (int wide = 0; wide < 2; wide++) {
        drawing_open(&d, "cpu:1", 1, wide ? DRAWN_WIDE : DRAWN_CHAIN, 100, NULL);
        const sharing *sh = &d.exec->sharing;
        assert_true(sh->is_possible);
        share_cut_for(d.exec, 20000);
        assert_int_equal(sh->shared.n_blocks > 1, wide);
        assert_false(sh->is_cutting);
        assert_false(sh->is_kept);
        assert_int_equal(sh->trial > 0, wide);
        drawing_close(&d);
    }
}

/* ---- what is not joined -------------------------------------------------- */

static void what_waits_within_a_step_is_not_joined(void **state) {
    (void)state;
    static const char *const ops[] = {"TestCopy", "TestAsync"};
    for (int i = 0; i < 2; i++) {
        run_world w;
        probe pr;
        share_open(&w, "cpu:1", 2);
        probe_init(&pr);
        df_out a = df_neg(w.g, run_const(w.g, 1)), b = probe_node(w.g, ops[i], a, &pr);
        df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(df_add(w.g, df_neg(w.g, b), a)));
        executor *x = share_executor(&w, p);
        assert_int_equal(x->o.plan->is_fine, i == 0);
        assert_int_equal(x->sharing.is_possible, i == 0);
        for (int k = 0; k < 10; k++) assert_int_equal(run_int(&w, p), 0);
        df_program_free(p);
        run_close(&w);
        probe_fini(&pr);
    }
}

static void nothing_is_joined_for_one_thread_or_where_the_grain_is_given(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++) {
        run_world w;
        run_open(&w, "cpu:1", i > 0);
        if (i != 1) w.rt->grain = 0;
        df_out a = df_neg(w.g, run_const(w.g, 1)), b = df_neg(w.g, run_const(w.g, 2));
        df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(df_add(w.g, a, b)));
        assert_int_equal(share_executor(&w, p)->sharing.is_possible, i == 2);
        assert_int_equal(run_int(&w, p), -3);
        df_program_free(p);
        run_close(&w);
    }
}

static df_code no_rendezvous(void *user, const df_step_info *info, df_rendezvous **out,
                             df_error *err) {
    (void)user;
    (void)info;
    (void)out;
    return df_error_set(err, DF_UNAVAILABLE, "none today");
}

static void steps_that_meet_at_the_users_rendezvous_are_not_joined(void **state) {
    (void)state;
    run_world w;
    df_rendezvous_factory f = {.struct_size = sizeof f, .create = no_rendezvous};
    df_session_options o = {.struct_size = sizeof o, .rendezvous = &f};
    share_open(&w, "cpu:2", 2);
    df_out a = df_neg(w.g, run_const(w.g, 1));
    df_graph_on(w.g, "cpu:1");
    df_out b = df_neg(w.g, a);
    assert_int_equal(df_session_new(w.g, &o, &w.s, &w.err), DF_OK);
    df_program *p = run_compile(&w, DF_NO_OUTS, DF_OUTS(b));
    executor *x = share_executor(&w, p);
    assert_false(x->o.plan->is_fine);
    assert_false(x->sharing.is_possible);
    run_fails(&w, p, DF_NO_TENSORS, 1, DF_UNAVAILABLE, "none today", "");
    df_program_free(p);
    run_close(&w);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_right_whatever_the_graph),
        cmocka_unit_test(a_wide_graph_is_shared_and_a_chain_is_not),
        cmocka_unit_test(what_waits_within_a_step_is_not_joined),
        cmocka_unit_test(nothing_is_joined_for_one_thread_or_where_the_grain_is_given),
        cmocka_unit_test(steps_that_meet_at_the_users_rendezvous_are_not_joined),
    };
    (void)yield_install(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
