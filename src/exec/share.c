/* SPDX-License-Identifier: MIT */
#include "exec/share.h"

#include "exec/step.h"

#include "base/clock.h"
#include "plan/intervals.h"

#include <string.h>

enum {
    LEAST = 20000,    /* ns of a step that a second thread can make shorter */
    WAKE = 40000,     /* ns that it takes a thread to wake up, about */
    WARM = 4,         /* timed steps before anything is decided; the first does not count */
    TRIAL = 5,        /* steps of a trial; the first, which may wake others, does not count */
    FAITH = 50,       /* so much longer than the loss of a trial the faster way is kept, at least */
    STRIDE = 63,      /* short steps that are not timed, to one that is */
    GRAINS = 5,       /* that are played, each twice the one before, */
    FINEST = 1500,    /* from this, ns */
    PER_BLOCK = 150,  /* ns that a block costs, about, */
    PER_EVENT = 200,  /* and an event that another thread waits for */
    MAX_THREADS = 64, /* that are played */
};

/* ---- its life ------------------------------------------------------------- */

bool share_init(executor *x) {
    const plan *p = x->o.plan;
    sharing *sh = &x->sharing;
    sh->plain = (cut){p->blocks, p->n_blocks, p->after};
    /* What comes through a rendezvous of the user's may be late: other blocks go on then. */
    sh->is_possible = p->is_fine && p->n_blocks > 1 && !x->keys && pool_helpers(x->o.pool) > 0;
    if (!sh->is_possible) return true;
    sh->whole[0] = (plan_block){.count = p->n_nodes, .n_after = 1};
    sh->whole[1] = (plan_block){.first = p->n_nodes, .pending = 1};
    sh->end = 1;
    sh->alone = (cut){sh->whole, 1, &sh->end};
    sh->blocks = alloc_array(x->o.alloc, (size_t)p->n_blocks + 1, sizeof *sh->blocks);
    sh->after = alloc_array(x->o.alloc, p->n_after, sizeof *sh->after);
    return sh->blocks && sh->after;
}

void share_fini(executor *x) {
    const plan *p = x->o.plan;
    sharing *sh = &x->sharing;
    alloc_free(x->o.alloc, sh->blocks, ((size_t)p->n_blocks + 1) * sizeof *sh->blocks);
    alloc_free(x->o.alloc, sh->after, p->n_after * sizeof *sh->after);
}

/* ---- the choice ----------------------------------------------------------- */

/* Sharing, which is faster when the others are awake, is worth waking them. */
static bool pays_to_wake(sharing *sh, uint64_t now) {
    uint64_t saves = sh->ns[0] > sh->ns[1] ? sh->ns[0] - sh->ns[1] : 0;
    if (now - sh->last_end > POOL_SPIN) sh->credit = 0;
    sh->credit += saves;
    if (sh->credit < WAKE) return false;
    sh->credit = 0;
    return true;
}

static bool shares_now(sharing *sh, pool *p, uint64_t now) {
    bool is_tried = sh->trial > 0;
    if (!sh->shared.n_blocks || sh->is_cutting || sh->is_kept == is_tried) return false;
    return is_tried || pool_is_awake(p) || pays_to_wake(sh, now);
}

void share_choose(executor *x, step *s) {
    sharing *sh = &x->sharing;
    const bool beside = s->rq.done != NULL;
    s->clocked = 0;
    s->shared = beside;
    s->cut = &sh->alone;
    if (!sh->is_possible) {
        s->cut = &sh->plain;
        s->shared = beside || (pool_helpers(s->pool) > 0 && s->cut->n_blocks > 1);
    } else if (x->n_running > 0 || beside) {
        if (!x->n_running && sh->is_kept && !sh->is_cutting) s->cut = &sh->shared;
    } else if (sh->untimed) {
        sh->untimed--;
    } else {
        s->clocked = clock_now();
        s->shared = shares_now(sh, s->pool, s->clocked);
        if (s->shared) s->cut = &sh->shared;
    }
}

/* ---- what came of it ------------------------------------------------------ */

static void average(uint64_t *ns, uint64_t now, unsigned weight) {
    *ns = *ns ? (*ns * (weight - 1) + now) / weight : now;
}

static void begin_trial(sharing *sh) {
    sh->trial = TRIAL;
    sh->ns[!sh->is_kept] = 0;
}

static void end_trial(sharing *sh) {
    uint64_t alone = sh->ns[0], shared = sh->ns[1];
    uint64_t loss = alone > shared ? alone - shared : shared - alone;
    sh->is_kept = shared < alone - alone / 20;
    sh->content = (int64_t)(FAITH * (TRIAL * loss + alone / 4));
}

static bool is_cut_wanted(const sharing *sh) {
    uint64_t alone = sh->ns[0];
    if (sh->n_timed < WARM || sh->is_cutting) return false;
    return !sh->cut_for || alone > 2 * sh->cut_for || alone < sh->cut_for / 2;
}

