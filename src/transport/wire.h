/* SPDX-License-Identifier: MIT
 *
 * wire.h - numbers and bytes as they lie in a message: one behind the other, unaligned, the least
 * byte first, whatever the machine.
 *
 * What does not fit is sticky: write or read on, and ask once at the end. So a reader of any bytes
 * is total, and takes nothing beyond their end. What was not there is read as 0.
 */
#ifndef TRANSPORT_WIRE_H
#define TRANSPORT_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct wire_out {
    unsigned char *at;
    size_t left;
    bool failed;
} wire_out;

typedef struct wire_in {
    const unsigned char *at;
    size_t left;
    bool failed;
} wire_in;

/* The lowest `bytes` bytes of a number, 8 at most. */
void wire_put(wire_out *w, uint64_t number, size_t bytes);
uint64_t wire_get(wire_in *w, size_t bytes);

void wire_put_bytes(wire_out *w, const void *from, size_t bytes);
/* Where they lie; NULL: there are not as many. As many as a message says may be more than a size_t
 * holds. */
const void *wire_get_bytes(wire_in *w, uint64_t bytes);

#endif /* TRANSPORT_WIRE_H */
