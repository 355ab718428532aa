/* SPDX-License-Identifier: MIT
 *
 * Any text is either a graph, which is printed, read and printed alike again, or an error
 * that says where: whatever was done to it.
 *
 *   test_parse_fuzz                        a short run
 *   test_parse_fuzz --count N [--seed S]   N texts
 *   test_parse_fuzz --case I [--seed S]    one, as a failure names it; prints it first
 *
 * A seed and a number say all of a text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fuzz/corpus.h"

#include "fuzz/target.h"
#include "support/scale.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t count, only_case = SIZE_MAX;
static uint64_t seed = 1;

typedef struct fuzz_world {
    compile_world *of;
    corpus corpus;
} fuzz_world;

static int open_world(void **state) {
    fuzz_world *w = calloc(1, sizeof *w);
    if (!w) return -1;
    void *of = NULL;
    assert_int_equal(world_open(&of), 0);
    w->of = of;
    corpus_init(&w->corpus, w->of, seed);
    *state = w;
    return 0;
}

static int close_world(void **state) {
    fuzz_world *w = *state;
    corpus_fini(&w->corpus);
    void *of = w->of;
    free(w);
    return world_close(&of);
}

/* ---- one text ------------------------------------------------------------ */

static void print_text(const char *words, size_t size) {
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)words[i];
        if (c == '\n' || (c >= 0x20 && c < 0x7f))
            (void)fputc(c, stderr);
        else
            (void)fprintf(stderr, "<%02x>", c);
    }
    (void)fprintf(stderr, "<end>\n");
}

static void check_case(fuzz_world *w, size_t i, bool show, size_t *graphs) {
    static char words[CORPUS_TEXT_MAX];
    draws d = draws_of(seed, i);
    size_t size = corpus_draw(&w->corpus, &d, words), before = fault_live_blocks(&w->of->heap);
    bool is_graph = false;
    if (show) print_text(words, size);
    const char *wrong = fuzz_text_wrong(w->of->rt, words, size, &is_graph);
    if (!wrong && fault_live_blocks(&w->of->heap) != before) wrong = "something has leaked";
    *graphs += is_graph;
    if (!wrong) return;
    if (!show) print_text(words, size);
    fail_msg("%s: run --seed %" PRIu64 " --case %zu", wrong, seed, i);
}

static void any_text_is_a_graph_or_an_error_with_its_place(void **state) {
    fuzz_world *w = *state;
    size_t graphs = 0;
    if (only_case != SIZE_MAX) {
        check_case(w, only_case, true, &graphs);
        return;
    }
    for (size_t i = 0; i < count; i++) check_case(w, i, false, &graphs);
    print_message("seed %" PRIu64 ": %zu texts, %zu of them graphs; peak of memory %zu bytes\n",
                  seed, count, graphs, fault_peak_bytes(&w->of->heap));
    assert_true(count < 1000 || (graphs > count / 20 && graphs < count));
    assert_true(fault_peak_bytes(&w->of->heap) < 64 << 20);
}

static void what_is_started_from_is_read(void **state) {
    fuzz_world *w = *state;
    bool is_graph;
    for (size_t i = 0; i < w->corpus.n; i++) {
        const corpus_text *t = &w->corpus.texts[i];
        const char *wrong = fuzz_text_wrong(w->of->rt, t->at, t->size, &is_graph);
        if (wrong) fail_msg("%.*s\n%s", (int)t->size, t->at, wrong);
        assert_true(is_graph);
    }
    print_message("%zu texts, with %zu of %zu ops\n", w->corpus.n, w->corpus.ops_reached,
                  w->corpus.ops);
    assert_true(4 * w->corpus.ops_reached >= 3 * w->corpus.ops);
}

int main(int argc, char **argv) {
    count = test_scaled(300000);
    for (int i = 1; i + 1 < argc; i += 2) {
        uint64_t n = strtoull(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--count") == 0) count = (size_t)n;
        if (strcmp(argv[i], "--case") == 0) only_case = (size_t)n;
        if (strcmp(argv[i], "--seed") == 0) seed = n;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_started_from_is_read),
        cmocka_unit_test(any_text_is_a_graph_or_an_error_with_its_place),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
