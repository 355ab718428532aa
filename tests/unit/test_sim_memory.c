/* SPDX-License-Identifier: MIT
 *
 * The memory of the simulated accelerator: out of the host's reach, in blocks, and
 * every access of the engine checked.
 */
#include "unit/sim_world.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* How a child ends that touches the address. */
static int touch_in_a_child(volatile unsigned char *address, bool write) {
    pid_t child = fork();
    if (child == 0) {
        (void)signal(SIGSEGV, SIG_DFL); /* a sanitizer may have taken it */
        if (write)
            *address = 1;
        else
            (void)*address;
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void a_host_that_touches_device_memory_faults_at_once(void **state) {
    (void)state;
    world w;
    world_init(&w);
    size_t got;
    void *block = memory_take(w.d[0]->mem, 100, &got);
    assert_non_null(block);

    int read = touch_in_a_child(block, false);
    int write = touch_in_a_child(block, true);

    assert_true(WIFSIGNALED(read));
    assert_int_equal(WTERMSIG(read), SIGSEGV);
    assert_true(WIFSIGNALED(write));
    assert_int_equal(WTERMSIG(write), SIGSEGV);
    memory_give(w.d[0]->mem, block, got);
    world_end(&w);
}

/* A step is told that an access was refused; nothing was copied. */
static void refused_copy(world *w, size_t bytes, void *address, const char *word) {
    df_device *d = w->d[0];
    step s;
    step_init(&s);
    df_tensor *back = host_bytes(w, bytes, 5);
    df_tensor there = {.dtype = DF_UINT8, .data = address, .bytes = bytes};
    refcount_init(&there.refs);

    copy_out(d, &s, back, &there);

    df_error why;
    assert_false(join(d, &s, &why));
    assert_int_equal(why.code, DF_ABORTED);
    assert_true(why.flags & DF_ERROR_DERIVED);
    assert_int_equal(s.told, 1);
    assert_int_equal(s.why.code, DF_INTERNAL);
    assert_false(s.why.flags & DF_ERROR_DERIVED);
    assert_non_null(strstr(s.why.message, "device:SIM:0"));
    assert_non_null(strstr(s.why.message, word));
    assert_true(bytes_are(back, bytes, 5));
    df_tensor_unref(back);
}

static void an_access_outside_of_its_block_is_refused_by_name(void **state) {
    (void)state;
    world w;
    world_init(&w);
    memory *mem = w.d[0]->mem;
    size_t got, next_got, old_got;
    unsigned char *block = memory_take(mem, 64, &got);
    unsigned char *next = memory_take(mem, 64, &next_got);
    unsigned char *old = memory_take(mem, 4096, &old_got);
    int local = 0;

    refused_copy(&w, got + 1, block, "64 bytes");
    refused_copy(&w, 1, block + got, "64 bytes");
    refused_copy(&w, 2, block + got - 1, "64 bytes");
    refused_copy(&w, (size_t)(next - block) + 1, block, "64 bytes");
    refused_copy(&w, 1, next - 1, "is not inside the block");
    refused_copy(&w, sizeof local, &local, "is in no block");
    memory_give(mem, old, old_got);
    memory_trim(mem);
    refused_copy(&w, 1, old, "given back");

    memory_give(mem, block, got);
    memory_give(mem, next, next_got);
    world_end(&w);
}

static void blocks_given_back_leave_nothing_in_the_books(void **state) {
    (void)state;
    world w;
    world_init(&w);
    df_device *d = w.d[0];
    size_t live = 0;
    for (int i = 0; i < 200; i++) {
        size_t got;
        void *block = memory_take(d->mem, 64, &got);
        memory_give(d->mem, block, got);
        memory_trim(d->mem);
        if (i == 0) live = fault_live_bytes(&w.heap);
    }

    assert_int_equal(fault_live_bytes(&w.heap), live);
    world_end(&w);
}

static void the_memory_limit_counts_what_is_out(void **state) {
    (void)state;
    enum { KIB = 1024, N = 4 };
    world w;
    world_init_limited(&w, N * 64 * KIB);
    memory *mem = w.d[0]->mem;
    void *blocks[N];
    size_t got = 0;
    for (int i = 0; i < N; i++) assert_non_null(blocks[i] = memory_take(mem, 64 * KIB, &got));

    assert_null(memory_take(mem, 1, &got));
    memory_give(mem, blocks[1], 64 * KIB);
    void *again = memory_take(mem, 40 * KIB, &got); /* another size: the cache is no help */

    assert_ptr_equal(again, blocks[1]);
    memory_give(mem, again, got);
    for (int i = 0; i < N; i++) {
        if (i != 1) memory_give(mem, blocks[i], 64 * KIB);
    }
    world_end(&w);
}

static void small_blocks_run_out_of_places_and_come_back(void **state) {
    (void)state;
    enum { MOST = 8000 };
    world w;
    world_init_limited(&w, (size_t)4 << 20);
    memory *mem = w.d[0]->mem;
    static void *blocks[MOST];
    size_t got = 0;
    for (int round = 0; round < 2; round++) {
        int n = 0;
        while (n < MOST && (blocks[n] = memory_take(mem, 64, &got)) != NULL) n++;

        assert_true(n > 2000);
        assert_true(n < MOST); /* far from the limit in bytes: each has its guard page */
        for (int i = 0; i < n; i++) memory_give(mem, blocks[i], 64);
        memory_trim(mem);
    }
    world_end(&w);
}

static void many_blocks_do_not_overlap_and_gaps_are_filled(void **state) {
    (void)state;
    enum { N = 300 };
    world w;
    world_init(&w);
    memory *mem = w.d[0]->mem;
    unsigned char *blocks[N];
    size_t got[N];
    for (size_t i = 0; i < N; i++) blocks[i] = memory_take(mem, 64 + i * 100, &got[i]);
    unsigned char *end = blocks[N - 1] + got[N - 1];

    for (size_t i = 0; i < N; i += 3) memory_give(mem, blocks[i], got[i]);
    memory_trim(mem);
    for (size_t i = 0; i < N; i += 3) {
        size_t j = N - 3 - i; /* the largest first */
        blocks[j] = memory_take(mem, 64 + j * 100, &got[j]);
    }

    for (size_t i = 0; i < N; i++) {
        assert_non_null(blocks[i]);
        assert_true(blocks[i] + got[i] <= end);
        for (size_t j = 0; j < i; j++)
            assert_true(blocks[i] + got[i] < blocks[j] || blocks[j] + got[j] < blocks[i]);
    }
    for (size_t i = 0; i < N; i++) memory_give(mem, blocks[i], got[i]);
    world_end(&w);
}

int main(int argc, char **argv) {
    world_yields(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_that_touches_device_memory_faults_at_once),
        cmocka_unit_test(an_access_outside_of_its_block_is_refused_by_name),
        cmocka_unit_test(blocks_given_back_leave_nothing_in_the_books),
        cmocka_unit_test(the_memory_limit_counts_what_is_out),
        cmocka_unit_test(small_blocks_run_out_of_places_and_come_back),
        cmocka_unit_test(many_blocks_do_not_overlap_and_gaps_are_filled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
