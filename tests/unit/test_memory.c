/* SPDX-License-Identifier: MIT
 *
 * The device of these tests gives addresses out of a range that is mapped without any
 * access: whoever touches a block faults. Its blocks are never given out twice, so the
 * cache alone makes an address come back.
 */
#include "tensor/memory.h"

#include "base/thread.h"
#include "support/fault.h"
#include "support/scale.h"
#include "support/yield.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- a device ------------------------------------------------------------ */

enum { DEVICE_RANGE = 1 << 28 };

typedef struct device_world {
    mutex lock;
    unsigned char *base;
    size_t used;       /* (l) */
    size_t out, bytes; /* (l) blocks and bytes that the cache has */
    size_t limit;      /* (l) of bytes; 0: none */
    size_t allocs;     /* (l) */
    int closed;        /* by whoever ends the memory, alone by then */
} device_world;

static void *device_alloc(void *user, size_t bytes) {
    device_world *d = user;
    void *block = NULL;
    mutex_lock(&d->lock);
    d->allocs++;
    if (d->used + bytes <= DEVICE_RANGE && (!d->limit || d->bytes + bytes <= d->limit)) {
        block = d->base + d->used;
        d->used += bytes;
        d->bytes += bytes;
        d->out++;
    }
    mutex_unlock(&d->lock);
    return block;
}

static bool device_free(void *user, void *block, size_t bytes) {
    device_world *d = user;
    (void)block;
    mutex_lock(&d->lock);
    d->bytes -= bytes;
    d->out--;
    mutex_unlock(&d->lock);
    return true;
}

static void device_close_source(void *user) {
    ((device_world *)user)->closed++;
}

static memory_source device_open_source(device_world *d) {
    *d = (device_world){.used = 0};
    assert_true(mutex_init(&d->lock));
    int fd = open("/dev/zero", O_RDONLY);
    assert_true(fd >= 0);
    d->base = mmap(NULL, DEVICE_RANGE, PROT_NONE, MAP_PRIVATE, fd, 0);
    assert_true(d->base != MAP_FAILED);
    (void)close(fd);
    return (memory_source){
        .alloc = device_alloc, .free = device_free, .close = device_close_source, .user = d};
}

static void device_end(device_world *d) {
    assert_int_equal(d->out, 0);
    assert_int_equal(d->bytes, 0);
    assert_int_equal(d->closed, 1);
    mutex_fini(&d->lock);
    assert_int_equal(munmap(d->base, DEVICE_RANGE), 0);
}

/* ---- sizes --------------------------------------------------------------- */

static void a_block_is_large_enough_and_wastes_at_most_a_fifth(void **state) {
    (void)state;
    for (size_t n = 1; n < 70000; n++) {
        size_t size = memory_block_size(n);
        assert_true(size >= n && size >= 64);
        if (n > 64) assert_true((size - n) * 5 <= size);
        assert_int_equal(memory_block_size(size), size);
        assert_true(memory_block_size(size + 1) > size);
    }
    for (size_t n = 65; n <= SIZE_MAX / 4 / 3; n = n * 3 + 1) {
        size_t size = memory_block_size(n);
        assert_true(size >= n && (size - n) <= size / 5);
        assert_int_equal(memory_block_size(size), size);
    }
}

static void a_size_that_no_machine_has_is_refused(void **state) {
    (void)state;
    memory *m = memory_new_host(NULL);
    size_t got = 7;
    assert_null(memory_take(m, SIZE_MAX, &got));
    assert_null(memory_take(m, SIZE_MAX / 4 + 1, &got));
    assert_int_equal(got, 7);
    assert_int_equal(memory_block_size(SIZE_MAX), 0);
    assert_int_equal(memory_block_size(SIZE_MAX / 4 + 1), 0);
    memory_unref(m);
}

/* ---- counts -------------------------------------------------------------- */

static void expect_counts(memory *m, size_t in_use, size_t cached) {
    memory_counts n = memory_count(m);
    assert_int_equal(n.in_use, in_use);
    assert_int_equal(n.cached, cached);
}

