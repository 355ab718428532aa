#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# text.sh            writes text.c, the text of the kernels for OpenCL, from *.cl of this folder and the
#                    headers that both sides read
# text.sh --check    fails if text.c is not what it would write
#
# The library carries them without comments and indentation.
set -eu
cd "$(dirname "$0")/../../.."
here=src/kernels/opencl
out=$here/text.c
texts="number elementwise function values move scatter fold rows matmul window pool"

# Without comments, includes, indentation and empty lines.
strip() { # FILE
    awk '
    {
        out = ""
        while ($0 != "") {
            at = index($0, in_comment ? "*/" : "/*")
            if (!in_comment) out = out (at ? substr($0, 1, at - 1) : $0)
            if (!at) break
            in_comment = !in_comment
            $0 = substr($0, at + 2)
        }
        gsub(/[ \t]+/, " ", out)
        sub(/^ /, "", out)
        sub(/ $/, "", out)
        if (out != "" && out !~ /^# ?include/) print out
    }' "$1"
}

# The definition that begins so.
definition() { # FILE BEGINNING
    strip "$1" | awk -v begin="$2" 'index($0, begin) == 1 { on = 1 } on { print } on && /;$/ { exit }'
}

common() {
    strip $here/types.cl
    definition include/dataflow/tensor.h 'enum { DF_MAX_RANK'
    definition include/dataflow/tensor.h 'typedef enum df_dtype'
    definition src/kernels/loops.h 'typedef enum loop_kind'
    definition src/kernels/folds.h 'typedef enum fold_kind'
    strip src/kernels/cuda/args.h
    strip $here/common.cl
}

# As lines of a string.
text() { # NAME
    echo "const char opencl_$1[] ="
    sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/.*/"&\\n"/' -e '$s/$/;/'
    echo
}

write() {
    cat <<END
/* SPDX-License-Identifier: MIT
 *
 * The kernels of the standard ops, as text that a driver compiles for its device.
 *
 * Written by $here/text.sh from the files *.cl beside it; do not edit.
 */
#include "kernels/opencl/text.h"

#pragma GCC diagnostic ignored "-Woverlength-strings"

/* clang-format off */
END
    common | text common
    for name in $texts; do strip "$here/$name.cl" | text "$name"; done
}

if [ "${1-}" != --check ]; then
    write >"$out"
    echo "text: $out, $(wc -c <"$out") bytes"
else
    write | cmp - "$out" || {
        echo "text: $out is not what its sources give; run $here/text.sh" >&2
        exit 1
    }
    echo "text: $out is what its sources give"
fi
