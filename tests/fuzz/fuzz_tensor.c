/* SPDX-License-Identifier: MIT
 *
 * Any bytes as the file of a save: tensors from who knows where.
 *
 * The first byte says which bytes. Even: the rest is the file. Odd: the rest is a file without its
 * checksums, which are put in here, since nobody finds them by chance: docs/running.md has the
 * format. What is refused has changed no variable; what is read is what the bytes say.
 */
#define _GNU_SOURCE /* memfd_create */

#include "fuzz/target.h"

#include "base/crc.h"
#include "session/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { HEAD = 24, ABOUT = 32, SUM = 8, LONGEST = 4096 };

/* ---- the file ------------------------------------------------------------ */

typedef struct file {
    uint8_t bytes[2 * LONGEST + HEAD + SUM];
    size_t n, part; /* where the part begins that has no checksum yet */
} file;

static uint64_t number_at(const uint8_t *at) {
    uint64_t n = 0;
    for (int i = 7; i >= 0; i--) n = n << 8 | at[i];
    return n;
}

static void put(file *f, const uint8_t *bytes, size_t n) {
    if (n) memcpy(f->bytes + f->n, bytes, n);
    f->n += n;
}

static void put_sum(file *f) {
    static crc sum;
    if (!sum.table[1]) crc_init(&sum);
    sum.value = 0;
    crc_add(&sum, f->bytes + f->part, f->n - f->part);
    for (int i = 0; i < SUM; i++) f->bytes[f->n++] = (uint8_t)((uint64_t)sum.value >> 8 * i);
    f->part = f->n;
}

/* What is said of a variable, as far as it is in n bytes: how many there are. 0: they are not. */
static size_t about_size(const uint8_t *at, size_t n) {
    if (n < ABOUT) return 0;
    uint64_t name = number_at(at), rank = number_at(at + 16);
    if (rank == UINT64_MAX) rank = 0;
    if (name > n || rank > DF_MAX_RANK || ABOUT + 8 * rank + name > n) return 0;
    return (size_t)(ABOUT + 8 * rank + name);
}

/* What has not been put yet. */
typedef struct rest {
    const uint8_t *at;
    size_t left;
} rest;

static void put_part(file *f, rest *r, size_t n) {
    put(f, r->at, n);
    put_sum(f);
    r->at += n;
    r->left -= n;
}

/* Up to where the bytes are no such file any more; then without. A part is at least 24 bytes, and
 * two are at least 32: so there is room for their sums. */
static void put_with_sums(file *f, const uint8_t *at, size_t left) {
    rest r = {at, left};
    if (left >= HEAD) put_part(f, &r, HEAD);
    for (size_t n; (n = about_size(r.at, r.left)) != 0;) {
        uint64_t elements = number_at(r.at + 24);
        if (elements > r.left - n) break;
        put_part(f, &r, n);
        put_part(f, &r, (size_t)elements);
    }
    put(f, r.at, r.left);
}

/* ---- the session --------------------------------------------------------- */

typedef struct world {
    fuzz_heap heap;
    df_runtime *rt;
    df_session *s;
    int fd;
    char path[64];
} world;

static void add_variable(df_graph *g, const char *name, df_dtype dtype, df_shape shape) {
    df_attr attrs[] = {df_attr_dtype("dtype", dtype), df_attr_shape("shape", shape)};
    df_graph_name(g, name);
    (void)df_node_add(g, "Variable", NULL, 0, attrs, 2);
}

/* With values and without, of known and unknown shapes, and of more than a header has room for. */
static void world_open(world *w) {
    fuzz_heap_init(&w->heap);
    df_runtime_options o = {.struct_size = sizeof o, .allocator = &w->heap.allocator};
    FUZZ_MUST(df_runtime_new(&o, &w->rt, NULL) == DF_OK, "no runtime");
    df_graph *g = df_graph_new(w->rt);
    df_error err;
    df_tensor *words = NULL;
    const df_string two[] = {{"a", 1}, {"", 0}};
    (void)df_variable(g, "a", DF_FLOAT64, DF_SHAPE(2, 3));
    add_variable(g, "v", DF_INT32, DF_SHAPE(-1, 2));
    add_variable(g, "u", DF_STRING, DF_SHAPE(-1));
    (void)df_variable(g, "h", DF_FLOAT16, DF_SCALAR);
    (void)df_tensor_from(NULL, DF_STRING, DF_SHAPE(2), two, &words, NULL);
    (void)df_variable_from(g, "w", df_const(g, words));
    FUZZ_MUST(df_session_new(g, NULL, &w->s, &err) == DF_OK, "%s", err.message);
    df_tensor_unref(words);
    df_graph_free(g);
    w->fd = memfd_create("fuzz", MFD_CLOEXEC);
    FUZZ_MUST(w->fd >= 0, "no file in memory");
    (void)snprintf(w->path, sizeof w->path, "/proc/self/fd/%d", w->fd);
}

