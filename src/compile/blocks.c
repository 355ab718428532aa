/* SPDX-License-Identifier: MIT */
#include "compile/blocks.h"

#include "base/hash.h"
#include "plan/intervals.h"

#include <stdlib.h>
#include <string.h>

/* ---- one thread: equal sets ---------------------------------------------- */

/* Sets of asynchronous nodes are interned: equal sets have one number, so that along most
 * edges nothing is compared but numbers. A set that grows beyond SET_MAX is cut off: its
 * node becomes a block of its own, and for those behind it counts as one event. */
enum { SET_MAX = 64 };

typedef struct async_set {
    uint32_t n;
    uint32_t block;
    const uint32_t *nodes; /* ascending */
    uint32_t hash;
    uint32_t same_hash; /* the next in the bucket, + 1 */
} async_set;

typedef struct set_table {
    arena *mem;
    async_set *sets;
    size_t n_sets, cap_sets; /* the buckets are as many as there is room for sets */
    uint32_t *buckets;       /* set + 1 */
} set_table;

#define NO_SET UINT32_MAX

/* Room for one more. */
static bool table_grow(set_table *t) {
    if (t->n_sets < t->cap_sets) return true;
    size_t room = t->cap_sets ? 2 * t->cap_sets : 16;
    async_set *sets = arena_array(t->mem, room, sizeof *sets);
    uint32_t *buckets = arena_array(t->mem, room, sizeof *buckets);
    if (t->mem->failed) return false;
    if (t->n_sets) memcpy(sets, t->sets, t->n_sets * sizeof *sets);
    for (uint32_t i = 0; i < t->n_sets; i++) {
        uint32_t *bucket = &buckets[sets[i].hash & (room - 1)];
        sets[i].same_hash = *bucket;
        *bucket = i + 1;
    }
    *t = (set_table){t->mem, sets, t->n_sets, room, buckets};
    return true;
}

static uint32_t set_intern(set_table *t, const uint32_t *nodes, uint32_t n) {
    if (!table_grow(t)) return NO_SET;
    uint32_t hash = (uint32_t)hash_bytes(nodes, n * sizeof *nodes);
    uint32_t *bucket = &t->buckets[hash & (t->cap_sets - 1)];
    for (uint32_t i = *bucket; i; i = t->sets[i - 1].same_hash) {
        const async_set *s = &t->sets[i - 1];
        if (s->n == n && (n == 0 || memcmp(s->nodes, nodes, n * sizeof *nodes) == 0)) return i - 1;
    }
    uint32_t *copy = arena_array(t->mem, n, sizeof *copy);
    if (!copy) return NO_SET;
    if (n) memcpy(copy, nodes, n * sizeof *nodes);
    t->sets[t->n_sets] =
        (async_set){.n = n, .block = NO_SET, .nodes = copy, .hash = hash, .same_hash = *bucket};
    *bucket = (uint32_t)++t->n_sets;
    return *bucket - 1;
}

