/* SPDX-License-Identifier: MIT
 *
 * Who may start when: readers together, writers alone, nobody overtaken.
 */
#include "support/scale.h"

#include "exec/tickets.h"
#include "support/ops_for_tests.h"
#include "support/yield.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

/* Three programs over two variables, x and y, each a bit of one word. */
static uint64_t read_x[2] = {1, 0}, write_x[2] = {0, 1}, write_y[2] = {0, 2}, both[2] = {1, 2};
static const touches reads_x = {.reads = read_x, .writes = read_x + 1, .words = 1, .any = true};
static const touches writes_x = {.reads = write_x, .writes = write_x + 1, .words = 1, .any = true};
static const touches writes_y = {.reads = write_y, .writes = write_y + 1, .words = 1, .any = true};
static const touches reads_x_writes_y = {
    .reads = both, .writes = both + 1, .words = 1, .any = true};
static const touches nothing = {.any = false};

static size_t in_line(tickets *t) {
    size_t n = 0;
    mutex_lock(&t->lock);
    for (const ticket *e = t->first; e; e = e->next) n++;
    mutex_unlock(&t->lock);
    return n;
}

static void await_in_line(tickets *t, size_t n) {
    while (in_line(t) < n) (void)sched_yield();
}

/* One who takes a ticket on a thread of its own, notes his turn, and gives it back. */
typedef struct taker {
    tickets *t;
    const touches *what;
    _Atomic int *turns;
    _Atomic int turn; /* 0: not yet */
    pthread_t thread;
} taker;

static void *take_and_give(void *arg) {
    taker *k = arg;
    ticket mine;
    mine = (ticket){.what = k->what};
    tickets_wait(k->t, &mine);
    k->turn = ++*k->turns;
    tickets_give(k->t, &mine);
    return NULL;
}

static void taker_start(taker *k, tickets *t, const touches *what, _Atomic int *turns) {
    k->t = t;
    k->what = what;
    k->turns = turns;
    k->turn = 0;
    assert_int_equal(pthread_create(&k->thread, NULL, take_and_give, k), 0);
}

/* ---- one after another --------------------------------------------------- */

static void readers_start_together(void **state) {
    (void)state;
    tickets t;
    ticket a, b;
    assert_true(tickets_init(&t));
    a = (ticket){.what = &reads_x};
    tickets_wait(&t, &a);
    b = (ticket){.what = &reads_x};
    tickets_wait(&t, &b); /* would wait for ever for itself */
    tickets_give(&t, &a);
    tickets_give(&t, &b);
    assert_null(t.first);
    assert_null(t.last);
    tickets_fini(&t);
}

static void writers_of_different_variables_start_together(void **state) {
    (void)state;
    tickets t;
    ticket a, b;
    assert_true(tickets_init(&t));
    a = (ticket){.what = &writes_x};
    tickets_wait(&t, &a);
    b = (ticket){.what = &writes_y};
    tickets_wait(&t, &b);
    tickets_give(&t, &b);
    tickets_give(&t, &a);
    tickets_fini(&t);
}

static void who_touches_nothing_never_stands_in_line(void **state) {
    (void)state;
    tickets t;
    ticket a, b;
    assert_true(tickets_init(&t));
    a = (ticket){.what = &writes_x};
    tickets_wait(&t, &a);
    b = (ticket){.what = &nothing};
    tickets_wait(&t, &b);
    assert_int_equal(in_line(&t), 1);
    tickets_give(&t, &b);
    tickets_give(&t, &a);
    tickets_fini(&t);
}

static void after_one(const touches *first, const touches *second) {
    tickets t;
    ticket a;
    taker k;
    _Atomic int turns = 0;
    assert_true(tickets_init(&t));
    a = (ticket){.what = first};
    tickets_wait(&t, &a);
    taker_start(&k, &t, second, &turns);
    await_in_line(&t, 2);
    assert_int_equal(k.turn, 0);

    tickets_give(&t, &a);

    assert_int_equal(pthread_join(k.thread, NULL), 0);
    assert_int_equal(k.turn, 1);
    tickets_fini(&t);
}

static void a_writer_waits_for_readers_and_a_reader_for_writers(void **state) {
    (void)state;
    after_one(&reads_x, &writes_x);
    after_one(&writes_x, &reads_x);
    after_one(&writes_x, &writes_x);
    after_one(&writes_y, &reads_x_writes_y);
    after_one(&reads_x_writes_y, &writes_x);
}

static int n_told;

static void count_told(ticket *t) {
    (void)t;
    n_told++;
}

static void who_waits_behind_one_that_is_withdrawn_has_his_turn(void **state) {
    (void)state;
    tickets t;
    ticket reader = {.what = &reads_x}, writer = {.what = &writes_x, .turn = count_told};
    ticket behind[2];
    n_told = 0;
    assert_true(tickets_init(&t));
    assert_true(tickets_take(&t, &reader));
    assert_false(tickets_take(&t, &writer));
    for (int i = 0; i < 2; i++) {
        behind[i] = (ticket){.what = &reads_x, .turn = count_told};
        assert_false(tickets_take(&t, &behind[i]));
    }
    assert_true(tickets_withdraw(&t, &writer));
    assert_int_equal(n_told, 2); /* both readers, beside the first */
    assert_false(tickets_withdraw(&t, &behind[0]));
    tickets_give(&t, &behind[0]);
    tickets_give(&t, &writer); /* which has been out of the line since */
    assert_int_equal(in_line(&t), 2);
    tickets_give(&t, &behind[1]);
    tickets_give(&t, &reader);
    assert_null(t.first);
    assert_null(t.last);
    tickets_fini(&t);
}