static void write_file(const world *w, const file *f) {
    FUZZ_MUST(ftruncate(w->fd, 0) == 0, "it cannot be cut");
    FUZZ_MUST(pwrite(w->fd, f->bytes, f->n, 0) == (ssize_t)f->n, "it cannot be written");
}

/* ---- what was read ------------------------------------------------------- */

static void check_elements(const df_tensor *t, const uint8_t *at, size_t n) {
    size_t width = df_dtype_size(t->dtype), used = 0;
    for (int64_t i = 0; i < t->elements; i++) {
        const df_string *s = &((const df_string *)t->data)[i];
        const uint8_t *here = (const uint8_t *)t->data + (size_t)i * width;
        if (t->dtype == DF_STRING) {
            FUZZ_MUST(number_at(at + used) == s->size, "string %d has another size", (int)i);
            FUZZ_MUST(!s->size || memcmp(at + used + 8, s->data, s->size) == 0, "other bytes");
            used += 8 + s->size;
        } else {
            const bool turns = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;
            for (size_t k = 0; k < width; k++)
                FUZZ_MUST(here[turns ? width - 1 - k : k] == at[used + k], "element %d", (int)i);
            used += width;
        }
    }
    FUZZ_MUST(used == n, "%zu bytes of %zu are the elements", used, n);
}

static const variable *find(const df_session *s, const uint8_t *name, size_t n) {
    for (uint32_t i = 0; i < s->n_variables; i++)
        if (strlen(s->variables[i].name) == n && memcmp(s->variables[i].name, name, n) == 0)
            return &s->variables[i];
    return NULL;
}

/* The file was read: each variable is what it says. */
static void check_values(const df_session *s, const file *f) {
    const uint8_t *at = f->bytes + HEAD + SUM, *end = f->bytes + f->n;
    uint32_t n_found = 0;
    for (size_t n; at < end && (n = about_size(at, (size_t)(end - at))) != 0; n_found++) {
        size_t length = (size_t)number_at(at), bytes = (size_t)number_at(at + 24);
        int rank = (int)number_at(at + 16);
        const variable *v = find(s, at + n - length, length);
        FUZZ_MUST(v != NULL, "there is no variable \"%.*s\"", (int)length, at + n - length);
        const df_tensor *t = v->value;
        FUZZ_MUST((t != NULL) == (rank >= 0), "%s has a value, or should", v->name);
        at += n + SUM;
        if (t) {
            FUZZ_MUST(t->rank == rank && shape_fits(tensor_shape(t), edge_shape(v->type)),
                      "%s has another shape", v->name);
            check_elements(t, at, bytes);
        }
        at += bytes + SUM;
    }
    FUZZ_MUST(at == end && n_found == s->n_variables, "%u variables were read", n_found);
}

/* ---- one input ----------------------------------------------------------- */

/* What the library has in use, without what it keeps for the next. */
static size_t in_use(world *w) {
    memory_trim(w->rt->host);
    return w->heap.blocks;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static world w;
    static file f;
    df_tensor *before[8];
    if (!w.rt) world_open(&w);
    if (size < 1 || size > LONGEST) return 0;
    f.n = f.part = 0;
    if (data[0] & 1)
        put_with_sums(&f, data + 1, size - 1);
    else
        put(&f, data + 1, size - 1);
    write_file(&w, &f);

    size_t used = in_use(&w);
    for (uint32_t i = 0; i < w.s->n_variables; i++) before[i] = w.s->variables[i].value;
    w.heap.largest = 0;
    df_error err = {.code = DF_OK};
    df_code code = df_session_restore(w.s, w.path, &err);
    FUZZ_MUST(w.heap.largest <= 4 * f.n + 4096, "%zu bytes for a file of %zu", w.heap.largest, f.n);
    if (code == DF_OK) {
        check_values(w.s, &f);
        return 0;
    }
    fuzz_check_error(code, &err);
    FUZZ_MUST(code == DF_INVALID_ARGUMENT || code == DF_DATA_LOSS || code == DF_FAILED_PRECONDITION,
              "%s: %s", df_code_name(code), err.message);
    FUZZ_MUST(strstr(err.message, w.path), "which file? %s", err.message);
    for (uint32_t i = 0; i < w.s->n_variables; i++)
        FUZZ_MUST(w.s->variables[i].value == before[i], "%s has changed", w.s->variables[i].name);
    FUZZ_MUST(in_use(&w) == used, "%zu blocks have leaked", w.heap.blocks - used);
    return 0;
}
