/* SPDX-License-Identifier: MIT
 *
 * key.c - making, reading and writing keys.
 *
 * A key that owns its texts is one block: the struct, and behind it the four, each with its
 * zero:
 *
 *   owned_key | src \0 dst \0 edge \0 frame \0
 *
 * The hash is that of these bytes; whoever makes many keys of a plan begins with devices, of
 * which there are few.
 *
 * One key has one text: numbers have no leading zeros, and devices in a text must be
 * written as device_name_print writes them. Of the incarnation either case is read.
 */
#include "name/key.h"

#include "base/atomic.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/hash.h"
#include "name/device_name.h"
#include "name/quote.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { INCARNATION_DIGITS = 16 };

static const char form[] = "src device;incarnation;dst device;edge name;frame:iter";

/* ---- parts --------------------------------------------------------------- */

/* Reads a decimal number without leading zeros; returns what follows, or NULL. */
static const char *read_u64(const char *text, uint64_t *out) {
    uint64_t n = 0;
    size_t i = 0;
    for (; text[i] >= '0' && text[i] <= '9'; i++) {
        if (i == 1 && text[0] == '0') return NULL;
        if (__builtin_mul_overflow(n, 10u, &n)) return NULL;
        if (__builtin_add_overflow(n, (uint64_t)(text[i] - '0'), &n)) return NULL;
    }
    *out = n;
    return i ? text + i : NULL;
}

static bool is_frame(const char *text) {
    uint64_t unused;
    for (;;) {
        text = read_u64(text, &unused);
        if (!text) return false;
        if (*text == '\0') return true;
        if (*text++ != '.') return false;
    }
}

static df_code check_text(const char *what, const char *text, df_error *err) {
    char quoted[QUOTE_MAX];
    if (!text || !*text) return error_invalid(err, "the %s is empty; the form is %s", what, form);
    for (const char *c = text; *c; c++) {
        if (*c != ';' && !is_control(*c)) continue;
        return error_invalid(err,
                             "the %s \"%s\" has a ';' or a control character in it: choose a name "
                             "without",
                             what, name_quote(text, quoted));
    }
    return DF_OK;
}

static df_code check_parts(const key_parts *p, df_error *err) {
    char quoted[QUOTE_MAX];
    df_code code = check_text("source device", p->src, err);
    if (!code) code = check_text("destination device", p->dst, err);
    if (!code) code = check_text("edge name", p->edge, err);
    if (!code) code = check_text("frame", p->frame, err);
    if (code || is_frame(p->frame)) return code;
    return error_invalid(err,
                         "the frame \"%s\" is no path of iterations: numbers below 2^64 without "
                         "leading zeros, joined by '.'",
                         name_quote(p->frame, quoted));
}

/* ---- making -------------------------------------------------------------- */

typedef struct owned_key {
    df_key key; /* first */
    const df_allocator *alloc;
    size_t bytes;
    refcount refs;
} owned_key;

static uint64_t hash_text(uint64_t hash, const char *text) {
    return hash_more(hash, text, strlen(text) + 1);
}

uint64_t key_hash_devices(const char *src, const char *dst) {
    return hash_text(hash_text(HASH_NOTHING, src), dst);
}

df_key key_of_plan(const key_parts *p, uint64_t devices, uint64_t plan, int64_t channel) {
    uint64_t hash = hash_u64(hash_text(hash_text(devices, p->edge), p->frame));
    hash = hash_pair(hash_pair(hash, p->incarnation), p->iter);
    return (df_key){.parts = *p, .hash = hash, .plan = plan, .channel = (int32_t)channel};
}

/* Copies a text with its zero; returns the copy, and moves *at behind it. */
static const char *lay(char **at, const char *text) {
    size_t n = strlen(text) + 1;
    char *copy = memcpy(*at, text, n);
    *at += n;
    return copy;
}

