#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# ptx.sh            compiles src/kernels/cuda/*.cu, and writes ptx.c, which the library carries
# ptx.sh --check    fails if ptx.c is not what it would write, or if ptxas refuses the text for a
#                   GPU; without the nvcc that wrote it there is nothing to compare, and without ptxas
#                   nobody to ask
#
# nvcc says its own version, and the oldest GPU that it knows. The code needs neither: it uses
# nothing that was not there in PTX 6.0 (CUDA 9) for Maxwell. So these two lines are
# rewritten, and every driver since can load it.
#
# -fmad=false: a product is rounded before it is added, as on the CPU.
set -eu
cd "$(dirname "$0")/../../.."
out=src/device/cuda/ptx.c
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

compile() {
    nvcc -ptx -arch=compute_75 -fmad=false -std=c++17 -Iinclude -Isrc src/kernels/cuda/all.cu \
        -o "$work/all.ptx"
    sed -i -e 's/^\.version .*/.version 6.0/' -e 's/^\.target .*/.target sm_50/' "$work/all.ptx"
}

# As few characters as will do: no comments, one space where there was more, short names for what is
# known in one function or one module only. Whether ptxas unrolls a loop is left to it.
pack() {
    sed -e 's,//.*,,' -e '/\.pragma "nounroll";/d' -e 's/[A-Za-z0-9_]*_param_\([0-9]\)/p\1/g' \
        -e 's/\$L__BB/$/g' -e 's/_ZZ*N[0-9]*_INTERNAL_[0-9a-f]*_[0-9]*_all_cu_[0-9a-f]\{8\}/_/g' \
        -e 's/[[:space:]]\+/ /g' -e 's/^ //' -e 's/ $//' -e 's/\([,:;]\) /\1/g' \
        -e 's/ \([{}]\)/\1/g' -e '/^$/d' -e '/^\.global/s/,/, /g' "$work/all.ptx"
}

version() {
    nvcc --version | sed -n 's/.*, V\([0-9.]*\)$/\1/p'
}

write() {
    cat <<END
/* SPDX-License-Identifier: MIT
 *
 * The kernels of the standard ops, as text that a driver compiles for its GPU.
 *
 * Written by src/device/cuda/ptx.sh from src/kernels/cuda/all.cu, with nvcc $(version); do not edit.
 */
#include "device/cuda/launch.h"

#pragma GCC diagnostic ignored "-Woverlength-strings"

/* clang-format off */
const char cuda_ptx[] =
END
    pack | tr '\n' ' ' | fold -s -w 94 |
        sed -e 's/\([;,{}]\) /\1/g' -e 's/"/\\"/g' -e 's/ $//' -e 's/^/"/' -e 's/$/\\n"/' -e '$s/$/;/'
    echo
}

# As a driver gets it.
text() {
    sed -n 's/^"\(.*\)\\n";\{0,1\}$/\1/p' "$1" | sed 's/\\"/"/g'
}

# For all kinds of GPU from the oldest that ptxas knows.
assemble() {
    text "$1" >"$work/text.ptx"
    for arch in 75 80 90 100 120; do
        ptxas -arch="sm_$arch" "$work/text.ptx" -o "$work/text.cubin"
    done
}

if [ "${1-}" != --check ]; then
    compile
    write >"$out"
    echo "ptx: $out, $(text "$out" | wc -c) bytes of PTX"
elif command -v nvcc >/dev/null && grep -q "with nvcc $(version);" "$out"; then
    compile
    write >"$work/ptx.c"
    cmp "$work/ptx.c" "$out" || {
        echo "ptx: $out is not what its sources give; run src/device/cuda/ptx.sh" >&2
        exit 1
    }
    echo "ptx: $out is what its sources give"
else
    echo "ptx: there is no nvcc like the one that wrote it; nothing is compared"
fi
if command -v ptxas >/dev/null; then
    assemble "$out"
    echo "ptx: assembled for sm_75 to sm_120"
fi
