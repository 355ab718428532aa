/* SPDX-License-Identifier: MIT
 *
 * A scanner without tokens: whoever reads knows what may come next, and asks for it.
 *
 * Where something is wrong only its address is known; lines are counted when it is told.
 */
#include "op/scan.h"

#include "base/error.h"
#include "op/number.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- characters ---------------------------------------------------------- */

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_word_char(char c) {
    return is_letter(c) || is_digit(c);
}

static bool is_name_char(char c) {
    return is_word_char(c) || c == '.' || c == '-' || c == '/' || c == '@';
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

static bool is_solid(char c) {
    return (unsigned char)c > 0x20;
}

/* ---- what is wrong ------------------------------------------------------- */

bool scan_place(const scan *s, const char *at) {
    size_t line = 1, column = 1;
    for (const char *p = s->begin; p < at; p++) {
        column++;
        if (*p == '\n') line++, column = 1;
    }
    error_prefix(s->err, "line %zu, column %zu: ", line, column);
    return false;
}

bool scan_wrong(const scan *s, const char *at, df_code code, const char *format, ...) {
    char message[sizeof s->err->message];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(message, sizeof message, format, args);
    va_end(args);
    (void)error_set(s->err, code, "%s", message);
    return scan_place(s, at);
}

bool scan_no_memory(const scan *s, const char *what) {
    (void)error_memory(s->err, what);
    return false;
}

bool scan_expected(const scan *s, const char *wanted) {
    char byte[16];
    const char *found = "the end of the text";
    if (s->at < s->end) {
        bool plain = *s->at > 0x20 && *s->at < 0x7f;
        (void)snprintf(byte, sizeof byte, plain ? "'%c'" : "byte 0x%02x",
                       plain ? *s->at : (unsigned char)*s->at);
        found = *s->at == '\n' ? "the end of the line" : byte;
    }
    return scan_wrong(s, s->at, DF_INVALID_ARGUMENT, "expected %s and found %s", wanted, found);
}

/* ---- pieces -------------------------------------------------------------- */

scan scan_of(const char *text, size_t size, df_error *err) {
    scan s = {.begin = text, .end = text ? text + size : text, .at = text, .err = err};
    scan_blanks(&s);
    return s;
}

void scan_line(scan *s) {
    const char *newline = memchr(s->at, '\n', scan_left(s));
    s->at = newline ? newline : s->end;
}

void scan_blanks(scan *s) {
    while (s->at < s->end && is_blank(*s->at)) s->at++;
    if (s->at < s->end && *s->at == '#') scan_line(s);
}

bool scan_take(scan *s, const char *piece) {
    size_t n = strlen(piece);
    if (scan_left(s) < n || memcmp(s->at, piece, n) != 0) return false;
    if (is_word_char(piece[n - 1]) && s->at + n < s->end && is_word_char(s->at[n])) return false;
    s->at += n;
    scan_blanks(s);
    return true;
}

bool scan_want(scan *s, const char *piece) {
    if (scan_take(s, piece)) return true;
    char quoted[16];
    (void)snprintf(quoted, sizeof quoted, "'%s'", piece);
    return scan_expected(s, quoted);
}

static scan_span span_of(scan *s, bool (*is_part)(char c)) {
    scan_span span = {s->at, 0};
    while (s->at < s->end && is_part(*s->at)) s->at++;
    span.size = (size_t)(s->at - span.at);
    scan_blanks(s);
    return span;
}

scan_span scan_word(scan *s) {
    if (s->at < s->end && is_digit(*s->at)) return (scan_span){s->at, 0};
    return span_of(s, is_word_char);
}

scan_span scan_name(scan *s) {
    return span_of(s, is_name_char);
}

scan_span scan_solid(scan *s) {
    return span_of(s, is_solid);
}

bool span_is(scan_span span, const char *word) {
    return strlen(word) == span.size && memcmp(span.at, word, span.size) == 0;
}

bool scan_dtype(scan *s, df_dtype *out) {
    scan from = *s;
    scan_span word = scan_word(s);
    for (int d = DF_FLOAT32; df_dtype_size((df_dtype)d); d++) {
        if (!span_is(word, df_dtype_name((df_dtype)d))) continue;
        *out = (df_dtype)d;
        return true;
    }
    return scan_expected(&from, "a dtype such as float32");
}

/* ---- numbers ------------------------------------------------------------- */

bool scan_int(scan *s, int64_t *out) {
    const char *from = s->at, *p = from;
    bool minus = p < s->end && *p == '-';
    int64_t x = 0;
    if (minus) p++;
    if (p == s->end || !is_digit(*p)) return scan_expected(s, "an integer");
    for (; p < s->end && is_digit(*p); p++) {
        int digit = minus ? '0' - *p : *p - '0';
        if (__builtin_mul_overflow(x, 10, &x) || __builtin_add_overflow(x, digit, &x))
            return scan_wrong(s, from, DF_INVALID_ARGUMENT, "the integer does not fit 64 bits");
    }
    *out = x;
    s->at = p;
    scan_blanks(s);
    return true;
}

/* Longer than any number needs to be: 767 digits tell all doubles from each other. */
enum { NUMBER_MAX = 800, POINT_MAX = 16 };

static const char *skip_digits(const char *p, const char *end) {
    while (p < end && is_digit(*p)) p++;
    return p;
}

/* Where the number ends that starts here; `from` itself: it is none. */
static const char *number_end(const char *from, const char *end) {
    const char *p = from < end && *from == '-' ? from + 1 : from;
    const char *whole = p, *stop;
    p = skip_digits(p, end);
    size_t digits = (size_t)(p - whole);
    if (p < end && *p == '.') {
        stop = skip_digits(p + 1, end);
        digits += (size_t)(stop - p - 1);
        p = stop;
    }
    if (digits == 0) return from;
    if (p < end && (*p == 'e' || *p == 'E')) {
        const char *power = p + 1;
        if (power < end && (*power == '-' || *power == '+')) power++;
        stop = skip_digits(power, end);
        if (stop > power) p = stop;
    }
    return p;
}

/* strtod reads the decimal point of the program's locale: "0.5" written out shows which. */
static double convert(const char *from, size_t size, bool narrow) {
    char half[POINT_MAX], copy[NUMBER_MAX + POINT_MAX];
    int point = snprintf(half, sizeof half, "%.1f", 0.5) - 2;
    size_t n = 0;
    for (size_t i = 0; i < size; i++) {
        if (from[i] == '.' && point > 0 && point < POINT_MAX - 2) {
            memcpy(copy + n, half + 1, (size_t)point);
            n += (size_t)point;
        } else {
            copy[n++] = from[i];
        }
    }
    copy[n] = '\0';
    /* a float by way of a double would be rounded twice */
    return narrow ? (double)strtof(copy, NULL) : strtod(copy, NULL);
}

static double rounded(double x, df_dtype dtype) {
    double slot;
    number_store_floats(dtype, &x, 1, &slot);
    number_load_floats(dtype, &slot, 1, &x);
    return x;
}

bool scan_float(scan *s, df_dtype dtype, double *out) {
    if (scan_take(s, "nan")) return *out = NAN, true;
    if (scan_take(s, "inf")) return *out = INFINITY, true;
    if (scan_take(s, "-inf")) return *out = -INFINITY, true;
    const char *from = s->at, *end = number_end(from, s->end);
    if (end == from) return scan_expected(s, "a number");
    if (end - from > NUMBER_MAX)
        return scan_wrong(s, from, DF_INVALID_ARGUMENT, "a number has at most %d characters",
                          NUMBER_MAX);
    double x = rounded(convert(from, (size_t)(end - from), dtype == DF_FLOAT32), dtype);
    if (isinf(x))
        return scan_wrong(s, from, DF_INVALID_ARGUMENT, "the number does not fit %s; write inf",
                          df_dtype_name(dtype));
    *out = x;
    s->at = end;
    scan_blanks(s);
    return true;
}

/* ---- strings ------------------------------------------------------------- */

static int hex_value(char c) {
    if (is_digit(c)) return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte that is written at *at, which moves behind it. -1: none is. */
static int take_byte(const char **at, const char *end) {
    const char *p = *at;
    *at += 1;
    if (*p != '\\') return (unsigned char)*p;
    if (end - p >= 2 && (p[1] == '"' || p[1] == '\\')) {
        *at += 1;
        return p[1];
    }
    if (end - p < 4 || p[1] != 'x' || hex_value(p[2]) < 0 || hex_value(p[3]) < 0) return -1;
    *at += 3;
    return hex_value(p[2]) * 16 + hex_value(p[3]);
}

/* The quote that ends the string whose first byte is at `from`; NULL: the line ends before. */
static const char *string_end(const char *from, const char *end) {
    for (const char *p = from; p < end && *p != '\n'; p++) {
        if (*p == '"') return p;
        if (*p == '\\' && p + 1 < end && p[1] != '\n') p++;
    }
    return NULL;
}

bool scan_string(scan *s, arena *a, const char **out, size_t *size) {
    const char *from = s->at;
    if (from == s->end || *from != '"') return scan_expected(s, "a string in double quotes");
    const char *p = from + 1, *end = string_end(p, s->end);
    if (!end)
        return scan_wrong(s, from, DF_INVALID_ARGUMENT,
                          "the string has no end on its line; write a newline as \\x0a");
    char *text = arena_alloc(a, (size_t)(end - from));
    if (!text) return scan_no_memory(s, "a string");
    size_t n = 0;
    while (p < end) {
        const char *byte = p;
        int c = take_byte(&p, end);
        if (c < 0)
            return scan_wrong(s, byte, DF_INVALID_ARGUMENT,
                              "behind '\\' there is '\"', '\\', or x and two hexadecimal digits");
        text[n++] = (char)c;
    }
    s->at = end + 1;
    scan_blanks(s);
    *out = text; /* the arena's bytes are zero */
    *size = n;
    return true;
}
