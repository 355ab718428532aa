/* SPDX-License-Identifier: MIT */
#include "compile/facts.h"

#include <string.h>

static bool is_plain(unsigned char c) {
    return c >= 0x20 && c != 0x7f && c != '"' && c != '\\';
}

static void add_string(text *t, const char *s) {
    text_add(t, "\"");
    while (*s) {
        size_t n = 0;
        while (is_plain((unsigned char)s[n])) n++;
        text_add(t, "%.*s", (int)n, s);
        s += n;
        if (*s) text_add(t, "\\u%04x", (unsigned char)*s++);
    }
    text_add(t, "\"");
}

/* ---- lists --------------------------------------------------------------- */

void fact_list(facts *f, const char *name, void (*tell)(void *arg), void *arg) {
    f->n = 0;
    if (f->json) {
        text_add(f->t, "%s\n  \"%s\": [", f->lists++ ? "," : "{", name);
        tell(arg);
        text_add(f->t, f->n ? "\n  ]" : "]");
        return;
    }
    memset(f->width, 0, sizeof f->width);
    f->measuring = true;
    tell(arg);
    f->measuring = false;
    if (f->n == 0) return;
    text_add(f->t, "%s%s\n", f->lists++ ? "\n" : "", name);
    tell(arg);
}

void fact_end_all(facts *f) {
    if (f->json) text_add(f->t, "\n}\n");
}

/* ---- one fact ------------------------------------------------------------ */

void fact_begin(facts *f) {
    f->column = 0;
    f->gap = 2;
    if (f->json) text_add(f->t, "%s\n    ", f->n ? "," : "");
    f->n++;
}

void fact_end(facts *f) {
    if (f->json || !f->measuring) text_add(f->t, f->json ? "}" : "\n");
}

void fact_column(facts *f, const char *s) {
    if (f->json) return;
    size_t n = strlen(s), *width = &f->width[f->column++];
    if (f->measuring) {
        if (n > *width) *width = n < FACT_WIDEST ? n : FACT_WIDEST;
        return;
    }
    text_add(f->t, "%*s%s", (int)f->gap, "", s);
    f->gap = 2 + (n < *width ? *width - n : 0);
}

void fact_line(facts *f, const char *s) {
    if (!f->json && !f->measuring) text_add(f->t, "\n    %s", s);
}

void fact_json(facts *f, const char *key, const char *value) {
    if (f->json) text_add(f->t, "%s\"%s\": %s", f->column++ ? ", " : "{", key, value);
}

void fact_field(facts *f, const char *key, const char *s) {
    fact_json(f, key, "");
    if (f->json) add_string(f->t, s);
}

void fact_both(facts *f, const char *key, const char *s) {
    fact_column(f, s);
    fact_field(f, key, s);
}

/* ---- words --------------------------------------------------------------- */

void fact_unsay(facts *f, size_t length) {
    f->words.size = length;
    if (f->words.data) f->words.data[length] = '\0';
}

text *fact_words(facts *f) {
    fact_unsay(f, 0);
    return &f->words;
}

const char *fact_said(const facts *f) {
    return f->words.data ? f->words.data : "";
}

void fact_name(facts *f, const char *name, uint32_t before) {
    if (before) text_add(&f->words, ", ");
    if (f->json)
        add_string(&f->words, name);
    else
        text_add(&f->words, "%s", name);
}
