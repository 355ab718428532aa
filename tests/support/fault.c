/* SPDX-License-Identifier: MIT
 *
 * The locks are plain ones, not the library's: a test's own books must not be places
 * where its scheduler gets in between.
 */
#include "support/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct fault_block {
    fault_block *next;
    void *block;
    size_t bytes, alignment;
};

enum { FRESH = 0xA5, STALE = 0x5A };

/* Whether this call is one that fails. */
static bool plan_fails_locked(fault_plan *p) {
    p->calls++;
    if (p->countdown == 0 || --p->countdown > 0) return false;
    if (p->span == FAULT_FOR_EVER) p->countdown = 1;
    p->failures++;
    return true;
}

static void plan_set(fault_plan *p, pthread_mutex_t *lock, size_t n, fault_span span) {
    (void)pthread_mutex_lock(lock);
    p->countdown = n;
    p->span = span;
    (void)pthread_mutex_unlock(lock);
}

static size_t read_under(pthread_mutex_t *lock, const size_t *counter) {
    (void)pthread_mutex_lock(lock);
    size_t value = *counter;
    (void)pthread_mutex_unlock(lock);
    return value;
}

/* ---- memory -------------------------------------------------------------- */

static fault_block **bucket(fault_allocator *f, const void *block) {
    return &f->buckets[((uintptr_t)block >> 4) % FAULT_BUCKETS];
}

static bool is_power_of_two(size_t n) {
    return n != 0 && (n & (n - 1)) == 0;
}

static void *new_block(size_t bytes, size_t alignment) {
    void *block = NULL;
    if (alignment < sizeof(void *)) alignment = sizeof(void *);
    if (posix_memalign(&block, alignment, bytes) != 0) return NULL;
    memset(block, FRESH, bytes);
    return block;
}

static void enter_locked(fault_allocator *f, fault_block *b) {
    fault_block **head = bucket(f, b->block);
    b->next = *head;
    *head = b;
    f->blocks++;
    f->bytes += b->bytes;
    if (f->bytes > f->peak_bytes) f->peak_bytes = f->bytes;
}

/* NULL: no such block is live. */
static fault_block *strike_locked(fault_allocator *f, const void *block) {
    for (fault_block **at = bucket(f, block); *at; at = &(*at)->next) {
        fault_block *b = *at;
        if (b->block != block) continue;
        *at = b->next;
        f->blocks--;
        f->bytes -= b->bytes;
        return b;
    }
    return NULL;
}

static void *fault_alloc(void *user, size_t bytes, size_t alignment) {
    fault_allocator *f = user;
    bool right =
        check_that(&f->mistakes, bytes > 0 && is_power_of_two(alignment), __FILE__, __LINE__,
                   "%zu bytes at alignment %zu were asked for", bytes, alignment);
    (void)pthread_mutex_lock(&f->lock);
    bool fails = plan_fails_locked(&f->plan);
    (void)pthread_mutex_unlock(&f->lock);
    if (fails || !right) return NULL;

    void *block = new_block(bytes, alignment);
    fault_block *b = block ? malloc(sizeof *b) : NULL;
    if (!b) {
        free(block);
        return NULL;
    }
    *b = (fault_block){.block = block, .bytes = bytes, .alignment = alignment};
    (void)pthread_mutex_lock(&f->lock);
    enter_locked(f, b);
    (void)pthread_mutex_unlock(&f->lock);
    return block;
}

static void fault_free(void *user, void *block, size_t bytes, size_t alignment) {
    fault_allocator *f = user;
    (void)pthread_mutex_lock(&f->lock);
    fault_block *b = strike_locked(f, block);
    (void)pthread_mutex_unlock(&f->lock);
    if (!check_that(&f->mistakes, b != NULL, __FILE__, __LINE__,
                    "%p (%zu bytes) was given back, but no such block is out", block, bytes))
        return;
    (void)check_that(&f->mistakes, b->bytes == bytes && b->alignment == alignment, __FILE__,
                     __LINE__, "a block of %zu bytes, alignment %zu came back as %zu, %zu",
                     b->bytes, b->alignment, bytes, alignment);
    memset(b->block, STALE, b->bytes);
    free(b->block);
    free(b);
}

void fault_allocator_init(fault_allocator *f) {
    memset(f, 0, sizeof *f);
    f->allocator = (df_allocator){
        .struct_size = sizeof f->allocator, .user = f, .alloc = fault_alloc, .free = fault_free};
    check_init(&f->mistakes);
    assert_int_equal(pthread_mutex_init(&f->lock, NULL), 0);
}

/* What is still live, freed. */
static size_t sweep(fault_allocator *f) {
    size_t leaked = f->blocks;
    for (size_t i = 0; i < FAULT_BUCKETS; i++) {
        while (f->buckets[i]) {
            fault_block *b = strike_locked(f, f->buckets[i]->block);
            free(b->block);
            free(b);
        }
    }
    return leaked;
}

