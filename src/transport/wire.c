/* SPDX-License-Identifier: MIT */
#include "transport/wire.h"

#include <string.h>

static unsigned char *room(wire_out *w, size_t bytes) {
    unsigned char *at = w->at;
    if (bytes > w->left) w->failed = true;
    if (w->failed) return NULL;
    w->at += bytes;
    w->left -= bytes;
    return at;
}

void wire_put(wire_out *w, uint64_t number, size_t bytes) {
    unsigned char *at = room(w, bytes);
    for (size_t i = 0; at && i < bytes; i++, number >>= 8) at[i] = (unsigned char)number;
}

void wire_put_bytes(wire_out *w, const void *from, size_t bytes) {
    unsigned char *at = room(w, bytes);
    if (at && bytes > 0) memcpy(at, from, bytes);
}

const void *wire_get_bytes(wire_in *w, uint64_t bytes) {
    const unsigned char *at = w->at;
    if (bytes > w->left) w->failed = true;
    if (w->failed) return NULL;
    w->at += bytes;
    w->left -= (size_t)bytes;
    return at;
}

uint64_t wire_get(wire_in *w, size_t bytes) {
    const unsigned char *at = wire_get_bytes(w, bytes);
    uint64_t number = 0;
    for (size_t i = bytes; at && i-- > 0;) number = number << 8 | at[i];
    return number;
}
