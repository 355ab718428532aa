/* SPDX-License-Identifier: MIT
 *
 * save_world.h - folders, files, and the file of a save taken apart and put together, without a
 * line of the library's.
 */
#ifndef UNIT_SAVE_WORLD_H
#define UNIT_SAVE_WORLD_H

#include "support/ops_for_tests.h"

/* ---- folders and files --------------------------------------------------- */

/* A folder of the test's own, and a path in it. */
typedef struct save_folder {
    char path[64], file[96];
} save_folder;

void folder_make(save_folder *d);
size_t folder_files(const save_folder *d); /* how many there are */
void folder_remove(const save_folder *d);  /* with all in it */

/* A file's bytes, or what a test makes one of. */
typedef struct image {
    unsigned char data[1 << 18];
    size_t n;
    size_t part; /* where the part began that has no checksum yet */
} image;

void image_read(image *m, const char *path);
void image_write(const image *m, const char *path);

/* ---- the format ---------------------------------------------------------- */

uint32_t crc_of(const void *data, size_t n); /* bit by bit */

void image_bytes(image *m, const void *data, size_t n);
void image_number(image *m, uint64_t number); /* eight bytes, the lowest first */
void image_sum(image *m);                     /* the end of a part */

void image_head(image *m, uint64_t version, uint64_t count); /* begins anew */
/* What is said of a variable, its elements' sum excluded. */
void image_about(image *m, const char *name, uint64_t dtype, int rank, const int64_t *dims,
                 uint64_t bytes);

/* ---- sessions ------------------------------------------------------------ */

void save_ok(run_world *w, const char *path);
void restore_ok(run_world *w, const char *path);
/* Fails with this code and these words, and every variable is as it was. */
void restore_fails(run_world *w, const char *path, df_code code, const char *words,
                   const char *more);
void save_fails(run_world *w, const char *path, df_code code, const char *words, const char *more);

#endif /* UNIT_SAVE_WORLD_H */
