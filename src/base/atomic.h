/* SPDX-License-Identifier: MIT
 *
 * atomic.h - C11 atomics, each behind a scheduling point.
 *
 * No other file of the library calls <stdatomic.h>'s functions. The order is
 * always written out: RELAXED, ACQUIRE, RELEASE or ACQ_REL; where it is more than
 * RELAXED, the comment at the field tells the schedule that it forbids.
 */
#ifndef BASE_ATOMIC_H
#define BASE_ATOMIC_H

#include "base/sched.h"

#include <stdatomic.h>
#include <stdint.h>

#define RELAXED memory_order_relaxed
#define ACQUIRE memory_order_acquire
#define RELEASE memory_order_release
#define ACQ_REL memory_order_acq_rel

#define atomic_get(p, order)     (DF_SCHED_POINT(), atomic_load_explicit((p), (order)))
#define atomic_put(p, v, order)  (DF_SCHED_POINT(), atomic_store_explicit((p), (v), (order)))
#define atomic_add(p, v, order)  (DF_SCHED_POINT(), atomic_fetch_add_explicit((p), (v), (order)))
#define atomic_sub(p, v, order)  (DF_SCHED_POINT(), atomic_fetch_sub_explicit((p), (v), (order)))
#define atomic_swap(p, v, order) (DF_SCHED_POINT(), atomic_exchange_explicit((p), (v), (order)))
#define atomic_cas(p, old, v, s, f)                                                                \
    (DF_SCHED_POINT(), atomic_compare_exchange_strong_explicit((p), (old), (v), (s), (f)))

/* A count of references. A new reference needs no order, since whoever takes one
 * already holds one. Dropping needs both:
 *   A  writes the object, drops (release)
 *   B  drops the last one (acquire), frees: must see A's writes as done. */
typedef struct refcount {
    _Atomic uint32_t n;
} refcount;

static inline void refcount_init(refcount *r) {
    atomic_init(&r->n, 1);
}
static inline void refcount_ref(refcount *r) {
    (void)atomic_add(&r->n, 1, RELAXED);
}
/* False: the last has gone already. */
static inline int refcount_try(refcount *r) {
    uint32_t n = atomic_get(&r->n, RELAXED);
    while (n)
        if (atomic_cas(&r->n, &n, n + 1, RELAXED, RELAXED)) return 1;
    return 0;
}
/* True: that was the last one. */
static inline int refcount_unref(refcount *r) {
    return atomic_sub(&r->n, 1, ACQ_REL) == 1;
}
/* True: the caller's reference is the only one. Acquire:
 *   A  reads the object, drops its reference (release)
 *   B  sees 1, writes the object: A's read must be over. */
static inline int refcount_is_one(refcount *r) {
    return atomic_get(&r->n, ACQUIRE) == 1;
}

#endif /* BASE_ATOMIC_H */
