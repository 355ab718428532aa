/* SPDX-License-Identifier: MIT */
#include "exec/join.h"

#include <string.h>

enum {
    GRAINS = 5,       /* that are played, each twice the one before, */
    FINEST = 1500,    /* from this, ns */
    PER_BLOCK = 400,  /* ns that a block costs, about, */
    PER_EVENT = 40,   /* each block that waits for it, */
    HAND_OVER = 600,  /* and to go on elsewhere */
    MAX_THREADS = 64, /* that are played */
};

/* The plan's blocks lie level by level. */
static void find_levels(joining *j) {
    const plan *p = j->p;
    for (uint32_t b = 0; b < p->n_blocks; b++) {
        const plan_block *block = &p->blocks[b];
        interval_item *item = &j->items[b];
        item->work = (float)(block->count * j->per_node);
        for (uint32_t i = block->first_after; i < block->first_after + block->n_after; i++) {
            uint32_t to = p->after[i];
            if (to < p->n_blocks && j->items[to].level <= item->level)
                j->items[to].level = item->level + 1;
        }
    }
}

/* The pieces that wait for this one, once each. */
static void join_events(joining *j, uint32_t piece, const plan_block *block, uint32_t *n_after) {
    const plan *p = j->p;
    plan_block *own = &j->blocks[piece];
    for (uint32_t i = block->first_after; i < block->first_after + block->n_after; i++) {
        uint32_t to = p->after[i] < p->n_blocks ? j->piece_of[p->after[i]] : j->n;
        if (to == piece || to == j->n || j->marks[to] == piece + 1) continue;
        j->marks[to] = piece + 1;
        j->after[(*n_after)++] = to;
        j->blocks[to].pending++;
        own->n_after++;
    }
}

void joining_cut(joining *j, double grain) {
    const plan *p = j->p;
    uint32_t n_after = 0;
    j->n = intervals_cut(j->items, p->n_blocks, j->threads, (float)grain, j->piece_of);
    memset(j->blocks, 0, ((size_t)j->n + 1) * sizeof *j->blocks);
    memset(j->marks, 0, j->n * sizeof *j->marks);
    for (uint32_t b = 0; b < p->n_blocks;) {
        const uint32_t piece = j->piece_of[b];
        plan_block *own = &j->blocks[piece];
        own->first = p->blocks[b].first;
        own->first_after = n_after;
        for (; b < p->n_blocks && j->piece_of[b] == piece; b++) {
            own->count += p->blocks[b].count;
            join_events(j, piece, &p->blocks[b], &n_after);
        }
        if (own->n_after) continue;
        own->n_after = 1;
        j->after[n_after++] = j->n;
        j->blocks[j->n].pending++;
    }
    j->blocks[j->n].first = p->n_nodes;
}

double joining_play(joining *j) {
    double free_at[MAX_THREADS] = {0}, end = 0;
    memset(j->ready, 0, ((size_t)j->n + 1) * sizeof *j->ready);
    for (uint32_t b = 0; b < j->n; b++) {
        const plan_block *block = &j->blocks[b];
        uint32_t who = 0;
        for (uint32_t t = 1; t < j->threads; t++)
            if (free_at[t] < free_at[who]) who = t;
        double at = free_at[who] > j->ready[b] ? free_at[who] : j->ready[b];
        at += (double)PER_BLOCK + (double)PER_EVENT * block->n_after + block->count * j->per_node;
        free_at[who] = at;
        if (at > end) end = at;
        const double elsewhere = at + (double)HAND_OVER;
        for (uint32_t i = block->first_after; i < block->first_after + block->n_after; i++)
            if (j->ready[j->after[i]] < elsewhere) j->ready[j->after[i]] = elsewhere;
    }
    return end;
}

bool joining_best(joining *j) {
    double best = j->per_node * j->p->n_nodes * 0.85, best_grain = 0;
    for (int g = 0; g < GRAINS; g++) {
        joining_cut(j, FINEST << g);
        double ns = joining_play(j);
        if (ns >= best) continue;
        best = ns;
        best_grain = FINEST << g;
    }
    if (best_grain > 0) joining_cut(j, best_grain);
    return best_grain > 0;
}

bool joining_init(joining *j, arena *a, const plan *p, uint32_t threads, double alone,
                  plan_block *blocks, uint32_t *after) {
    *j = (joining){.p = p,
                   .threads = threads < MAX_THREADS ? threads : MAX_THREADS,
                   .per_node = alone / p->n_nodes,
                   .blocks = blocks,
                   .after = after};
    j->items = arena_array(a, p->n_blocks, sizeof *j->items);
    j->piece_of = arena_array(a, p->n_blocks, sizeof *j->piece_of);
    j->marks = arena_array(a, p->n_blocks, sizeof *j->marks);
    j->ready = arena_array(a, (size_t)p->n_blocks + 1, sizeof *j->ready);
    if (a->failed) return false;
    find_levels(j);
    return true;
}
