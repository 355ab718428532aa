/* SPDX-License-Identifier: MIT
 *
 * The state machine of a channel. S: the plan's Send, V: its Recv, C: its cancel, A: the
 * abort, P: the spill, Z: the reset. "S / F" is the order on success and on failure.
 *
 *   id  from -> to             who, and what follows                        S / F
 *   S1  EMPTY -> VALUE         Send; tensor and from written just before    acq_rel / acq
 *   S2  recv -> DONE           Send; finishes the recv                      acq_rel / acq
 *   S3  ABORTED                Send; releases the tensor, returns the code  - / acq
 *   S4  any other              Send; as a foreign send, its own item        - / acq
 *   V1  EMPTY -> recv          Recv; touches neither recv nor slot again    acq_rel / acq
 *   V2  VALUE -> DONE          Recv; tensor and from copied before          acq_rel / acq
 *   V3  TOMB -> EMPTY          Recv; ends with CANCELLED                    acq / acq
 *   V4  ABORTED                Recv; ends with the error                    - / acq
 *   V5  any other              Recv; as a foreign recv                      - / acq
 *   C1  recv -> EMPTY          cancel; the recv ends with CANCELLED         acq / acq
 *   C2  EMPTY -> TOMB          cancel before the recv                       acq / acq
 *   C3  DONE, TOMB, ABORTED    cancel; returns: the recv has ended, or will
 *   C4  any other              cancel; spills, then out of the list, or remembered in
 *                              the recv
 *   A1  any -> ABORTED         abort; releases the value, ends the recv     acq_rel
 *   P1  any but ABORTED -> SPILLED   the lock is held; what was there goes to the lists
 *                                                                           acq / acq
 *   L   EMPTY -> LENT -> EMPTY the Send, and after it the Recv, of a tensor that stays
 *                              with who sent it                             relaxed
 *   Z   any -> EMPTY           the only holder                              relaxed
 *
 * 1. Who moves a word away from VALUE owns the tensor; who moves it away from a recv
 *    finishes that recv. Hence each exactly once.
 * 2. A word that says SPILLED changes no more, except to ABORTED. The lists are used
 *    only by who has seen it say SPILLED under the lock: the abort empties them under the
 *    lock after all words say ABORTED, so nothing comes in behind it.
 * 3. A tombstone that is spilled is kept in the slot, never in the recv: an abort may
 *    end and free the recv between the spill's exchange and a store to it.
 * 4. Nobody waits in a list that has a value.
 * 5. A cancel that finds VALUE, and a tombstone that a Send finds, must be remembered all
 *    the same: a foreign recv may take the value before the plan's own comes. Hence both
 *    spill.
 * 6. Recvs are finished, and tensors released, after the lock was let go.
 */
#include "rendezvous/slot.h"

#include "rendezvous/deliver.h"
#include "rendezvous/finish.h"

static uintptr_t word_of(df_recv *r) {
    return (uintptr_t)r;
}

static bool is_waiter(uintptr_t word) {
    return word >= SLOT_WAITER;
}

static df_recv *recv_of(uintptr_t word) {
    return (df_recv *)word;
}

/* ---- its life ---- */

df_code slots_init(slots *s, const df_allocator *alloc, size_t n, df_error *err) {
    *s = (slots){.alloc = alloc, .n = n};
    if (!mutex_init(&s->lock))
        return error_set(err, DF_RESOURCE_EXHAUSTED,
                         "the system has no more locks for the channels of a step");
    s->hot = alloc_array(alloc, n, sizeof *s->hot);
    s->cold = alloc_array(alloc, n, sizeof *s->cold);
    if (s->hot && s->cold) return DF_OK;
    slots_fini(s);
    return error_memory(err, "the channels of a step");
}

void slots_fini(slots *s) {
    alloc_free(s->alloc, s->hot, s->n * sizeof *s->hot);
    alloc_free(s->alloc, s->cold, s->n * sizeof *s->cold);
    mutex_fini(&s->lock);
}

/* ---- the locked half ---- */

static bool spill_locked(slots *s, size_t channel) DF_REQUIRES(&s->lock);
static bool offer_locked(slots *s, size_t channel, sent_value *mine, df_recv **waiting)
    DF_REQUIRES(&s->lock);

static void own_push(slot_spill *c, const df_endpoint *from, df_tensor *tensor) {
    c->own = (sent_value){.tensor = tensor, .from = *from, .embedded = true};
    c->own_out = true;
    value_push(&c->values, &c->own);
}

