/* SPDX-License-Identifier: MIT
 *
 * Cast, Range and the random numbers, behind number.cl: "kernels/cuda/values.cu".
 */

KERNEL(df_cast)(const cuda_cast a, global const char *in_, global char *out_) {
    EACH(i, a.n) {
        global const char *in = AT(const char, in_, a.in);
        global char *out = AT(char, out_, a.out);
        if (is_float(a.from))
            store_float(a.to, out, i, load_float(a.from, in, i));
        else
            store_int(a.to, out, i, load_int(a.from, in, i));
    }
}

KERNEL(df_range)(const cuda_range a, global char *out_) {
    EACH(i, a.n) {
        global char *out = AT(char, out_, a.out);
        if (is_float(a.dtype))
            store_real(a.dtype, out, i, a.start_f + (double)i * a.delta_f);
        else
            store_bits(a.dtype, out, i,
                       (int64_t)((uint64_t)a.start_i + (uint64_t)i * (uint64_t)a.delta_i));
    }
}

/* ---- random numbers ------------------------------------------------------ */

/* Philox4x32-10, as random_block in "kernels/random.h". */
void draw(uint64_t seed, uint64_t counter, uint64_t block, uint32_t *words) {
    uint32_t w0 = (uint32_t)block, w1 = (uint32_t)(block >> 32);
    uint32_t w2 = (uint32_t)counter, w3 = (uint32_t)(counter >> 32);
    uint32_t key0 = (uint32_t)seed, key1 = (uint32_t)(seed >> 32);
    for (int i = 0; i < 10; i++) {
        uint64_t left = (uint64_t)0xD2511F53 * w0, right = (uint64_t)0xCD9E8D57 * w2;
        w0 = (uint32_t)(right >> 32) ^ w1 ^ key0;
        w1 = (uint32_t)right;
        w2 = (uint32_t)(left >> 32) ^ w3 ^ key1;
        w3 = (uint32_t)left;
        key0 += 0x9E3779B9;
        key1 += 0xBB67AE85;
    }
    words[0] = w0;
    words[1] = w1;
    words[2] = w2;
    words[3] = w3;
}

typedef struct unit {
    int drop; /* leaves as many bits as the dtype has digits */
    double size;
} unit;

double fraction(uint64_t bits, double size) {
    return (double)(int64_t)bits * size;
}

/* Two elements, by Box and Muller. */
void normals(uint64_t first, uint64_t second, unit u, double *z) {
    double radius = sqrt(-2 * log(fraction((first >> u.drop) + 1, u.size)));
    double angle = 6.283185307179586 * fraction(second >> u.drop, u.size);
    z[0] = radius * cos(angle);
    z[1] = radius * sin(angle);
}

void put_pair(const cuda_random *a, global char *out, int64_t i, const uint64_t *bits, unit u) {
    double z[2] = {fraction(bits[0] >> u.drop, u.size), fraction(bits[1] >> u.drop, u.size)};
    if (a->normal) normals(bits[0], bits[1], u, z);
    for (int k = 0; k < 2 && i + k < a->n; k++) {
        if (is_float(a->dtype))
            store_real(a->dtype, out, i + k, z[k]);
        else
            store_bits(a->dtype, out, i + k, (int64_t)bits[k]);
    }
}

/* A work item draws a block of four words: four elements, or two of 64 bits. */
KERNEL(df_random_fill)(const cuda_random a, global char *out_) {
    bool is_wide = a.dtype == DF_FLOAT64 || a.dtype == DF_INT64;
    EACH(b, is_wide ? (a.n + 1) / 2 : (a.n + 3) / 4) {
        global char *out = AT(char, out_, a.out);
        const unit u = {is_wide ? 11 : 8, is_wide ? 0x1p-53 : 0x1p-24};
        uint32_t w[4];
        draw(a.seed, a.counter, (uint64_t)b, w);
        if (is_wide) {
            const uint64_t bits[2] = {w[0] | (uint64_t)w[1] << 32, w[2] | (uint64_t)w[3] << 32};
            put_pair(&a, out, 2 * b, bits, u);
        } else {
            for (int k = 0; k < 4; k += 2) {
                const uint64_t bits[2] = {w[k], w[k + 1]};
                put_pair(&a, out, 4 * b + k, bits, u);
            }
        }
    }
}
