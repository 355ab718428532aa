/* SPDX-License-Identifier: MIT */
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void text_init(text *t, const df_allocator *alloc) {
    *t = (text){.alloc = alloc};
}

void text_fini(text *t) {
    alloc_free(t->alloc, t->data, t->cap);
    *t = (text){.alloc = t->alloc};
}

void text_add(text *t, const char *format, ...) {
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    size_t left = t->failed ? 0 : t->cap - t->size;
    int n = vsnprintf(left ? t->data + t->size : NULL, left, format, args);
    va_end(args);
    if (n > 0 && !t->failed && (size_t)n >= left) {
        t->failed = !alloc_grow(t->alloc, (void **)&t->data, &t->cap, t->size + (size_t)n + 1, 1);
        if (!t->failed)
            (void)vsnprintf(t->data + t->size, (size_t)n + 1, format, again);
        else if (left)
            t->data[t->size] = '\0'; /* half a piece is none */
    }
    if (n > 0 && !t->failed) t->size += (size_t)n;
    va_end(again);
}

size_t text_number(char *into, uint64_t n) {
    char digits[TEXT_NUMBER];
    size_t at = TEXT_NUMBER;
    do {
        digits[--at] = (char)('0' + n % 10);
    } while (n /= 10);
    memcpy(into, digits + at, TEXT_NUMBER - at);
    return TEXT_NUMBER - at;
}

size_t text_copy(const text *t, char *buffer, size_t size) {
    size_t whole = t->failed ? 0 : t->size;
    if (size && buffer) {
        size_t n = whole < size ? whole : size - 1;
        if (n) memcpy(buffer, t->data, n);
        buffer[n] = '\0';
    }
    return whole;
}

size_t text_give(text *t, char *buffer, size_t size) {
    size_t whole = text_copy(t, buffer, size);
    text_fini(t);
    return whole;
}
