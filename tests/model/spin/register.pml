/* SPDX-License-Identifier: MIT
 *
 * The race of a recv that is begun and a step that is aborted (TensorFlow's issue 39015: a Recv
 * from another worker never ended).
 *
 * With ORDER 0, as it was there. A call has two halves: it is put into the list of those that wait
 * for an answer, then the way to cancel it is put in. The abort goes through the list once and
 * cancels each by that way, where there is one. Between the halves there is none: the abort passes
 * by, nobody answers, and the recv waits for ever.
 *
 * With ORDER 1, the same, mended: whoever has put the way in looks again whether there was an abort.
 *
 * With ORDER 2, as src/rendezvous/slot.c has it: one word says at once that a recv waits and
 * who it is, and the abort is what the word says from then on. There is no moment between.
 *
 * Asserted: the recv ends, once. N calls, one abort; a sender that may answer or not.
 *
 * found: -DORDER=0 -DN=1
 * found: -DORDER=0 -DN=2
 * holds: -DORDER=1 -DN=2
 * holds: -DORDER=2 -DN=2
 * holds: -DORDER=2 -DN=3
 * long:  -DORDER=1 -DN=3
 * long:  -DORDER=2 -DN=4
 */
#ifndef ORDER
#define ORDER 2
#endif
#ifndef N
#define N 2
#endif

byte ended[N];

#if ORDER < 2

bool is_aborted, in_list[N], has_way[N], is_cancelled[N];

/* Whoever answers: once, since who takes a call out of the list answers it. */
inline answer(c) { atomic { if :: in_list[c] -> in_list[c] = 0; ended[c]++ :: else fi } }

proctype recv(byte c) {
    if
    :: is_aborted -> ended[c]++
    :: else ->
       in_list[c] = 1;
       has_way[c] = 1;
#if ORDER == 1
       if :: is_aborted -> answer(c) :: else fi
#endif
    fi
}
proctype abort() {
    byte c;
    is_aborted = 1;
    for (c : 0 .. N - 1) { if :: in_list[c] && has_way[c] -> answer(c) :: else fi }
}
proctype sender(byte c) { if :: answer(c) :: skip fi }

#else

mtype = { EMPTY, VALUE, WAITER, DONE, ABORTED };
mtype word[N] = EMPTY;

proctype recv(byte c) {
    do
    :: atomic { word[c] == EMPTY -> word[c] = WAITER }; break
    :: atomic { word[c] == VALUE -> word[c] = DONE }; ended[c]++; break
    :: word[c] == ABORTED -> ended[c]++; break
    od
}
proctype abort() {
    byte c;
    bool was_waiter;
    for (c : 0 .. N - 1) {
        atomic { was_waiter = (word[c] == WAITER); word[c] = ABORTED };
        if :: was_waiter -> ended[c]++ :: else fi
    }
}
proctype sender(byte c) {
    do
    :: break
    :: atomic { word[c] == EMPTY -> word[c] = VALUE }; break
    :: atomic { word[c] == WAITER -> word[c] = DONE }; ended[c]++; break
    :: word[c] == ABORTED -> break
    od
}

#endif

init {
    byte c;
    atomic {
        for (c : 0 .. N - 1) { run recv(c); run sender(c) }
        run abort();
    }
    for (c : 0 .. N - 1) { ended[c] > 0 }; /* else it hangs */
    _nr_pr == 1;
    for (c : 0 .. N - 1) { assert(ended[c] == 1) }
}
