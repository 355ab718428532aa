/* SPDX-License-Identifier: MIT
 *
 * Any bytes as the text of a key, and as the parts that one is made of.
 */
#include "fuzz/target.h"

#include "name/key.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The text in a block of just its size; to be freed. */
static char *text_of(const df_key *key) {
    size_t n = df_key_text(key, NULL, 0);
    char *text = malloc(n + 1);
    FUZZ_MUST(text != NULL, "out of memory");
    FUZZ_MUST(df_key_text(key, text, n + 1) == n && strlen(text) == n, "the length changes");
    return text;
}

static void must_differ(const df_allocator *alloc, const df_key *key, key_parts parts) {
    df_key *other = NULL;
    if (key_new(alloc, &parts, 0, KEY_NO_CHANNEL, &other, NULL) != DF_OK) return; /* too long */
    FUZZ_MUST(!df_key_equal(key, other), "two keys of different parts are equal");
    other->hash = key->hash;
    FUZZ_MUST(!df_key_equal(key, other), "keys are compared by their hashes");
    df_key_free(other);
}

/* A key is what its text says and what its parts say, and nothing else. */
static void check_key(const df_allocator *alloc, df_key *key, const char *text) {
    df_key *again = NULL, *made = NULL;
    char *printed = text_of(key), twice[KEY_TEXT_MAX + 1];
    FUZZ_MUST(strcasecmp(text, printed) == 0, "%s is printed as %s", text, printed);
    FUZZ_MUST(df_key_parse(alloc, printed, &again, NULL) == DF_OK, "%s is not read", printed);
    FUZZ_MUST(key_new(alloc, &key->parts, 7, 3, &made, NULL) == DF_OK, "its parts make none");
    (void)df_key_text(again, twice, sizeof twice);
    FUZZ_MUST(strcmp(printed, twice) == 0, "%s, then %s", printed, twice);
    const df_key *same[] = {key, again, made};
    for (int i = 0; i < 3; i++) {
        FUZZ_MUST(df_key_equal(key, same[i]), "%s differs from itself", printed);
        FUZZ_MUST(df_key_hash(key) == df_key_hash(same[i]), "equal keys, two hashes");
    }
    key_parts parts = key->parts;
    parts.incarnation ^= 1;
    must_differ(alloc, key, parts);
    parts = key->parts;
    parts.iter += 1;
    must_differ(alloc, key, parts);
    parts = key->parts;
    parts.edge = "another edge";
    if (strcmp(key->parts.edge, parts.edge) != 0) must_differ(alloc, key, parts);
    df_key_free(made);
    df_key_free(again);
    free(printed);
}

/* True: it is a key. */
static bool check_text(const df_allocator *alloc, const char *text) {
    df_key *key = NULL;
    df_error err = {.code = DF_OK};
    df_code code = df_key_parse(alloc, text, &key, &err);
    FUZZ_MUST(df_key_parse(alloc, text, NULL, NULL) == DF_INVALID_ARGUMENT, "out is NULL");
    if (code == DF_OK) {
        check_key(alloc, key, text);
    } else {
        fuzz_check_error(code, &err);
        FUZZ_MUST(code == DF_INVALID_ARGUMENT && !key, "%s: %s", df_code_name(code), err.message);
        FUZZ_MUST(strncmp(err.message, "key \"", 5) == 0, "which key? %s", err.message);
    }
    df_key_free(key);
    return code == DF_OK;
}

/* The same text cut at its first ';'s, whatever is between them. */
static void check_parts(const df_allocator *alloc, char *text, bool is_key) {
    char *fields[5] = {text};
    df_key *key = NULL, *read = NULL;
    df_error err = {.code = DF_OK};
    for (int i = 1; i < 5; i++) {
        char *cut = fields[i - 1] ? strchr(fields[i - 1], ';') : NULL;
        if (cut) *cut++ = '\0';
        fields[i] = cut;
    }
    char *colon = fields[4] ? strchr(fields[4], ':') : NULL;
    if (colon) *colon = '\0';
    key_parts p = {.src = fields[0],
                   .incarnation = 1,
                   .dst = fields[2],
                   .edge = fields[3],
                   .frame = fields[4]};
    df_code code = key_new(alloc, &p, 0, KEY_NO_CHANNEL, &key, &err);
    if (code != DF_OK) {
        fuzz_check_error(code, &err);
        FUZZ_MUST(!is_key, "a key's parts are refused: %s", err.message);
        return;
    }
    char *printed = text_of(key);
    code = df_key_parse(alloc, printed, &read, &err);
    if (code == DF_OK)
        FUZZ_MUST(df_key_equal(key, read), "%s is another key", printed);
    else /* what a name of a device is, only the reading looks at */
        FUZZ_MUST(strstr(err.message, "device (field"), "%s: %s", printed, err.message);
    free(printed);
    df_key_free(read);
    df_key_free(key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static fuzz_heap heap;
    if (!heap.allocator.alloc) fuzz_heap_init(&heap);
    char *text = malloc(size + 1);
    FUZZ_MUST(text != NULL, "out of memory");
    if (size) memcpy(text, data, size);
    text[size] = '\0';
    heap.largest = 0;
    check_parts(&heap.allocator, text, check_text(&heap.allocator, text));
    free(text);
    FUZZ_MUST(heap.blocks == 0, "%zu blocks have leaked", heap.blocks);
    FUZZ_MUST(heap.largest <= KEY_TEXT_MAX + 256, "%zu bytes for a key", heap.largest);
    return 0;
}
