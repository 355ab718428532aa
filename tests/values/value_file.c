/* SPDX-License-Identifier: MIT
 *
 * A file is read once, and cut where it lies: zeros take the place of what ends a line or a word.
 */
#include "values/value_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool value_file_open(value_file *f, const char *path) {
    FILE *in = fopen(path, "rb");
    if (!in) return false;
    const char *slash = strrchr(path, '/');
    *f = (value_file){.name = slash ? slash + 1 : path};
    size_t size = 0, room = 1 << 16, got;
    f->text = malloc(room + 1);
    while (f->text && (got = fread(f->text + size, 1, room - size, in)) > 0) {
        size += got;
        if (size < room) continue;
        char *more = realloc(f->text, (room *= 2) + 1);
        if (!more) free(f->text);
        f->text = more;
    }
    (void)fclose(in);
    if (!f->text) return false;
    f->text[size] = '\0';
    f->at = f->text;
    return true;
}

void value_file_of(value_file *f, const char *name, const char *text) {
    *f = (value_file){.name = name, .text = malloc(strlen(text) + 1)};
    if (f->text) strcpy(f->text, text);
    f->at = f->text;
}

void value_file_close(value_file *f) {
    free(f->text);
    f->text = f->at = NULL;
}

/* ---- lines --------------------------------------------------------------- */

/* The next one that says something; NULL at the end. */
static char *next_line(value_file *f) {
    char *pending = f->pending;
    f->pending = NULL;
    if (pending) return pending;
    while (f->at && *f->at) {
        char *line = f->at, *end = strchr(line, '\n');
        f->at = end ? end + 1 : line + strlen(line);
        if (end) *end = '\0';
        f->line++;
        if (line[0] && line[0] != '#') return line;
    }
    return NULL;
}

static bool wrong(value_file *f, const char *what, const char *where) {
    (void)snprintf(f->wrong, sizeof f->wrong, "%s:%d: %s: \"%.60s\"", f->name, f->line, what,
                   where);
    return false;
}

/* Cuts the next word off; a quoted one has no quotes any more. NULL: there is none. */
static char *take_word(char **at) {
    char *word = *at + strspn(*at, " ");
    if (!*word) return NULL;
    bool quoted = *word == '"';
    if (quoted) word++;
    char *end = word + strcspn(word, quoted ? "\"" : " ");
    *at = *end ? end + 1 : end;
    *end = '\0';
    return word;
}

/* ---- how it is judged ---------------------------------------------------- */

static bool code_of(const char *name, df_code *out) {
    for (int code = DF_CANCELLED; code <= DF_UNAUTHENTICATED; code++) {
        if (strcmp(df_code_name((df_code)code), name) != 0) continue;
        *out = (df_code)code;
        return true;
    }
    return false;
}

static bool take_failure(value_file *f, value_case *c, char **at) {
    char *word = take_word(at);
    c->how = FAILS;
    if (word && strcmp(word, "in_step") == 0) c->how = FAILS_IN_STEP, word = take_word(at);
    if (word && strcmp(word, "sometime") == 0) c->how = FAILS_SOMETIME, word = take_word(at);
    if (!word || !code_of(word, &c->code)) return wrong(f, "no code", word ? word : "");
    for (*at += strspn(*at, " "); **at == '"'; *at += strspn(*at, " ")) {
        if (c->n_words == CASE_WORDS) return wrong(f, "too many words", *at);
        c->words[c->n_words++] = take_word(at);
    }
    return true;
}

static bool take_tolerance(value_file *f, value_case *c, char **at) {
    char *word = take_word(at), *end = word;
    c->how = WITHIN;
    c->tolerance = word ? strtod(word, &end) : 0;
    if (!(c->tolerance > 0) || *end) return wrong(f, "no tolerance", word ? word : "");
    return true;
}

static bool take_head(value_file *f, value_case *c, char *line) {
    char *at = line, *word = take_word(&at);
    if (!word || strcmp(word, "case") != 0) return wrong(f, "a case begins with \"case\"", line);
    c->line = f->line;
    c->name = take_word(&at);
    if (!c->name) return wrong(f, "the case has no name", line);
    while ((word = take_word(&at))) {
        bool ok = true;
        if (strcmp(word, "within") == 0)
            ok = take_tolerance(f, c, &at);
        else if (strcmp(word, "relative") == 0 && c->how == WITHIN)
            c->how = WITHIN_RELATIVE;
        else if (strcmp(word, "fails") == 0)
            ok = take_failure(f, c, &at);
        else if (strcmp(word, "on") == 0 && strcmp(at, "CPU") == 0)
            c->cpu_only = true, at += 3;
        else
            ok = wrong(f, "unknown word", word);
        if (!ok) return false;
    }
    return true;
}

/* ---- a case -------------------------------------------------------------- */

static bool take_line(value_file *f, value_case *c, const char *line) {
    const char *equals = strstr(line, " = ");
    if (!equals) return wrong(f, "no node", line);
    if (c->n_lines == CASE_LINES) return wrong(f, "too many lines", line);
    c->lines[c->n_lines++] =
        (value_line){.text = line, .op = equals + 3, .name_size = (int)(equals - line)};
    return true;
}

bool value_file_next(value_file *f, value_case *c) {
    char *line = next_line(f);
    *c = (value_case){.how = SAME};
    if (!line || !take_head(f, c, line)) return false;
    while ((line = next_line(f))) {
        if (strncmp(line, "case ", 5) == 0) {
            f->pending = line;
            break;
        }
        if (!take_line(f, c, line)) return false;
    }
    c->y = case_find(c, "y");
    return c->y || wrong(f, "no node y", c->name);
}

/* ---- nodes --------------------------------------------------------------- */

bool line_is_named(const value_line *l, const char *name) {
    return strlen(name) == (size_t)l->name_size && memcmp(l->text, name, strlen(name)) == 0;
}

bool line_is_op(const value_line *l, const char *op) {
    size_t n = strlen(op);
    return strncmp(l->op, op, n) == 0 && l->op[n] == '(';
}

const value_line *case_find(const value_case *c, const char *name) {
    for (size_t i = 0; i < c->n_lines; i++)
        if (line_is_named(&c->lines[i], name)) return &c->lines[i];
    return NULL;
}

int line_wanted(const value_line *l) {
    if (line_is_named(l, "want")) return 0;
    return strncmp(l->text, "want_", 5) == 0 ? (int)strtol(l->text + 5, NULL, 10) : -1;
}

bool case_starts_from(const value_case *c, const value_line *l) {
    for (size_t i = 0; i < c->n_lines; i++) {
        const char *from =
            line_is_op(&c->lines[i], "Variable") ? strstr(c->lines[i].text, " from ") : NULL;
        if (from && strlen(from + 6) == (size_t)l->name_size &&
            memcmp(from + 6, l->text, (size_t)l->name_size) == 0)
            return true;
    }
    return false;
}
