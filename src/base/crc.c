/* SPDX-License-Identifier: MIT */
#include "base/crc.h"

void crc_init(crc *c) {
    uint32_t *t = c->table;
    for (uint32_t i = 0; i < 4 * 256; i++) {
        uint32_t x = i;
        if (i >= 256)
            x = t[i - 256] >> 8 ^ t[t[i - 256] & 255];
        else
            for (int bit = 0; bit < 8; bit++) x = x >> 1 ^ (0xedb88320u & -(x & 1));
        t[i] = x;
    }
    c->value = 0;
}

void crc_add(crc *c, const void *data, size_t n) {
    const uint32_t *t = c->table;
    const unsigned char *p = data;
    uint32_t x = ~c->value;
    for (; n >= 4; n -= 4, p += 4) {
        x ^= (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        x = t[768 + (x & 255)] ^ t[512 + (x >> 8 & 255)] ^ t[256 + (x >> 16 & 255)] ^ t[x >> 24];
    }
    while (n--) x = x >> 8 ^ t[(x ^ *p++) & 255];
    c->value = ~x;
}

uint32_t crc_few(uint32_t value, const void *data, size_t n) {
    static const uint32_t of_nibble[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
                                           0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
                                           0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                           0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    const unsigned char *p = data;
    uint32_t x = ~value;
    while (n--) {
        x ^= *p++;
        x = x >> 4 ^ of_nibble[x & 15];
        x = x >> 4 ^ of_nibble[x & 15];
    }
    return ~x;
}
