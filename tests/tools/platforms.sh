#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# platforms.sh [PLATFORM...] - the unit tests where numbers and pointers are otherwise: 32 bits (i386),
# the most significant byte first (s390x), another processor (aarch64), another C library (musl). What
# is not of this machine runs under qemu. Tests link a small stand-in for cmocka (tests/platforms), and
# no module is loaded: tests of drivers and of BLAS are left out.
set -eu
cd "$(dirname "$0")/../.."
. tests/tools/packages.sh
jobs=$(nproc)
[ $# -gt 0 ] || set -- i386 s390x aarch64 musl
left_out='blas|cublas|cuda|opencl|version'

# platform NAME COMPILER FLAGS WRAPPER - builds and runs; says how many passed.
platform() {
    local name=$1 compiler=$2 flags=$3 wrapper=$4 folder=build-gates/platform-$1 targets failed=0
    mkdir -p "$folder/cmocka"
    $compiler $flags -std=c11 -O1 -c tests/platforms/cmocka.c -o "$folder/cmocka/cmocka.o"
    rm -f "$folder/cmocka/libcmocka.a"
    ar rcs "$folder/cmocka/libcmocka.a" "$folder/cmocka/cmocka.o"
    cmake -S . -B "$folder" -DCMAKE_C_COMPILER="$compiler" -DCMAKE_C_FLAGS="$flags" \
        -DCMAKE_EXE_LINKER_FLAGS=-static -DCMAKE_CXX_COMPILER= -DCMAKE_BUILD_TYPE=Debug \
        -DCMAKE_SYSTEM_NAME=Linux -DDATAFLOW_EXAMPLES=OFF -DDATAFLOW_BENCH=OFF -DDATAFLOW_INSTALL=OFF \
        -DCMOCKA_INCLUDE_DIR="$PWD/tests/platforms" -DDATAFLOW_TEST_WRAPPER="$wrapper" \
        -DCMOCKA_LIBRARY="$PWD/$folder/cmocka/libcmocka.a" >"$folder/configure.log"
    targets=$(ls tests/unit/test_*.c | sed 's|.*/||; s|\.c$||' | grep -vE "_($left_out)")
    cmake --build "$folder" --parallel "$jobs" --target $targets -- -k >"$folder/build.log" 2>&1 || {
        grep -E 'error|undefined' "$folder/build.log" >&2
        return 1
    }
    # Emulated, a test takes many times as long.
    (cd "$folder" && DATAFLOW_TEST_SCALE=${wrapper:+20} ctest --parallel "$jobs" --timeout 600 -L unit \
        -E "^($left_out)") >"$folder/ctest.log" 2>&1 || failed=1
    sed -nE '/\*\*\*|tests passed/p' "$folder/ctest.log" | sed "s/^/$name: /"
    return "$failed"
}

failed=""
for each in "$@"; do
    case $each in
    i386) need lib32gcc-12-dev libc6-dev-i386 && platform i386 gcc "-m32 -msse2 -mfpmath=sse -idirafter /usr/include/x86_64-linux-gnu" "" ;;
    s390x) need gcc-12-s390x-linux-gnu libc6-dev-s390x-cross qemu-user-static &&
        platform s390x s390x-linux-gnu-gcc-12 "" qemu-s390x-static ;;
    aarch64) need gcc-12-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static &&
        platform aarch64 aarch64-linux-gnu-gcc-12 "" qemu-aarch64-static ;;
    musl) need musl-tools && platform musl musl-gcc "" "" ;;
    *) echo "platforms: i386, s390x, aarch64, musl, not $each" >&2; exit 2 ;;
    esac || failed="$failed $each"
done
[ -z "$failed" ] || { echo "platforms: failed:$failed" >&2; exit 1; }
