/* SPDX-License-Identifier: MIT
 *
 * What may happen beside a save: a disk that is full, a kill, steps, other saves. The file is the
 * old one or the new one, and what is in it was there at one time.
 *
 * Everything here is about two variables that each step writes together: a, which is long and on a
 * device, and b. So they are equal, in every element, whenever nobody is half done.
 */
#include "session/session.h"
#include "support/scale.h"
#include "support/yield.h"
#include "unit/save_world.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- two variables that are equal ---------------------------------------- */

enum { LENGTH = 3000 };

typedef struct pair {
    run_world w;
    df_program *step;  /* adds 1 to both; fetches both */
    df_program *fails; /* the same, and then fails */
    df_program *read;
    probe failing;
} pair;

/* Both on this device. */
static df_outs build_pair(df_graph *g, const char *place, df_out both[2], df_out added[2]) {
    df_graph_on(g, place);
    both[0] = df_variable(g, "a", DF_INT64, DF_SHAPE(LENGTH));
    both[1] = df_variable(g, "b", DF_INT64, DF_SCALAR);
    df_out one = run_const(g, 1);
    added[0] = df_assign_add(g, both[0], df_fill(g, one, DF_SHAPE(LENGTH)));
    added[1] = df_assign_add(g, both[1], one);
    return (df_outs){added, 2};
}

static void pair_open(pair *p, const char *place, int workers) {
    df_out both[2], added[2];
    run_open(&p->w, "cpu:2,sim:1", workers);
    probe_init(&p->failing);
    p->failing.way = PROBE_FAILS;
    p->failing.code = DF_ABORTED;
    df_outs step = build_pair(p->w.g, place, both, added);
    df_out end = probe_node(p->w.g, "TestCopy", added[0], &p->failing);
    p->fails =
        run_compile_targets(&p->w, DF_NO_OUTS, DF_NO_OUTS, DF_NODES(end.node, added[1].node));
    p->step = run_compile(&p->w, DF_NO_OUTS, step);
    p->read = run_compile(&p->w, DF_NO_OUTS, (df_outs){both, 2});
}

static void pair_close(pair *p) {
    df_program_free(p->step);
    df_program_free(p->fails);
    df_program_free(p->read);
    run_close(&p->w);
    probe_fini(&p->failing);
}

/* What both are; -1 if they are not equal. */
static int64_t value_of(df_tensor *const t[2]) {
    const int64_t *a = df_tensor_data(t[0]), *b = df_tensor_data(t[1]);
    for (int i = 0; i < LENGTH; i++)
        if (a[i] != *b) return -1;
    return *b;
}

static int64_t run_pair(df_program *p) {
    df_tensor *t[2] = {NULL, NULL};
    int64_t value = -2;
    if (df_program_run(p, DF_NO_TENSORS, t, NULL, NULL) == DF_OK) value = value_of(t);
    df_tensor_unref(t[0]);
    df_tensor_unref(t[1]);
    return value;
}

/* ---- where nothing can be written ---------------------------------------- */

