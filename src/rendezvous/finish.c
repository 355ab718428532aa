/* SPDX-License-Identifier: MIT
 *
 * A recv ends once, and its callback never nests.
 *
 * A done may send, which finishes another recv, whose done may send, and so on: a chain
 * as long as the graph is deep. So a finish inside a done only puts the recv in
 * a line, and the outermost finish of the thread runs the line until it is empty:
 *
 *     finish(a)
 *       a.done -> send -> finish(b): in line
 *     b.done   -> send -> finish(c): in line
 *     c.done
 *
 * 1. The line is linked through the recvs; one thread-local pointer says where it is.
 * 2. A recv in line holds a reference of its rendezvous, since its error may lie there, and
 *    holds its step, which would otherwise be over before its turn comes.
 * 3. An error that lies elsewhere lasts for one call only. It is copied for the line; if
 *    there is no memory for that, its code and flags are kept and its words are lost.
 */
#include "rendezvous/finish.h"

enum { KEY_WORDS = 256 }; /* of a key's text in a message */

typedef enum outcome {
    OUTCOME_VALUE,
    OUTCOME_ERROR,     /* err lies in the rendezvous */
    OUTCOME_COPY,      /* err is a block of its own */
    OUTCOME_CANCELLED, /* the words are made when done is called */
    OUTCOME_CODE       /* err is no pointer: a code, and above it flags */
} outcome;

typedef struct ending {
    outcome how;
    const df_error *err;
    df_tensor *tensor;
} ending;

typedef struct finish_line {
    df_recv *first, *last;
} finish_line;

static _Thread_local finish_line *line = NULL;

#ifdef DF_SCHED_HOOK
void *finish_swap(void *other) {
    finish_line *was = line;
    line = other;
    return was;
}
#endif

static const df_error *pack_code(const df_error *err) {
    return (const df_error *)(((uintptr_t)err->flags << 8) | (uintptr_t)err->code);
}

static void unpack_code(df_error *err, const df_error *packed) {
    uintptr_t bits = (uintptr_t)packed;
    (void)error_set(err, (df_code)(bits & 0xff),
                    "out of memory for the words of this error: its code is all that is left");
    err->flags = (uint32_t)(bits >> 8);
}

static void cancelled_words(df_error *err, const df_key *key) {
    char text[KEY_WORDS];
    (void)df_key_text(key, text, sizeof text);
    (void)error_set(err, DF_CANCELLED, "the recv of key %s was cancelled", text);
}

/* After this r may be gone. */
static void call_done(df_recv *r, const ending *e) {
    df_error words;
    const df_error *err = e->err;
    if (e->how == OUTCOME_CANCELLED) {
        cancelled_words(&words, r->key);
        err = &words;
    } else if (e->how == OUTCOME_CODE) {
        unpack_code(&words, e->err);
        err = &words;
    }
    DF_SCHED_POINT();
    r->done(r, err, e->tensor);
}

/* Makes err last until its turn comes. */
static void keep_error(df_rendezvous *owner, ending *e) {
    if (e->how != OUTCOME_ERROR || e->err == &owner->why) return;
    df_error *copy = alloc_bytes(owner->alloc, sizeof *copy);
    if (copy) *copy = *e->err;
    e->how = copy ? OUTCOME_COPY : OUTCOME_CODE;
    e->err = copy ? copy : pack_code(e->err);
}

static void line_push(df_recv *r, ending e) {
    recv_words *w = recv_words_of(r);
    keep_error(w->owner, &e);
    (void)df_rendezvous_ref(w->owner);
    recv_hold(r);
    w->next = NULL;
    w->how = e.how;
    w->err = e.err;
    w->tensor = e.tensor;
    if (line->last)
        recv_words_of(line->last)->next = r;
    else
        line->first = r;
    line->last = r;
}

static void line_run_first(void) {
    df_recv *r = line->first;
    recv_words *w = recv_words_of(r);
    df_rendezvous *owner = w->owner;
    ending e = {.how = (outcome)w->how, .err = w->err, .tensor = w->tensor};
    line->first = w->next;
    if (!line->first) line->last = NULL;
    call_done(r, &e);
    if (e.how == OUTCOME_COPY) alloc_free(owner->alloc, (void *)(uintptr_t)e.err, sizeof *e.err);
    df_rendezvous_unref(owner);
}

static void finish(df_recv *r, ending e) {
    if (line) {
        line_push(r, e);
        return;
    }
    finish_line mine = {NULL, NULL};
    line = &mine;
    call_done(r, &e);
    while (mine.first) line_run_first();
    line = NULL;
}

void finish_arrived(df_recv *r, df_tensor *tensor) {
    finish(r, (ending){.how = OUTCOME_VALUE, .tensor = tensor});
}

void finish_error(df_recv *r, const df_error *err) {
    finish(r, (ending){.how = OUTCOME_ERROR, .err = err});
}

void finish_cancelled(df_recv *r) {
    finish(r, (ending){.how = OUTCOME_CANCELLED});
}
