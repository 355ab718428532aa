/* SPDX-License-Identifier: MIT
 *
 * Tensors in messages. In the meta:
 *
 *     dtype, 1 byte | rank, 1 | has a checksum, 1 | 0 | checksum, 4 | dimensions, 8 each
 *
 * and in bulk their elements, as they lie in memory, the least byte first; strings as strings.h
 * has them.
 */
#include "rendezvous/remote_parts.h"

#include "base/crc.h"

static uint32_t sum_of(const void *data, size_t bytes) {
    crc c;
    crc_init(&c);
    crc_add(&c, data, bytes);
    return c.value;
}

void wire_put_tensor(const remote *r, wire_out *w, const df_tensor *t, const void *payload,
                     size_t bytes) {
    wire_put(w, t->dtype, 1);
    wire_put(w, (uint64_t)t->rank, 1);
    wire_put(w, r->o.checks, 1);
    wire_put(w, 0, 1);
    wire_put(w, r->o.checks ? sum_of(payload, bytes) : 0, 4);
    for (int i = 0; i < t->rank; i++) wire_put(w, (uint64_t)t->dims[i], 8);
}

df_code wire_get_tensor(wire_in *w, uint64_t payload, wire_tensor *t, df_error *err) {
    int64_t elements;
    size_t bytes;
    t->dtype = (df_dtype)wire_get(w, 1);
    t->shape = (df_shape){(int)wire_get(w, 1), t->dims};
    t->has_sum = wire_get(w, 1) != 0;
    (void)wire_get(w, 1);
    t->sum = (uint32_t)wire_get(w, 4);
    if (t->shape.rank > DF_MAX_RANK)
        return error_set(err, DF_DATA_LOSS, "a tensor of rank %d, and none has more than %d",
                         t->shape.rank, DF_MAX_RANK);
    for (int i = 0; i < t->shape.rank; i++) t->dims[i] = (int64_t)wire_get(w, 8);
    if (w->failed || tensor_size(t->dtype, t->shape, &elements, &bytes, NULL) != DF_OK)
        return error_set(err, DF_DATA_LOSS, "no dtype and shape of a tensor");
    bool fits = t->dtype == DF_STRING ? payload / 8 >= (uint64_t)elements : payload == bytes;
    return fits ? DF_OK
                : error_set(err, DF_DATA_LOSS, "a tensor of %zu bytes, with %llu bytes of elements",
                            bytes, (unsigned long long)payload);
}

df_code wire_check_sum(const wire_tensor *t, const void *payload, size_t bytes, df_error *err) {
    if (!t->has_sum || sum_of(payload, bytes) == t->sum) return DF_OK;
    return error_set(err, DF_DATA_LOSS, "the elements of a tensor were changed on their way");
}
