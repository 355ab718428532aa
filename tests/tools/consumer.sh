#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# consumer.sh - the library as somebody else's project gets it: installed, moved, found by
# CMake and by pkg-config, shared and static; as a subdirectory and by FetchContent; from C
# and from C++.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
jobs=$(nproc)

quietly() {
    "$@" >"$work/log" 2>&1 || {
        echo "consumer: failed: $*" >&2
        cat "$work/log" >&2
        exit 1
    }
}

# project NAME OPTION... - builds tests/install in one way, and runs what it built.
project() {
    local name=$1
    shift
    quietly cmake -S "$root/tests/install" -B "$work/$name" "$@"
    quietly cmake --build "$work/$name" --parallel "$jobs"
    quietly "$work/$name/consumer_c"
    quietly "$work/$name/consumer_cpp"
    quietly "$work/$name/consumer_backend"
    for program in "$work/$name"/consumer_grpc* "$work/$name"/consumer_ucx*; do
        [ ! -f "$program" ] || quietly "$program"
    done
    echo "consumer: $name works"
}

quietly cmake -S "$root" -B "$work/library" -DDATAFLOW_TESTS=OFF -DDATAFLOW_EXAMPLES=OFF \
    -DCMAKE_INSTALL_LIBDIR=lib -DCMAKE_INSTALL_PREFIX="$work/elsewhere"
quietly cmake --build "$work/library" --parallel "$jobs"
quietly cmake --install "$work/library" --prefix "$work/first"
mv "$work/first" "$work/prefix" # what is installed can be moved
rm -rf "$work/library"

project found -DHOW=find -DCMAKE_PREFIX_PATH="$work/prefix" -DLIBRARY=dataflow::dataflow
project found-static -DHOW=find -DCMAKE_PREFIX_PATH="$work/prefix" \
    -DLIBRARY=dataflow::dataflow_static
project subdirectory -DHOW=subdirectory -DSOURCE="$root" -DLIBRARY=dataflow::dataflow
project fetched -DHOW=fetch -DSOURCE="$root" -DLIBRARY=dataflow::dataflow_static

export PKG_CONFIG_PATH=$work/prefix/lib/pkgconfig
source=$root/tests/install/consumer.c
quietly gcc "$source" $(pkg-config --cflags --libs dataflow) -Wl,-rpath,"$work/prefix/lib" \
    -o "$work/shared"
quietly "$work/shared"
quietly ldd "$work/shared"
grep -q 'libdataflow\.so\.0\.1 => ' "$work/log" || {
    echo "consumer: the program does not ask for libdataflow.so.0.1" >&2
    exit 1
}

for engine in grpc ucx; do
    [ -f "$work/prefix/lib/pkgconfig/dataflow_$engine.pc" ] || continue
    quietly gcc "$root/tests/install/$engine.c" $(pkg-config --cflags --libs dataflow_$engine) \
        -Wl,-rpath,"$work/prefix/lib" -o "$work/$engine"
    quietly "$work/$engine"
    echo "consumer: pkg-config works for dataflow_$engine"
done

# The program that is installed finds its libraries.
if [ -f "$work/prefix/bin/dataflow-worker" ]; then
    status=0
    "$work/prefix/bin/dataflow-worker" >"$work/log" 2>&1 || status=$?
    [ $status = 2 ] && grep -q -- '--cluster, --job and --task: missing' "$work/log" &&
        "$work/prefix/bin/dataflow-worker" --help | grep -q -- '--cluster FILE' || {
        echo "consumer: dataflow-worker does not run where it is installed" >&2
        exit 1
    }
    echo "consumer: dataflow-worker runs"
fi

# The README's program, as a reader would paste it.
awk '/^```c$/ { f = 1; next } /^```$/ { f = 0 } f' "$root/README.md" >"$work/program.c"
quietly gcc "$work/program.c" $(pkg-config --cflags --libs dataflow) \
    -Wl,-rpath,"$work/prefix/lib" -o "$work/program"
quietly "$work/program"
grep -q '^10 \* (1 + 3) = 40$' "$work/log" || {
    echo "consumer: the README's program does not print what it says" >&2
    exit 1
}
echo "consumer: the README's program works"

# The op of docs/writing-ops.md, and its test: the pieces that belong together.
{
    printf '#include <assert.h>\n#include <stdio.h>\n'
    awk '/^```c$/ { f = ++n == 1 || n == 2 || n == 8; next } /^```$/ { f = 0 } f' \
        "$root/docs/writing-ops.md"
} >"$work/own.c"
quietly gcc "$work/own.c" $(pkg-config --cflags --libs dataflow) -Wl,-rpath,"$work/prefix/lib" \
    -o "$work/own"
quietly "$work/own"
grep -q '^node Blend (Blend): attr amount is 2; it can be 0 to 1$' "$work/log" || {
    echo "consumer: the op of docs/writing-ops.md does not do what it says" >&2
    exit 1
}
echo "consumer: the op of docs/writing-ops.md works"

# The test of a backend in docs/rendezvous.md.
awk '/^```c$/ { f = 1; next } /^```$/ { f = 0 } f' "$root/docs/rendezvous.md" >"$work/suite.c"
quietly gcc "$work/suite.c" $(pkg-config --cflags dataflow) -ldataflow_conformance \
    $(pkg-config --libs dataflow) -pthread -Wl,-rpath,"$work/prefix/lib" -o "$work/suite"
quietly "$work/suite"
[ "$(grep -c '^R[0-9]* .*: kept$' "$work/log")" = 10 ] || {
    echo "consumer: the test of docs/rendezvous.md does not find every rule kept" >&2
    exit 1
}
echo "consumer: the test of docs/rendezvous.md works"

rm "$work"/prefix/lib/libdataflow.so*
quietly gcc "$source" $(pkg-config --static --cflags --libs dataflow) -o "$work/static"
quietly "$work/static"
echo "consumer: pkg-config works, shared and static"
