/* SPDX-License-Identifier: MIT
 *
 * Any bytes as the text of a graph.
 */
#include "fuzz/target.h"

#include <stdlib.h>

/* Drawn into a block of just its size. */
static void check_dot(df_runtime *rt, const char *words, size_t size) {
    df_graph *g = NULL;
    if (df_graph_parse(rt, words, size, &g, NULL) != DF_OK) return;
    size_t n = df_graph_dot(g, NULL, 0);
    char *drawn = malloc(n + 1);
    FUZZ_MUST(n > 0 && drawn != NULL, "nothing is drawn");
    FUZZ_MUST(df_graph_dot(g, drawn, n + 1) == n && drawn[n] == '\0', "the length changes");
    free(drawn);
    df_graph_free(g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static fuzz_heap heap;
    static df_runtime *rt;
    bool is_graph;
    if (!rt) {
        fuzz_heap_init(&heap);
        df_runtime_options o = {.struct_size = sizeof o, .allocator = &heap.allocator};
        FUZZ_MUST(df_runtime_new(&o, &rt, NULL) == DF_OK, "no runtime");
    }
    size_t before = heap.blocks;
    heap.largest = 0;
    const char *wrong = fuzz_text_wrong(rt, (const char *)data, size, &is_graph);
    FUZZ_MUST(!wrong, "%s", wrong);
    if (is_graph) check_dot(rt, (const char *)data, size);
    FUZZ_MUST(heap.blocks == before, "%zu blocks have leaked", heap.blocks - before);
    FUZZ_MUST(heap.largest <= 256 * size + 65536, "%zu bytes at once for a text of %zu",
              heap.largest, size);
    return 0;
}
