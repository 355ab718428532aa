/* SPDX-License-Identifier: MIT
 *
 * The word of a step (src/exec/live.h), and the verdict that it leads to (src/exec/run.c).
 *
 * The step: a Send and a Recv of channel A, in any order; an async kernel; a Recv of channel B.
 * NT threads are in it or come into it with events. Around it, as asked for:
 *
 *   (none)  nobody sends to B, and only this step could: it is starved
 *   AWAY    B belongs to a rendezvous of the user's, who sends to it some time
 *   CLOSED  and who has said that nobody would
 *   ENDS    somebody ends the run early, from outside, with a token
 *   QUEUE   the end waits for a queue, which reports by an event
 *   FAILS   the kernel of the block that sends fails
 *
 * Asserted: who gives a verdict is alone in the step, nothing is in the inbox or in anybody's hands,
 * and no kernel or queue is under way; if the step is over, no recv either, and nobody touches it
 * afterwards. It is always over some time, else there is an invalid end state. It fails where it
 * should.
 *
 * Planted faults, by number in PLANT:
 *   1  a thread leaves by a load and a store
 *   2  the token of an async kernel is forgotten
 *   3  that a recv is away is settled when the thread leaves
 *   4  the end is a plain store
 *   5  who leaves last leaves, and then gives the verdict
 *   6  who comes from outside does not look whether there is a step
 *   7  what is away is ignored, whatever was said
 *   8  an event in the inbox has no token
 *
 * holds: -DNT=3
 * holds: -DNT=2 -DAWAY
 * holds: -DNT=2 -DAWAY -DCLOSED
 * holds: -DNT=2 -DQUEUE -DFAILS
 * holds: -DNT=2 -DENDS
 * long:  -DNT=3 -DAWAY
 * long:  -DNT=3 -DQUEUE -DFAILS
 * long:  -DNT=3 -DENDS
 * long:  -DNT=2 -DAWAY -DENDS -DQUEUE
 * long:  -DNT=2 -DAWAY -DENDS -DCLOSED
 * found: -DNT=2 -DPLANT=1
 * found: -DNT=2 -DPLANT=2
 * found: -DNT=2 -DPLANT=3 -DAWAY -DCLOSED
 * found: -DNT=2 -DPLANT=4 -DENDS
 * found: -DNT=2 -DPLANT=5 -DQUEUE
 * found: -DNT=2 -DPLANT=6 -DENDS
 * found: -DNT=2 -DPLANT=7 -DAWAY
 * found: -DNT=2 -DPLANT=8
 */
#ifndef PLANT
#define PLANT 0
#endif
#ifndef NT
#define NT 3
#endif
#define ENGAGED  4096
#define AWAY_ONE 64
#define ALL_AWAY 4032 /* the field of what is away */
#define NONE     255  /* no event */

#ifdef QUEUE
#define has_queue true
#else
#define has_queue false
#endif

mtype = { EMPTY, VALUE, WAITER, DONE, ABORTED };

int live;
mtype word_a = EMPTY, word_b = EMPTY;
chan inbox = [6] of { byte };
bool joined, end, failed, over;
byte pending = 4; /* before the end: the Send, both Recvs, the kernel */

/* what the assertions look at */
byte n_inside, n_held, n_kernels, n_queues, n_away;
bool is_started, is_asked; /* the kernel, the queue */

hidden int rest; /* within a step that nobody comes between */

/* Events: 0 the beginning, 1 the block that sends, 2 the kernel starts, 3 it has ended, 4 and 5 the
 * blocks that receive, 6 and 7 their recvs have ended, 8 the queue reports. */

inline alive() { assert(!over) }
inline add(n) { atomic { alive(); live = live + n } }
inline post(e) { atomic { alive(); assert(nfull(inbox)); inbox ! e } }

/* A recv that was away comes back, with a token. */
inline come_back() { atomic { alive(); live = live + 1 - AWAY_ONE; n_away-- }; post(7) }

/* The first who fails ends what waits. */
inline fail() {
    atomic { if :: !failed -> failed = 1; met = 1 :: else fi };
    if
    :: met ->
       atomic { met = (word_a == WAITER); word_a = ABORTED };
       if :: met -> met = 0; add(1); post(6) :: else fi;
       atomic { met = (word_b == WAITER); word_b = ABORTED };
       if
#ifdef AWAY
       :: met -> met = 0; come_back()
#else
       :: met -> met = 0; add(1); post(7)
#endif
       :: else
       fi
    :: else
    fi
}
inline count_down() { atomic { alive(); pending--; if :: pending == 0 -> end = 1 :: else fi } }

/* To the others, with what it is worth. */
inline share(e) {
#if PLANT != 8
    balance++;
#endif
    post(e)
}