df_code key_new(const df_allocator *alloc, const key_parts *parts, uint64_t plan, int64_t channel,
                df_key **out, df_error *err) {
    key_parts p = *parts;
    if (!p.frame) p.frame = "0";
    df_code code = check_parts(&p, err);
    if (code) return code;
    size_t length = df_key_text(&(df_key){.parts = p}, NULL, 0);
    if (!length || length > KEY_TEXT_MAX) { /* 0: longer than can be said */
        char quoted[QUOTE_MAX];
        return error_invalid(
            err,
            "the key of edge \"%s\" is longer than %d characters: shorten the name "
            "of the node",
            name_quote(p.edge, quoted), KEY_TEXT_MAX);
    }
    size_t bytes = sizeof(owned_key) + length; /* its punctuation has room for the zeros */
    owned_key *own = alloc_bytes(alloc, bytes);
    if (!own) {
        char quoted[QUOTE_MAX];
        return error_set(err, DF_RESOURCE_EXHAUSTED, "out of memory for the key of edge \"%s\"",
                         name_quote(p.edge, quoted));
    }
    char *at = (char *)(own + 1);
    p.src = lay(&at, p.src);
    p.dst = lay(&at, p.dst);
    p.edge = lay(&at, p.edge);
    p.frame = lay(&at, p.frame);
    own->alloc = alloc;
    own->bytes = bytes;
    refcount_init(&own->refs);
    own->key = key_of_plan(&p, key_hash_devices(p.src, p.dst), plan, channel);
    own->key.is_owned = true;
    *out = &own->key;
    return DF_OK;
}

df_key *key_share(const df_allocator *alloc, const df_key *key) {
    df_key *copy = NULL;
    if (key->is_owned) {
        owned_key *own = (owned_key *)(uintptr_t)key;
        refcount_ref(&own->refs);
        return &own->key;
    }
    (void)key_new(alloc, &key->parts, key->plan, key->channel, &copy, NULL);
    if (copy) copy->hash = key->hash;
    return copy;
}

void df_key_free(df_key *key) {
    owned_key *own = (owned_key *)key;
    if (own && refcount_unref(&own->refs)) alloc_free(own->alloc, own, own->bytes);
}

/* ---- reading ------------------------------------------------------------- */

static df_code parse_incarnation(const char *text, uint64_t *out, df_error *err) {
    uint64_t n = 0;
    size_t i = 0;
    for (; i < INCARNATION_DIGITS; i++) {
        char c = text[i];
        if (c >= '0' && c <= '9')
            n = n << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            n = n << 4 | (uint64_t)(c - 'a' + 10);
        else if (c >= 'A' && c <= 'F')
            n = n << 4 | (uint64_t)(c - 'A' + 10);
        else
            break;
    }
    if (i == INCARNATION_DIGITS && text[i] == '\0') {
        *out = n;
        return DF_OK;
    }
    char quoted[QUOTE_MAX];
    return error_invalid(err, "the incarnation \"%s\" (field 2) is not 16 hexadecimal digits",
                         name_quote(text, quoted));
}

static df_code check_device(const char *what, const char *text, df_error *err) {
    device_name name;
    char canonical[DEVICE_NAME_MAX], quoted[QUOTE_MAX];
    df_code code = device_name_parse(text, &name, err);
    if (code) {
        error_prefix(err, "the %s: ", what);
        return code;
    }
    (void)device_name_print(&name, canonical, sizeof canonical);
    if (!device_name_is_full(&name))
        return error_invalid(
            err,
            "the %s \"%s\" is not a full name: it needs job, task, kind and index, "
            "as in \"/job:localhost/task:0/device:CPU:0\"",
            what, name_quote(text, quoted));
    if (strcmp(canonical, text) != 0)
        return error_invalid(err, "the %s \"%s\" must be written \"%s\" in a key", what,
                             name_quote(text, quoted), canonical);
    return DF_OK;
}

