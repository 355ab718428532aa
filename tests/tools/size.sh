#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# size.sh - how big the library is, and how long it takes to build from nothing. Prints;
# judges nothing.
set -eu
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cmake -S . -B "$work/build" -DDATAFLOW_TESTS=OFF -DDATAFLOW_EXAMPLES=OFF >/dev/null
start=$(date +%s%N)
cmake --build "$work/build" --parallel "$(nproc)" >/dev/null
end=$(date +%s%N)
strip -o "$work/stripped.so" "$work/build/libdataflow.so"

echo "bytes of code and data, by layer:"
objects=$work/build/CMakeFiles/dataflow_objects.dir/src
for layer in "$objects"/*/; do
    find "$layer" -name '*.o' -exec size {} + | awk -v layer="$(basename "$layer")" '
        $1 ~ /^[0-9]+$/ && !/TOTALS/ { n += $1 + $2 + $3 }
        END { printf "  %-12s %8d\n", layer, n }'
done
echo "shared library, stripped: $(wc -c <"$work/stripped.so") bytes"
echo "clean build, $(nproc) cores: $(((end - start) / 100000000))" |
    sed -E 's/([0-9])$/.\1 s/; s/: \./: 0./'
