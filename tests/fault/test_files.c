/* SPDX-License-Identifier: MIT
 *
 * What a save and a restore ask of the system, by functions that the linker puts in between: the
 * k-th call fails, or those that read and write are interrupted, or do a few bytes at a time. A
 * file is the old one or the new one, nothing lies beside it, and a session is as it was or as the
 * file says.
 */
#include "unit/save_world.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- the system ------------------------------------------------------------ */

int __real_open(const char *path, int flags, ...);
ssize_t __real_read(int fd, void *into, size_t n);
ssize_t __real_write(int fd, const void *from, size_t n);
int __real_fsync(int fd);
int __real_close(int fd);
int __real_rename(const char *from, const char *to);
int __wrap_open(const char *path, int flags, ...);
ssize_t __wrap_read(int fd, void *into, size_t n);
ssize_t __wrap_write(int fd, const void *from, size_t n);
int __wrap_fsync(int fd);
int __wrap_close(int fd);
int __wrap_rename(const char *from, const char *to);

enum { FEW = 7 };
static bool is_slow;       /* reads and writes are interrupted every other time, and then do few */
static unsigned countdown; /* which call from now on fails; 0: none */
static unsigned n_synced;
static bool has_failed, is_odd;
static bool was_close; /* it was that which failed */

static bool fails_now(void) {
    if (!countdown || --countdown) return false;
    has_failed = true;
    errno = EIO;
    return true;
}

/* False: interrupted. */
static bool slow_down(size_t *n) {
    if (!is_slow) return true;
    is_odd = !is_odd;
    if (*n > FEW) *n = FEW;
    errno = EINTR;
    return !is_odd;
}

int __wrap_open(const char *path, int flags, ...) {
    return fails_now() ? -1 : __real_open(path, flags, 0666);
}

ssize_t __wrap_read(int fd, void *into, size_t n) {
    return fails_now() || !slow_down(&n) ? -1 : __real_read(fd, into, n);
}

ssize_t __wrap_write(int fd, const void *from, size_t n) {
    return fails_now() || !slow_down(&n) ? -1 : __real_write(fd, from, n);
}

int __wrap_fsync(int fd) {
    n_synced++;
    return fails_now() ? -1 : __real_fsync(fd);
}

int __wrap_close(int fd) {
    int result = __real_close(fd);
    was_close = fails_now();
    return was_close ? -1 : result;
}

int __wrap_rename(const char *from, const char *to) {
    return fails_now() ? -1 : __real_rename(from, to);
}

/* ---- a session ------------------------------------------------------------- */

enum { LENGTH = 3000 }; /* more than one write */

typedef struct counter {
    run_world w;
    save_folder d;
    df_program *next, *now; /* adds 1 to each element, and the sum; the sum */
} counter;

static void counter_open(counter *c) {
    folder_make(&c->d);
    run_open(&c->w, "cpu:1", 0);
    df_out v = df_variable(c->w.g, "v", DF_INT64, DF_SHAPE(LENGTH));
    df_out n = df_assign_add(c->w.g, v, df_fill(c->w.g, run_const(c->w.g, 1), DF_SHAPE(LENGTH)));
    df_out next = df_sum(c->w.g, n, NULL, 0, false), now = df_sum(c->w.g, v, NULL, 0, false);
    c->next = run_compile(&c->w, DF_NO_OUTS, DF_OUTS(next));
    c->now = run_compile(&c->w, DF_NO_OUTS, DF_OUTS(now));
    assert_int_equal(run_int(&c->w, c->next), LENGTH);
}

static void counter_close(counter *c) {
    df_program_free(c->next);
    df_program_free(c->now);
    run_close(&c->w);
    folder_remove(&c->d);
}

static bool is_file(const counter *c, const image *expected) {
    static image is;
    image_read(&is, c->d.file);
    return is.n == expected->n && memcmp(is.data, expected->data, is.n) == 0;
}

/* The k-th call fails. False: there are not so many. */
static bool call_failing(counter *c, unsigned k,
                         df_code (*call)(df_session *, const char *, df_error *), df_code *code) {
    has_failed = was_close = false;
    n_synced = 0;
    countdown = k;
    *code = call(c->w.s, c->d.file, &c->w.err);
    countdown = 0;
    return has_failed;
}

static void a_save_of_which_a_call_fails_leaves_a_whole_file_and_no_other(void **state) {
    (void)state;
    static image before, after;
    counter c;
    counter_open(&c);
    save_ok(&c.w, c.d.file);
    image_read(&before, c.d.file);
    assert_int_equal(run_int(&c.w, c.next), 2 * LENGTH);
    save_ok(&c.w, c.d.file);
    image_read(&after, c.d.file);
    df_code code;
    unsigned k = 1;
    for (;; k++) {
        image_write(&before, c.d.file);
        if (!call_failing(&c, k, df_session_save, &code)) break;
        assert_int_equal(folder_files(&c.d), 1);
        assert_true(is_file(&c, &before) || is_file(&c, &after));
        if (was_close && code == DF_OK) continue; /* of the folder: nothing is lost */
        assert_int_equal(code, DF_UNAVAILABLE);
        assert_non_null(strstr(c.w.err.message, c.d.file));
        assert_non_null(strstr(c.w.err.message, "Input/output error"));
    }
    assert_int_equal(code, DF_OK);
    assert_true(is_file(&c, &after));
    assert_int_equal(n_synced, 2); /* the file, and its name in the folder */
    counter_close(&c);
}

static void a_restore_of_which_a_call_fails_changes_nothing(void **state) {
    (void)state;
    counter c;
    counter_open(&c);
    save_ok(&c.w, c.d.file);
    df_code code;
    unsigned k = 1;
    for (;; k++) {
        int64_t was = run_int(&c.w, c.next);
        if (!call_failing(&c, k, df_session_restore, &code)) break;
        if (was_close) { /* all has been read */
            assert_int_equal(code, DF_OK);
            assert_int_equal(run_int(&c.w, c.now), LENGTH);
            continue;
        }
        assert_int_equal(code, DF_UNAVAILABLE);
        assert_non_null(strstr(c.w.err.message, c.d.file));
        assert_int_equal(run_int(&c.w, c.now), was);
    }
    assert_int_equal(code, DF_OK);
    assert_int_equal(run_int(&c.w, c.now), LENGTH);
    assert_true(k > 6);
    counter_close(&c);
}

static void reads_and_writes_that_are_interrupted_and_short_go_on(void **state) {
    (void)state;
    static image expected;
    counter c;
    counter_open(&c);
    save_ok(&c.w, c.d.file);
    image_read(&expected, c.d.file);
    is_slow = true;
    save_ok(&c.w, c.d.file);
    is_slow = false;
    assert_true(is_file(&c, &expected));
    assert_int_equal(run_int(&c.w, c.next), 2 * LENGTH);
    is_slow = true;
    restore_ok(&c.w, c.d.file);
    is_slow = false;
    assert_int_equal(run_int(&c.w, c.now), LENGTH);
    counter_close(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_save_of_which_a_call_fails_leaves_a_whole_file_and_no_other),
        cmocka_unit_test(a_restore_of_which_a_call_fails_changes_nothing),
        cmocka_unit_test(reads_and_writes_that_are_interrupted_and_short_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
