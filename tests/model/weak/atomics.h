/* SPDX-License-Identifier: MIT
 *
 * atomics.h - put before each source of the library that is checked under C11's memory model
 * (weak.c): its atomic operations, and the moves of memory that the compiler would not report, are
 * calls. With them goes the place, so that one can be weakened.
 */
#ifndef WEAK_ATOMICS_H
#define WEAK_ATOMICS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct weak_place {
    const char *file, *function;
    int line;
} weak_place;

uint64_t weak_load(const volatile void *at, size_t size, memory_order order, weak_place place);
void weak_store(volatile void *at, size_t size, uint64_t value, memory_order order,
                weak_place place);
uint64_t weak_swap(volatile void *at, size_t size, uint64_t value, memory_order order,
                   weak_place place);
uint64_t weak_add(volatile void *at, size_t size, uint64_t value, memory_order order,
                  weak_place place);
bool weak_cas(volatile void *at, size_t size, void *expected, uint64_t value, memory_order success,
              memory_order failure, weak_place place);
void weak_init(volatile void *at, size_t size, uint64_t value);
void *weak_memset(void *at, int byte, size_t size);
void *weak_memcpy(void *to, const void *from, size_t size);

#define WEAK_HERE       ((weak_place){__FILE__, __func__, __LINE__})
#define WEAK_TYPE(p)    __typeof__(((void)0, *(p)))
#define WEAK_BITS(p, v) ((uint64_t)(WEAK_TYPE(p))(v))

#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_exchange_explicit
#undef atomic_fetch_add_explicit
#undef atomic_fetch_sub_explicit
#undef atomic_compare_exchange_strong_explicit
#undef atomic_init
#define atomic_load_explicit(p, o)     ((WEAK_TYPE(p))weak_load((p), sizeof *(p), (o), WEAK_HERE))
#define atomic_store_explicit(p, v, o) weak_store((p), sizeof *(p), WEAK_BITS(p, v), (o), WEAK_HERE)
#define atomic_exchange_explicit(p, v, o)                                                          \
    ((WEAK_TYPE(p))weak_swap((p), sizeof *(p), WEAK_BITS(p, v), (o), WEAK_HERE))
#define atomic_fetch_add_explicit(p, v, o)                                                         \
    ((WEAK_TYPE(p))weak_add((p), sizeof *(p), WEAK_BITS(p, v), (o), WEAK_HERE))
#define atomic_fetch_sub_explicit(p, v, o)                                                         \
    ((WEAK_TYPE(p))weak_add((p), sizeof *(p), 0 - WEAK_BITS(p, v), (o), WEAK_HERE))
#define atomic_compare_exchange_strong_explicit(p, e, v, s, f)                                     \
    weak_cas((p), sizeof *(p), (e), WEAK_BITS(p, v), (s), (f), WEAK_HERE)
#define atomic_init(p, v) weak_init((p), sizeof *(p), WEAK_BITS(p, v))

#undef memset
#undef memcpy
#define memset weak_memset
#define memcpy weak_memcpy

#endif /* WEAK_ATOMICS_H */
