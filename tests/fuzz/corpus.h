/* SPDX-License-Identifier: MIT
 *
 * corpus.h - texts of graphs to start from, and what can be done to a text.
 *
 * Started from are the golden files, graphs and partitions; graphs drawn at random, and their
 * partitions; and a graph with each op of the registry for which a few draws find inputs and
 * attrs that it takes.
 */
#ifndef FUZZ_CORPUS_H
#define FUZZ_CORPUS_H

#include "property/random.h"
#include "unit/compile_world.h"

enum { CORPUS_MOST = 512, CORPUS_TEXT_MAX = 1 << 16 };

typedef struct corpus_text {
    char *at;
    size_t size;
} corpus_text;

typedef struct corpus {
    corpus_text texts[CORPUS_MOST];
    size_t n;
    size_t ops, ops_reached; /* that the runtime has, and that are in some text */
} corpus;

/* Opens the world anew: its runtime has all the ops. */
void corpus_init(corpus *c, compile_world *w, uint64_t seed);
void corpus_fini(corpus *c);

/* Writes a text into `out`, of CORPUS_TEXT_MAX bytes: one of the corpus with some changes, or
 * noise. Returns its size. */
size_t corpus_draw(const corpus *c, draws *d, char *out);

#endif /* FUZZ_CORPUS_H */
