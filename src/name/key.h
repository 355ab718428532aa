/* SPDX-License-Identifier: MIT
 *
 * key.h - the name under which the two halves of a cut edge meet.
 *
 * As text (TensorFlow's Rendezvous::CreateKey):
 *
 *   src device;src incarnation (16 hex digits);dst device;edge name;frame:iter
 *
 * "frame" is the path of outer iterations, joined by '.', "0" at the root; "iter" the
 * innermost iteration. The edge name says which output travels, and how:
 *
 *   y:0        output 0 of node y, into device memory
 *   y:0@host   the same, into host memory of an accelerator
 *   ^y         no value, only the order: y has run
 *
 * One key has one text: df_key_parse refuses device names that are not full or not as
 * device_name_print writes them, and numbers with leading zeros.
 *
 * A key that the partitioner made also has a plan and a dense channel number in
 * it: a rendezvous of that plan finds its slot by the number, and compares no
 * text. Everybody else compares keys whole; the hash only spreads.
 */
#ifndef NAME_KEY_H
#define NAME_KEY_H

#include <dataflow/key.h>

enum {
    KEY_NO_CHANNEL = -1,
    KEY_TEXT_MAX = 4096 /* longer text is refused: no allocation follows a claimed length */
};

/* The five parts, borrowed. Device names are canonical and full; edge and devices
 * hold no ';'. */
typedef struct key_parts {
    const char *src;
    uint64_t incarnation;
    const char *dst;
    const char *edge;
    const char *frame; /* "0", or numbers joined by '.' */
    uint64_t iter;
} key_parts;

struct df_key {
    key_parts parts; /* (c) what they point to lasts as long as the key */
    uint64_t hash;   /* (c) of everything but plan and channel */
    uint64_t plan;   /* (c) 0: none */
    int32_t channel; /* (c) KEY_NO_CHANNEL: none */
    bool is_owned;   /* (c) of key_new, and counted; else it lies in its plan */
};

/* Copies the parts. INVALID_ARGUMENT if a part is empty, has a ';' or a control
 * character, or frame is not numbers joined by '.'; or if the text would be longer than
 * KEY_TEXT_MAX. frame NULL means "0". That device names are full and canonical is the
 * caller's affair: it has them from devices. */
df_code key_new(const df_allocator *alloc, const key_parts *parts, uint64_t plan, int64_t channel,
                df_key **out, df_error *err);

/* The same key for somebody else, who calls df_key_free: a count more, or of a plan's a copy.
 * NULL: out of memory. */
df_key *key_share(const df_allocator *alloc, const df_key *key);

/* A key in the caller's memory, of parts that are good, last as long, and make a text of at
 * most KEY_TEXT_MAX. For many of them what two devices give to the hash is taken once. */
uint64_t key_hash_devices(const char *src, const char *dst);
df_key key_of_plan(const key_parts *parts, uint64_t devices, uint64_t plan, int64_t channel);

#endif /* NAME_KEY_H */
