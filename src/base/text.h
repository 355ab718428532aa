/* SPDX-License-Identifier: MIT
 *
 * text.h - a growing piece of text, for printing graphs and partitions.
 *
 * Running out of memory is sticky: write on, and ask once at the end. What is copied then is
 * nothing, since half a text looks like a whole one.
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "base/alloc.h"

#include <stdint.h>

typedef struct text {
    const df_allocator *alloc;
    char *data; /* zero-terminated once anything was added */
    size_t size, cap;
    bool failed;
} text;

void text_init(text *t, const df_allocator *alloc);
void text_fini(text *t);
void text_add(text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The number in digits, without a zero behind them: how many there are. */
enum { TEXT_NUMBER = 20 };
size_t text_number(char *into, uint64_t n);

/* Copies the text into the caller's buffer, cut to fit and zero-terminated, and
 * returns the length of the whole: the contract of snprintf. */
size_t text_copy(const text *t, char *buffer, size_t size);
/* The same, and the text's end. */
size_t text_give(text *t, char *buffer, size_t size);

#endif /* BASE_TEXT_H */