/* P1. False: aborted meanwhile. */
static bool spill_locked(slots *s, size_t channel) {
    slot *h = &s->hot[channel];
    slot_spill *c = &s->cold[channel];
    uintptr_t w = atomic_get(&h->word, ACQUIRE);
    while (w != SLOT_SPILLED) {
        if (w == SLOT_ABORTED) return false;
        if (!atomic_cas(&h->word, &w, SLOT_SPILLED, ACQUIRE, ACQUIRE)) continue;
        s->has_spills = true;
        if (w == SLOT_VALUE)
            own_push(c, &h->from, h->tensor);
        else if (is_waiter(w))
            recv_push(&c->recvs, recv_of(w));
        else if (w == SLOT_TOMB)
            c->is_tomb = true;
        break;
    }
    return true;
}

/* Gives the value to the oldest recv that waits, which the caller finishes, or leaves it
 * in the list. False: aborted. */
static bool offer_locked(slots *s, size_t channel, sent_value *mine, df_recv **waiting) {
    if (!spill_locked(s, channel)) return false;
    *waiting = recv_pop(&s->cold[channel].recvs);
    if (!*waiting) value_push(&s->cold[channel].values, mine);
    return true;
}

/* S4. The value goes into the slot's own item, so that the first Send of a step needs
 * no memory. If that item is out, this is a second one: as anybody's. */
static df_code send_spilled(slots *s, size_t channel, const df_endpoint *from, df_tensor *tensor) {
    slot_spill *c = &s->cold[channel];
    df_recv *waiting = NULL;
    mutex_lock(&s->lock);
    bool is_open = spill_locked(s, channel);
    bool is_second = is_open && c->own_out;
    if (is_open && !is_second) {
        waiting = recv_pop(&c->recvs);
        if (!waiting) own_push(c, from, tensor);
    }
    mutex_unlock(&s->lock);
    if (is_second) return slots_send_foreign(s, channel, from, tensor);
    if (waiting) deliver_value(waiting, from, tensor);
    if (is_open) return DF_OK;
    df_tensor_unref(tensor);
    return s->why->code;
}

df_code slots_send_foreign(slots *s, size_t channel, const df_endpoint *from, df_tensor *tensor) {
    sent_value *mine = alloc_bytes(s->alloc, sizeof *mine);
    if (!mine) {
        df_tensor_unref(tensor);
        return DF_RESOURCE_EXHAUSTED;
    }
    *mine = (sent_value){.tensor = tensor, .from = *from};
    df_recv *waiting = NULL;
    mutex_lock(&s->lock);
    bool is_open = offer_locked(s, channel, mine, &waiting);
    mutex_unlock(&s->lock);
    if (is_open && !waiting) return DF_OK;
    value_free(s->alloc, mine);
    if (waiting) {
        deliver_value(waiting, from, tensor);
        return DF_OK;
    }
    df_tensor_unref(tensor);
    return s->why->code;
}

/* What a recv finds in the lists. */
typedef enum found { FOUND_NOTHING, FOUND_VALUE, FOUND_CANCEL, FOUND_ABORT } found;

/* Takes the oldest value, by copy; the item itself, if it was allocated, as *item. */
static found take_locked(slots *s, size_t channel, df_recv *r, sent_value *out, sent_value **item)
    DF_REQUIRES(&s->lock);
static found take_locked(slots *s, size_t channel, df_recv *r, sent_value *out, sent_value **item) {
    slot_spill *c = &s->cold[channel];
    if (!spill_locked(s, channel)) return FOUND_ABORT;
    sent_value *v = value_take(&c->values, NULL);
    if (v) {
        *out = *v;
        *item = v->embedded ? NULL : v;
        if (v->embedded) c->own_out = false;
        return FOUND_VALUE;
    }
    bool is_buried = c->is_tomb && recv_words_of(r)->planned;
    if (is_buried) c->is_tomb = false;
    if (is_buried || waiter_of(r)->is_cancelled) return FOUND_CANCEL;
    recv_push(&c->recvs, r);
    return FOUND_NOTHING;
}

void slots_recv_foreign(slots *s, size_t channel, df_recv *r) {
    sent_value v, *item = NULL;
    mutex_lock(&s->lock);
    found what = take_locked(s, channel, r, &v, &item);
    mutex_unlock(&s->lock);
    value_free(s->alloc, item);
    if (what == FOUND_VALUE)
        deliver_value(r, &v.from, v.tensor);
    else if (what == FOUND_CANCEL)
        finish_cancelled(r);
    else if (what == FOUND_ABORT)
        finish_error(r, s->why);
}

/* C4 */
static void cancel_spilled(slots *s, size_t channel, df_recv *r, bool spills) {
    mutex_lock(&s->lock);
    if (spills) (void)spill_locked(s, channel);
    bool is_mine = waiter_of(r)->is_linked != 0;
    if (is_mine)
        recv_unlink(&s->cold[channel].recvs, r);
    else
        waiter_of(r)->is_cancelled = 1;
    mutex_unlock(&s->lock);
    if (is_mine) finish_cancelled(r);
}

void slots_cancel_foreign(slots *s, size_t channel, df_recv *r) {
    cancel_spilled(s, channel, r, false);
}

/* ---- the planned half ---- */

