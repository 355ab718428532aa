/* SPDX-License-Identifier: MIT
 *
 * frame.h - the head of each message, the same for all engines.
 *
 *     byte   0  magic "dflo"        8  call, the caller's number    24  bytes of meta
 *            4  version, 2 bytes   16  bytes of payload             28  checksum
 *            6  kind, 1            32  meta, payload
 *            7  flags, 1: 0
 *
 * Numbers have their least byte first. The checksum is base/crc.h's of what lies before it and of
 * the meta. It finds mistakes, of networks and of engines, and is no defence; payload has its own,
 * if at all, in the meta of who sent it.
 *
 * A head may hold anything. It is read in two steps, so that an engine knows how much to wait for:
 * frame_decode takes the 32 bytes, and says how many bytes of meta there are, at most DF_META_MAX;
 * frame_check takes these. Nothing is believed before, and nothing allocated.
 */
#ifndef TRANSPORT_FRAME_H
#define TRANSPORT_FRAME_H

#include <dataflow/transport.h>

enum { FRAME_BYTES = 32, FRAME_VERSION = 1 };

typedef enum frame_kind {
    FRAME_REQUEST = 1,
    FRAME_REPLY,
    FRAME_ERROR, /* a reply; its meta is that of frame_put_error, and it has no payload */
    FRAME_CANCEL /* by the caller; has neither */
} frame_kind;

typedef struct frame {
    frame_kind kind;
    uint32_t meta_bytes;
    uint64_t call;
    uint64_t payload_bytes; /* below 2^63 */
} frame;

void frame_encode(const frame *f, const void *meta, unsigned char head[FRAME_BYTES]);

/* FAILED_PRECONDITION: another version. DATA_LOSS: it is no head. */
df_code frame_decode(const unsigned char head[FRAME_BYTES], frame *f, df_error *err);
/* DATA_LOSS: head and meta do not belong together, or the meta is not that of its kind. */
df_code frame_check(const unsigned char head[FRAME_BYTES], const frame *f, const void *meta,
                    df_error *err);

/* An error as meta. Returns how many bytes it has. */
enum { FRAME_ERROR_MAX = 16 + sizeof(((df_error *)0)->message) };
size_t frame_put_error(const df_error *why, unsigned char meta[FRAME_ERROR_MAX]);
/* Of any bytes; a code that is none is UNKNOWN. */
void frame_get_error(const void *meta, size_t bytes, df_error *why);

/* What segments hold in all; false: more than a message can. */
bool frame_total(df_segments segments, uint64_t *bytes);

#endif /* TRANSPORT_FRAME_H */