bool share_note(executor *x, step *s) {
    sharing *sh = &x->sharing;
    if (!s->clocked) return false;
    const uint64_t now = clock_now(), ns = now - s->clocked;
    const bool shared = s->cut == &sh->shared;
    sh->last_end = now;
    if (sh->n_timed++ == 0) return false;
    if (sh->trial) {
        bool is_part = shared != sh->is_kept;
        if (is_part && sh->trial < TRIAL) average(&sh->ns[shared], ns, 2);
        if (is_part && --sh->trial == 0) end_trial(sh);
        return false;
    }
    average(&sh->ns[shared], ns, 8);
    if (!shared && sh->ns[0] < LEAST) {
        sh->untimed = sh->n_timed < WARM ? 0 : STRIDE;
        return false;
    }
    if (x->n_running == 1 && is_cut_wanted(sh)) {
        sh->is_cutting = true;
        return true;
    }
    if (!sh->shared.n_blocks) return false;
    sh->content -= (int64_t)ns;
    if (shared && ns > sh->ns[0] + sh->ns[0] / 2) { /* somebody else has the other core */
        sh->is_kept = false;
        sh->content = FAITH * (int64_t)(ns - sh->ns[0]);
    } else if (sh->content <= 0) {
        begin_trial(sh);
    }
    return false;
}

/* ---- joining blocks ------------------------------------------------------- */

typedef struct joining {
    const plan *p;
    uint32_t threads;
    double per_node;      /* ns */
    interval_item *items; /* by the plan's blocks */
    uint32_t *piece_of;   /* the same */
    uint32_t *marks;      /* by piece: the one that was last found to wait for it, + 1 */
    float *ready;         /* by piece: ns, in the play */
    plan_block *blocks;   /* the pieces */
    uint32_t *after;
    uint32_t n;
} joining;

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

static void join_blocks(joining *j, float grain) {
    const plan *p = j->p;
    uint32_t n_after = 0;
    j->n = intervals_cut(j->items, p->n_blocks, j->threads, grain, j->piece_of);
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

/* How long it takes, ns, if each piece is taken, in order, by the thread that is free first. */
static float play(joining *j) {
    float free_at[MAX_THREADS] = {0}, end = 0;
    memset(j->ready, 0, ((size_t)j->n + 1) * sizeof *j->ready);
    for (uint32_t b = 0; b < j->n; b++) {
        const plan_block *block = &j->blocks[b];
        uint32_t who = 0;
        for (uint32_t t = 1; t < j->threads; t++)
            if (free_at[t] < free_at[who]) who = t;
        float at = free_at[who] > j->ready[b] ? free_at[who] : j->ready[b];
        at += PER_BLOCK + (float)(block->count * j->per_node);
        free_at[who] = at;
        if (at > end) end = at;
        for (uint32_t i = block->first_after; i < block->first_after + block->n_after; i++)
            if (j->ready[j->after[i]] < at + PER_EVENT) j->ready[j->after[i]] = at + PER_EVENT;
    }
    return end;
}

/* False: none is at least 15% faster than one thread alone. */
static bool join_best(joining *j, float alone) {
    float best = alone * 0.85f, best_grain = 0;
    find_levels(j);
    for (int g = 0; g < GRAINS; g++) {
        float grain = (float)(FINEST << g);
        join_blocks(j, grain);
        float ns = play(j);
        if (ns >= best) continue;
        best = ns;
        best_grain = grain;
    }
    if (best_grain > 0) join_blocks(j, best_grain);
    return best_grain > 0;
}

static bool joining_init(joining *j, arena *a, executor *x, uint64_t alone) {
    const plan *p = x->o.plan;
    int threads = pool_helpers(x->o.pool) + 1;
    *j = (joining){.p = p,
                   .threads = threads < MAX_THREADS ? (uint32_t)threads : MAX_THREADS,
                   .per_node = (double)alone / p->n_nodes,
                   .blocks = x->sharing.blocks,
                   .after = x->sharing.after};
    j->items = arena_array(a, p->n_blocks, sizeof *j->items);
    j->piece_of = arena_array(a, p->n_blocks, sizeof *j->piece_of);
    j->marks = arena_array(a, p->n_blocks, sizeof *j->marks);
    j->ready = arena_array(a, (size_t)p->n_blocks + 1, sizeof *j->ready);
    return j->items && j->piece_of && j->marks && j->ready;
}

void share_cut(executor *x) {
    sharing *sh = &x->sharing;
    joining j;
    arena mem;
    mutex_lock(&x->lock);
    uint64_t alone = sh->ns[0];
    mutex_unlock(&x->lock);
    arena_init(&mem, x->o.alloc);
    bool is_better = joining_init(&j, &mem, x, alone) && join_best(&j, (float)alone);
    arena_fini(&mem);
    mutex_lock(&x->lock);
    sh->shared = (cut){j.blocks, is_better ? j.n : 0, j.after};
    sh->cut_for = alone;
    sh->is_kept = sh->is_cutting = false;
    if (is_better) begin_trial(sh);
    mutex_unlock(&x->lock);
}
