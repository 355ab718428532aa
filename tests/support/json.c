/* SPDX-License-Identifier: MIT */
#include "support/json.h"

#include <stdbool.h>
#include <string.h>

/* Each reads from *at on, and leaves *at behind what it read; or where it is wrong. */

static void skip_blanks(const char **at) {
    *at += strspn(*at, " \t\n\r");
}

static bool read_char(const char **at, char c) {
    if (**at != c) return false;
    ++*at;
    return true;
}

static bool read_digits(const char **at) {
    size_t n = strspn(*at, "0123456789");
    *at += n;
    return n > 0;
}

static bool read_number(const char **at) {
    (void)read_char(at, '-');
    if (!read_char(at, '0') && !read_digits(at)) return false;
    if (read_char(at, '.') && !read_digits(at)) return false;
    if (**at != 'e' && **at != 'E') return true;
    ++*at;
    if (!read_char(at, '-')) (void)read_char(at, '+');
    return read_digits(at);
}

static bool read_escape(const char **at) {
    if (**at && strchr("\"\\/bfnrt", **at)) {
        ++*at;
        return true;
    }
    if (!read_char(at, 'u')) return false;
    if (strspn(*at, "0123456789abcdefABCDEF") < 4) return false;
    *at += 4;
    return true;
}

static bool read_string(const char **at) {
    if (!read_char(at, '"')) return false;
    while (**at != '"') {
        if ((unsigned char)**at < 0x20) return false; /* the end, too */
        if (*(*at)++ == '\\' && !read_escape(at)) return false;
    }
    ++*at;
    return true;
}

static bool read_word(const char **at, const char *word) {
    size_t n = strlen(word);
    if (strncmp(*at, word, n) != 0) return false;
    *at += n;
    return true;
}

static bool read_value(const char **at);

static bool read_members(const char **at, char end, bool named) {
    ++*at;
    skip_blanks(at);
    if (read_char(at, end)) return true;
    do {
        skip_blanks(at);
        if (named) {
            if (!read_string(at)) return false;
            skip_blanks(at);
            if (!read_char(at, ':')) return false;
        }
        if (!read_value(at)) return false;
    } while (read_char(at, ','));
    return read_char(at, end);
}

static bool read_value(const char **at) {
    bool ok;
    skip_blanks(at);
    if (**at == '{')
        ok = read_members(at, '}', true);
    else if (**at == '[')
        ok = read_members(at, ']', false);
    else if (**at == '"')
        ok = read_string(at);
    else
        ok = read_word(at, "true") || read_word(at, "false") || read_word(at, "null") ||
             read_number(at);
    if (ok) skip_blanks(at);
    return ok;
}

const char *json_mistake(const char *text) {
    return read_value(&text) && !*text ? NULL : text;
}
