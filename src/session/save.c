/* SPDX-License-Identifier: MIT
 *
 * Variables into a file, and back. docs/running.md has the format.
 *
 *   save      all values at once | one by one: to the host, to a file beside | its name
 *   restore   the file, checked  | one by one: to the devices                | all values at once
 *
 * 1. All variables change hands under one ticket, which is held for nothing else; those of a
 * session over a cluster in one step. What is saved are references: whoever writes a value in place
 * is its only holder.
 * 2. A part of the file is believed when its checksum is right, and a length in it never before it
 *    was held against what is left of the file.
 */
#include "session/session.h"

#include "base/crc.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TURNS = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ }; /* bytes lie here as in the file if not */

/* What a file begins with; its own checksum comes behind. */
typedef struct head {
    char magic[8];
    uint64_t version, count;
} head;

/* Much as PNG's: no text, and changed by what changes the ends of lines, but for the first four. */
static const char magic[] = "\x89\x44\x46\x53\r\n\x1a\n";
enum { VERSION = 1 };

/* The numbers that a variable begins with. */
enum { NAME, DTYPE, RANK, BYTES, ABOUT };

/* One call of save or restore. */
typedef struct file {
    df_session *session;
    const char *path;
    df_error *err;
    df_code code; /* of what went wrong first */
    int fd;
    uint64_t left;      /* bytes to be read */
    uint32_t next;      /* the variable whose turn it is, if the file is of this graph */
    df_tensor **values; /* by variable; owned */
    touches touched;    /* to be saved: all are read. Found in the file: is written. */
    size_t used;        /* bytes of the buffer, to be written */
    crc sum;            /* of this part so far */
    char buffer[4096];
} file;

/* ---- what goes wrong; each is false -------------------------------------- */

static bool failed(file *f, df_code code) {
    f->code = code;
    return false;
}

static bool unavailable(file *f, df_code code, const char *what) {
    char words[80];
    words[0] = '\0';
    (void)strerror_r(errno, words, sizeof words);
    return failed(f, error_set(f->err, code, "%.300s cannot be %s: %s", f->path, what, words));
}

static bool unreadable(file *f) {
    return unavailable(f, errno == ENOENT ? DF_NOT_FOUND : DF_UNAVAILABLE, "read");
}

static bool damaged(file *f) {
    return failed(f, error_set(f->err, DF_DATA_LOSS,
                               "%.300s is torn or was changed, where %" PRIu64
                               " bytes are left or before: take another",
                               f->path, f->left));
}

static bool foreign(file *f) {
    return failed(f, error_invalid(f->err, "%.300s is no file of df_session_save", f->path));
}

static bool differs(file *f, const char *name, const char *how) {
    return failed(f, error_set(f->err, DF_FAILED_PRECONDITION,
                               "variable %.100s in %.150s %s: restore what this graph saved", name,
                               f->path, how));
}

/* ---- all variables at once ----------------------------------------------- */

static df_code end(file *f) {
    const df_session *s = f->session;
    for (uint32_t i = 0; f->values && i < s->n_variables; i++) df_tensor_unref(f->values[i]);
    alloc_free(s->rt->alloc, f->values, s->n_variables * sizeof(df_tensor *));
    alloc_free(s->rt->alloc, f->touched.reads, 2 * f->touched.words * sizeof(uint64_t));
    return f->code;
}

static df_code begin(file *f, df_session *s, const char *path, df_error *err) {
    if (!s || !path) return error_invalid(err, "the %s is NULL", s ? "path" : "session");
    df_code code = session_check_open(s, err);
    if (code == DF_OK) code = runtime_may_wait(s->rt, "saves or restores a session", err);
    if (code != DF_OK) return code;
    size_t words = ((size_t)s->n_variables + 63) / 64;
    *f = (file){.session = s, .path = path, .err = err};
    f->values = alloc_array(s->rt->alloc, s->n_variables, sizeof(df_tensor *));
    f->touched = (touches){.words = words, .any = words > 0};
    f->touched.reads = alloc_array(s->rt->alloc, 2 * words, sizeof(uint64_t));
    if (!f->values || !f->touched.reads) {
        f->code = error_memory(err, "variables");
        return end(f);
    }
    f->touched.writes = f->touched.reads + words;
    crc_init(&f->sum);
    return DF_OK;
}

/* Waits for its turn. The values of what is written change places with f's; of the others f gets
 * references. */
static void exchange_here(file *f, bool writes) {
    df_session *s = f->session;
    tickets *t = &s->group->tickets;
    ticket mine = {.what = &f->touched};
    tickets_wait(t, &mine);
    for (uint32_t i = 0; i < s->n_variables; i++) {
        df_tensor *old = s->variables[i].value;
        if (writes)
            s->variables[i].value = f->values[i];
        else
            (void)df_tensor_ref(old);
        f->values[i] = old;
    }
    tickets_give(t, &mine);
}

