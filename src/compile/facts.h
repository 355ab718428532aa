/* SPDX-License-Identifier: MIT
 *
 * facts.h - lists of facts, written as text or as JSON by the same calls.
 *
 *   copies                                     "copies": [
 *     y:0  cpu:0  -> sim:0  used by z            {"edge": "y:0", "from": "cpu:0", ...},
 *
 * 1. A fact is made of columns, which only the text has, and fields, which only JSON has.
 * 2. Columns are aligned. A first round over a list writes nothing, and finds their widths;
 *    so what tells a list is called twice.
 * 3. Running out of memory is sticky, in both texts: ask once at the end.
 */
#ifndef COMPILE_FACTS_H
#define COMPILE_FACTS_H

#include "base/text.h"

#include <stdint.h>

enum { FACT_COLUMNS = 6, FACT_WIDEST = 32 /* wider ones push the others */ };

typedef struct facts {
    text words; /* of the column or field that is being made */
    text *t;
    bool json, measuring;
    uint32_t lists, n; /* n: facts of this list so far */
    int column;
    size_t width[FACT_COLUMNS], gap; /* gap: blanks due before the next column */
} facts;

void fact_list(facts *f, const char *name, void (*tell)(void *arg), void *arg);
void fact_end_all(facts *f);

void fact_begin(facts *f);
void fact_end(facts *f);
void fact_column(facts *f, const char *s);
void fact_line(facts *f, const char *s); /* text only: a line of its own, at the end */
void fact_field(facts *f, const char *key, const char *s);
void fact_json(facts *f, const char *key, const char *value); /* which is JSON already */
void fact_both(facts *f, const char *key, const char *s);     /* column and field */

/* The words, emptied; and what has been added to them. */
text *fact_words(facts *f);
const char *fact_said(const facts *f);
void fact_unsay(facts *f, size_t length); /* all but the first `length` bytes */
/* Adds one of several names to the words, quoted in JSON: `before` came before it. */
void fact_name(facts *f, const char *name, uint32_t before);

#endif /* COMPILE_FACTS_H */