/* Sets of three words: a bit of the last. */
static void the_last_of_many_variables_counts_like_the_first(void **state) {
    (void)state;
    uint64_t reads[6] = {0}, writes[6] = {0}, others[6] = {0};
    reads[2] = writes[3 + 2] = UINT64_C(1) << 63;
    others[3 + 2] = UINT64_C(1) << 62;
    const touches reader = {.reads = reads, .writes = reads + 3, .words = 3, .any = true};
    const touches writer = {.reads = writes, .writes = writes + 3, .words = 3, .any = true};
    const touches other = {.reads = others, .writes = others + 3, .words = 3, .any = true};
    tickets t;
    ticket a = {.what = &reader}, b = {.what = &writer}, c = {.what = &other};
    assert_true(tickets_init(&t));
    assert_true(tickets_take(&t, &a));
    assert_true(tickets_take(&t, &c));
    assert_false(tickets_take(&t, &b));
    assert_true(tickets_withdraw(&t, &b));
    tickets_give(&t, &b);
    tickets_give(&t, &c);
    tickets_give(&t, &a);
    tickets_fini(&t);
}

static void a_reader_does_not_overtake_a_writer_that_waits(void **state) {
    (void)state;
    tickets t;
    ticket a;
    taker writer, reader;
    _Atomic int turns = 0;
    assert_true(tickets_init(&t));
    a = (ticket){.what = &reads_x};
    tickets_wait(&t, &a);
    taker_start(&writer, &t, &writes_x, &turns);
    await_in_line(&t, 2);
    taker_start(&reader, &t, &reads_x, &turns);
    await_in_line(&t, 3);
    assert_int_equal(turns, 0);

    tickets_give(&t, &a);

    assert_int_equal(pthread_join(writer.thread, NULL), 0);
    assert_int_equal(pthread_join(reader.thread, NULL), 0);
    assert_int_equal(writer.turn, 1);
    assert_int_equal(reader.turn, 2);
    tickets_fini(&t);
}

static void one_in_the_middle_can_leave_first(void **state) {
    (void)state;
    tickets t;
    ticket a, b, c;
    assert_true(tickets_init(&t));
    a = (ticket){.what = &reads_x};
    tickets_wait(&t, &a);
    b = (ticket){.what = &writes_y};
    tickets_wait(&t, &b);
    c = (ticket){.what = &reads_x};
    tickets_wait(&t, &c);
    tickets_give(&t, &b);
    tickets_give(&t, &c);
    assert_ptr_equal(t.first, &a);
    assert_ptr_equal(t.last, &a);
    tickets_give(&t, &a);
    tickets_fini(&t);
}

/* ---- many ---------------------------------------------------------------- */

enum { TAKERS = 6 };

typedef struct crowd {
    tickets t;
    check check;
    _Atomic int readers_x, writers_x, writers_y;
    size_t rounds;
    int64_t x, y; /* guarded by the tickets alone */
} crowd;

static void in_turn(crowd *c, const touches *what) {
    bool writes = what == &writes_x, shares = what == &reads_x || what == &reads_x_writes_y;
    bool also_y = what == &writes_y || what == &reads_x_writes_y;
    if (shares) c->readers_x++;
    if (writes) CHECK_EQUAL(&c->check, ++c->writers_x, 1);
    if (also_y) CHECK_EQUAL(&c->check, ++c->writers_y, 1);
    if (shares) CHECK_EQUAL(&c->check, c->writers_x, 0);
    if (writes) CHECK_EQUAL(&c->check, c->readers_x, 0);
    if (writes) c->x++;
    if (also_y) c->y++;
    if (shares) c->readers_x--;
    if (writes) c->writers_x--;
    if (also_y) c->writers_y--;
}

static void take_turns(void *arg, int i) {
    crowd *c = arg;
    const touches *all[] = {&reads_x, &writes_x, &writes_y, &reads_x_writes_y};
    for (size_t k = 0; k < c->rounds; k++) {
        const touches *what = all[(k + (size_t)i) % 4];
        ticket mine;
        mine = (ticket){.what = what};
        tickets_wait(&c->t, &mine);
        in_turn(c, what);
        tickets_give(&c->t, &mine);
    }
}

static void turns_never_conflict(void **state) {
    (void)state;
    static crowd c;
    c.rounds = 4 * test_scaled(200);
    check_init(&c.check);
    assert_true(tickets_init(&c.t));
    run_threads(TAKERS, take_turns, &c);
    check_end(&c.check);
    assert_int_equal(c.x, TAKERS * c.rounds / 4);
    assert_int_equal(c.y, TAKERS * c.rounds / 2);
    tickets_fini(&c.t);
}

int main(int argc, char **argv) {
    yield_install(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_start_together),
        cmocka_unit_test(writers_of_different_variables_start_together),
        cmocka_unit_test(who_touches_nothing_never_stands_in_line),
        cmocka_unit_test(a_writer_waits_for_readers_and_a_reader_for_writers),
        cmocka_unit_test(who_waits_behind_one_that_is_withdrawn_has_his_turn),
        cmocka_unit_test(the_last_of_many_variables_counts_like_the_first),
        cmocka_unit_test(a_reader_does_not_overtake_a_writer_that_waits),
        cmocka_unit_test(one_in_the_middle_can_leave_first),
        cmocka_unit_test(turns_never_conflict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
