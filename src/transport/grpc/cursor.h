/* SPDX-License-Identifier: MIT
 *
 * cursor.h - going through segments, piece by piece.
 */
#ifndef TRANSPORT_GRPC_CURSOR_H
#define TRANSPORT_GRPC_CURSOR_H

#include <dataflow/transport.h>

#include <string.h>

typedef struct cursor {
    df_segments of;
    size_t i;      /* the segment */
    uint64_t at;   /* in it */
    uint64_t left; /* in all */
} cursor;

/* The next piece, of at most `most` bytes, which lie in one segment. NULL: none is left. */
static inline void *cursor_next(cursor *c, uint64_t most, size_t *bytes) {
    if (c->left == 0 || most == 0) return NULL;
    while (c->at == c->of.at[c->i].bytes) c->i++, c->at = 0;
    uint64_t n = c->of.at[c->i].bytes - c->at;
    if (n > most) n = most;
    unsigned char *piece = (unsigned char *)c->of.at[c->i].at + c->at;
    c->at += n;
    c->left -= n;
    *bytes = (size_t)n;
    return piece;
}

/* `bytes` are no more than are left. */
static inline void cursor_write(cursor *c, const void *from, size_t bytes) {
    size_t n;
    for (void *to; (to = cursor_next(c, bytes, &n)); bytes -= n) {
        memcpy(to, from, n);
        from = (const unsigned char *)from + n;
    }
}

#endif /* TRANSPORT_GRPC_CURSOR_H */
