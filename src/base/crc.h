/* SPDX-License-Identifier: MIT
 *
 * crc.h - the checksum of PNG, gzip and zlib: CRC-32 of the polynomial 0x04c11db7, reflected. It
 * finds every error of up to 32 bits in a row. It is no defence against who means harm.
 */
#ifndef BASE_CRC_H
#define BASE_CRC_H

#include <stddef.h>
#include <stdint.h>

/* Four bytes are taken in one go (Kounavis, Berry 2005): table[k * 256 + b] is what a byte b does
 * that has k others behind it. */
typedef struct crc {
    uint32_t value; /* of the bytes so far */
    uint32_t table[4 * 256];
} crc;

void crc_init(crc *c);
void crc_add(crc *c, const void *data, size_t n);

/* The same of a few bytes more, four bits at a time, where a table would cost more than it saves.
 * `value` is 0 at first. */
uint32_t crc_few(uint32_t value, const void *data, size_t n);

#endif /* BASE_CRC_H */
