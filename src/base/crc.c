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