static void a_save_that_cannot_be_written_leaves_the_old_file_and_no_other(void **state) {
    (void)state;
    pair p;
    save_folder d;
    static image before, after;
    struct rlimit old, limit;
    folder_make(&d);
    pair_open(&p, "sim:0", 0);
    save_ok(&p.w, d.file);
    image_read(&before, d.file);
    assert_int_equal(run_pair(p.step), 1);
    const size_t limits[] = {0, 1, 99, 4095, 4096, 4097, 20000, before.n - 1};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    void (*then)(int) = signal(SIGXFSZ, SIG_IGN);
    for (int i = 0; i < 8; i++) {
        limit = (struct rlimit){limits[i], old.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        save_fails(&p.w, d.file, DF_UNAVAILABLE, d.file, "File too large");
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        image_read(&after, d.file);
        assert_int_equal(after.n, before.n);
        assert_memory_equal(after.data, before.data, before.n);
        assert_int_equal(folder_files(&d), 1);
    }
    (void)signal(SIGXFSZ, then);
    save_ok(&p.w, d.file);
    assert_int_equal(run_pair(p.step), 2);
    restore_ok(&p.w, d.file);
    assert_int_equal(run_pair(p.read), 1);
    pair_close(&p);
    folder_remove(&d);
}

static void a_path_where_no_file_can_be_is_refused_in_the_systems_words(void **state) {
    (void)state;
    pair p;
    save_folder d;
    char path[256], folder[128], too_long[5000];
    folder_make(&d);
    pair_open(&p, "cpu:0", 0);
    (void)snprintf(path, sizeof path, "%s/nowhere/file", d.path);
    save_fails(&p.w, path, DF_UNAVAILABLE, path, "No such file or directory");
    (void)snprintf(folder, sizeof folder, "%s/folder", d.path);
    assert_int_equal(mkdir(folder, 0700), 0);
    save_fails(&p.w, folder, DF_UNAVAILABLE, folder, "Is a directory");
    assert_int_equal(folder_files(&d), 1);
    memset(too_long, 'x', sizeof too_long - 1);
    too_long[sizeof too_long - 1] = '\0';
    save_fails(&p.w, too_long, DF_UNAVAILABLE, "xxx", "name too long");
    save_fails(&p.w, "", DF_UNAVAILABLE, "cannot be written", "No such file");
    pair_close(&p);
    folder_remove(&d);
}

/* ---- the file that comes ------------------------------------------------- */

static void the_file_has_the_rights_of_any_new_one(void **state) {
    (void)state;
    pair p;
    save_folder d;
    struct stat is;
    folder_make(&d);
    pair_open(&p, "cpu:0", 0);
    mode_t then = umask(027);
    save_ok(&p.w, d.file);
    (void)umask(then);
    assert_int_equal(stat(d.file, &is), 0);
    assert_int_equal(is.st_mode & 0777, 0640);
    pair_close(&p);
    folder_remove(&d);
}

static void a_path_without_a_folder_is_of_the_one_that_is_current(void **state) {
    (void)state;
    pair p;
    save_folder d;
    folder_make(&d);
    pair_open(&p, "cpu:0", 0);
    int here = open(".", O_RDONLY);
    assert_true(here >= 0);
    assert_int_equal(chdir(d.path), 0);
    save_ok(&p.w, "file");
    restore_ok(&p.w, d.file);
    assert_int_equal(folder_files(&d), 1);
    assert_int_equal(fchdir(here), 0);
    (void)close(here);
    pair_close(&p);
    folder_remove(&d);
}

/* ---- a process that is killed -------------------------------------------- */

/* Saves after each step, and says so by a byte. Ends only by being killed, or with a mistake. */
static void save_for_ever(const char *path, int tell) {
    df_runtime_options o = {.struct_size = sizeof o, .devices = "cpu:2,sim:1"};
    df_out both[2], added[2];
    df_runtime *rt = NULL;
    df_session *s = NULL;
    df_program *p = NULL;
    bool ok = df_runtime_new(&o, &rt, NULL) == DF_OK;
    df_graph *g = df_graph_new(rt);
    df_outs step = build_pair(g, "sim:0", both, added);
    ok = ok && df_session_new(g, NULL, &s, NULL) == DF_OK &&
         df_session_compile(s, DF_NO_OUTS, step, NULL, &p, NULL) == DF_OK;
    while (ok)
        ok = run_pair(p) > 0 && df_session_save(s, path, NULL) == DF_OK && write(tell, "", 1) == 1;
    _exit(1);
}

/* Kills it at some time behind its n-th save. How many it told of. */
static int64_t kill_behind(const char *path, int n, unsigned at) {
    int ends[2], status;
    int64_t told = 0;
    char byte;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) save_for_ever(path, ends[1]);
    (void)close(ends[1]);
    for (; told < n; told++) assert_int_equal(read(ends[0], &byte, 1), 1);
    for (volatile unsigned i = 0; i < at; i++) continue;
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    while (read(ends[0], &byte, 1) == 1) told++;
    (void)close(ends[0]);
    return told;
}

static void a_kill_in_the_midst_of_a_save_leaves_a_whole_file(void **state) {
    (void)state;
    save_folder d;
    unsigned seed = 1;
    folder_make(&d);
    for (size_t i = 0; i < test_scaled(40); i++) {
        pair p;
        seed = seed * 1103515245u + 12345u;
        int64_t told = kill_behind(d.file, 1 + (int)(i % 3), seed >> 12);
        pair_open(&p, "cpu:1", 0);
        restore_ok(&p.w, d.file);
        int64_t value = run_pair(p.read);
        if (value != told && value != told + 1) /* it may not have told of the last yet */
            fail_msg("%lld after %lld saves", (long long)value, (long long)told);
        pair_close(&p);
    }
    folder_remove(&d);
}

/* ---- steps, and other saves ---------------------------------------------- */

enum { STEPPERS = 2 };

typedef struct crowd {
    pair p, other;
    save_folder d;
    size_t rounds;
    check check;
    _Atomic int64_t seen; /* the value of a save is none that was before */
} crowd;

