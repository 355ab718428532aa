/* SPDX-License-Identifier: MIT */
#include "transport/ucx/numbers.h"

#include "base/alloc.h"
#include "base/hash.h"

static entry **bucket_of(const numbers *t, uint64_t key) {
    return &t->buckets[hash_u64(key) & (t->n_buckets - 1)];
}

static void free_buckets(numbers *t) {
    if (t->buckets != t->first) alloc_free(t->alloc, t->buckets, t->n_buckets * sizeof(entry *));
}

void numbers_init(numbers *t, const df_allocator *alloc) {
    *t = (numbers){.alloc = alloc, .n_buckets = NUMBERS_FIRST};
    t->buckets = t->first;
}

void numbers_fini(numbers *t) {
    free_buckets(t);
}

static void put(numbers *t, entry *e) {
    entry **at = bucket_of(t, e->key);
    e->next = *at;
    *at = e;
}

static void grow(numbers *t) {
    numbers larger = *t;
    larger.n_buckets *= 2;
    larger.buckets = alloc_array(t->alloc, larger.n_buckets, sizeof(entry *));
    if (!larger.buckets) return;
    for (size_t i = 0; i < t->n_buckets; i++)
        for (entry *e = t->buckets[i], *next; e; e = next) {
            next = e->next;
            put(&larger, e);
        }
    free_buckets(t);
    t->buckets = larger.buckets;
    t->n_buckets = larger.n_buckets;
}

void numbers_put(numbers *t, entry *e) {
    if (t->n++ >= t->n_buckets) grow(t);
    put(t, e);
}

entry *numbers_find(const numbers *t, uint64_t key) {
    entry *e = *bucket_of(t, key);
    while (e && e->key != key) e = e->next;
    return e;
}

void numbers_take(numbers *t, const entry *e) {
    entry **at = bucket_of(t, e->key);
    while (*at != e) at = &(*at)->next;
    *at = e->next;
    t->n--;
}
