/* SPDX-License-Identifier: MIT
 *
 * device_name.c - reading, writing and comparing names of devices.
 *
 * What is read, from left to right and without looking back:
 *
 *   name   =  ""  |  local  |  { "/job:" word | "/task:" number | "/replica:0" |
 *                                "/device:" local }
 *   local  =  kind [ ":" index ]     kind  =  word | "*"     index  =  number | "*"
 *   word   =  letter { letter | digit | "_" }
 *
 * The parts come in any order, each at most once. A replica other than 0 is refused:
 * it would ask for something that is not there. Letters are those of ASCII, whatever
 * the program's locale.
 */
#include "name/device_name.h"

#include "base/error.h"
#include "name/quote.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

device_name device_name_any(void) {
    return (device_name){.task = -1, .index = -1};
}

/* ---- reading ------------------------------------------------------------- */

enum { SAW_JOB = 1u, SAW_TASK = 2u, SAW_REPLICA = 4u, SAW_DEVICE = 8u };

typedef struct reader {
    const char *at;  /* what is left */
    const char *why; /* what is wrong with it, once something is */
    unsigned seen;
    device_name name;
} reader;

static bool wrong(reader *r, const char *why) {
    r->why = why;
    return false;
}

static bool skip(reader *r, const char *word) {
    size_t n = strlen(word);
    if (strncmp(r->at, word, n) != 0) return false;
    r->at += n;
    return true;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* out has room for max characters and a zero. */
static bool read_word(reader *r, char *out, size_t max) {
    size_t n = 0;
    if (!is_letter(*r->at)) return false;
    while (is_letter(r->at[n]) || is_digit(r->at[n]) || r->at[n] == '_') n++;
    if (n > max) return false;
    memcpy(out, r->at, n);
    out[n] = '\0';
    r->at += n;
    return true;
}

static bool read_number(reader *r, int *out) {
    int n = 0;
    if (!is_digit(*r->at)) return false;
    for (; is_digit(*r->at); r->at++) {
        if (__builtin_mul_overflow(n, 10, &n)) return false;
        if (__builtin_add_overflow(n, *r->at - '0', &n)) return false;
    }
    *out = n;
    return true;
}

static bool read_local(reader *r) {
    if (!skip(r, "*")) {
        if (!read_word(r, r->name.kind, DEVICE_KIND_MAX))
            return wrong(r, "a kind is a letter and at most 14 letters, digits or '_', or '*'");
        for (char *c = r->name.kind; *c; c++) {
            if (*c >= 'a' && *c <= 'z') *c = (char)(*c - 'a' + 'A');
        }
    }
    if (!skip(r, ":") || skip(r, "*")) return true;
    if (read_number(r, &r->name.index)) return true;
    return wrong(r, "an index is a number from 0 to 2147483647, or '*'");
}

static bool first(reader *r, unsigned part) {
    if (r->seen & part) return wrong(r, "a part is given twice");
    r->seen |= part;
    return true;
}

static bool read_part(reader *r) {
    int replica = 0;
    if (skip(r, "/job:")) {
        if (!first(r, SAW_JOB)) return false;
        if (read_word(r, r->name.job, DEVICE_JOB_MAX)) return true;
        return wrong(r, "a job is a letter and at most 62 letters, digits or '_'");
    }
    if (skip(r, "/task:")) {
        if (!first(r, SAW_TASK)) return false;
        if (read_number(r, &r->name.task)) return true;
        return wrong(r, "a task is a number from 0 to 2147483647");
    }
    if (skip(r, "/replica:")) {
        if (!first(r, SAW_REPLICA)) return false;
        if (read_number(r, &replica) && replica == 0) return true;
        return wrong(r, "the only replica is 0");
    }
    if (skip(r, "/device:")) return first(r, SAW_DEVICE) && read_local(r);
    return wrong(r, "a part is none of /job:, /task:, /replica: and /device:");
}

static bool read_name(reader *r) {
    if (*r->at && *r->at != '/') {
        if (!read_local(r)) return false;
        return *r->at == '\0' || wrong(r, "something follows the kind and the index");
    }
    while (*r->at) {
        if (!read_part(r)) return false;
    }
    return true;
}

df_code device_name_parse(const char *text, device_name *out, df_error *err) {
    reader r = {.at = text ? text : "", .name = device_name_any()};
    if (read_name(&r)) {
        *out = r.name;
        return DF_OK;
    }
    char quoted[QUOTE_MAX];
    return error_invalid(
        err,
        "device \"%s\" cannot be read: %s. Right would be "
        "\"/job:worker/task:1/device:GPU:0\" or some of its parts, \"gpu:0\" or \"gpu\"",
        name_quote(text, quoted), r.why);
}

/* ---- writing ------------------------------------------------------------- */

/* Where snprintf goes on after `used` characters, also when nothing fits any more. */
static size_t append(char *buffer, size_t size, size_t used, const char *word, const char *part,
                     int number) {
    char *at = used < size ? buffer + used : NULL;
    size_t room = used < size ? size - used : 0;
    int n = number < 0 ? snprintf(at, room, "%s%s", word, part)
                       : snprintf(at, room, "%s%s%d", word, part, number);
    return used + (n > 0 ? (size_t)n : 0);
}

size_t device_name_print(const device_name *name, char *buffer, size_t size) {
    size_t used = 0;
    if (size) buffer[0] = '\0';
    if (name->job[0]) used = append(buffer, size, used, "/job:", name->job, -1);
    if (name->task >= 0) used = append(buffer, size, used, "/task:", "", name->task);
    if (!name->kind[0] && name->index < 0) return used;
    used = append(buffer, size, used, "/device:", name->kind[0] ? name->kind : "*", -1);
    return append(buffer, size, used, ":", name->index < 0 ? "*" : "", name->index);
}

static void lower(char *text) {
    for (; *text; text++) {
        if (*text >= 'A' && *text <= 'Z') *text = (char)(*text - 'A' + 'a');
    }
}

size_t device_name_print_short(const device_name *name, const device_name *local, char *buffer,
                               size_t size) {
    bool here = strcmp(name->job, local->job) == 0 && name->task == local->task;
    if (!here || (!name->kind[0] && name->index < 0)) return device_name_print(name, buffer, size);
    char kind[DEVICE_KIND_MAX + 1];
    memcpy(kind, name->kind, sizeof kind);
    lower(kind);
    size_t used = append(buffer, size, 0, kind[0] ? kind : "*", "", -1);
    return name->index < 0 ? used : append(buffer, size, used, ":", "", name->index);
}

/* ---- comparing and combining --------------------------------------------- */

bool device_name_is_full(const device_name *name) {
    return name->job[0] && name->task >= 0 && name->kind[0] && name->index >= 0;
}

bool device_name_equal(const device_name *a, const device_name *b) {
    return strcmp(a->job, b->job) == 0 && a->task == b->task && strcmp(a->kind, b->kind) == 0 &&
           a->index == b->index;
}

bool device_name_matches(const device_name *spec, const device_name *device) {
    return (!spec->job[0] || strcmp(spec->job, device->job) == 0) &&
           (spec->task < 0 || spec->task == device->task) &&
           (!spec->kind[0] || strcmp(spec->kind, device->kind) == 0) &&
           (spec->index < 0 || spec->index == device->index);
}

device_name device_name_over(const device_name *inner, const device_name *outer) {
    device_name both = *outer;
    if (inner->job[0]) memcpy(both.job, inner->job, sizeof both.job);
    if (inner->task >= 0) both.task = inner->task;
    if (inner->kind[0]) memcpy(both.kind, inner->kind, sizeof both.kind);
    if (inner->index >= 0) both.index = inner->index;
    return both;
}
