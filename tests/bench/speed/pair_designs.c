/* SPDX-License-Identifier: MIT */
#include "bench/speed/pairs.h"

#include <dataflow/dataflow.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/common.h"

enum { KEY_SIZE = 160, BUCKETS = 1024 };

static void write_key(char *key, uint32_t slot) {
    (void)snprintf(key, KEY_SIZE,
                   "/job:localhost/task:0/device:CPU:0;%016x;/job:localhost/task:0/device:CPU:1;"
                   "edge_%u_node:0;0:0",
                   1, slot);
}

/* ---- one word ------------------------------------------------------------ */

enum { NOBODY, SENT, WAITS };

typedef struct bare {
    atomic_int words[PAIR_SLOTS];
} bare;

static void *bare_new(void) {
    return bench_alloc(sizeof(bare));
}

static void bare_meet(bare *b, uint32_t slot, int me, int other) {
    int seen = NOBODY;
    atomic_int *word = &b->words[slot];
    if (atomic_load_explicit(word, memory_order_relaxed) == NOBODY &&
        atomic_compare_exchange_strong_explicit(word, &seen, me, memory_order_acq_rel,
                                                memory_order_acquire))
        return;
    seen = other;
    if (atomic_compare_exchange_strong_explicit(word, &seen, NOBODY, memory_order_acq_rel,
                                                memory_order_acquire))
        pair_done();
}

static void bare_send(void *self, uint32_t slot) {
    bare_meet(self, slot, SENT, WAITS);
}

static void bare_recv(void *self, uint32_t slot) {
    bare_meet(self, slot, WAITS, SENT);
}

const pair_design pair_bare = {bare_new, bare_send, bare_recv, free};

/* ---- a map of strings ---------------------------------------------------- */

typedef struct map_entry map_entry;
struct map_entry {
    map_entry *next;
    uint64_t hash;
    char key[KEY_SIZE];
    bool sent;
};

typedef struct map {
    pthread_mutex_t lock;
    map_entry *buckets[BUCKETS];
    char keys[PAIR_SLOTS][KEY_SIZE];
} map;

static void *map_new(void) {
    map *m = bench_alloc(sizeof *m);
    bench_need(pthread_mutex_init(&m->lock, NULL) == 0, "map", "no mutex");
    for (uint32_t i = 0; i < PAIR_SLOTS; i++) write_key(m->keys[i], i);
    return m;
}

static uint64_t hash_of(const char *key) {
    uint64_t h = UINT64_C(14695981039346656037), word;
    size_t n = strlen(key);
    for (; n >= sizeof word; n -= sizeof word, key += sizeof word) {
        memcpy(&word, key, sizeof word);
        h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        h ^= h >> 32;
    }
    while (n-- > 0) h = (h ^ (unsigned char)*key++) * UINT64_C(1099511628211);
    return h;
}

static void map_meet(map *m, const char *key, bool sends) {
    uint64_t hash = hash_of(key);
    map_entry **at, *found;
    (void)pthread_mutex_lock(&m->lock);
    for (at = &m->buckets[hash % BUCKETS]; (found = *at) != NULL; at = &found->next)
        if (found->hash == hash && found->sent != sends && strcmp(found->key, key) == 0) break;
    if (found) {
        *at = found->next;
    } else {
        map_entry *e = bench_alloc(sizeof *e);
        *e = (map_entry){.hash = hash, .sent = sends, .next = m->buckets[hash % BUCKETS]};
        (void)snprintf(e->key, sizeof e->key, "%s", key);
        m->buckets[hash % BUCKETS] = e;
    }
    (void)pthread_mutex_unlock(&m->lock);
    if (!found) return;
    free(found);
    pair_done();
}

static void map_send(void *self, uint32_t slot) {
    map_meet(self, ((map *)self)->keys[slot], true);
}

static void map_recv(void *self, uint32_t slot) {
    map_meet(self, ((map *)self)->keys[slot], false);
}

static void built_send(void *self, uint32_t slot) {
    char key[KEY_SIZE];
    write_key(key, slot);
    map_meet(self, key, true);
}

static void built_recv(void *self, uint32_t slot) {
    char key[KEY_SIZE];
    write_key(key, slot);
    map_meet(self, key, false);
}

static void map_free(void *self) {
    map *m = self;
    (void)pthread_mutex_destroy(&m->lock);
    free(m);
}

const pair_design pair_map = {map_new, map_send, map_recv, map_free};
const pair_design pair_built = {map_new, built_send, built_recv, map_free};

/* ---- the library's ------------------------------------------------------- */

typedef struct local {
    df_rendezvous *r;
    df_key *keys[PAIR_SLOTS];
    df_recv recvs[PAIR_SLOTS];
    df_tensor *tensor;
    df_endpoint end;
} local;

static void *local_new(void) {
    df_error err;
    local *l = bench_alloc(sizeof *l);
    char key[KEY_SIZE];
    bench_ok(df_rendezvous_new_local(NULL, &l->r, &err), &err, "df_rendezvous_new_local");
    bench_ok(df_tensor_new(NULL, DF_FLOAT32, DF_SCALAR, &l->tensor, &err), &err, "df_tensor_new");
    for (uint32_t i = 0; i < PAIR_SLOTS; i++) {
        write_key(key, i);
        bench_ok(df_key_parse(NULL, key, &l->keys[i], &err), &err, "df_key_parse");
    }
    return l;
}

static void local_done(df_recv *r, const df_error *err, df_tensor *tensor) {
    (void)r;
    bench_need(err == NULL, "pair", "a recv failed");
    df_tensor_unref(tensor);
    pair_done();
}

static void local_send(void *self, uint32_t slot) {
    local *l = self;
    df_code code = df_rendezvous_send(l->r, l->keys[slot], &l->end, l->tensor);
    bench_need(code == DF_OK, "pair", "a send failed");
}

static void local_recv(void *self, uint32_t slot) {
    local *l = self;
    l->recvs[slot] = (df_recv){.key = l->keys[slot], .done = local_done};
    df_rendezvous_recv(l->r, &l->recvs[slot]);
}

static void local_free(void *self) {
    local *l = self;
    df_rendezvous_unref(l->r);
    df_tensor_unref(l->tensor);
    for (uint32_t i = 0; i < PAIR_SLOTS; i++) df_key_free(l->keys[i]);
    free(l);
}

const pair_design pair_ours = {local_new, local_send, local_recv, local_free};
