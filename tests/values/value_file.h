/* SPDX-License-Identifier: MIT
 *
 * value_file.h - cases of what an op must give, as text.
 *
 *   # what this case shows
 *   case broadcast_middle within 1e-6
 *   a = Const() {value=float32[2,1,3](1,2,3,4,5,6)}
 *   b = Const() {value=float32[4,1](1,2,3,4)}
 *   y = Add(a, b)
 *   want = Const() {value=float32[2,4,3](...)}
 *
 * y is the node in question, want what its output 0 must be, want_1 output 1, and so on. A
 * Placeholder x is fed with the Const x_fed. A case ends where the next begins. Behind its name
 * stands how it is judged:
 *
 *   (nothing)                 each element has the same bits, any NaN being like any other
 *   within T                  |got - want| <= T * max(1, |want|)
 *   within T relative         |got - want| <= T * |want|
 *   fails CODE "words"...     is refused when the node is added; the message has all words in it
 *   fails in_step CODE ...    can be built and compiled, and running it fails
 *   fails sometime CODE ...   one or the other
 *   on CPU                    at the end: not on other devices
 */
#ifndef VALUES_VALUE_FILE_H
#define VALUES_VALUE_FILE_H

#include <dataflow/error.h>

#include <stdbool.h>

enum { CASE_WORDS = 6, CASE_LINES = 96, CASE_OUTPUTS = 64 };

typedef enum judgement {
    SAME,
    WITHIN,
    WITHIN_RELATIVE,
    FAILS,
    FAILS_IN_STEP,
    FAILS_SOMETIME
} judgement;

typedef struct value_line {
    const char *text; /* zero-terminated */
    const char *op;   /* "Const(..." in it */
    int name_size;    /* of the node: the text up to here */
} value_line;

/* Everything points into the text of the file. */
typedef struct value_case {
    int line; /* where it begins */
    const char *name;
    judgement how;
    double tolerance;
    df_code code; /* of a failure */
    const char *words[CASE_WORDS];
    size_t n_words;
    bool cpu_only;
    value_line lines[CASE_LINES];
    size_t n_lines;
    const value_line *y;
} value_case;

typedef struct value_file {
    const char *name;
    char *text; /* owned; cut into lines and words as it is read */
    char *at;
    char *pending;   /* a line that was read too early; NULL: none */
    int line;        /* of the one read last */
    char wrong[200]; /* why it could not be read on */
} value_file;

/* False: there is no such file. */
bool value_file_open(value_file *f, const char *path);
void value_file_of(value_file *f, const char *name, const char *text); /* which is copied */
void value_file_close(value_file *f);
/* The next case. False: there is none, or f->wrong says what is wrong with it. */
bool value_file_next(value_file *f, value_case *c);

/* The line of a node, or NULL. */
const value_line *case_find(const value_case *c, const char *name);
bool line_is_named(const value_line *l, const char *name);
bool line_is_op(const value_line *l, const char *op);
/* want is 0, want_1 is 1; -1 for other lines. */
int line_wanted(const value_line *l);
/* The line's node is what another starts from ("from a"). */
bool case_starts_from(const value_case *c, const value_line *l);

#endif /* VALUES_VALUE_FILE_H */
