/* SPDX-License-Identifier: MIT
 *
 * RandomUniform and RandomNormal, from a generator without state: Philox4x32-10 of Salmon,
 * Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC'11).
 *
 * Block b of a counter c is four words, philox of {b, c} under the key `seed`. Element i
 * has word i of these blocks, or, of 64 bits, words 2i (low) and 2i + 1: so each depends on
 * seed, counter and i alone, and any part can be computed by itself.
 */
#include "kernels/random.h"

#include <math.h>

#include "kernels/copy.h"
#include "kernels/family.h"
#include "op/number.h"

enum { DTYPE = 0, SHAPE = 1, SEED = 2, ROUNDS = 10, TILE = 64 };

/* ---- bits ---------------------------------------------------------------- */

void random_block(uint64_t seed, uint64_t counter, uint64_t block, uint32_t words[4]) {
    uint32_t a = (uint32_t)block, b = (uint32_t)(block >> 32);
    uint32_t c = (uint32_t)counter, d = (uint32_t)(counter >> 32);
    uint32_t key0 = (uint32_t)seed, key1 = (uint32_t)(seed >> 32);
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t left = UINT64_C(0xD2511F53) * a, right = UINT64_C(0xCD9E8D57) * c;
        a = (uint32_t)(right >> 32) ^ b ^ key0;
        b = (uint32_t)right;
        c = (uint32_t)(left >> 32) ^ d ^ key1;
        d = (uint32_t)left;
        key0 += 0x9E3779B9;
        key1 += 0xBB67AE85;
    }
    words[0] = a;
    words[1] = b;
    words[2] = c;
    words[3] = d;
}

/* The bits of a tile of elements from `first` on, a multiple of the tile. */
static void draw(uint64_t seed, uint64_t counter, uint64_t first, bool wide, uint64_t *bits) {
    uint32_t words[2 * TILE];
    int per = wide ? 2 : 1; /* words of an element */
    for (int i = 0; i < per * TILE; i += 4)
        random_block(seed, counter, (first * (uint64_t)per + (uint64_t)i) / 4, words + i);
    for (int i = 0; i < TILE; i++)
        bits[i] = wide ? words[2 * i] | (uint64_t)words[2 * i + 1] << 32 : words[i];
}

/* ---- distributions ------------------------------------------------------- */

/* Of a tile: `drop` leaves as many bits as the dtype has digits, `unit` is 1 over their number. */
typedef struct distribution {
    void (*make)(const uint64_t *bits, int drop, double unit, double *values);
    dtype_set dtypes;
    const char *words; /* for `dtypes` */
} distribution;

static double fraction(uint64_t bits, double unit) {
    return (double)(int64_t)bits * unit;
}

static void make_uniform(const uint64_t *bits, int drop, double unit, double *values) {
    for (int i = 0; i < TILE; i++) values[i] = fraction(bits[i] >> drop, unit);
}

/* Two at a time, by Box and Muller: the first of a pair says how far from 0, and is not 0
 * itself, the second in which direction. */
static void make_normal(const uint64_t *bits, int drop, double unit, double *values) {
    for (int i = 0; i < TILE; i += 2) {
        double radius = sqrt(-2 * log(fraction((bits[i] >> drop) + 1, unit)));
        double angle = 6.283185307179586 * fraction(bits[i + 1] >> drop, unit);
        values[i] = radius * cos(angle);
        values[i + 1] = radius * sin(angle);
    }
}

/* In the order of the ops' names. */
static const distribution distributions[] = {
    {make_uniform, DTYPES_NUMBER, "float32, float64 or an integer dtype"},
    {make_normal, DTYPES_REAL, "float32 or float64"}};

/* ---- the ops ------------------------------------------------------------- */

static df_code infer_random(df_infer *c, df_error *err) {
    const distribution *d = &distributions[infer_which(c)];
    df_dtype dtype = (df_dtype)c->attrs[DTYPE].i;
    if (!dtype_in(d->dtypes, dtype))
        return error_invalid(err, "attr dtype is %s; give %s", df_dtype_name(dtype), d->words);
    df_shape shape = c->attrs[SHAPE].shape;
    df_code code = c->n_inputs ? infer_rank(c, 0, 0, err) : DF_OK;
    if (code == DF_OK) code = df_infer_set(c, 0, shape, err);
    if (code != DF_OK || shape_is_known(shape)) return code;
    return error_invalid(err, "attr shape is %s; random numbers need every size to be known",
                         edge_text(&c->outputs[0]).s);
}

static df_code compute_random(df_kernel *c, df_error *err) {
    (void)err;
    const distribution *d = &distributions[kernel_which(c)];
    const df_tensor *out = kernel_output(c, 0);
    uint64_t seed = (uint64_t)kernel_attrs(c)[SEED].i, bits[TILE];
    uint64_t counter = kernel_inputs(c) ? *(const uint64_t *)kernel_input(c, 0)->data : 0;
    bool wide = df_dtype_size(out->dtype) == 8;
    for (int64_t at = 0; at < out->elements; at += TILE) {
        int64_t n = out->elements - at < TILE ? out->elements - at : TILE;
        double values[TILE];
        draw(seed, counter, (uint64_t)at, wide, bits);
        if (number_is_float(out->dtype)) {
            d->make(bits, wide ? 11 : 8, wide ? 0x1p-53 : 0x1p-24, values);
            number_store_floats(out->dtype, values, n, copy_at(out, at));
        } else {
            number_store_ints(out->dtype, (const int64_t *)bits, n, copy_at(out, at));
        }
    }
    return DF_OK;
}

void random_ops(adder *a) {
    add_op(a,
           "RandomUniform|RandomNormal(counter?: int64) {dtype: dtype = float32, shape: shape, "
           "seed: int = 0} : dtype",
           infer_random, compute_random, ADD_HOST_INPUT(0));
}
