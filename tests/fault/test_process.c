/* SPDX-License-Identifier: MIT
 *
 * What the process does around the library: it forks, it is interrupted by signals, it exits while
 * kernels run. The library has no handler, no destructor and no hook of its own for any of these;
 * here is that it needs none.
 */
#include "base/clock.h"
#include "support/scale.h"
#include "unit/run_world.h"
#include "unit/save_world.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* A variable that counts up on an accelerator, read on a CPU. */
static df_program *open_counter(run_world *w, int workers) {
    run_open(w, "cpu:1,sim:1", workers);
    df_graph_on(w->g, "sim:0");
    df_out v = df_variable(w->g, "v", DF_INT64, DF_SCALAR);
    df_out n = df_assign_add(w->g, v, run_const(w->g, 1));
    df_graph_on(w->g, "cpu:0");
    return run_compile(w, DF_NO_OUTS, DF_OUTS(df_identity(w->g, n)));
}

static int status_of(pid_t child) {
    int status = -1;
    assert_true(child > 0);
    while (waitpid(child, &status, 0) != child) assert_int_equal(errno, EINTR);
    return status;
}

/* ---- fork ------------------------------------------------------------------ */

static void a_child_of_fork_may_exec_or_leave_and_the_parent_goes_on(void **state) {
    (void)state;
    run_world w;
    df_program *p = open_counter(&w, 2);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(run_int(&w, p), 2 * i + 1);
        pid_t child = fork();
        if (child == 0) {
            if (i % 2) (void)execl("/bin/true", "true", (char *)NULL);
            _exit(0);
        }
        assert_int_equal(run_int(&w, p), 2 * i + 2);
        assert_int_equal(status_of(child), 0);
    }
    df_program_free(p);
    run_close(&w);
}

/* ---- signals --------------------------------------------------------------- */

static volatile sig_atomic_t n_signals;

static void on_signal(int number) {
    (void)number;
    n_signals++;
}

/* Every 300 us, to the only thread that takes signals: this one. System calls are not taken up
 * again by the system. */
static void interrupt(bool on) {
    const struct sigaction how = {.sa_handler = on ? on_signal : SIG_IGN};
    const struct itimerval often = {.it_interval = {.tv_usec = on ? 300 : 0},
                                    .it_value = {.tv_usec = on ? 300 : 0}};
    if (on) n_signals = 0;
    if (on) assert_int_equal(sigaction(SIGALRM, &how, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
    if (!on) assert_int_equal(sigaction(SIGALRM, &how, NULL), 0);
}

static void calls_that_a_signal_interrupts_go_on(void **state) {
    (void)state;
    const int signals = (int)test_scaled(200);
    save_folder d;
    folder_make(&d);
    interrupt(true);
    for (int round = 0; round < 3 || n_signals < signals; round++) {
        run_world w;
        df_program *p = open_counter(&w, round % 3);
        assert_int_equal(run_int(&w, p), 1);
        save_ok(&w, d.file);
        assert_int_equal(run_int(&w, p), 2);
        restore_ok(&w, d.file);
        assert_int_equal(run_int(&w, p), 2);
        df_program_free(p);
        run_close(&w);
    }
    interrupt(false);
    folder_remove(&d);
}

/* A thread that sleeps for its run is woken by signals again and again; the deadline is as far
 * away as before. */
static void a_deadline_is_not_moved_by_signals(void **state) {
    (void)state;
    enum { TIMEOUT = 30 * 1000 * 1000 };
    slow_world o;
    const df_run_options options = {.struct_size = sizeof options, .timeout = TIMEOUT};
    slow_open(&o, 1, "TestAsync", "cpu:1");
    o.probe.way = PROBE_KEEPS;
    interrupt(true);
    uint64_t begun = clock_now();
    assert_int_equal(slow_run(&o, &options), DF_DEADLINE_EXCEEDED);
    assert_true(clock_now() - begun >= TIMEOUT);
    interrupt(false);
    if (probe_runs(&o.probe)) df_kernel_done(slow_await_kept(&o, 1), NULL);
    slow_close(&o);
}

/* ---- exit ------------------------------------------------------------------ */

/* Static: what a process leaves behind when it exits is not lost to a checker of leaks. */
static struct {
    run_world w;
    probe probe;
    told t;
    df_program *waits, *plain;
} left;

static void run_once_more(void) {
    if (run_int(&left.w, left.plain) != -5) _exit(3);
}

/* One worker is in a kernel, the other sleeps, and an atexit handler still runs a step. */
static void exit_with_a_kernel_on_its_way(void) {
    run_open(&left.w, "cpu:1,sim:1", 2);
    probe_init(&left.probe);
    told_init(&left.t);
    left.probe.way = PROBE_WAITS;
    df_out waits = probe_node(left.w.g, "TestCopy", run_const(left.w.g, 4), &left.probe);
    df_graph_on(left.w.g, "sim:0");
    df_out plain = df_neg(left.w.g, run_const(left.w.g, 5));
    left.waits = run_compile(&left.w, DF_NO_OUTS, DF_OUTS(waits));
    left.plain = run_compile(&left.w, DF_NO_OUTS, DF_OUTS(plain));
    df_program_start(left.waits, DF_NO_TENSORS, NULL, tell, &left.t);
    probe_await_inside(&left.probe, 1);
    if (atexit(run_once_more) != 0) _exit(4);
    exit(0);
}

static void a_process_may_exit_while_the_librarys_threads_live(void **state) {
    (void)state;
    pid_t child = fork();
    if (child == 0) exit_with_a_kernel_on_its_way();
    assert_int_equal(status_of(child), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_may_exit_while_the_librarys_threads_live),
        cmocka_unit_test(a_child_of_fork_may_exec_or_leave_and_the_parent_goes_on),
        cmocka_unit_test(calls_that_a_signal_interrupts_go_on),
        cmocka_unit_test(a_deadline_is_not_moved_by_signals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
