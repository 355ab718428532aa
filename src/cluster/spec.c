/* SPDX-License-Identifier: MIT */
#include "cluster/cluster.h"

#include "base/hash.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>

/* A specification and all its words, in one block. */
typedef struct spec_block {
    df_cluster_spec spec; /* first member */
    const df_allocator *alloc;
    size_t bytes;
    df_cluster_task tasks[];
} spec_block;

static size_t length_of(const char *s) {
    return s ? strlen(s) + 1 : 0;
}

static const char *keep(char **at, const char *s) {
    char *kept = *at;
    if (!s) return NULL;
    memcpy(kept, s, strlen(s) + 1);
    *at += strlen(s) + 1;
    return kept;
}

static df_code check_task(const df_cluster_spec *spec, size_t i, df_error *err) {
    const df_cluster_task *t = &spec->tasks[i];
    char name[DEVICE_NAME_MAX];
    device_name parsed;
    int n = snprintf(name, sizeof name, "/job:%s/task:%d", t->job ? t->job : "", t->task);
    if (n <= 0 || (size_t)n >= sizeof name || !t->job || t->task < 0 ||
        device_name_parse(name, &parsed, NULL) != DF_OK)
        return error_invalid(err,
                             "task %zu of the cluster, job \"%.60s\" and task %d: a job is a "
                             "letter, then letters, digits and '_'; tasks count from 0",
                             i, t->job ? t->job : "", t->task);
    if (t->address && strlen(t->address) >= DF_ADDRESS_MAX)
        return error_invalid(err, "%s: its address is longer than %d", name, DF_ADDRESS_MAX - 1);
    for (size_t k = 0; k < i; k++)
        if (spec->tasks[k].task == t->task && strcmp(spec->tasks[k].job, t->job) == 0)
            return error_invalid(err, "%s is in the cluster twice", name);
    return DF_OK;
}

df_code spec_copy(const df_allocator *alloc, const df_cluster_spec *spec, df_cluster_spec **out,
                  df_error *err) {
    size_t n = spec->n_tasks, bytes = sizeof(spec_block) + n * sizeof(df_cluster_task);
    if (!n || n > PLAN_MAX_DEVICES || !spec->tasks)
        return error_invalid(err, "a cluster of %zu tasks: it has 1 to %d", n, PLAN_MAX_DEVICES);
    df_code code = DF_OK;
    for (size_t i = 0; code == DF_OK && i < n; i++) code = check_task(spec, i, err);
    if (code != DF_OK) return code;
    for (size_t i = 0; i < n; i++)
        bytes += length_of(spec->tasks[i].job) + length_of(spec->tasks[i].address) +
                 length_of(spec->tasks[i].identity);
    spec_block *b = alloc_zeroed(alloc, bytes);
    if (!b) return error_memory(err, "a cluster");
    char *at = (char *)&b->tasks[n];
    for (size_t i = 0; i < n; i++) {
        const df_cluster_task *t = &spec->tasks[i];
        b->tasks[i].job = keep(&at, t->job);
        b->tasks[i].task = t->task;
        b->tasks[i].address = keep(&at, t->address);
        b->tasks[i].identity = keep(&at, t->identity);
    }
    b->spec = (df_cluster_spec){.struct_size = sizeof b->spec, .tasks = b->tasks, .n_tasks = n};
    b->alloc = alloc;
    b->bytes = bytes;
    *out = &b->spec;
    return DF_OK;
}

void df_cluster_spec_free(df_cluster_spec *spec) {
    spec_block *b = (spec_block *)spec;
    if (b) alloc_free(b->alloc, b, b->bytes);
}

/* Who there is; not where, which may differ from place to place. */
uint64_t spec_hash(const df_cluster_spec *spec) {
    uint64_t h = spec->n_tasks;
    for (size_t i = 0; i < spec->n_tasks; i++) {
        const df_cluster_task *t = &spec->tasks[i];
        h = hash_pair(h, hash_pair(hash_bytes(t->job, strlen(t->job)), (uint64_t)t->task));
    }
    return h ? h : 1;
}

enum { NAME_MOST = DEVICE_JOB_MAX + 32 };

