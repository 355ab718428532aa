/* SPDX-License-Identifier: MIT
 *
 * dtype.c - what is known of each dtype, in one table.
 */
#include <dataflow/tensor.h>

typedef struct dtype_info {
    char name[15];
    unsigned char size;
} dtype_info;

/* A number that is no dtype, DF_DTYPE_NONE included, gets the first. */
static const dtype_info *info(df_dtype dtype) {
    static const dtype_info table[] = {
        [DF_DTYPE_NONE] = {"none", 0},
        [DF_FLOAT32] = {"float32", sizeof(float)},
        [DF_FLOAT64] = {"float64", sizeof(double)},
        [DF_INT8] = {"int8", sizeof(int8_t)},
        [DF_INT16] = {"int16", sizeof(int16_t)},
        [DF_INT32] = {"int32", sizeof(int32_t)},
        [DF_INT64] = {"int64", sizeof(int64_t)},
        [DF_UINT8] = {"uint8", sizeof(uint8_t)},
        [DF_BOOL] = {"bool", 1},
        [DF_STRING] = {"string", sizeof(df_string)},
        [DF_FLOAT16] = {"float16", sizeof(uint16_t)},
        [DF_BFLOAT16] = {"bfloat16", sizeof(uint16_t)},
    };
    size_t i = (size_t)dtype;
    return &table[i < sizeof table / sizeof *table ? i : 0];
}

const char *df_dtype_name(df_dtype dtype) {
    return info(dtype)->name;
}

size_t df_dtype_size(df_dtype dtype) {
    return info(dtype)->size;
}
