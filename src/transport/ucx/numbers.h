/* SPDX-License-Identifier: MIT
 *
 * numbers.h - records found by a number. They lie elsewhere, and are in the table by a member of
 * theirs. Putting one in never fails: where there is no memory for more buckets, chains grow.
 */
#ifndef TRANSPORT_UCX_NUMBERS_H
#define TRANSPORT_UCX_NUMBERS_H

#include <dataflow/allocator.h>

#include <stdint.h>

typedef struct entry {
    struct entry *next;
    uint64_t key;
} entry;

enum { NUMBERS_FIRST = 8 };

typedef struct numbers {
    const df_allocator *alloc;
    entry **buckets;             /* a power of 2 */
    size_t n_buckets, n;         /* n: entries */
    entry *first[NUMBERS_FIRST]; /* the buckets, while they do */
} numbers;

void numbers_init(numbers *t, const df_allocator *alloc);
void numbers_fini(numbers *t);
/* The key is in no other entry. */
void numbers_put(numbers *t, entry *e);
entry *numbers_find(const numbers *t, uint64_t key); /* NULL: there is none */
void numbers_take(numbers *t, const entry *e);       /* which is in it */

#endif /* TRANSPORT_UCX_NUMBERS_H */
