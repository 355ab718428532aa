/* SPDX-License-Identifier: MIT */
#include "exec/share.h"

#include "exec/step.h"

#include "base/clock.h"
#include "exec/join.h"

enum {
    LEAST = 20000,   /* ns of a step that a second thread can make shorter */
    WAKE = 40000,    /* ns that it takes a thread to wake up, about */
    WARM = 4,        /* timed steps before anything is decided; the first does not count */
    TRIAL = 5,       /* steps of a trial; the first, which may wake others, does not count */
    FAITH = 50,      /* so much longer than the loss of a trial the faster way is kept, at least */
    STRIDE = 63,     /* short steps that are not timed, to one that is */
    LONGER = 4,      /* times what steps take on average: as what one more counts, at most */
    SLICE = 20000000 /* ns that somebody else has a core for, at most */
};

/* ---- its life ------------------------------------------------------------- */

bool share_init(executor *x) {
    const plan *p = x->o.plan;
    sharing *sh = &x->sharing;
    sh->plain = (cut){p->blocks, p->n_blocks, p->after};
    sh->is_possible = p->is_fine && p->n_blocks > 1;
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

bool sharing_ask(sharing *sh, uint64_t now, bool is_awake) {
    bool is_tried = sh->trial > 0;
    if (!sh->shared.n_blocks || sh->is_cutting || sh->is_kept == is_tried) return false;
    return is_tried || is_awake || pays_to_wake(sh, now);
}

void share_choose(executor *x, step *s) {
    sharing *sh = &x->sharing;
    s->clocked = 0;
    s->cut = sh->is_possible ? &sh->alone : &sh->plain;
    s->shared = s->rq.done || (pool_helpers(s->pool) > 0 && s->cut->n_blocks > 1);
    if (!sh->is_possible || x->n_running > 0) return;
    if (sh->untimed) {
        sh->untimed--;
        return;
    }
    s->clocked = clock_now();
    if (!sharing_ask(sh, s->clocked, pool_is_awake(s->pool))) return;
    s->cut = &sh->shared;
    s->shared = true;
}

/* ---- what came of it ------------------------------------------------------ */

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static void average(uint64_t *ns, uint64_t now, unsigned weight) {
    *ns = *ns ? (*ns * (weight - 1) + now) / weight : now;
}

/* Somebody else may have had the core: a step that takes much longer than those before counts as
 * little longer; and one of the first that takes much less shows that this was so with those. */
static void average_on(sharing *sh, bool shared, uint64_t ns) {
    uint64_t *so_far = &sh->ns[shared];
    bool are_first = sh->n_timed <= 2 * WARM;
    if (!*so_far || (are_first && ns < *so_far / 2))
        *so_far = ns;
    else
        average(so_far, least(ns, LONGER * *so_far), are_first ? 2 : 8);
}

/* What a step lost that could have taken so much less. What somebody else had the core for may come
 * again, but nothing that takes longer. */
static uint64_t loss(uint64_t ns, uint64_t less) {
    uint64_t most = less > SLICE ? less : SLICE;
    return ns > less ? least(ns - less, most) : 0;
}

static void begin_trial(sharing *sh) {
    sh->trial = TRIAL;
    sh->ns[!sh->is_kept] = sh->lost = 0;
}

static void end_trial(sharing *sh) {
    uint64_t alone = sh->ns[0], shared = sh->ns[1];
    uint64_t more = TRIAL * (alone > shared ? alone - shared : shared - alone);
    sh->is_kept = shared < alone - alone / 20;
    sh->content = (int64_t)(FAITH * ((more > sh->lost ? more : sh->lost) + alone / 4));
}

static void try_on(sharing *sh, bool shared, uint64_t ns) {
    if (shared == sh->is_kept) return; /* it could not be run the other way */
    uint64_t other = sh->ns[sh->is_kept];
    sh->lost += loss(ns, other);
    if (sh->trial < TRIAL) average(&sh->ns[shared], least(ns, LONGER * other), 2);
    if (--sh->trial == 0) end_trial(sh);
}

static bool is_cut_wanted(const sharing *sh) {
    uint64_t alone = sh->ns[0];
    if (sh->n_timed < WARM || sh->is_cutting) return false;
    return !sh->cut_for || alone > 2 * sh->cut_for || alone < sh->cut_for / 2;
}

bool sharing_tell(sharing *sh, bool shared, uint64_t ns, uint64_t now, bool is_only) {
    sh->last_end = now;
    if (sh->n_timed++ == 0) return false;
    if (sh->trial) {
        try_on(sh, shared, ns);
        return false;
    }
    average_on(sh, shared, ns);
    if (!shared && sh->ns[0] < LEAST) {
        sh->untimed = sh->n_timed < WARM || ns >= LEAST ? 0 : STRIDE;
        return false;
    }
    if (is_only && is_cut_wanted(sh)) {
        sh->is_cutting = true;
        return true;
    }
    if (!sh->shared.n_blocks) return false;
    sh->content -= (int64_t)ns;
    if (shared && ns > sh->ns[0] + sh->ns[0] / 2) { /* somebody else has the other core */
        sh->is_kept = false;
        sh->content = (int64_t)(FAITH * loss(ns, sh->ns[0]));
    } else if (sh->content <= 0) {
        begin_trial(sh);
    }
    return false;
}

bool share_note(executor *x, step *s) {
    sharing *sh = &x->sharing;
    if (!s->clocked) return false;
    const uint64_t ns = s->ended - s->clocked;
    return sharing_tell(sh, s->cut == &sh->shared, ns, s->ended, x->n_running == 1);
}

/* ---- joining blocks ------------------------------------------------------- */

void sharing_set(sharing *sh, cut shared, uint64_t cut_for) {
    sh->shared = shared;
    sh->cut_for = cut_for;
    sh->is_kept = sh->is_cutting = false;
    if (shared.n_blocks) begin_trial(sh);
}

void share_cut(executor *x) {
    sharing *sh = &x->sharing;
    const uint32_t threads = (uint32_t)pool_helpers(x->o.pool) + 1;
    joining j;
    arena mem;
    mutex_lock(&x->lock);
    uint64_t alone = sh->ns[0];
    mutex_unlock(&x->lock);
    arena_init(&mem, x->o.alloc);
    bool is_better =
        joining_init(&j, &mem, x->o.plan, threads, (double)alone, sh->blocks, sh->after) &&
        joining_best(&j);
    arena_fini(&mem);
    mutex_lock(&x->lock);
    sharing_set(sh, (cut){j.blocks, is_better ? j.n : 0, j.after}, alone);
    mutex_unlock(&x->lock);
}