void fault_allocator_end_at(fault_allocator *f, const char *file, int line) {
    size_t bytes = f->bytes, leaked = sweep(f);
    (void)pthread_mutex_destroy(&f->lock);
    check_end_at(&f->mistakes, file, line);
    if (leaked == 0) return;
    print_error("%zu blocks (%zu bytes) were not given back\n", leaked, bytes);
    _fail(file, line);
}

void fault_fail_allocation(fault_allocator *f, size_t n, fault_span span) {
    plan_set(&f->plan, &f->lock, n, span);
}

size_t fault_allocations(fault_allocator *f) {
    return read_under(&f->lock, &f->plan.calls);
}

size_t fault_allocations_failed(fault_allocator *f) {
    return read_under(&f->lock, &f->plan.failures);
}

size_t fault_live_blocks(fault_allocator *f) {
    return read_under(&f->lock, &f->blocks);
}

size_t fault_live_bytes(fault_allocator *f) {
    return read_under(&f->lock, &f->bytes);
}

size_t fault_peak_bytes(fault_allocator *f) {
    return read_under(&f->lock, &f->peak_bytes);
}

/* True: the scenario met its failure, so there is another allocation to fail. */
static bool run_failing(size_t n, fault_span span, void (*scenario)(fault_allocator *f, void *arg),
                        void *arg) {
    fault_allocator f;
    fault_allocator_init(&f);
    fault_fail_allocation(&f, n, span);
    scenario(&f, arg);
    bool met = f.plan.failures > 0;
    if (f.blocks) print_error("with allocation %zu failing:\n", n);
    fault_allocator_end(&f);
    return met;
}

size_t fault_each_allocation(void (*scenario)(fault_allocator *f, void *arg), void *arg) {
    size_t n = 1;
    for (;; n++) {
        bool once = run_failing(n, FAULT_ONCE, scenario, arg);
        bool for_ever = run_failing(n, FAULT_FOR_EVER, scenario, arg);
        if (!once && !for_ever) return n - 1;
    }
}

/* ---- threads ------------------------------------------------------------- */

typedef struct fault_thread {
    pthread_t id;
    void (*body)(void *arg);
    void *arg;
} fault_thread;

static void *thread_main(void *arg) {
    fault_thread *t = arg;
    t->body(t->arg);
    return NULL;
}

static void *fault_start(void *user, const char *name, void (*body)(void *arg), void *arg) {
    fault_threads *f = user;
    (void)check_that(&f->mistakes, name && body, __FILE__, __LINE__,
                     "a thread was asked for without a name or a body");
    (void)pthread_mutex_lock(&f->lock);
    bool fails = plan_fails_locked(&f->plan);
    (void)pthread_mutex_unlock(&f->lock);
    fault_thread *t = fails ? NULL : malloc(sizeof *t);
    if (!t) return NULL;
    *t = (fault_thread){.body = body, .arg = arg};
    (void)pthread_mutex_lock(&f->lock);
    bool started = pthread_create(&t->id, NULL, thread_main, t) == 0;
    if (started) f->live++;
    (void)pthread_mutex_unlock(&f->lock);
    if (started) return t;
    free(t);
    return NULL;
}

static void fault_join(void *user, void *thread) {
    fault_threads *f = user;
    (void)pthread_mutex_lock(&f->lock);
    bool any = f->live > 0;
    if (any) f->live--;
    (void)pthread_mutex_unlock(&f->lock);
    if (!check_that(&f->mistakes, any && thread, __FILE__, __LINE__,
                    "join was called without a thread that was started"))
        return;
    fault_thread *t = thread;
    (void)pthread_join(t->id, NULL);
    free(t);
}

void fault_threads_init(fault_threads *f) {
    memset(f, 0, sizeof *f);
    f->threads = (df_threads){
        .struct_size = sizeof f->threads, .user = f, .start = fault_start, .join = fault_join};
    check_init(&f->mistakes);
    assert_int_equal(pthread_mutex_init(&f->lock, NULL), 0);
}

void fault_threads_end_at(fault_threads *f, const char *file, int line) {
    size_t live = fault_live_threads(f);
    if (live == 0) (void)pthread_mutex_destroy(&f->lock);
    check_end_at(&f->mistakes, file, line);
    if (live == 0) return;
    print_error("%zu threads were not joined\n", live);
    _fail(file, line);
}

void fault_fail_start(fault_threads *f, size_t k, fault_span span) {
    plan_set(&f->plan, &f->lock, k, span);
}

size_t fault_starts(fault_threads *f) {
    return read_under(&f->lock, &f->plan.calls);
}

size_t fault_live_threads(fault_threads *f) {
    return read_under(&f->lock, &f->live);
}
