#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# format.sh [--fix] - every file of C, C++, CUDA or OpenCL is as .clang-format would have it, begins with
# the licence's line, has no line above 100 columns and, outside tests, is shorter than 600
# lines; but for those that ptx.sh and text.sh write. --fix formats first.
set -eu
cd "$(dirname "$0")/../.."
files=$(find include src conformance tests examples -name '*.[ch]' -o -name '*.inc' -o -name '*.cpp' \
    -o -name '*.cu' -o -name '*.cuh' -o -name '*.cl' |
    grep -v -e '^src/device/cuda/ptx\.c$' -e '^src/kernels/opencl/text\.c$' | LC_ALL=C sort)
[ "${1-}" != --fix ] || clang-format -i $files
failed=0
for file in $files; do
    clang-format --dry-run -Werror "$file" 2>/dev/null || {
        echo "format: $file is not as clang-format has it" >&2
        failed=1
    }
done
awk '
    FNR == 1 && !/SPDX-License-Identifier: MIT/ { print FILENAME ": the licence is not named"; bad = 1 }
    length > 100 { print FILENAME ":" FNR ": longer than 100 columns"; bad = 1 }
    FNR == 600 && FILENAME !~ /^tests/ { print FILENAME ": 600 lines; make it two files"; bad = 1 }
    END { exit bad }' $files >&2 || failed=1
[ "$failed" = 0 ] || exit 1
echo "format: $(printf '%s\n' "$files" | wc -l) files in order"
