/* SPDX-License-Identifier: MIT
 *
 * share.h - whether the threads of the pool share a step, and in which pieces.
 *
 * A second thread does not pay where nodes are small: it costs a wake-up, and counts and locks at
 * the end of each block. So a step runs on one thread, all nodes in one block, until it is known to
 * be faster otherwise:
 *
 *   1. Some steps are timed. One that takes less than LEAST, or whose nodes stand one behind the
 *      other, is never shared.
 *   2. From the time of a node the plan's blocks, which are as small as can be, are joined to
 *      larger ones (share_cut).
 *   3. A few steps are run that way, to see. The faster way is kept. When the time that has been
 *      run is FAITH times what the last trial lost, the other way is tried again.
 *   4. Threads that sleep are woken if that saves more than it costs: in one step, or in several
 *      that follow each other closely, together.
 *
 * Runs that go on at the same time are not cut: each has a thread of its own.
 */
#ifndef EXEC_SHARE_H
#define EXEC_SHARE_H

#include "plan/plan.h"

struct step;
struct executor;

/* The plan's nodes in blocks: plan.h, rules 1 and 2. */
typedef struct cut {
    const plan_block *blocks; /* n_blocks + 1: the last is END */
    uint32_t n_blocks;
    const uint32_t *after;
} cut;

/* What is known of a program's steps. Under executor->lock but for what is (c), and for `shared`
 * while is_cutting. */
typedef struct sharing {
    bool is_possible;    /* (c) blocks may be joined, and there are others to help */
    cut plain;           /* (c) the plan's blocks */
    cut alone;           /* (c) one block */
    plan_block whole[2]; /* (c) and END */
    uint32_t end;        /* (c) */

    cut shared;         /* n_blocks 0: none is worth it */
    plan_block *blocks; /* room for any, as */
    uint32_t *after;
    bool is_cutting;   /* somebody makes it, and no step may use it */
    bool is_kept;      /* sharing is the faster way, as far as is known */
    uint32_t n_timed;  /* steps so far */
    uint32_t untimed;  /* steps to come before one is timed again */
    uint32_t trial;    /* steps left that are run the other way, to see */
    uint64_t ns[2];    /* that a step takes alone, and shared: moving averages; 0: not known */
    uint64_t lost;     /* ns in this trial, so far */
    uint64_t cut_for;  /* ns[0] when `shared` was made; 0: never */
    int64_t content;   /* ns to be run before the other way is tried again */
    uint64_t credit;   /* ns that sharing would have saved while the others slept */
    uint64_t last_end; /* of a timed step: the clock */
} sharing;

/* Fills the executor's, from its plan. False: out of memory. */
bool share_init(struct executor *x);
void share_fini(struct executor *x);
/* How this step is run, which begins. */
void share_choose(struct executor *x, struct step *s);
/* It has succeeded. True: call share_cut, without the lock, before it is given back. */
bool share_note(struct executor *x, struct step *s);
void share_cut(struct executor *x);

/* ---- the policy alone ----------------------------------------------------- */

/* A step that is timed begins now, and no other runs. True: it is shared. */
bool sharing_ask(sharing *sh, uint64_t now, bool is_awake);
/* It was over at `now`, after ns. True: the blocks are to be joined (anew), and is_cutting is set,
 * which may be if the step is the only one. */
bool sharing_tell(sharing *sh, bool shared, uint64_t ns, uint64_t now, bool is_only);
/* They have been, from steps of cut_for ns; `shared` with n_blocks 0: none are worth it. */
void sharing_set(sharing *sh, cut shared, uint64_t cut_for);

#endif /* EXEC_SHARE_H */