static void exchange(file *f, bool writes) {
    df_session *s = f->session;
    if (!s->calls)
        exchange_here(f, writes);
    else if (s->n_variables)
        f->code = (writes ? s->calls->write : s->calls->read)(s, f->values, f->err);
}

/* Of a session over a cluster they are all in host memory here. */
static df_code move(file *f, const variable *v, uint32_t to, df_tensor *t, df_tensor **out) {
    if (!f->session->calls)
        return move_tensor(f->session->rt->devices[v->device], to, t, out, f->err);
    *out = df_tensor_ref(t);
    return DF_OK;
}

/* ---- writing ------------------------------------------------------------- */

static void check(file *f, ssize_t result) {
    if (result < 0 && f->code == DF_OK) (void)unavailable(f, DF_UNAVAILABLE, "written");
}

static void write_out(file *f, const char *at, size_t n) {
    while (n && f->code == DF_OK) {
        ssize_t done = write(f->fd, at, n);
        if (done < 0) {
            if (errno != EINTR) check(f, done);
            continue;
        }
        at += done;
        n -= (size_t)done;
    }
}

static void flush(file *f) {
    write_out(f, f->buffer, f->used);
    f->used = 0;
}

static void put(file *f, const void *data, size_t n) {
    if (!n) return;
    crc_add(&f->sum, data, n);
    if (n > sizeof f->buffer - f->used) flush(f);
    if (n > sizeof f->buffer) {
        write_out(f, data, n);
        return;
    }
    memcpy(f->buffer + f->used, data, n);
    f->used += n;
}

static uint64_t turned(uint64_t number) {
    return TURNS ? __builtin_bswap64(number) : number;
}

static void turn(char *to, const char *from, size_t width) {
    for (size_t i = 0; i < width; i++) to[i] = from[width - 1 - i];
}

/* n numbers of so many bytes each. */
static void put_numbers(file *f, const void *numbers, size_t n, size_t width) {
    if (!TURNS) put(f, numbers, n * width);
    for (size_t i = 0; TURNS && i < n; i++) {
        char one[8];
        turn(one, (const char *)numbers + i * width, width);
        put(f, one, width);
    }
}

static void put_number(file *f, uint64_t number) {
    number = turned(number);
    put(f, &number, sizeof number);
}

static void put_sum(file *f) {
    put_number(f, f->sum.value);
    f->sum.value = 0;
}

/* A string is its size and its bytes. */
static uint64_t bytes_in_file(const df_tensor *t) {
    const df_string *s = t->data;
    uint64_t bytes = t->bytes;
    if (t->dtype != DF_STRING) return bytes;
    bytes = 0;
    for (int64_t i = 0; i < t->elements; i++) bytes += sizeof(uint64_t) + s[i].size;
    return bytes;
}

static void put_elements(file *f, const df_tensor *t) {
    const df_string *s = t->data;
    if (t->dtype != DF_STRING)
        put_numbers(f, t->data, (size_t)t->elements, df_dtype_size(t->dtype));
    else
        for (int64_t i = 0; i < t->elements; i++) {
            put_number(f, s[i].size);
            put(f, s[i].data, s[i].size);
        }
}

static void put_variable(file *f, const variable *v, df_tensor **value) {
    if (*value) {
        df_tensor *t = *value;
        *value = NULL;
        f->code = move(f, v, DF_MEMORY_HOST, t, value);
        df_tensor_unref(t);
        if (f->code != DF_OK) {
            error_prefix(f->err, "variable %.100s: ", v->name);
            return;
        }
    }
    const df_tensor *t = *value;
    const size_t length = strlen(v->name);
    uint64_t about[ABOUT] = {length, (uint64_t)v->type->dtype, UINT64_MAX};
    if (t) {
        about[RANK] = (uint64_t)t->rank;
        about[BYTES] = bytes_in_file(t);
    }
    put_numbers(f, about, ABOUT, sizeof *about);
    if (t) put_numbers(f, t->dims, (size_t)t->rank, sizeof *t->dims);
    put(f, v->name, length);
    put_sum(f);
    if (t) put_elements(f, t);
    put_sum(f);
    df_tensor_unref(*value);
    *value = NULL;
}

static void put_all(file *f) {
    df_session *s = f->session;
    head h = {.version = turned(VERSION), .count = turned(s->n_variables)};
    memcpy(h.magic, magic, sizeof h.magic);
    put(f, &h, sizeof h);
    put_sum(f);
    for (uint32_t i = 0; f->code == DF_OK && i < s->n_variables; i++)
        put_variable(f, &s->variables[i], &f->values[i]);
    flush(f);
}

