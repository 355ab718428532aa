/* SPDX-License-Identifier: MIT
 *
 * Who sleeps is woken (src/exec/pool.c): a list of the steps that have mail; workers that sleep
 * on one condition, and a caller that sleeps on its step's. One lock: what is done under it is one
 * step here.
 *
 * Each of S steps gets N events, from threads outside. W workers take one event at a time of the
 * first step in the list, and wake one more if the list is not empty then. The caller of step 0
 * takes events of that step alone. A signal wakes one of those who sleep at that moment, whichever;
 * and once, somebody wakes up for nothing. A worker that has worked may look once more before it
 * sleeps. With PAIR, the first two events of step 0 wait for each other, as kernels may that the
 * program has tied together: so each must have a thread, if there are two.
 *
 * Asserted: what is taken is there. Every event is worked on, and everybody goes home, else there
 * is an invalid end state.
 *
 * Planted faults, by number in PLANT:
 *   1  a post wakes no worker
 *   2  a worker lets go of the lock, and then begins to sleep
 *   3  who takes an event wakes nobody for the rest
 *   4  a post does not wake the caller
 *   5  who takes the last event of a step leaves it in the list
 *   6  who has been woken does not look again whether there is something
 *   7  the last event of a step does not wake its caller
 *
 * holds: -DW=2 -DS=2
 * holds: -DCALLS
 * holds: -DPAIR
 * holds: -DPAIR -DCALLS
 * holds: -DPAIR -DCALLS -DW=1
 * long:  -DW=3 -DS=3
 * long:  -DW=3 -DS=2 -DN=3 -DPAIR
 * found: -DPLANT=1
 * found: -DPLANT=2
 * found: -DPLANT=3 -DPAIR
 * found: -DPLANT=4 -DCALLS -DPAIR -DW=1
 * found: -DPLANT=5
 * found: -DPLANT=6
 * found: -DPLANT=7 -DCALLS
 */
#ifndef PLANT
#define PLANT 0
#endif
#ifndef W
#define W 2
#endif
#ifndef S
#define S 2
#endif
#ifndef N
#define N 2
#endif
#define CALLER W

bool stop;
byte mail[S], worked[S];
chan list = [S] of { byte };
bool is_listed[S], sleeps[W + 1];
bool wakes_early = 1; /* somebody, some time */
byte n_met;

inline signal_workers() {
    if
    :: sleeps[0] -> sleeps[0] = 0
#if W > 1
    :: sleeps[1] -> sleeps[1] = 0
#endif
#if W > 2
    :: sleeps[2] -> sleeps[2] = 0
#endif
    :: else
    fi
}
/* Until woken. The lock was let go when the sleep began. */
inline sleep(who) {
    if
    :: !sleeps[who]
    :: atomic { wakes_early && sleeps[who] -> wakes_early = 0; sleeps[who] = 0 }
    fi
}
inline take(s) {
    assert(mail[s] > 0);
    mail[s]--;
#if PLANT != 5
    if :: mail[s] == 0 -> is_listed[s] = 0; list ?? eval(s) :: else fi
#endif
}
inline work(s) {
#ifdef PAIR
    if :: s == 0 -> n_met++; n_met >= 2 :: else fi;
#endif
    atomic {
        worked[s]++;
#if PLANT != 7
        if :: s == 0 && worked[s] == N -> sleeps[CALLER] = 0 :: else fi;
#endif
        s = 0
    }
}

proctype poster(byte s) {
    byte n;
    do
    :: atomic { n < N ->
           n++;
           mail[s]++;
           if
           :: !is_listed[s] ->
              is_listed[s] = 1;
              list ! s;
#if PLANT != 1
              signal_workers()
#endif
           :: else
           fi;
#if PLANT != 4
           if :: s == 0 -> sleeps[CALLER] = 0 :: else fi
#endif
       }
    :: n == N -> break
    od
}

proctype worker(byte me) {
    byte s;
    bool has_worked;
    do
    :: stop -> break
    :: atomic { !stop && nempty(list) ->
again:     list ? <s>;
           take(s);
#if PLANT != 3
           if :: nempty(list) -> signal_workers() :: else fi
#endif
       };
       work(s);
       has_worked = 1
    :: !stop && empty(list) && has_worked -> has_worked = 0
    :: atomic { !stop && empty(list) ->
           has_worked = 0;
#if PLANT == 2
       }; atomic {
#endif
           sleeps[me] = 1
       };
#if PLANT == 6
       atomic { !sleeps[me] -> if :: !stop -> goto again :: else fi }
#else
       sleep(me)
#endif
    od
}

proctype caller() {
    byte s;
    do
    :: worked[0] == N -> break
    :: atomic { worked[0] < N && mail[0] > 0 -> take(0) }; work(s)
    :: atomic { worked[0] < N && mail[0] == 0 -> sleeps[CALLER] = 1 }; sleep(CALLER)
    od
}

init {
    byte i;
    atomic {
        for (i : 0 .. W - 1) { run worker(i) };
        for (i : 0 .. S - 1) { run poster(i) };
        i = 0;
#ifdef CALLS
        run caller()
#endif
    }
    for (i : 0 .. S - 1) { worked[i] == N };
    atomic { stop = 1; for (i : 0 .. W - 1) { sleeps[i] = 0 } };
    _nr_pr == 1
}
