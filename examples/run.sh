#!/bin/sh
# SPDX-License-Identifier: MIT
#
# examples/run.sh [--example NAME] [ARGUMENT...] - builds the library and the examples into
# build-examples/ and runs the example, `digits` if none is named, with these arguments.
# What is missing on the machine is installed with apt-get, by root or sudo; otherwise it is
# named.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/tests/tools/packages.sh"
need cmake gcc libc6-dev make

example=digits
if [ "${1-}" = --example ]; then
    [ $# -gt 1 ] || set -- --example ""
    example=$2
    shift 2
    [ -e "$root/examples/$example.c" ] || [ -e "$root/examples/$example/model.c" ] || {
        echo "there is no example '$example'; see examples/README.md" >&2
        exit 2
    }
fi

build=$root/build-examples
echo "building into build-examples/" >&2
mkdir -p "$build"
{
    cmake -S "$root" -B "$build" -DCMAKE_BUILD_TYPE=Release -DDATAFLOW_TESTS=OFF &&
        cmake --build "$build" --parallel "$(nproc)"
} >"$build/build.log" 2>&1 || {
    cat "$build/build.log" >&2
    exit 1
}
exec "$build/examples/$example" "$@"
