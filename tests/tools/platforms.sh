#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# platforms.sh [PLATFORM...] - the unit tests where numbers and pointers are otherwise: 32 bits (i386),
# the most significant byte first (s390x), another processor (aarch64), another C library (musl). What
# is not of this machine runs under qemu. Tests link a small stand-in for cmocka (tests/platforms), as
# Debian has cmocka for the machine's own platform alone. Without a C++ compiler for them, the tests of
# kernels for CUDA on the host are not built; what needs a driver of OpenCL skips itself.
set -eu
cd "$(dirname "$0")/../.."
. tests/tools/packages.sh
jobs=$(nproc)
[ $# -gt 0 ] || set -- i386 s390x aarch64 musl

# build FOLDER COMPILER FLAGS WRAPPER
build() {
    local folder=$1 compiler=$2 flags=$3 wrapper=$4
    mkdir -p "$folder/cmocka"
    $compiler $flags -std=c11 -O2 -c tests/platforms/cmocka.c -o "$folder/cmocka/cmocka.o" &&
        ar rcs "$folder/cmocka/libcmocka.a" "$folder/cmocka/cmocka.o" &&
        cmake -S . -B "$folder" -DCMAKE_C_COMPILER="$compiler" -DCMAKE_C_FLAGS="$flags" \
            -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_C_FLAGS_RELWITHDEBINFO=-O2 \
            -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_CXX_COMPILER= -DDATAFLOW_WERROR=ON -DDATAFLOW_GRPC=OFF -DDATAFLOW_UCX=OFF \
            -DDATAFLOW_EXAMPLES=OFF -DDATAFLOW_BENCH=OFF -DDATAFLOW_INSTALL=OFF \
            -DCMOCKA_INCLUDE_DIR="$PWD/tests/platforms" -DDATAFLOW_TEST_WRAPPER="$wrapper" \
            -DCMOCKA_LIBRARY="$PWD/$folder/cmocka/libcmocka.a" &&
        cmake --build "$folder" --parallel "$jobs" --target unit_tests
}

count() {
    grep -cE "$1" "$2" || true
}

# platform NAME COMPILER FLAGS [WRAPPER] - builds and runs; says how many passed, in how many seconds.
platform() {
    local name=$1 wrapper=${4-} folder=build-gates/platform-$1 log=build-gates/platform-$1/ctest.log
    local failed=0 began=$SECONDS scale=4 cases
    echo "$name: building into $folder"
    mkdir -p "$folder"
    build "$folder" "$2" "$3" "$wrapper" >"$folder/build.log" 2>&1 || {
        grep -vE '^(\[ *[0-9]*%\]|-- )' "$folder/build.log" >&2
        return 1
    }
    # How threads race is for other gates, which have more rounds, and yields between. Emulated, all
    # takes longer.
    [ -z "$wrapper" ] || scale=20
    (cd "$folder" && DATAFLOW_TEST_SCALE=$scale DATAFLOW_TEST_YIELDS=10000 ctest --output-on-failure \
        --no-tests=error --parallel "$jobs" --timeout 600 -L unit) >"$log" 2>&1 || failed=1
    [ "$failed" = 0 ] || cat "$log" >&2
    cases=$(awk '/^\[  PASSED  \] [0-9]+ test/ { n += $4 } END { print n + 0 }' \
        "$folder/Testing/Temporary/LastTest.log")
    echo "$name: $cases cases passed in $(count '^ *[0-9]+/[0-9]+ +Test +#' "$log") programs, of which" \
        "$(count ' Passed ' "$log") passed, $(count '\*\*\*Skipped ' "$log") skipped," \
        "$(count '\*\*\*[FENT]' "$log") failed; $((SECONDS - began)) s"
    return "$failed"
}

# emulated NAME PACKAGE - by Debian's cross compiler, and qemu, which is told where its C library is.
emulated() {
    local qemu=qemu-$1-static
    need "gcc-12-$1-linux-gnu" "libc6-dev-$2-cross" qemu-user-static
    QEMU_LD_PREFIX=/usr/$1-linux-gnu DATAFLOW_TEST_EMULATOR=$qemu \
        platform "$1" "$1-linux-gnu-gcc-12" "" "$qemu"
}

failed=""
for each in "$@"; do
    case $each in
    i386) # where 64-bit atomics are aligned in structs was changed once, of which gcc tells each time
        need lib32gcc-12-dev libc6-dev-i386
        platform i386 gcc "-m32 -Wno-psabi -idirafter /usr/include/x86_64-linux-gnu"
        ;;
    s390x) emulated s390x s390x ;;
    aarch64) emulated aarch64 arm64 ;;
    musl) need musl-tools && platform musl musl-gcc "" ;;
    *) echo "platforms: i386, s390x, aarch64, musl, not $each" >&2; exit 2 ;;
    esac || failed="$failed $each"
done
[ -z "$failed" ] || { echo "platforms: failed:$failed" >&2; exit 1; }