df_code slots_send(slots *s, size_t channel, const df_endpoint *from, df_tensor *tensor) {
    slot *h = &s->hot[channel];
    uintptr_t w = atomic_get(&h->word, ACQUIRE);
    for (;;) {
        if (w == SLOT_EMPTY) {
            h->tensor = tensor;
            h->from = *from;
            if (atomic_cas(&h->word, &w, SLOT_VALUE, ACQ_REL, ACQUIRE)) return DF_OK;
        } else if (is_waiter(w)) {
            if (!atomic_cas(&h->word, &w, SLOT_DONE, ACQ_REL, ACQUIRE)) continue;
            deliver_value(recv_of(w), from, tensor);
            return DF_OK;
        } else if (w == SLOT_ABORTED) {
            df_tensor_unref(tensor);
            return s->why->code;
        } else {
            return send_spilled(s, channel, from, tensor);
        }
    }
}

void slots_recv(slots *s, size_t channel, df_recv *r) {
    slot *h = &s->hot[channel];
    uintptr_t w = atomic_get(&h->word, ACQUIRE);
    for (;;) {
        if (w == SLOT_EMPTY) {
            if (atomic_cas(&h->word, &w, word_of(r), ACQ_REL, ACQUIRE)) return;
        } else if (w == SLOT_VALUE) {
            df_tensor *tensor = h->tensor;
            df_endpoint from = h->from;
            if (!atomic_cas(&h->word, &w, SLOT_DONE, ACQ_REL, ACQUIRE)) continue;
            deliver_value(r, &from, tensor);
            return;
        } else if (w == SLOT_TOMB) {
            if (!atomic_cas(&h->word, &w, SLOT_EMPTY, ACQUIRE, ACQUIRE)) continue;
            finish_cancelled(r);
            return;
        } else if (w == SLOT_ABORTED) {
            finish_error(r, s->why);
            return;
        } else {
            slots_recv_foreign(s, channel, r);
            return;
        }
    }
}

void slots_cancel(slots *s, size_t channel, df_recv *r) {
    slot *h = &s->hot[channel];
    uintptr_t w = atomic_get(&h->word, ACQUIRE);
    for (;;) {
        if (w == word_of(r)) {
            if (!atomic_cas(&h->word, &w, SLOT_EMPTY, ACQUIRE, ACQUIRE)) continue;
            finish_cancelled(r);
            return;
        }
        if (w == SLOT_DONE || w == SLOT_TOMB || w == SLOT_ABORTED) return;
        if (w != SLOT_EMPTY) {
            cancel_spilled(s, channel, r, true);
            return;
        }
        if (atomic_cas(&h->word, &w, SLOT_TOMB, ACQUIRE, ACQUIRE)) return;
    }
}

/* ---- the end of a step ---- */

/* A1 */
static void abort_word(slot *h, const df_error *why) {
    uintptr_t w = atomic_swap(&h->word, SLOT_ABORTED, ACQ_REL);
    if (w == SLOT_VALUE)
        df_tensor_unref(h->tensor);
    else if (is_waiter(w))
        finish_error(recv_of(w), why);
}

/* Empties the lists of all channels into two. */
static void gather_locked(slots *s, value_list *values, recv_list *recvs) DF_REQUIRES(&s->lock);
static void gather_locked(slots *s, value_list *values, recv_list *recvs) {
    if (!s->has_spills) return;
    for (size_t i = 0; i < s->n; i++) {
        slot_spill *c = &s->cold[i];
        for (sent_value *v; (v = value_take(&c->values, NULL)) != NULL;) value_push(values, v);
        recv_take_all(recvs, &c->recvs);
        c->own_out = false;
        c->is_tomb = false;
    }
}

void slots_abort(slots *s, const df_error *why) {
    s->why = why;
    for (size_t i = 0; i < s->n; i++) abort_word(&s->hot[i], why);
    value_list values = {NULL, NULL};
    recv_list recvs = {NULL, NULL};
    mutex_lock(&s->lock);
    gather_locked(s, &values, &recvs);
    mutex_unlock(&s->lock);
    (void)value_drop_all(s->alloc, values.first);
    for (df_recv *r = recvs.first; r;) {
        df_recv *next = waiter_of(r)->next;
        finish_error(r, why);
        r = next;
    }
}

/* Z */
size_t slots_reset(slots *s) {
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        slot *h = &s->hot[i];
        if (atomic_get(&h->word, RELAXED) == SLOT_VALUE) {
            df_tensor_unref(h->tensor);
            n++;
        }
        atomic_put(&h->word, SLOT_EMPTY, RELAXED);
    }
    value_list values = {NULL, NULL};
    recv_list nobody = {NULL, NULL};
    mutex_lock(&s->lock);
    gather_locked(s, &values, &nobody);
    s->has_spills = false;
    mutex_unlock(&s->lock);
    return n + value_drop_all(s->alloc, values.first);
}