static void crowd_open(crowd *c, const char *place, int workers, size_t rounds) {
    pair_open(&c->p, place, workers);
    pair_open(&c->other, "cpu:0", 0);
    folder_make(&c->d);
    check_init(&c->check);
    c->rounds = test_scaled(rounds);
    c->seen = 0;
}

static void crowd_close(crowd *c) {
    check_end(&c->check);
    pair_close(&c->p);
    pair_close(&c->other);
    folder_remove(&c->d);
}

static void step_or_save(void *arg, int i) {
    crowd *c = arg;
    for (size_t k = 0; k < c->rounds; k++) {
        if (i < STEPPERS) {
            CHECK_EQUAL(&c->check, df_program_run(c->p.fails, DF_NO_TENSORS, NULL, NULL, NULL),
                        DF_ABORTED);
            CHECK(&c->check, run_pair(c->p.step) > 0);
            continue;
        }
        CHECK_EQUAL(&c->check, df_session_save(c->p.w.s, c->d.file, NULL), DF_OK);
        CHECK_EQUAL(&c->check, df_session_restore(c->other.w.s, c->d.file, NULL), DF_OK);
        int64_t value = run_pair(c->other.read);
        CHECK(&c->check, value >= c->seen);
        c->seen = value;
    }
}

/* And what a step wrote that then fails is not saved. */
static void what_steps_write_together_is_saved_together(void **state) {
    (void)state;
    const char *const places[] = {"cpu:0", "sim:0"};
    for (int i = 0; i < 4; i++) {
        crowd c;
        crowd_open(&c, places[i % 2], i / 2, 100);
        run_threads(STEPPERS + 1, step_or_save, &c);
        assert_int_equal(run_pair(c.p.read), (int64_t)c.rounds * STEPPERS);
        crowd_close(&c);
    }
}

static void step_or_restore(void *arg, int i) {
    crowd *c = arg;
    for (size_t k = 0; k < c->rounds; k++) {
        if (i < STEPPERS)
            CHECK(&c->check, run_pair(c->p.step) > 0);
        else
            CHECK_EQUAL(&c->check, df_session_restore(c->p.w.s, c->d.file, NULL), DF_OK);
    }
}

static void what_is_restored_together_is_seen_together(void **state) {
    (void)state;
    const char *const places[] = {"cpu:0", "sim:0"};
    for (int i = 0; i < 4; i++) {
        crowd c;
        crowd_open(&c, places[i % 2], i / 2, 100);
        for (int k = 0; k < 1000; k += 250) assert_true(run_pair(c.other.step) > 0);
        save_ok(&c.other.w, c.d.file);
        run_threads(STEPPERS + 1, step_or_restore, &c);
        assert_true(run_pair(c.p.read) > 0);
        crowd_close(&c);
    }
}

/* Each from a session of its own, or of the same, to one path. */
static void save_there(void *arg, int i) {
    crowd *c = arg;
    for (size_t k = 0; k < c->rounds; k++) {
        df_session *s = i % 2 ? c->p.w.s : c->other.w.s;
        CHECK_EQUAL(&c->check, df_session_save(s, c->d.file, NULL), DF_OK);
        CHECK_EQUAL(&c->check, df_session_restore(s, c->d.file, NULL), DF_OK);
    }
}

static void saves_to_one_path_do_not_mix(void **state) {
    (void)state;
    crowd c;
    crowd_open(&c, "sim:0", 0, 20);
    assert_int_equal(run_pair(c.p.step), 1);
    run_threads(4, save_there, &c);
    restore_ok(&c.p.w, c.d.file);
    assert_true(run_pair(c.p.read) >= 0);
    assert_int_equal(folder_files(&c.d), 1);
    crowd_close(&c);
}

/* A reader is held at a gate; a save does not wait for it, and a restore would. */
static void a_save_does_not_wait_for_steps_that_only_read(void **state) {
    (void)state;
    run_world w;
    probe pr;
    runner r;
    save_folder d;
    folder_make(&d);
    run_open(&w, "cpu:1", 0);
    probe_init(&pr);
    df_out v = df_variable_from(w.g, "v", run_const(w.g, 6));
    df_program *held = run_compile(&w, DF_NO_OUTS, DF_OUTS(probe_node(w.g, "TestCopy", v, &pr)));
    pr.way = PROBE_WAITS;
    runner_start(&r, held);
    probe_await_inside(&pr, 1);
    save_ok(&w, d.file);
    probe_open(&pr);
    runner_join(&r);
    assert_int_equal(r.value, 6);
    restore_ok(&w, d.file);
    df_program_free(held);
    run_close(&w);
    probe_fini(&pr);
    folder_remove(&d);
}

