/* SPDX-License-Identifier: MIT
 *
 * data.h - the images: read from a file, divided, and handed out in batches.
 */
#ifndef SHARED_DATA_H
#define SHARED_DATA_H

#include "random.h"

#include <dataflow/dataflow.h>

enum { DIGITS_PIXELS = 64, DIGITS_INK = 16, DIGITS_CLASSES = 10 };

typedef struct digits {
    size_t n;
    uint8_t (*pixels)[DIGITS_PIXELS]; /* 0 to DIGITS_INK */
    uint8_t *labels;
    size_t *order;   /* all rows: those to train with, then those held out */
    size_t n_train;  /* four fifths */
    size_t n_tested; /* held out: the rest */
} digits;

/* Reads the file and divides it: by chance, as its lines are in the order of the writers.
 * False if there is no memory or the file is not as it should be, which is then printed. */
bool digits_read(digits *d, const char *path, random_state *r);
void digits_free(digits *d);

/* Puts the rows to train with into a new order. */
void digits_shuffle(digits *d, random_state *r);

/* The rows order[first] to order[first + n - 1] as tensors: images uint8 [n, 64] and labels
 * int64 [n]. The caller owns both; on failure they are NULL. */
df_code digits_batch(const digits *d, size_t first, size_t n, df_tensor *batch[2], df_error *err);

#endif /* SHARED_DATA_H */
