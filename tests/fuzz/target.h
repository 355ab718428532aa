/* SPDX-License-Identifier: MIT
 *
 * target.h - what a fuzz target is made of.
 *
 * A target is one file, fuzz_X.c, with libFuzzer's function: it takes any bytes, and dies if
 * what the library does with them is not as promised. Two programs are made of it: fuzz_X, which
 * replays what is kept in corpus/X.txt (replay.c), and, built for it, hunt_X, in which libFuzzer
 * looks for more.
 *
 * A target asks for memory here, so that a leak shows at once and not at the end, and so that no
 * size in the bytes is believed.
 */
#ifndef FUZZ_TARGET_H
#define FUZZ_TARGET_H

#include <dataflow/dataflow.h>

#include <stdbool.h>

/* One input; 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Dies with these words unless it holds. */
#define FUZZ_MUST(condition, ...)                                                                  \
    ((condition) ? (void)0 : fuzz_die(__FILE__, __LINE__, #condition, __VA_ARGS__))
_Noreturn void fuzz_die(const char *file, int line, const char *condition, const char *format, ...)
    DF_PRINTF(4, 5);

/* Of one thread. */
typedef struct fuzz_heap {
    df_allocator allocator; /* hand out &h.allocator */
    size_t blocks;          /* live */
    size_t largest;         /* block that was asked for, since the target last wrote 0 here */
    size_t most;            /* a larger one fails; 0: none is too large */
    size_t countdown;       /* blocks until one fails, and all after it; 0: none does */
} fuzz_heap;

void fuzz_heap_init(fuzz_heap *h);

/* A code that is neither OK nor our own mistake, and words for it. */
void fuzz_check_error(df_code code, const df_error *err);

/* Does what has been done with a text: it is a graph, which is printed and read again alike, or
 * refused with its place. NULL: all is right; else what is not. */
const char *fuzz_text_wrong(df_runtime *rt, const char *words, size_t size, bool *is_graph);

/* The graph's text, with a zero behind it, to be freed. */
char *fuzz_print(const df_graph *g, size_t *size);

#endif /* FUZZ_TARGET_H */