inline execute() {
    if
    :: e == 0 -> share(2); share(4); share(5); held = 1; n_held++
    :: e == 1 && !failed ->
#ifdef FAILS
       fail()
#else
       atomic {
           if
           :: word_a == EMPTY -> word_a = VALUE
           :: word_a == WAITER -> word_a = DONE; met = 1
           :: else
           fi
       };
       if :: met -> met = 0; add(1); post(6) :: else fi;
       count_down()
#endif
    :: e == 2 && !failed ->
#if PLANT != 2
       balance++;
#endif
       atomic { n_kernels++; is_started = 1 }
    :: e == 4 && !failed ->
       atomic {
           if
           :: word_a == EMPTY -> word_a = WAITER
           :: word_a == VALUE -> word_a = DONE; met = 1
           :: else
           fi
       };
       if :: met -> met = 0; count_down() :: else fi
    :: e == 5 && !failed ->
#ifdef AWAY
#if PLANT == 3
       balance = balance + AWAY_ONE;
       n_away++;
#else
       atomic { alive(); live = live + AWAY_ONE; n_away++ };
#endif
       atomic {
           if
           :: word_b == EMPTY -> word_b = WAITER
           :: word_b == VALUE -> word_b = DONE; met = 1
           :: word_b == ABORTED -> met = 1
           fi
       };
       if
       :: met -> met = 0; atomic { alive(); live = live - AWAY_ONE; n_away-- };
          if :: !failed -> count_down() :: else fi
       :: else
       fi
#else
       atomic { if :: word_b == EMPTY -> word_b = WAITER :: else fi }
#endif
    :: (e == 3 || e == 6 || e == 7) && !failed -> count_down()
    :: else /* of a step that has failed it is drained; the queue's report is nothing else */
    fi;
    e = 0
}

/* run_step: works until there is nothing, leaves, gives the verdict if it falls to this thread. */
inline run_step() {
    do
    :: held != NONE -> atomic { n_held--; e = held; held = NONE }; execute()
    :: atomic { held == NONE && nempty(inbox) -> inbox ? held; n_held++; balance-- }
    :: held == NONE && empty(inbox) ->
#if PLANT == 7
       ignores = ALL_AWAY;
#elif !defined(AWAY) || defined(CLOSED)
       ignores = (failed -> 0 : ALL_AWAY);
#endif
#if PLANT == 1
       stale = live;
#endif
       atomic {
           alive();
#if PLANT == 1
           rest = stale + balance - ENGAGED;
           stale = 0;
#else
           rest = live + balance - ENGAGED;
#endif
           balance = 0;
           if
           :: (rest & ~ignores) != 0 -> live = rest; n_inside--; break
           :: else ->
              assert(n_inside == 1 && n_held == 0 && empty(inbox) && n_kernels + n_queues == 0);
#if PLANT == 5
              live = rest
#else
              live = rest + ENGAGED
#endif
           fi
       };
       if
       :: joined || (!has_queue && (end || failed)) ->
          atomic {
              alive();
              if
#if PLANT == 4
              :: true ->
#elif PLANT == 5
              :: live == 0 ->
#elif PLANT == 7
              :: (live & ~ALL_AWAY) == ENGAGED ->
#else
              :: live == ENGAGED ->
#endif
                 live = 0;
                 n_inside--;
                 assert(n_inside == 0 && n_held == 0 && empty(inbox));
                 assert(n_kernels == 0 && n_queues == 0 && n_away == 0);
                 assert(end || failed);
                 over = 1;
                 break
              :: else
#if PLANT == 5
                 -> n_inside--; break
#endif
              fi
          }
       :: else ->
          if :: !end && !failed -> fail() :: else fi;
          joined = 1;
          if :: has_queue -> atomic { alive(); live++; n_queues++; is_asked = 1 } :: else fi
       fi
    od;
    ignores = 0
}

proctype thread(byte me) {
    byte e, held = NONE;
    int balance, ignores;
    bool met;
#if PLANT == 1
    int stale;
#endif
    if :: me == 0 -> atomic { held = 0; n_held++ }; run_step() :: else fi;
end_idle:
    do
    :: over -> break
    :: atomic { nempty(inbox) -> inbox ? held; n_held++ };
       atomic { alive(); live = live + ENGAGED - 1; n_inside++ };
       run_step()
    od
}

/* What ends by itself. */
proctype kernel() {
end_idle:
    atomic { is_started -> alive(); n_kernels-- };
    post(3)
}
proctype queue() {
end_idle:
    atomic { is_asked -> alive(); n_queues-- };
    post(8)
}

/* The user's rendezvous gets what B waits for. */
proctype elsewhere() {
    bool met;
    atomic {
        if
        :: word_b == EMPTY -> word_b = VALUE
        :: word_b == WAITER -> word_b = DONE; met = 1
        :: else
        fi
    };
    if :: met -> come_back() :: else fi
}

/* A deadline. */
proctype outsider() {
    byte e, held = NONE;
    int balance, ignores;
    bool met;
#if PLANT == 1
    int stale;
#endif
#if PLANT == 6
    atomic { live++; met = 1 };
#else
    atomic { if :: live != 0 -> live++; met = 1 :: else fi };
#endif
    if
    :: met ->
       met = 0;
       fail();
       atomic { alive(); live = live + ENGAGED - 1; n_inside++ };
       run_step()
    :: else
    fi
}

init {
    byte i;
    atomic {
        live = ENGAGED;
        n_inside = 1;
        for (i : 0 .. NT - 1) { run thread(i) };
        i = 0;
        run kernel();
#ifdef QUEUE
        run queue();
#endif
#ifdef AWAY
        run elsewhere();
#endif
#ifdef ENDS
        run outsider();
#endif
    }
    over;
#if defined(FAILS) || !defined(AWAY)
    assert(failed); /* also starved, or ended early */
#elif !defined(ENDS) && !defined(CLOSED)
    assert(!failed && end);
#endif
}