static void blocks_are_counted_whole_where_they_are(void **state) {
    (void)state;
    device_world d;
    memory_source source = device_open_source(&d);
    source.limit = 12345;
    memory *all[] = {memory_new(NULL, &source, false), memory_new_host(NULL)};
    assert_int_equal(memory_count(all[0]).limit, 12345);
    assert_int_equal(memory_count(all[1]).limit, 0);
    for (int i = 0; i < 2; i++) {
        memory *m = all[i];
        expect_counts(m, 0, 0);
        void *small = memory_take(m, 0, NULL), *large = memory_take(m, 129, NULL);
        expect_counts(m, 64 + 160, 0);
        memory_give(m, large, 129);
        expect_counts(m, 64, 160);
        void *again = memory_take(m, 150, NULL);
        expect_counts(m, 64 + 160, 0);
        memory_give(m, again, 150);
        memory_give(m, small, 0);
        expect_counts(m, 0, 64 + 160);
        memory_trim(m);
        expect_counts(m, 0, 0);
        memory_unref(m);
    }
    device_end(&d);
}

static void what_could_not_be_had_is_not_counted(void **state) {
    (void)state;
    device_world d;
    memory_source source = device_open_source(&d);
    d.limit = 1000;
    memory *m = memory_new(NULL, &source, false);
    void *block = memory_take(m, 320, NULL);
    assert_null(memory_take(m, 1024, NULL));
    expect_counts(m, 320, 0);
    assert_null(memory_take(m, SIZE_MAX, NULL));
    expect_counts(m, 320, 0);
    memory_give(m, block, 320);
    memory_unref(m);
    device_end(&d);
}

/* ---- host memory --------------------------------------------------------- */

static void a_block_that_was_given_back_is_taken_again(void **state) {
    (void)state;
    fault_allocator f;
    fault_allocator_init(&f);
    memory *m = memory_new_host(&f.allocator);
    size_t got = 0;

    void *first = memory_take(m, 1000, &got);
    assert_int_equal(got, memory_block_size(1000));
    memset(first, 1, got);
    memory_give(m, first, got);
    size_t before = fault_allocations(&f);
    void *second = memory_take(m, 900, &got);

    assert_ptr_equal(first, second);
    assert_int_equal(fault_allocations(&f), before);
    memset(second, 2, got);
    memory_give(m, second, 900);
    assert_ptr_equal(memory_take(m, 1000, NULL), first);
    memory_give(m, first, 1000);
    memory_unref(m);
    fault_allocator_end(&f);
}

static void blocks_of_other_sizes_are_left_alone(void **state) {
    (void)state;
    memory *m = memory_new_host(NULL);
    void *small = memory_take(m, 100, NULL), *large = memory_take(m, 1000, NULL);
    memory_give(m, small, 100);
    memory_give(m, large, 1000);
    void *again = memory_take(m, 100, NULL);
    assert_ptr_equal(again, small);
    memory_give(m, again, 100);
    memory_unref(m);
}

static void zero_bytes_give_a_block(void **state) {
    (void)state;
    memory *m = memory_new_host(NULL);
    size_t got = 0;
    void *block = memory_take(m, 0, &got);
    assert_non_null(block);
    assert_int_equal(got, 64);
    assert_int_equal((uintptr_t)block % ALLOC_ALIGN, 0);
    memory_give(m, block, got);
    memory_give(m, NULL, 64);
    memory_unref(m);
    memory_unref(NULL);
}

static void a_warm_memory_does_not_allocate(void **state) {
    (void)state;
    fault_allocator f;
    fault_allocator_init(&f);
    device_world d;
    memory_source source = device_open_source(&d);
    memory *memories[] = {memory_new_host(&f.allocator), memory_new(&f.allocator, &source, false)};
    size_t cold = 0;
    for (int round = 0; round < 5; round++) {
        for (size_t i = 0; i < 2; i++) {
            void *blocks[20];
            for (size_t k = 0; k < 20; k++) blocks[k] = memory_take(memories[i], 50 * k, NULL);
            for (size_t k = 0; k < 20; k++) memory_give(memories[i], blocks[k], 50 * k);
        }
        if (round == 0) cold = fault_allocations(&f) + d.allocs;
    }
    assert_int_equal(fault_allocations(&f) + d.allocs, cold);
    memory_unref(memories[0]);
    memory_unref(memories[1]);
    device_end(&d);
    fault_allocator_end(&f);
}

static void trim_gives_back_what_nobody_has(void **state) {
    (void)state;
    fault_allocator f;
    fault_allocator_init(&f);
    memory *m = memory_new_host(&f.allocator);
    size_t empty = fault_live_blocks(&f);
    void *kept = memory_take(m, 5000, NULL);
    void *given = memory_take(m, 300, NULL);
    memory_give(m, given, 300);
    assert_int_equal(fault_live_blocks(&f), empty + 2);

    memory_trim(m);

    assert_int_equal(fault_live_blocks(&f), empty + 1);
    memset(kept, 3, 5000);
    memory_give(m, kept, 5000);
    memory_trim(m);
    assert_int_equal(fault_live_blocks(&f), empty);
    memory_unref(m);
    fault_allocator_end(&f);
}