df_code spec_names(const df_allocator *alloc, const df_cluster_spec *spec, const char ***names,
                   df_error *err) {
    const char **list = alloc_bytes(alloc, spec->n_tasks * (sizeof *list + NAME_MOST));
    if (!list) return error_memory(err, "a cluster");
    char *at = (char *)&list[spec->n_tasks];
    for (size_t i = 0; i < spec->n_tasks; i++, at += NAME_MOST) {
        (void)snprintf(at, NAME_MOST, "/job:%s/task:%d", spec->tasks[i].job, spec->tasks[i].task);
        list[i] = at;
    }
    *names = list;
    return DF_OK;
}

void spec_names_free(const df_allocator *alloc, const df_cluster_spec *spec, const char **names) {
    if (names) alloc_free(alloc, names, spec->n_tasks * (sizeof *names + NAME_MOST));
}

/* ---- as text ------------------------------------------------------------------ */

typedef struct line {
    char words[4][DF_ADDRESS_MAX];
    int n;
} line;

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

/* Up to the end of the line, or of the text; false: it has a word too many, or too long a one. */
static bool read_line(const char **at, const char *end, line *l) {
    bool ok = true;
    l->n = 0;
    while (*at < end && **at != '\n') {
        const char *from = *at;
        if (is_blank(*from)) {
            ++*at;
            continue;
        }
        if (*from == '#') {
            while (*at < end && **at != '\n') ++*at;
            break;
        }
        while (*at < end && !is_blank(**at) && **at != '\n') ++*at;
        size_t n = (size_t)(*at - from);
        ok = ok && l->n < 4 && n < DF_ADDRESS_MAX && !memchr(from, '\0', n);
        if (!ok) continue;
        memcpy(l->words[l->n], from, n);
        l->words[l->n++][n] = '\0';
    }
    if (*at < end) ++*at;
    return ok;
}

static bool read_number(const char *s, int *out) {
    int n = 0;
    if (!*s || strlen(s) > 9) return false;
    for (; *s; s++) {
        if (*s < '0' || *s > '9') return false;
        n = n * 10 + (*s - '0');
    }
    *out = n;
    return true;
}

static bool read_task(line *l, df_cluster_task *t) {
    if (l->n < 3 || !read_number(l->words[1], &t->task)) return false;
    t->job = l->words[0];
    t->address = strcmp(l->words[2], "-") == 0 ? NULL : l->words[2];
    t->identity = l->n == 4 ? l->words[3] : NULL;
    return true;
}

df_code df_cluster_spec_parse(const df_allocator *allocator, const char *words, size_t size,
                              df_cluster_spec **out, df_error *err) {
    if (!words && size) return error_invalid(err, "the text is NULL");
    if (!out) return error_no_out(err);
    if (alloc_check(allocator, err) != DF_OK) return DF_INVALID_ARGUMENT;
    line *lines = alloc_array(allocator, PLAN_MAX_DEVICES + 1, sizeof *lines);
    df_cluster_task *tasks = alloc_array(allocator, PLAN_MAX_DEVICES + 1, sizeof *tasks);
    df_cluster_spec spec = {.struct_size = sizeof spec, .tasks = tasks};
    df_code code = lines && tasks ? DF_OK : error_memory(err, "a cluster");
    const char *at = words, *end = words + size;
    for (int number = 1; code == DF_OK && at < end; number++) {
        line *l = &lines[spec.n_tasks];
        bool ok = read_line(&at, end, l);
        if (ok && l->n == 0) continue;
        if (!ok || !read_task(l, &tasks[spec.n_tasks]))
            code = error_invalid(err,
                                 "line %d of the cluster: it must be a job, a number, an address "
                                 "(\"-\": none) and perhaps an identity",
                                 number);
        if (spec.n_tasks < PLAN_MAX_DEVICES)
            spec.n_tasks++;
        else if (code == DF_OK)
            code = error_invalid(err, "line %d of the cluster: it has %d tasks at most", number,
                                 PLAN_MAX_DEVICES);
    }
    if (code == DF_OK) code = spec_copy(allocator, &spec, out, err);
    alloc_free(allocator, lines, (PLAN_MAX_DEVICES + 1) * sizeof *lines);
    alloc_free(allocator, tasks, (PLAN_MAX_DEVICES + 1) * sizeof *tasks);
    return code;
}
