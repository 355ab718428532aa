#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# size.sh [BUILD] - how big the library is, layer by layer: of the build in this folder, or of a
# new one, of which it also says how long it takes. Says whether it is as small as it should be, and
# fails if it has grown beyond what it is known to be.
set -eu
cd "$(dirname "$0")/../.."
goal=$((200 * 1024))  # bytes of the shared library, stripped
limit=$((356 * 1024)) # with GPUs: CUDA and its ops 26 KiB, OpenCL 13, queues, staging and SIM's checker 18,
                      # what stays on devices, and times, 5; between processes 57
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

build=${1-}
if [ -z "$build" ]; then
    build=$work/build
    cmake -S . -B "$build" -DDATAFLOW_TESTS=OFF -DDATAFLOW_EXAMPLES=OFF >/dev/null
    start=$(date +%s%N)
    cmake --build "$build" --parallel "$(nproc)" >/dev/null
    end=$(date +%s%N)
    echo "clean build, $(nproc) cores: $(((end - start) / 100000000))" |
        sed -E 's/([0-9])$/.\1 s/; s/: \./: 0./'
fi
strip -o "$work/stripped.so" "$build/libdataflow.so"
whole=$(wc -c <"$work/stripped.so")
# Kernels for devices, which their drivers compile, are text and counted apart.
objects=$build/CMakeFiles/dataflow_objects.dir/src
text=$(size "$objects/device/cuda/ptx.c.o" "$objects/kernels/opencl/text.c.o" |
    awk 'NR > 1 { n += $1 } END { print n }')
bytes=$((whole - text))

echo "bytes of code and data, by layer:"
for layer in src/*/; do
    find "$build/CMakeFiles/dataflow_objects.dir/$layer" -name '*.o' |
        xargs size | awk -v layer="$(basename "$layer")" '
            $1 ~ /^[0-9]+$/ && !/TOTALS/ { n += $1 + $2 + $3 }
            END { printf "  %-12s %8d\n", layer, n }'
done
echo "shared library, stripped: $whole bytes, of which $text are kernels as text"
echo "without them: $bytes bytes, of at most $limit"
echo "goal size $bytes $goal $([ "$bytes" -le "$goal" ] && echo ok || echo missed)"
[ "$bytes" -le "$limit" ]