static int compare_u32(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static uint32_t sort_unique(uint32_t *list, uint32_t n) {
    if (n == 0) return 0;
    qsort(list, n, sizeof *list, compare_u32);
    uint32_t kept = 1;
    for (uint32_t i = 1; i < n; i++)
        if (list[i] != list[kept - 1]) list[kept++] = list[i];
    return kept;
}

/* What is collected for one node while its set is made. */
typedef struct gathering {
    uint32_t list[2 * SET_MAX];
    uint32_t n;
} gathering;

static void gather(gathering *l, const uint32_t *nodes, uint32_t n) {
    if (l->n + n > 2 * SET_MAX) l->n = sort_unique(l->list, l->n);
    if (l->n + n > 2 * SET_MAX) return; /* sets are at most SET_MAX: so there are more already */
    memcpy(l->list + l->n, nodes, n * sizeof *nodes);
    l->n += n;
}

/* The set of node v; NO_SET: out of memory. */
static uint32_t set_of(const block_graph *g, set_table *t, const uint32_t *set, uint32_t v,
                       bool *overflow) {
    gathering l = {.n = 0};
    uint32_t common = NO_SET;
    bool mixed = false;
    for (uint32_t e = g->first_before[v]; e < g->first_before[v + 1]; e++) {
        uint32_t u = g->before[e];
        if (g->ends_later[u]) {
            gather(&l, &u, 1);
            mixed = true;
        } else if (set[u] != common) {
            gather(&l, t->sets[set[u]].nodes, t->sets[set[u]].n);
            mixed |= common != NO_SET;
            common = set[u];
        }
    }
    if (!mixed && common != NO_SET) return common;
    l.n = sort_unique(l.list, l.n);
    *overflow = l.n > SET_MAX;
    return *overflow ? set_intern(t, &v, 1) : set_intern(t, l.list, l.n);
}

/* Of each node its set, and whether it was cut off. False: out of memory. */
static bool find_sets(const block_graph *g, set_table *t, uint32_t *set, bool *cut_off) {
    if (g->mem->failed) return false;
    for (uint32_t v = 0; v < g->n; v++) {
        set[v] = set_of(g, t, set, v, &cut_off[v]);
        if (set[v] == NO_SET) return false;
    }
    return true;
}

uint32_t blocks_for_one(const block_graph *g, uint32_t *block_of) {
    if (g->n && !memchr(g->ends_later, true, g->n)) { /* all sets are empty */
        memset(block_of, 0, g->n * sizeof *block_of);
        return 1;
    }
    set_table t = {.mem = g->mem};
    uint32_t *set = arena_array(g->mem, g->n, sizeof *set);
    bool *cut_off = arena_array(g->mem, g->n, sizeof *cut_off);
    if (!find_sets(g, &t, set, cut_off)) return 0;
    uint32_t n_blocks = 0;
    for (uint32_t v = 0; v < g->n; v++) {
        async_set *s = &t.sets[set[v]];
        if (cut_off[v] || s->block == NO_SET) block_of[v] = n_blocks++;
        if (cut_off[v]) continue;
        if (s->block == NO_SET) s->block = block_of[v];
        block_of[v] = s->block;
    }
    return n_blocks;
}

/* ---- several threads: intervals ------------------------------------------ */

typedef struct place_in_order {
    uint32_t depth, level, node;
} place_in_order;

static int compare_place(const void *a, const void *b) {
    const place_in_order *x = a, *y = b;
    if (x->depth != y->depth) return x->depth < y->depth ? -1 : 1;
    if (x->level != y->level) return x->level < y->level ? -1 : 1;
    return (x->node > y->node) - (x->node < y->node);
}

static void measure(const block_graph *g, place_in_order *at) {
    for (uint32_t v = 0; v < g->n; v++) {
        at[v] = (place_in_order){.node = v};
        for (uint32_t e = g->first_before[v]; e < g->first_before[v + 1]; e++) {
            uint32_t u = g->before[e], depth = at[u].depth + g->ends_later[u];
            uint32_t level = g->ends_later[u] ? 0 : at[u].level + 1;
            if (depth > at[v].depth) {
                at[v].depth = depth;
                at[v].level = level;
            } else if (depth == at[v].depth && level > at[v].level) {
                at[v].level = level;
            }
        }
    }
}

/* Each piece becomes as many as there are sets among its nodes. */
static uint32_t split_by_set(const block_graph *g, place_in_order *at, uint32_t *block_of) {
    set_table t = {.mem = g->mem};
    uint32_t *set = arena_array(g->mem, g->n, sizeof *set), n_blocks = 0;
    if (!find_sets(g, &t, set, arena_array(g->mem, g->n, sizeof(bool)))) return 0;
    for (uint32_t v = 0; v < g->n; v++) at[v] = (place_in_order){block_of[v], set[v], v};
    qsort(at, g->n, sizeof *at, compare_place);
    for (uint32_t i = 0; i < g->n; i++) {
        if (i && (at[i].depth != at[i - 1].depth || at[i].level != at[i - 1].level)) n_blocks++;
        block_of[at[i].node] = n_blocks;
    }
    return n_blocks + 1;
}

uint32_t blocks_for_many(const block_graph *g, uint32_t parallelism, float grain,
                         uint32_t *block_of) {
    place_in_order *at = arena_array(g->mem, g->n, sizeof *at);
    interval_item *items = arena_array(g->mem, g->n, sizeof *items);
    uint32_t *piece_of = arena_array(g->mem, g->n, sizeof *piece_of);
    if (g->mem->failed || g->n == 0) return 0;
    measure(g, at);
    qsort(at, g->n, sizeof *at, compare_place);
    for (uint32_t i = 0; i < g->n; i++)
        items[i] = (interval_item){at[i].depth, at[i].level, g->work[at[i].node]};
    uint32_t n_blocks = intervals_cut(items, g->n, parallelism, grain, piece_of);
    for (uint32_t i = 0; i < g->n; i++) block_of[at[i].node] = piece_of[i];
    return g->is_part ? split_by_set(g, at, block_of) : n_blocks;
}
