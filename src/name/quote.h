/* SPDX-License-Identifier: MIT
 *
 * quote.h - a piece of anybody's text, made fit for an error message: short, on one
 * line, and with nothing in it that a terminal would obey.
 */
#ifndef NAME_QUOTE_H
#define NAME_QUOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum { QUOTE_MAX = 128 };

static inline bool is_control(char c) {
    return (unsigned char)c < 0x20 || c == 0x7f;
}

/* Copies text into the buffer; what is too long ends in "...". Returns the buffer. */
static inline const char *name_quote(const char *text, char buffer[QUOTE_MAX]) {
    size_t n = 0;
    for (; text[n] && n < QUOTE_MAX - 1; n++) buffer[n] = is_control(text[n]) ? '?' : text[n];
    buffer[n] = '\0';
    if (text[n]) memcpy(buffer + QUOTE_MAX - 4, "...", 4);
    return buffer;
}

#endif /* NAME_QUOTE_H */