static void a_source_that_has_none_left_gets_the_cache_back_first(void **state) {
    (void)state;
    fault_allocator f;
    fault_allocator_init(&f);
    memory *m = memory_new_host(&f.allocator);
    void *idle = memory_take(m, 4096, NULL);
    memory_give(m, idle, 4096);
    size_t live = fault_live_blocks(&f);

    fault_fail_allocation(&f, 1, FAULT_ONCE);
    void *block = memory_take(m, 1 << 20, NULL);

    assert_non_null(block);
    assert_int_equal(fault_live_blocks(&f), live);
    memory_give(m, block, 1 << 20);
    memory_unref(m);
    fault_allocator_end(&f);
}

static void want_of_memory_gives_null_and_leaves_the_memory_usable(void **state) {
    (void)state;
    fault_allocator f;
    fault_allocator_init(&f);
    memory *m = memory_new_host(&f.allocator);
    size_t got = 7;
    fault_fail_allocation(&f, 1, FAULT_FOR_EVER);
    assert_null(memory_take(m, 100, &got));
    assert_int_equal(got, 7);
    fault_fail_allocation(&f, 0, FAULT_ONCE);
    void *block = memory_take(m, 100, &got);
    assert_non_null(block);
    memory_give(m, block, got);
    memory_unref(m);
    fault_allocator_end(&f);
}

/* ---- device memory ------------------------------------------------------- */

static void blocks_of_a_device_are_never_touched(void **state) {
    (void)state;
    fault_allocator f;
    fault_allocator_init(&f);
    device_world d;
    memory_source source = device_open_source(&d);
    memory *m = memory_new(&f.allocator, &source, false);
    assert_false(memory_is_host(m));
    assert_ptr_equal(memory_allocator(m), &f.allocator);

    void *blocks[10];
    for (size_t i = 0; i < 10; i++) blocks[i] = memory_take(m, 1 << i, NULL);
    for (size_t i = 0; i < 10; i++) memory_give(m, blocks[i], 1 << i);
    assert_ptr_equal(memory_take(m, 512, NULL), blocks[9]);
    memory_trim(m);
    assert_int_equal(d.out, 1);
    memory_give(m, blocks[9], 512);

    memory_unref(m);
    device_end(&d);
    fault_allocator_end(&f);
}

static void a_full_device_gives_none_and_then_what_was_given_back(void **state) {
    (void)state;
    device_world d;
    memory_source source = device_open_source(&d);
    memory *m = memory_new(NULL, &source, false);
    d.limit = 4096;
    void *half = memory_take(m, 2048, NULL), *other = memory_take(m, 2048, NULL);
    assert_non_null(half);
    assert_non_null(other);
    assert_null(memory_take(m, 64, NULL));
    memory_give(m, half, 2048);
    memory_give(m, other, 2048);
    void *whole = memory_take(m, 4096, NULL);
    assert_non_null(whole);
    memory_give(m, whole, 4096);
    memory_unref(m);
    device_end(&d);
}

/* Every allocation of books fails once; giving back never needs one. */
static void device_under_faults(fault_allocator *f, void *arg) {
    (void)arg;
    device_world d;
    memory_source source = device_open_source(&d);
    memory *m = memory_new(&f->allocator, &source, false);
    if (!m) {
        assert_true(fault_allocations_failed(f) > 0);
        assert_int_equal(d.closed, 0);
        device_close_source(&d);
        device_end(&d);
        return;
    }
    void *blocks[4];
    for (size_t i = 0; i < 4; i++) blocks[i] = memory_take(m, 100 * i, NULL);
    for (size_t i = 0; i < 4; i++) {
        if (!blocks[i]) assert_true(fault_allocations_failed(f) > 0);
        size_t before = fault_allocations(f);
        memory_give(m, blocks[i], 100 * i);
        assert_int_equal(fault_allocations(f), before);
    }
    memory_unref(m);
    device_end(&d);
}

static void want_of_memory_for_the_books_leaves_nothing_behind(void **state) {
    (void)state;
    assert_int_equal(fault_each_allocation(device_under_faults, NULL), 5);
}

/* ---- its life ------------------------------------------------------------ */

