#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/bench/run.sh [OPTION...] - builds the benches into build-bench/ and runs them.
#
#   --quick         fewer repeats
#   --only PATTERN  the points with this in their name ("empty/", "cut/"); leaves out huge
#   --no-peers      this library and the plain loops alone
#   --json FILE     --markdown FILE     --svg FILE
set -eu
call_from=$(pwd)
cd "$(dirname "$0")/../.."
. tests/tools/packages.sh

cache=build-bench
quick="" peers=yes huge=yes

usage() {
    sed -n 's/^# \{0,1\}//; 4,9p' tests/bench/run.sh >&2
    exit 2
}

# The path FILE as the caller means it.
from_caller() {
    case $1 in
    /*) echo "$1" ;;
    *) echo "$call_from/$1" ;;
    esac
}

build() {
    mkdir -p "$cache"
    cmake -S . -B "$cache" -DDATAFLOW_TESTS=OFF -DDATAFLOW_EXAMPLES=OFF -DDATAFLOW_BENCH=ON \
        >"$cache/configure.log"
    cmake --build "$cache" --parallel "$(nproc)" --target speed huge >"$cache/build.log" 2>&1 || {
        cat "$cache/build.log" >&2
        exit 1
    }
}

options=""
while [ $# -gt 0 ]; do
    case $1 in
    --quick) quick=--quick ;;
    --no-peers) peers="" ;;
    --only | --json | --markdown | --svg)
        [ $# -gt 1 ] || usage
        ;;
    *) usage ;;
    esac
    case $1 in
    --only) options="$options --only '$2'" huge="" && shift ;;
    --json | --markdown | --svg) options="$options $1 '$(from_caller "$2")'" && shift ;;
    esac
    shift
done

need cmake gcc libc6-dev make
build
eval "set -- $options"
"$cache/tests/speed" $quick "$@"
[ -z "$huge" ] || "$cache/tests/huge" ${quick:+100000}
