/* SPDX-License-Identifier: MIT */
#include <dataflow/dataflow.h>

#define WORD(x)          #x
#define VERSION(a, b, c) WORD(a) "." WORD(b) "." WORD(c)

const char *df_version(void) {
    return VERSION(DF_VERSION_MAJOR, DF_VERSION_MINOR, DF_VERSION_PATCH);
}
