/* SPDX-License-Identifier: MIT
 *
 * strings.h - tensors of strings as bytes: the length of each, 8 bytes, and then all the text.
 */
#ifndef RENDEZVOUS_STRINGS_H
#define RENDEZVOUS_STRINGS_H

#include "tensor/tensor.h"
#include "transport/wire.h"

size_t strings_bytes(const df_tensor *t);
void strings_put(wire_out *w, const df_tensor *t);

/* Any bytes may have come. DATA_LOSS: they are none. */
df_code strings_get(const df_allocator *alloc, df_shape shape, const void *at, size_t bytes,
                    df_tensor **out, df_error *err);

#endif /* RENDEZVOUS_STRINGS_H */