static void a_block_that_is_out_keeps_the_memory(void **state) {
    (void)state;
    fault_allocator f;
    fault_allocator_init(&f);
    device_world d;
    memory_source source = device_open_source(&d);
    memory *m = memory_new(&f.allocator, &source, false);
    void *a = memory_take(m, 100, NULL), *b = memory_take(m, 100, NULL);
    assert_ptr_equal(memory_ref(m), m);
    memory_unref(m);
    memory_unref(m);
    memory_give(m, a, 100);
    assert_int_equal(d.closed, 0);
    assert_ptr_equal(memory_take(m, 100, NULL), a);
    memory_give(m, b, 100);
    memory_give(m, a, 100);
    device_end(&d);
    fault_allocator_end(&f);
}

/* ---- many threads -------------------------------------------------------- */

enum { TAKERS = 4, HELD = 8 };

typedef struct taker {
    memory *mem;
    check *checks;
    size_t rounds;
    unsigned char mark;
} taker;

/* Takes and gives at random; a host block that somebody else has too shows another
 * mark. */
static void take_and_give(void *arg) {
    taker *t = arg;
    unsigned char *held[HELD] = {NULL};
    size_t sizes[HELD] = {0};
    bool host = memory_is_host(t->mem);
    for (size_t i = 0; i < t->rounds; i++) {
        size_t k = (size_t)(yield_random() % HELD);
        if (!held[k]) {
            held[k] = memory_take(t->mem, (size_t)(yield_random() % 700), &sizes[k]);
            CHECK(t->checks, held[k] != NULL);
            if (host) memset(held[k], t->mark, sizes[k]);
            continue;
        }
        if (host) CHECK(t->checks, held[k][0] == t->mark && held[k][sizes[k] - 1] == t->mark);
        memory_give(t->mem, held[k], sizes[k]);
        held[k] = NULL;
        if (yield_random() % 64 == 0) memory_trim(t->mem);
    }
    memory *m = t->mem; /* the blocks that are held, if any, keep it now */
    void *last = memory_take(m, 10, NULL);
    CHECK(t->checks, last != NULL);
    memory_unref(m);
    for (size_t k = 0; k < HELD; k++) memory_give(m, held[k], sizes[k]);
    memory_give(m, last, 10);
}

static void run_takers(memory *m) {
    check checks;
    check_init(&checks);
    taker takers[TAKERS];
    void *threads[TAKERS];
    for (size_t i = 0; i < TAKERS; i++)
        takers[i] = (taker){memory_ref(m), &checks, test_scaled(20000), (unsigned char)(i + 1)};
    memory_unref(m);
    for (size_t i = 0; i < TAKERS; i++)
        assert_int_equal(thread_start(NULL, "taker", take_and_give, &takers[i], &threads[i], NULL),
                         DF_OK);
    for (size_t i = 0; i < TAKERS; i++) thread_join(NULL, threads[i]);
    check_end(&checks);
}

static void many_threads_share_a_host_memory_and_the_last_one_ends_it(void **state) {
    (void)state;
    fault_allocator f;
    fault_allocator_init(&f);
    run_takers(memory_new_host(&f.allocator));
    fault_allocator_end(&f);
}

static void many_threads_share_a_device_memory_and_the_last_one_ends_it(void **state) {
    (void)state;
    fault_allocator f;
    fault_allocator_init(&f);
    device_world d;
    memory_source source = device_open_source(&d);
    run_takers(memory_new(&f.allocator, &source, false));
    device_end(&d);
    fault_allocator_end(&f);
}

int main(int argc, char **argv) {
    yield_install(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_is_large_enough_and_wastes_at_most_a_fifth),
        cmocka_unit_test(a_size_that_no_machine_has_is_refused),
        cmocka_unit_test(blocks_are_counted_whole_where_they_are),
        cmocka_unit_test(what_could_not_be_had_is_not_counted),
        cmocka_unit_test(a_block_that_was_given_back_is_taken_again),
        cmocka_unit_test(blocks_of_other_sizes_are_left_alone),
        cmocka_unit_test(zero_bytes_give_a_block),
        cmocka_unit_test(a_warm_memory_does_not_allocate),
        cmocka_unit_test(trim_gives_back_what_nobody_has),
        cmocka_unit_test(a_source_that_has_none_left_gets_the_cache_back_first),
        cmocka_unit_test(want_of_memory_gives_null_and_leaves_the_memory_usable),
        cmocka_unit_test(blocks_of_a_device_are_never_touched),
        cmocka_unit_test(a_full_device_gives_none_and_then_what_was_given_back),
        cmocka_unit_test(want_of_memory_for_the_books_leaves_nothing_behind),
        cmocka_unit_test(a_block_that_is_out_keeps_the_memory),
        cmocka_unit_test(many_threads_share_a_host_memory_and_the_last_one_ends_it),
        cmocka_unit_test(many_threads_share_a_device_memory_and_the_last_one_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
