/* SPDX-License-Identifier: MIT
 *
 * live.h - one word that tells the end of a step exactly.
 *
 *   engaged : 16 | away : 22 | tokens : 26
 *
 * engaged  threads inside the step.
 * tokens   things that will end by themselves in this process: an event in the inbox, an async
 *          kernel, a copy or fence that the host waits for, the turn at the variables, somebody
 *          who ends the run.
 * away     recvs in somebody else's hands: a rendezvous that is not the library's own.
 *
 * 1. A thread engages with the event that it took from the inbox: one token becomes one
 *    engagement. A run starts with the thread that waits for it engaged, or else with a token.
 * 2. While engaged it counts in a plain variable, `balance`: +1 for each token that it makes, -1
 *    for each event that it takes. It settles the sum when it leaves. So a step costs two
 *    atomic operations a thread, and none a node.
 * 3. Until it has settled, what it made may already have been taken by another: then the
 *    low fields borrow. That leaves engaged >= 1 and tokens != 0, so the word never
 *    looks passive too early. What goes into other hands (away) is therefore added
 *    before it is handed over, never settled late.
 * 4. The step is passive when nobody is engaged, there is no token and nothing is away. Whoever
 *    would make it so by leaving, and nobody else, stays instead, and gives the verdict. So the
 *    word looks passive only when the step is over: a queue that fails just then, and whose
 *    abort ends a recv, adds its token to a step that somebody is in:
 *      A  leaves, sees the step passive
 *      Q  aborts: a recv ends, one token, an event
 *      B  engages with it, leaves, must not see the step passive, too.
 *    Recvs that wait where nobody but this step sends do not move it, either: then who leaves may
 *    ignore what is away, to have the verdict "starved". But the step is over only when they, too,
 *    have come back, since somebody may be about to end one.
 * 5. The word is 0 when the step is over, or not begun; so somebody who comes from outside, to end
 *    the run, takes a token only where it is not, and has then the step until he gives it back.
 *    A verdict of "over" is therefore the exchange of one engagement for 0, or void.
 *
 * Orders. Leaving is acq_rel: release, so that what this thread did in the step is seen
 * by the one who gives the verdict; acquire, because that may be itself. Engaging is
 * relaxed: it came with an event, which was passed under the pool's lock.
 */
#ifndef EXEC_LIVE_H
#define EXEC_LIVE_H

#include "base/atomic.h"

#include <stdbool.h>

typedef struct live {
    _Atomic uint64_t word;
} live;

enum { LIVE_AWAY_SHIFT = 26, LIVE_ENGAGED_SHIFT = 48 };
#define LIVE_TOKEN      UINT64_C(1)
#define LIVE_AWAY       (UINT64_C(1) << LIVE_AWAY_SHIFT)
#define LIVE_ENGAGED    (UINT64_C(1) << LIVE_ENGAGED_SHIFT)
#define LIVE_TOKENS_MAX (LIVE_AWAY - 1)
#define LIVE_ALL_AWAY   (LIVE_ENGAGED - LIVE_AWAY)

/* Its low fields are exact only while nobody is engaged: rule 3. */
static inline bool live_is_passive(uint64_t word) {
    return word == 0;
}

static inline bool live_is_running(live *l) {
    return atomic_get(&l->word, RELAXED) != 0;
}

/* The calling thread is in the step, alone: the beginning. Nobody changes a word that is 0.
 *   A  writes what the run is to do, starts it (release)
 *   B  takes a token, ends the run by what A wrote: must see it. */
static inline void live_start(live *l) {
    atomic_put(&l->word, LIVE_ENGAGED, RELEASE);
}
/* With an event that was taken. */
static inline void live_engage(live *l) {
    (void)atomic_add(&l->word, LIVE_ENGAGED - LIVE_TOKEN, RELAXED);
}
/* True: the step would be passive, but for what is ignored. The caller has settled, is still in
 * it, and has the verdict. */
static inline bool live_leave(live *l, int64_t balance, uint64_t ignored) {
    uint64_t word = atomic_get(&l->word, RELAXED), left, next;
    do {
        left = word + (uint64_t)balance - LIVE_ENGAGED;
        next = live_is_passive(left & ~ignored) ? left + LIVE_ENGAGED : left;
    } while (!atomic_cas(&l->word, &word, next, ACQ_REL, RELAXED));
    return next != left;
}
/* The verdict was that the step is over. False: somebody has come meanwhile, and it is not.
 * Acq_rel: A  (who has come) takes a token, writes why the run ends B  must see that, or take the
 * end from A. */
static inline bool live_end(live *l) {
    uint64_t alone = LIVE_ENGAGED;
    return atomic_cas(&l->word, &alone, 0, ACQ_REL, RELAXED);
}
/* The same by who is alone in it, without having left: nothing is under way but what the caller has
 * in hands. False: not so, or not any more. */
static inline bool live_end_alone(live *l, int64_t balance) {
    return balance == 0 && live_end(l);
}
/* One more token, by a thread that may not be engaged. The step is held by something
 * else while this runs. */
static inline void live_hold(live *l) {
    (void)atomic_add(&l->word, LIVE_TOKEN, RELAXED);
}
/* The same by a thread that holds nothing. False: the step is over, or not begun. */
static inline bool live_try_hold(live *l) {
    uint64_t word = atomic_get(&l->word, RELAXED);
    while (word)
        if (atomic_cas(&l->word, &word, word + LIVE_TOKEN, ACQ_REL, RELAXED)) return true;
    return false;
}
/* A recv goes into somebody else's hands, and comes back: with a token, or without. */
static inline void live_give_away(live *l) {
    (void)atomic_add(&l->word, LIVE_AWAY, RELAXED);
}
static inline void live_come_back(live *l, uint64_t tokens) {
    (void)atomic_add(&l->word, tokens - LIVE_AWAY, ACQ_REL);
}

#endif /* EXEC_LIVE_H */
