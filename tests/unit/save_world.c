/* SPDX-License-Identifier: MIT */
#include "unit/save_world.h"

#include "session/session.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- folders and files --------------------------------------------------- */

void folder_make(save_folder *d) {
    (void)snprintf(d->path, sizeof d->path, "/dev/shm/df-save-XXXXXX"); /* waits for no disk */
    if (!mkdtemp(d->path)) {
        (void)snprintf(d->path, sizeof d->path, "/tmp/df-save-XXXXXX");
        assert_non_null(mkdtemp(d->path));
    }
    (void)snprintf(d->file, sizeof d->file, "%s/file", d->path);
}

/* Calls each, which may be NULL, for all that is in it. */
static size_t each_file(const save_folder *d, int (*each)(const char *path)) {
    size_t n = 0;
    DIR *dir = opendir(d->path);
    assert_non_null(dir);
    for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
        char path[512];
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
        (void)snprintf(path, sizeof path, "%s/%s", d->path, e->d_name);
        if (each) assert_int_equal(each(path), 0);
        n++;
    }
    (void)closedir(dir);
    return n;
}

size_t folder_files(const save_folder *d) {
    return each_file(d, NULL);
}

void folder_remove(const save_folder *d) {
    (void)each_file(d, remove);
    assert_int_equal(rmdir(d->path), 0);
}

void image_read(image *m, const char *path) {
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    m->n = fread(m->data, 1, sizeof m->data, f);
    assert_true(m->n < sizeof m->data);
    (void)fclose(f);
}

void image_write(const image *m, const char *path) {
    (void)remove(path); /* some systems wait for the disk when a file is cut and written anew */
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(m->data, 1, m->n, f), m->n);
    assert_int_equal(fclose(f), 0);
}

/* ---- the format ---------------------------------------------------------- */

uint32_t crc_of(const void *data, size_t n) {
    const unsigned char *p = data;
    uint32_t x = 0xffffffffu;
    for (size_t i = 0; i < n; i++) {
        x ^= p[i];
        for (int bit = 0; bit < 8; bit++) x = x & 1 ? x >> 1 ^ 0xedb88320u : x >> 1;
    }
    return ~x;
}

void image_bytes(image *m, const void *data, size_t n) {
    assert_true(n <= sizeof m->data - m->n);
    if (n) memcpy(m->data + m->n, data, n);
    m->n += n;
}

void image_number(image *m, uint64_t number) {
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)(number >> 8 * i);
    image_bytes(m, bytes, sizeof bytes);
}

void image_sum(image *m) {
    image_number(m, crc_of(m->data + m->part, m->n - m->part));
    m->part = m->n;
}

void image_head(image *m, uint64_t version, uint64_t count) {
    m->n = m->part = 0;
    image_bytes(m, "\x89\x44\x46\x53\r\n\x1a\n", 8);
    image_number(m, version);
    image_number(m, count);
    image_sum(m);
}

void image_about(image *m, const char *name, uint64_t dtype, int rank, const int64_t *dims,
                 uint64_t bytes) {
    image_number(m, strlen(name));
    image_number(m, dtype);
    image_number(m, (uint64_t)(int64_t)rank);
    image_number(m, bytes);
    for (int i = 0; i < rank; i++) image_number(m, (uint64_t)dims[i]);
    image_bytes(m, name, strlen(name));
    image_sum(m);
}

/* ---- sessions ------------------------------------------------------------ */

void save_ok(run_world *w, const char *path) {
    if (df_session_save(w->s, path, &w->err) != DF_OK) fail_msg("%s", w->err.message);
}

void restore_ok(run_world *w, const char *path) {
    if (df_session_restore(w->s, path, &w->err) != DF_OK) fail_msg("%s", w->err.message);
}

/* A value is never written while somebody holds it: the same tensor is the same value. */
typedef struct values {
    df_tensor *items[64];
} values;

static void values_take(values *v, const df_session *s) {
    assert_true(s->n_variables <= 64);
    for (uint32_t i = 0; i < s->n_variables; i++)
        v->items[i] = df_tensor_ref(s->variables[i].value);
}

static void values_check(values *v, const df_session *s) {
    for (uint32_t i = 0; i < s->n_variables; i++) {
        assert_ptr_equal(v->items[i], s->variables[i].value);
        df_tensor_unref(v->items[i]);
    }
}

static void fails(run_world *w, df_code (*call)(df_session *, const char *, df_error *),
                  const char *path, df_code code, const char *words, const char *more) {
    values v;
    values_take(&v, w->s);
    w->err = (df_error){.code = DF_OK};
    df_code got = call(w->s, path, &w->err);
    values_check(&v, w->s);
    if (got != code || w->err.code != code)
        fail_msg("%s and %s, not %s: %s", df_code_name(got), df_code_name(w->err.code),
                 df_code_name(code), w->err.message);
    if (!strstr(w->err.message, words) || !strstr(w->err.message, more))
        fail_msg("no \"%s\" and \"%s\" in: %s", words, more, w->err.message);
}

void restore_fails(run_world *w, const char *path, df_code code, const char *words,
                   const char *more) {
    fails(w, df_session_restore, path, code, words, more);
}

void save_fails(run_world *w, const char *path, df_code code, const char *words, const char *more) {
    fails(w, df_session_save, path, code, words, more);
}