/* Cuts "frame:iter" in place. */
static df_code parse_iteration(char *text, key_parts *p, df_error *err) {
    char *colon = strchr(text, ':');
    if (colon) {
        const char *end = read_u64(colon + 1, &p->iter);
        if (end && *end == '\0') {
            *colon = '\0';
            p->frame = text;
            return DF_OK;
        }
    }
    char quoted[QUOTE_MAX];
    return error_invalid(err,
                         "\"%s\" (field 5) is not frame:iter, as 0:0 at the root, with iter below "
                         "2^64 without leading zeros",
                         name_quote(text, quoted));
}

/* Cuts the copy at its ';' into exactly five fields. */
static df_code cut(char *copy, char *fields[5], df_error *err) {
    size_t n = 0;
    for (char *at = copy; at; n++) {
        char *next = strchr(at, ';');
        if (next) *next++ = '\0';
        if (n < 5) fields[n] = at;
        at = next;
    }
    if (n == 5) return DF_OK;
    return error_invalid(err, "it has %zu fields instead of five: %s", n, form);
}

static df_code parse(const df_allocator *allocator, char *copy, df_key **out, df_error *err) {
    char *fields[5];
    df_code code = cut(copy, fields, err);
    if (code) return code;
    key_parts p = {.src = fields[0], .dst = fields[2], .edge = fields[3]};
    code = check_device("source device (field 1)", p.src, err);
    if (!code) code = parse_incarnation(fields[1], &p.incarnation, err);
    if (!code) code = check_device("destination device (field 3)", p.dst, err);
    if (!code) code = parse_iteration(fields[4], &p, err);
    return code ? code : key_new(allocator, &p, 0, KEY_NO_CHANNEL, out, err);
}

df_code df_key_parse(const df_allocator *allocator, const char *text, df_key **out, df_error *err) {
    if (!text) return error_invalid(err, "a key's text is NULL: pass %s", form);
    if (!out) return error_no_out(err);
    if (alloc_check(allocator, err) != DF_OK) return DF_INVALID_ARGUMENT;
    char copy[KEY_TEXT_MAX + 1], quoted[QUOTE_MAX];
    size_t n = strnlen(text, KEY_TEXT_MAX + 1);
    if (n > KEY_TEXT_MAX)
        return error_invalid(err, "key \"%s\" is longer than %d characters: no key is",
                             name_quote(text, quoted), KEY_TEXT_MAX);
    memcpy(copy, text, n + 1);
    df_code code = parse(allocator, copy, out, err);
    if (code == DF_INVALID_ARGUMENT) error_prefix(err, "key \"%s\": ", name_quote(text, quoted));
    return code;
}

/* ---- looking ------------------------------------------------------------- */

size_t df_key_text(const df_key *key, char *buffer, size_t size) {
    if (!key) return 0;
    if (!buffer) size = 0;
    const key_parts *p = &key->parts;
    int n = snprintf(buffer, size, "%s;%016" PRIx64 ";%s;%s;%s:%" PRIu64, p->src, p->incarnation,
                     p->dst, p->edge, p->frame, p->iter);
    return n > 0 ? (size_t)n : 0;
}

const char *df_key_src_device(const df_key *key) {
    return key ? key->parts.src : "";
}

uint64_t df_key_src_incarnation(const df_key *key) {
    return key ? key->parts.incarnation : 0;
}

const char *df_key_dst_device(const df_key *key) {
    return key ? key->parts.dst : "";
}

const char *df_key_edge(const df_key *key) {
    return key ? key->parts.edge : "";
}

bool df_key_equal(const df_key *a, const df_key *b) {
    return a == b ||
           (a && b && a->hash == b->hash && a->parts.incarnation == b->parts.incarnation &&
            a->parts.iter == b->parts.iter && strcmp(a->parts.edge, b->parts.edge) == 0 &&
            strcmp(a->parts.src, b->parts.src) == 0 && strcmp(a->parts.dst, b->parts.dst) == 0 &&
            strcmp(a->parts.frame, b->parts.frame) == 0);
}

uint64_t df_key_hash(const df_key *key) {
    return key ? key->hash : 0;
}

int64_t df_key_channel(const df_key *key) {
    return key ? key->channel : KEY_NO_CHANNEL;
}
