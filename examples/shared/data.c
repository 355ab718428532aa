/* SPDX-License-Identifier: MIT */
#include "data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading ------------------------------------------------------------- */

/* A number from 0 to max that `end` follows; moves *text behind it. */
static bool read_number(const char **text, long max, char end, uint8_t *out) {
    char *stop;
    long value = strtol(*text, &stop, 10);
    if (stop == *text || *stop != end || value < 0 || value > max) return false;
    *text = stop + 1;
    *out = (uint8_t)value;
    return true;
}

static bool read_row(digits *d, size_t row, const char *line) {
    for (size_t i = 0; i < DIGITS_PIXELS; i++)
        if (!read_number(&line, DIGITS_INK, ',', &d->pixels[row][i])) return false;
    return read_number(&line, DIGITS_CLASSES - 1, '\n', &d->labels[row]);
}

static bool reserve(digits *d, size_t n) {
    void *pixels = realloc(d->pixels, n * sizeof *d->pixels);
    if (pixels) d->pixels = pixels;
    void *labels = realloc(d->labels, n * sizeof *d->labels);
    if (labels) d->labels = labels;
    void *order = realloc(d->order, n * sizeof *d->order);
    if (order) d->order = order;
    return pixels && labels && order;
}

static bool read_rows(digits *d, FILE *file, const char *path) {
    char line[512];
    for (size_t room = 0; fgets(line, sizeof line, file); d->n++) {
        if (d->n == room && !reserve(d, room = room ? 2 * room : 1024)) {
            fprintf(stderr, "images: no memory for %s\n", path);
            return false;
        }
        if (!read_row(d, d->n, line)) {
            fprintf(stderr, "images: %s:%zu is not 64 pixels from 0 to 16 and a digit\n", path,
                    d->n + 1);
            return false;
        }
        d->order[d->n] = d->n;
    }
    if (d->n >= 5 && !ferror(file)) return true;
    fprintf(stderr, "images: %s could not be read, or has hardly a line\n", path);
    return false;
}

bool digits_read(digits *d, const char *path, random_state *r) {
    memset(d, 0, sizeof *d);
    FILE *file = fopen(path, "r");
    if (!file) {
        perror(path);
        return false;
    }
    bool ok = read_rows(d, file, path);
    fclose(file);
    if (!ok) {
        digits_free(d);
        return false;
    }
    random_shuffle(r, d->order, d->n);
    d->n_tested = d->n / 5;
    d->n_train = d->n - d->n_tested;
    return true;
}

void digits_free(digits *d) {
    free(d->pixels);
    free(d->labels);
    free(d->order);
    memset(d, 0, sizeof *d);
}

/* ---- handing out --------------------------------------------------------- */

void digits_shuffle(digits *d, random_state *r) {
    random_shuffle(r, d->order, d->n_train);
}

df_code digits_batch(const digits *d, size_t first, size_t n, df_tensor *batch[2], df_error *err) {
    int64_t dims[] = {(int64_t)n, DIGITS_PIXELS};
    batch[0] = batch[1] = NULL;
    if (df_tensor_new(NULL, DF_UINT8, (df_shape){2, dims}, &batch[0], err)) return err->code;
    if (df_tensor_new(NULL, DF_INT64, (df_shape){1, dims}, &batch[1], err)) {
        df_tensor_unref(batch[0]);
        batch[0] = NULL;
        return err->code;
    }
    /* A tensor may be written to until it is handed to somebody else. */
    uint8_t(*pixels)[DIGITS_PIXELS] = df_tensor_data(batch[0]);
    int64_t *labels = df_tensor_data(batch[1]);
    for (size_t i = 0; i < n; i++) {
        size_t row = d->order[first + i];
        memcpy(pixels[i], d->pixels[row], sizeof *pixels);
        labels[i] = d->labels[row];
    }
    return DF_OK;
}
