/* SPDX-License-Identifier: MIT */
#include "rendezvous/strings.h"

#include "base/alloc.h"
#include "base/error.h"

size_t strings_bytes(const df_tensor *t) {
    const df_string *s = t->data;
    size_t n = (size_t)t->elements * 8;
    for (int64_t i = 0; i < t->elements; i++) n += s[i].size;
    return n;
}

void strings_put(wire_out *w, const df_tensor *t) {
    const df_string *s = t->data;
    for (int64_t i = 0; i < t->elements; i++) wire_put(w, s[i].size, 8);
    for (int64_t i = 0; i < t->elements; i++) wire_put_bytes(w, s[i].data, s[i].size);
}

df_code strings_get(const df_allocator *alloc, df_shape shape, const void *at, size_t bytes,
                    df_tensor **out, df_error *err) {
    wire_in lengths = {.at = at, .left = bytes}, text = lengths;
    int64_t n;
    size_t in_memory;
    if (tensor_size(DF_STRING, shape, &n, &in_memory, NULL) != DF_OK || bytes / 8 < (uint64_t)n)
        return error_set(err, DF_DATA_LOSS, "strings that are fewer than their shape says");
    (void)wire_get_bytes(&text, (uint64_t)n * 8);
    df_string *list = alloc_array(alloc, (size_t)n, sizeof *list);
    if (!list) return error_memory(err, "strings");
    for (int64_t i = 0; i < n; i++) {
        uint64_t size = wire_get(&lengths, 8);
        list[i] = (df_string){wire_get_bytes(&text, size), (size_t)size};
    }
    df_code code = text.failed || text.left
                       ? error_set(err, DF_DATA_LOSS, "strings that are not as long as they say")
                       : df_tensor_from(alloc, DF_STRING, shape, list, out, err);
    alloc_free(alloc, list, (size_t)n * sizeof *list);
    return code;
}
