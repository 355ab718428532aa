#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# headers.sh - every header stands alone: each public one as C11 and C++, each internal
# one as C11, without a warning, included twice.
set -eu
cd "$(dirname "$0")/../.."
warn="-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror"
failed=0 count=0

alone() { # HEADER-AS-INCLUDED COMPILER...
    local header=$1
    shift
    count=$((count + 1))
    if ! printf '#include %s\n#include %s\ntypedef int unit_is_not_empty;\n' "$header" "$header" |
        "$@" $warn -fsyntax-only -; then
        echo "headers: $header does not stand alone: $*" >&2
        failed=1
    fi
}

for path in include/dataflow/*.h conformance/dataflow/*.h; do
    header="<dataflow/${path##*/}>"
    alone "$header" gcc -std=c11 -x c -Iinclude -Iconformance
    alone "$header" clang -std=c11 -x c -Iinclude -Iconformance
    alone "$header" g++ -std=c++11 -x c++ -Iinclude -Iconformance
    alone "$header" clang++ -std=c++17 -x c++ -Iinclude -Iconformance
done
# Without its library that of an engine cannot be read.
core=$(pkg-config --modversion grpc 2>/dev/null || true)
ucx=$(pkg-config --modversion ucx 2>/dev/null || true)
for path in $(find src -name '*.h' | LC_ALL=C sort); do
    case $path in
    src/transport/grpc/core.h) [ -n "$core" ] || continue ;;
    src/transport/ucx/core.h) [ -n "$ucx" ] || continue ;;
    esac
    alone "\"${path#src/}\"" gcc -std=c11 -x c -D_POSIX_C_SOURCE=200809L \
        -DDF_GRPC_CORE="${core%%.*}" -Iinclude -Isrc
done
for header in net rig scene stage; do
    alone "\"$header.h\"" gcc -std=c11 -x c -D_POSIX_C_SOURCE=200809L -Iinclude -Iconformance
done
[ "$failed" = 0 ] || exit 1
echo "headers: each stands alone ($count compilations)"
