/* SPDX-License-Identifier: MIT */
#include "fuzz/target.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fuzz_die(const char *file, int line, const char *condition, const char *format, ...) {
    va_list args;
    va_start(args, format);
    (void)fprintf(stderr, "%s:%d: not %s: ", file, line, condition);
    (void)vfprintf(stderr, format, args);
    (void)fprintf(stderr, "\n");
    va_end(args);
    abort();
}

/* ---- memory -------------------------------------------------------------- */

static bool fails(fuzz_heap *h, size_t bytes) {
    if (bytes > h->largest) h->largest = bytes;
    if (h->most && bytes > h->most) return true;
    if (h->countdown == 0) return false;
    if (h->countdown > 1) h->countdown--;
    return h->countdown == 1;
}

static void *heap_alloc(void *user, size_t bytes, size_t alignment) {
    fuzz_heap *h = user;
    void *block = NULL;
    if (alignment < sizeof(void *)) alignment = sizeof(void *);
    if (fails(h, bytes) || posix_memalign(&block, alignment, bytes) != 0) return NULL;
    h->blocks++;
    return block;
}

static void heap_free(void *user, void *block, size_t bytes, size_t alignment) {
    fuzz_heap *h = user;
    (void)bytes;
    (void)alignment;
    h->blocks--;
    free(block);
}

void fuzz_heap_init(fuzz_heap *h) {
    *h = (fuzz_heap){
        .allocator = {
            .struct_size = sizeof h->allocator, .user = h, .alloc = heap_alloc, .free = heap_free}};
}

/* ---- errors -------------------------------------------------------------- */

void fuzz_check_error(df_code code, const df_error *err) {
    FUZZ_MUST(code == err->code, "%d is returned, %d is in the error", code, err->code);
    FUZZ_MUST(code > DF_OK && code <= DF_UNAUTHENTICATED && code != DF_UNKNOWN &&
                  code != DF_INTERNAL,
              "%s: %s", df_code_name(code), err->message);
    FUZZ_MUST(memchr(err->message, '\0', sizeof err->message) != NULL, "the words have no end");
    FUZZ_MUST(strlen(err->message) > 10, "\"%s\" does not say much", err->message);
}

/* ---- texts of graphs ----------------------------------------------------- */

char *fuzz_print(const df_graph *g, size_t *size) {
    *size = df_graph_print(g, NULL, 0);
    char *words = malloc(*size + 1);
    FUZZ_MUST(words != NULL, "out of memory");
    FUZZ_MUST(df_graph_print(g, words, *size + 1) == *size, "the length changes");
    return words;
}

/* In a block of just its size, so that a sanitizer sees one byte too far. */
static df_code parse_exact(df_runtime *rt, const char *words, size_t size, df_graph **g,
                           df_error *err) {
    char *exact = malloc(size ? size : 1);
    FUZZ_MUST(exact != NULL, "out of memory");
    if (size) memcpy(exact, words, size);
    *g = NULL;
    *err = (df_error){.code = DF_OK};
    df_code code = df_graph_parse(rt, exact, size, g, err);
    free(exact);
    return code;
}

const char *fuzz_text_wrong(df_runtime *rt, const char *words, size_t size, bool *is_graph) {
    df_graph *g, *h;
    df_error err;
    df_code code = parse_exact(rt, words, size, &g, &err);
    *is_graph = code == DF_OK;
    if (code != err.code || (code == DF_OK) != (g != NULL)) return "code, error and graph differ";
    if (code != DF_OK) {
        unsigned line = 0, column = 0;
        fuzz_check_error(code, &err);
        int n = sscanf(err.message, "line %u, column %u: ", &line, &column);
        return n == 2 && line && column ? NULL : "the error does not say where";
    }
    size_t once, twice = 0;
    char *first = fuzz_print(g, &once), *second = NULL;
    df_graph_free(g);
    code = parse_exact(rt, first, once, &h, &err);
    if (code == DF_OK) second = fuzz_print(h, &twice);
    df_graph_free(h);
    bool same = second && once == twice && memcmp(first, second, once) == 0;
    if (!same)
        (void)fprintf(stderr, "%s\nprinted first:\n%s\nthen:\n%s\n", err.message, first,
                      second ? second : "");
    free(first);
    free(second);
    return same ? NULL : "what is printed is not read as it was";
}