static void a_closed_session_is_neither_saved_nor_restored(void **state) {
    (void)state;
    pair p;
    save_folder d;
    folder_make(&d);
    pair_open(&p, "sim:0", 1);
    save_ok(&p.w, d.file);
    assert_int_equal(df_session_close(p.w.s, 0, NULL), DF_OK);
    save_fails(&p.w, d.file, DF_FAILED_PRECONDITION, "closed", "");
    restore_fails(&p.w, d.file, DF_FAILED_PRECONDITION, "closed", "");
    assert_int_equal(folder_files(&d), 1);
    pair_close(&p);
    folder_remove(&d);
}

/* ---- inside a kernel ----------------------------------------------------- */

typedef struct saving {
    df_session *session;
    char path[128];
    df_code save, restore;
    df_error err;
} saving;

static saving inside; /* one at a time */

static df_code save_inside(df_kernel *k, df_error *err) {
    (void)k;
    (void)err;
    inside.save = df_session_save(inside.session, inside.path, &inside.err);
    inside.restore = df_session_restore(inside.session, inside.path, NULL);
    return DF_OK;
}

static void a_kernel_on_a_queue_cannot_wait_for_it(void **state) {
    (void)state;
    for (int sim = 0; sim < 2; sim++) {
        save_folder d;
        df_runtime *rt = NULL;
        df_program *p = NULL;
        df_tensor *t = NULL;
        df_op_def op = {
            .struct_size = sizeof op, .signature = "Saves(x: int64) : x", .infer = df_infer_same};
        df_kernel_def kernel = {.struct_size = sizeof kernel,
                                .op = "Saves",
                                .devices = "CPU,SIM",
                                .compute = save_inside};
        df_runtime_options o = {.struct_size = sizeof o, .devices = "cpu:1,sim:1"};
        folder_make(&d);
        assert_int_equal(df_runtime_new(&o, &rt, NULL), DF_OK);
        assert_int_equal(df_op_register(rt, &op, NULL), DF_OK);
        assert_int_equal(df_kernel_register(rt, &kernel, NULL), DF_OK);
        df_graph *g = df_graph_new(rt), *kept = df_graph_new(rt);
        df_graph_on(g, sim ? "sim:0" : "cpu:0");
        df_out one = run_const(g, 1),
               y = df_node_output(df_node_add(g, "Saves", &one, 1, NULL, 0), 0);
        (void)df_variable(kept, "v", DF_INT64, DF_SCALAR);
        df_session *s = NULL;
        inside = (saving){.save = DF_UNKNOWN};
        (void)snprintf(inside.path, sizeof inside.path, "%s", d.file);
        assert_int_equal(df_session_new(kept, NULL, &inside.session, NULL), DF_OK);
        assert_int_equal(df_session_new(g, NULL, &s, NULL), DF_OK);
        assert_int_equal(df_session_compile(s, DF_NO_OUTS, DF_OUTS(y), NULL, &p, NULL), DF_OK);
        (void)alarm(60);
        assert_int_equal(df_program_run(p, DF_NO_TENSORS, &t, NULL, NULL), DF_OK);
        (void)alarm(0);
        assert_int_equal(inside.save, sim ? DF_FAILED_PRECONDITION : DF_OK);
        assert_int_equal(inside.restore, sim ? DF_FAILED_PRECONDITION : DF_OK);
        if (sim) assert_non_null(strstr(inside.err.message, "saves or restores a session"));
        df_tensor_unref(t);
        df_program_free(p);
        df_session_free(s);
        df_session_free(inside.session);
        df_graph_free(g);
        df_graph_free(kept);
        df_runtime_free(rt);
        folder_remove(&d);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_save_that_cannot_be_written_leaves_the_old_file_and_no_other),
        cmocka_unit_test(a_path_where_no_file_can_be_is_refused_in_the_systems_words),
        cmocka_unit_test(the_file_has_the_rights_of_any_new_one),
        cmocka_unit_test(a_path_without_a_folder_is_of_the_one_that_is_current),
        cmocka_unit_test(a_kill_in_the_midst_of_a_save_leaves_a_whole_file),
        cmocka_unit_test(what_steps_write_together_is_saved_together),
        cmocka_unit_test(what_is_restored_together_is_seen_together),
        cmocka_unit_test(saves_to_one_path_do_not_mix),
        cmocka_unit_test(a_save_does_not_wait_for_steps_that_only_read),
        cmocka_unit_test(a_closed_session_is_neither_saved_nor_restored),
        cmocka_unit_test(a_kernel_on_a_queue_cannot_wait_for_it),
    };
    yield_install(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
