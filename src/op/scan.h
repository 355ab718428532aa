/* SPDX-License-Identifier: MIT
 *
 * scan.h - a text, read piece by piece: the lines of a graph, and the signatures of ops.
 *
 * 1. The text is any bytes: nothing is read beyond `end`, and a zero byte is one like another.
 * 2. Blanks (space, tab, carriage return, and a comment from '#' to the end of its line) stand
 *    between any two pieces; a newline is a piece of its own, so that what belongs to a line
 *    ends with it.
 * 3. What returns false has said in `err` what is wrong, with line and column (of bytes), or has
 *    taken nothing where the words below say so.
 */
#ifndef OP_SCAN_H
#define OP_SCAN_H

#include <dataflow/tensor.h>

#include "base/alloc.h"

typedef struct scan {
    const char *begin, *end;
    const char *at; /* what comes next */
    df_error *err;
} scan;

/* Some of the text, borrowed; size 0: nothing of the kind was there, and nothing was taken. */
typedef struct scan_span {
    const char *at;
    size_t size;
} scan_span;

/* Blanks are skipped. err may not be NULL. */
scan scan_of(const char *text, size_t size, df_error *err);
static inline size_t scan_left(const scan *s) {
    return (size_t)(s->end - s->at);
}
void scan_blanks(scan *s);
void scan_line(scan *s); /* skips all up to the end of the line */

/* Takes the piece if it comes next: "(", "...", "in". A word is not taken from a longer one. */
bool scan_take(scan *s, const char *piece);
/* The same; it is wrong if another comes. */
bool scan_want(scan *s, const char *piece);
scan_span scan_word(scan *s);  /* a letter or '_', then digits too */
scan_span scan_name(scan *s);  /* letters, digits and any of "_.-/@" */
scan_span scan_solid(scan *s); /* all up to a blank or control character */
bool span_is(scan_span span, const char *word);

bool scan_int(scan *s, int64_t *out);
/* The value that a `dtype` has for the number, correctly rounded: also "inf", "-inf", "nan". A
 * number that is too large for it is wrong. */
bool scan_float(scan *s, df_dtype dtype, double *out);
/* "a \"b\" \\ \x00": bytes in double quotes, on one line. What it means lies in the arena, with a
 * zero byte behind. */
bool scan_string(scan *s, arena *a, const char **out, size_t *size);
bool scan_dtype(scan *s, df_dtype *out);

/* Something else comes next than what was wanted, "an integer". False. */
bool scan_expected(const scan *s, const char *wanted);
/* Says what is wrong at a place of the text: "line 3, column 7: ...". False. */
bool scan_wrong(const scan *s, const char *at, df_code code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Puts line and column in front of what `err` says already. False. */
bool scan_place(const scan *s, const char *at);
/* There is no memory for `what`. False. */
bool scan_no_memory(const scan *s, const char *what);

#endif /* OP_SCAN_H */
