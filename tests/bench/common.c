/* SPDX-License-Identifier: MIT */
#include "bench/common.h"

#include <stdio.h>
#include <stdlib.h>

void bench_need(bool holds, const char *what, const char *why) {
    if (holds) return;
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

void bench_ok(df_code code, const df_error *err, const char *what) {
    bench_need(code == DF_OK, what, err->message);
}

void *bench_alloc(size_t bytes) {
    void *block = calloc(1, bytes ? bytes : 1);
    bench_need(block != NULL, "memory", "there is none left");
    return block;
}

uint64_t bench_draw(uint64_t *seed) {
    uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}