/* A name is written in its folder. Some systems cannot be told to. */
static void sync_folder(file *f, char *path) {
    char *slash = strrchr(path, '/');
    if (slash) slash[1] = '\0';
    int folder = open(slash ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    check(f, folder);
    if (folder < 0) return;
    int result = fsync(folder);
    if (errno != EINVAL) check(f, result);
    (void)close(folder);
}

df_code df_session_save(df_session *session, const char *path, df_error *err) {
    file f;
    char beside[4096]; /* no path is longer */
    df_code code = begin(&f, session, path, err);
    if (code != DF_OK) return code;
    memset(f.touched.reads, 0xff, f.touched.words * sizeof(uint64_t));
    exchange(&f, false);
    if (f.code != DF_OK) return end(&f);
    (void)snprintf(beside, sizeof beside, "%.4080s.%08x", path, (unsigned)runtime_draw());
    f.fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    check(&f, f.fd);
    if (f.fd < 0) return end(&f);
    put_all(&f);
    if (f.code == DF_OK) check(&f, fsync(f.fd));
    check(&f, close(f.fd));
    if (f.code == DF_OK) check(&f, rename(beside, path));
    if (f.code != DF_OK)
        (void)unlink(beside);
    else
        sync_folder(&f, beside);
    return end(&f);
}

/* ---- reading: false if it went wrong ------------------------------------- */

static bool get(file *f, void *into, size_t n) {
    char *at = into;
    if (n > f->left) return damaged(f);
    f->left -= n;
    while (n) {
        ssize_t done = read(f->fd, at, n);
        if (done == 0) return damaged(f); /* somebody has just cut it */
        if (done < 0) {
            if (errno != EINTR) return unreadable(f);
            continue;
        }
        crc_add(&f->sum, at, (size_t)done);
        at += done;
        n -= (size_t)done;
    }
    return true;
}

/* n numbers of so many bytes each. */
static bool get_numbers(file *f, void *numbers, size_t n, size_t width) {
    if (!get(f, numbers, n * width)) return false;
    for (size_t i = 0; TURNS && i < n; i++) {
        char one[8], *at = (char *)numbers + i * width;
        turn(one, at, width);
        memcpy(at, one, width);
    }
    return true;
}

static bool check_sum(file *f) {
    uint64_t should = f->sum.value, is;
    if (!get_numbers(f, &is, 1, sizeof is)) return false;
    f->sum.value = 0;
    return is == should || damaged(f);
}

/* What the strings in these bytes are. */
static bool split(df_string *s, size_t n, const char *at, size_t left) {
    for (; n; n--, s++) {
        uint64_t size;
        if (left < sizeof size) return false;
        memcpy(&size, at, sizeof size);
        size = turned(size);
        at += sizeof size;
        left -= sizeof size;
        if (size > left) return false;
        *s = (df_string){at, (size_t)size};
        at += size;
        left -= (size_t)size;
    }
    return left == 0;
}

static bool get_strings(file *f, df_shape shape, size_t n, size_t bytes, df_tensor **out) {
    const df_allocator *alloc = f->session->rt->alloc;
    const size_t table = n * sizeof(df_string);
    size_t all;
    if (n > bytes / sizeof(uint64_t)) return damaged(f);
    char *block = size_add(table, bytes, &all) ? alloc_bytes(alloc, all) : NULL;
    if (!block) return failed(f, error_memory(f->err, "strings"));
    if (get(f, block + table, bytes)) {
        if (split((df_string *)(void *)block, n, block + table, bytes))
            f->code = df_tensor_from(alloc, DF_STRING, shape, block, out, f->err);
        else
            (void)damaged(f);
    }
    alloc_free(alloc, block, all);
    return f->code == DF_OK;
}

/* A host tensor; *out may be set on failure. */
static bool get_value(file *f, const edge_type *type, uint64_t all, df_tensor **out) {
    memory *host = f->session->rt->host;
    df_shape shape = edge_shape(type);
    int64_t n;
    size_t bytes;
    if (all > f->left) return damaged(f);
    if ((size_t)all != all) return failed(f, error_memory(f->err, "its value"));
    if (tensor_size(type->dtype, shape, &n, &bytes, NULL) != DF_OK) return damaged(f);
    if (type->dtype == DF_STRING) return get_strings(f, shape, (size_t)n, (size_t)all, out);
    if (bytes != all) return damaged(f);
    f->code = tensor_new_in(host, host, type->dtype, shape, out, f->err);
    return f->code == DF_OK && get_numbers(f, (*out)->data, (size_t)n, df_dtype_size(type->dtype));
}

/* By the name in the buffer. NULL: there is none. */
static const variable *find(file *f) {
    const df_session *s = f->session;
    for (uint32_t i = 0; i < s->n_variables; i++) {
        const variable *v = &s->variables[f->next];
        if (++f->next == s->n_variables) f->next = 0;
        if (strcmp(v->name, f->buffer) == 0) return v;
    }
    return NULL;
}

static bool fits(const edge_type *there, const edge_type *here) {
    if (there->dtype != here->dtype) return false;
    if (there->rank < 0) return !shape_is_known(edge_shape(here));
    return shape_fits(edge_shape(there), edge_shape(here));
}

static bool differs_in_type(file *f, const edge_type *there, const edge_type *here) {
    char how[3 * SHAPE_TEXT_MAX];
    (void)snprintf(how, sizeof how, "is %s%s, in the graph %s%s", df_dtype_name(there->dtype),
                   edge_text(there).s, df_dtype_name(here->dtype), edge_text(here).s);
    return differs(f, f->buffer, how);
}

static bool get_variable(file *f) {
    const df_session *s = f->session;
    uint64_t about[ABOUT];
    if (!get_numbers(f, about, ABOUT, sizeof *about)) return false;
    const uint64_t length = about[NAME], rank = about[RANK] == UINT64_MAX ? 0 : about[RANK];
    if (length >= sizeof f->buffer || rank > DF_MAX_RANK || about[DTYPE] > UINT8_MAX)
        return damaged(f);
    edge_type there = {.dtype = (df_dtype)about[DTYPE], .rank = (int)about[RANK]};
    if (!get_numbers(f, there.dims, (size_t)rank, sizeof *there.dims) ||
        !get(f, f->buffer, (size_t)length) || !check_sum(f))
        return false;
    f->buffer[length] = '\0';

    const variable *v = find(f);
    if (!v) return differs(f, f->buffer, "is not in the graph");
    if (!fits(&there, v->type)) return differs_in_type(f, &there, v->type);
    uint32_t i = (uint32_t)(v - s->variables);
    uint64_t *found = &f->touched.writes[i / 64], bit = UINT64_C(1) << i % 64;
    if (*found & bit || (there.rank < 0 && about[BYTES])) return damaged(f);
    *found |= bit;

    df_tensor *t = NULL;
    bool ok = there.rank < 0 || get_value(f, &there, about[BYTES], &t);
    if (ok && check_sum(f) && t) f->code = move(f, v, DF_MEMORY_DEVICE, t, &f->values[i]);
    df_tensor_unref(t);
    if (f->code != DF_OK) error_prefix(f->err, "variable %.100s: ", v->name);
    return f->code == DF_OK;
}

static bool get_head(file *f, head *h) {
    struct stat is;
    if (fstat(f->fd, &is) < 0) return unreadable(f);
    if (!S_ISREG(is.st_mode)) return foreign(f);
    f->left = (uint64_t)is.st_size;
    size_t n = f->left < sizeof *h ? (size_t)f->left : sizeof *h;
    if (!get(f, h, n)) return false;
    if (memcmp(h, magic, n < 4 ? n : 4) != 0) return foreign(f);
    if (!check_sum(f)) return false; /* nor is one there if this was not all */
    if (memcmp(h, magic, sizeof h->magic) != 0) return damaged(f);
    h->version = turned(h->version);
    h->count = turned(h->count);
    if (h->version == VERSION) return true;
    return failed(f, error_invalid(f->err,
                                   "%.300s is of version %" PRIu64
                                   " of the format, this library knows %d: take a later one",
                                   f->path, h->version, VERSION));
}

static bool get_all(file *f) {
    const df_session *s = f->session;
    head h;
    if (!get_head(f, &h)) return false;
    for (uint64_t i = 0; i < h.count; i++)
        if (!get_variable(f)) return false;
    if (f->left) return damaged(f);
    for (uint32_t i = 0; i < s->n_variables; i++)
        if (!(f->touched.writes[i / 64] >> i % 64 & 1))
            return differs(f, s->variables[i].name, "is missing");
    return true;
}

df_code df_session_restore(df_session *session, const char *path, df_error *err) {
    file f;
    df_code code = begin(&f, session, path, err);
    if (code != DF_OK) return code;
    f.fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* no waiting if it is a pipe */
    if (f.fd < 0) {
        (void)unreadable(&f);
        return end(&f);
    }
    if (get_all(&f)) exchange(&f, true);
    (void)close(f.fd);
    return end(&f);
}
