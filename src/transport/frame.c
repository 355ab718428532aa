/* SPDX-License-Identifier: MIT */
#include "transport/frame.h"

#include "base/crc.h"
#include "base/error.h"
#include "transport/wire.h"

#include <string.h>

enum { SUM_AT = FRAME_BYTES - 4, ERROR_HEAD = 16 };
#define MAGIC UINT32_C(0x6f6c6664) /* "dflo" */

static uint32_t sum_of(const unsigned char *head, const void *meta, size_t meta_bytes) {
    return crc_few(crc_few(0, head, SUM_AT), meta, meta_bytes);
}

void frame_encode(const frame *f, const void *meta, unsigned char head[FRAME_BYTES]) {
    wire_out w = {.at = head, .left = FRAME_BYTES};
    wire_put(&w, MAGIC, 4);
    wire_put(&w, FRAME_VERSION, 2);
    wire_put(&w, f->kind, 2); /* flags: 0 */
    wire_put(&w, f->call, 8);
    wire_put(&w, f->payload_bytes, 8);
    wire_put(&w, f->meta_bytes, 4);
    wire_put(&w, sum_of(head, meta, f->meta_bytes), 4);
}

df_code frame_decode(const unsigned char head[FRAME_BYTES], frame *f, df_error *err) {
    wire_in w = {.at = head, .left = FRAME_BYTES};
    if (wire_get(&w, 4) != MAGIC)
        return error_set(err, DF_DATA_LOSS, "what has come is no message of this library's");
    unsigned version = (unsigned)wire_get(&w, 2);
    if (version != FRAME_VERSION)
        return error_set(err, DF_FAILED_PRECONDITION,
                         "a message of version %u; this process speaks version %d", version,
                         FRAME_VERSION);
    unsigned kind = (unsigned)wire_get(&w, 2); /* and flags */
    f->kind = (frame_kind)kind;
    f->call = wire_get(&w, 8);
    f->payload_bytes = wire_get(&w, 8);
    f->meta_bytes = (uint32_t)wire_get(&w, 4);
    bool has_payload = kind == FRAME_REQUEST || kind == FRAME_REPLY;
    if (kind < FRAME_REQUEST || kind > FRAME_CANCEL || f->meta_bytes > DF_META_MAX ||
        f->payload_bytes > (has_payload ? (uint64_t)INT64_MAX : 0))
        return error_set(err, DF_DATA_LOSS,
                         "a message's head is damaged: kind %u, %u bytes of meta, %llu of payload",
                         kind, (unsigned)f->meta_bytes, (unsigned long long)f->payload_bytes);
    return DF_OK;
}

static bool fits_kind(const frame *f) {
    if (f->kind == FRAME_CANCEL) return f->meta_bytes == 0;
    return f->kind != FRAME_ERROR ||
           (f->meta_bytes >= ERROR_HEAD && f->meta_bytes <= FRAME_ERROR_MAX);
}

df_code frame_check(const unsigned char head[FRAME_BYTES], const frame *f, const void *meta,
                    df_error *err) {
    wire_in w = {.at = head + SUM_AT, .left = FRAME_BYTES - SUM_AT};
    if (wire_get(&w, 4) == sum_of(head, meta, f->meta_bytes) && fits_kind(f)) return DF_OK;
    return error_set(err, DF_DATA_LOSS, "a message's head or meta is damaged");
}

size_t frame_put_error(const df_error *why, unsigned char meta[FRAME_ERROR_MAX]) {
    wire_out w = {.at = meta, .left = FRAME_ERROR_MAX};
    wire_put(&w, why->code, 4);
    wire_put(&w, why->flags, 4);
    wire_put(&w, why->origin, 8);
    wire_put_bytes(&w, why->message, strnlen(why->message, sizeof why->message - 1));
    return FRAME_ERROR_MAX - w.left;
}

void frame_get_error(const void *meta, size_t bytes, df_error *why) {
    wire_in w = {.at = meta, .left = bytes};
    uint64_t code = wire_get(&w, 4);
    *why = (df_error){.code = DF_UNKNOWN};
    if (code > DF_OK && code <= DF_UNAUTHENTICATED) why->code = (df_code)code;
    why->flags = (uint32_t)wire_get(&w, 4);
    why->origin = wire_get(&w, 8);
    size_t n = w.left < sizeof why->message ? w.left : sizeof why->message - 1;
    const void *words = wire_get_bytes(&w, n);
    if (words && n > 0) memcpy(why->message, words, n);
}

bool frame_total(df_segments segments, uint64_t *bytes) {
    uint64_t total = 0;
    for (size_t i = 0; i < segments.n; i++) {
        if (segments.at[i].bytes > (uint64_t)INT64_MAX - total) return false;
        total += segments.at[i].bytes;
    }
    *bytes = total;
    return true;
}
