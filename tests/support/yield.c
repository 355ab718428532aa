/* SPDX-License-Identifier: MIT
 *
 * Each thread has a sequence of its own, SplitMix64 from the seed and the number of
 * threads that drew before it: so one thread's points do not depend on how fast the
 * others are.
 */
#include "support/yield.h"

#include "base/hash.h"
#include "base/sched.h"

#include <ctype.h>
#include <inttypes.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint64_t base_seed;
static _Atomic uint32_t generation; /* of installs: threads start their sequence anew */
static _Atomic uint32_t threads;
static _Atomic uint32_t rate = 8, sleep_rate;

static _Thread_local uint32_t own_generation;
static _Thread_local uint64_t own_state;

uint64_t yield_random(void) {
    uint32_t now = atomic_load_explicit(&generation, memory_order_acquire);
    if (own_generation != now) {
        own_generation = now;
        own_state = hash_pair(base_seed, atomic_fetch_add(&threads, 1));
    }
    own_state += 0x9e3779b97f4a7c15u;
    return hash_u64(own_state);
}

/* Mostly nothing, often one yield, now and then so many that a whole operation of
 * another thread fits in between. */
static void hook(void) {
    uint32_t one_in = atomic_load_explicit(&rate, memory_order_relaxed);
    uint64_t r = one_in ? yield_random() : 1;
    if (!one_in || (uint32_t)r % one_in != 0) return;
    uint64_t times = (r >> 32) % 16 == 0 ? 20 : 1;
    for (uint64_t i = 0; i < times; i++) sched_yield();
    uint32_t sleeps = atomic_load_explicit(&sleep_rate, memory_order_relaxed);
    struct timespec one = {.tv_nsec = 1000000};
    if (times > 1 && sleeps && (r >> 40) % sleeps == 0) (void)nanosleep(&one, NULL);
}

bool yield_parse_seed(const char *text, uint64_t *seed) {
    char *end = NULL;
    if (!isdigit((unsigned char)text[0])) return false;
    unsigned long long value = strtoull(text, &end, 0);
    if (*end != '\0') return false;
    *seed = value;
    return true;
}

uint64_t yield_install(int argc, char **argv) {
    const char *program = argc > 0 ? argv[0] : "the program";
    uint64_t seed = 0;
    if (argc < 2 || !yield_parse_seed(argv[1], &seed)) {
        struct timespec t = {0};
        (void)clock_gettime(CLOCK_REALTIME, &t);
        seed = hash_pair((uint64_t)t.tv_sec, (uint64_t)t.tv_nsec);
    }
    printf("seed %" PRIu64 " (again: %s %" PRIu64 ")\n", seed, program, seed);
    (void)fflush(stdout);
    const char *one_in = getenv("DATAFLOW_TEST_YIELDS");
    if (one_in) yield_set_rate((uint32_t)strtoul(one_in, NULL, 10), 0);
    base_seed = seed;
    atomic_store(&threads, 0);
    atomic_fetch_add_explicit(&generation, 1, memory_order_release);
    sched_hook = hook;
    return seed;
}

void yield_remove(void) {
    sched_hook = NULL;
}

void yield_set_rate(uint32_t one_in, uint32_t sleeps) {
    atomic_store_explicit(&rate, one_in, memory_order_relaxed);
    atomic_store_explicit(&sleep_rate, sleeps, memory_order_relaxed);
}
