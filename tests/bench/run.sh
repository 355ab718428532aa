#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/bench/run.sh [OPTION...] - builds the benches into build-bench/ and runs them.
#
#   --quick          fewer repeats
#   --only PATTERN   the points with this in their name ("empty/", "cut/"), and no huge graphs
#   --no-peers       this library and the plain loops alone
#   --peers "A B"    these peers: tbb taskflow omp-gcc omp-clang starpu tensorflow onnxruntime
#   --json FILE      --markdown FILE      --svg FILE
#
# Peers are looked for on this machine, and else fetched: from Debian by apt-get (by root or sudo),
# from PyPI by pip. What cannot be had is named in the output, and the run goes on without it.
set -eu
call_from=$(pwd)
cd "$(dirname "$0")/../.."
. tests/tools/packages.sh
. tests/bench/fetch.sh

cache=build-bench
peers="tbb taskflow omp-gcc omp-clang starpu tensorflow onnxruntime"
quick="" huge=yes
c="-O2 -g -std=gnu11 -Wall -Wextra -fPIC -shared"
cxx="-O2 -g -std=c++17 -Wall -Wextra -fPIC -shared"

usage() {
    sed -n 's/^# \{0,1\}//; 4,10p' tests/bench/run.sh >&2
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
    mkdir -p "$cache/peers"
    cmake -S . -B "$cache" -DDATAFLOW_TESTS=OFF -DDATAFLOW_EXAMPLES=OFF -DDATAFLOW_BENCH=ON \
        >"$cache/configure.log"
    cmake --build "$cache" --parallel "$(nproc)" --target speed huge >"$cache/build.log" 2>&1 || {
        cat "$cache/build.log" >&2
        exit 1
    }
}

# ---- peers: each function builds "$out" of "$source", or says on the standard error why not -------

peer_tbb() {
    get g++ libtbb-dev && g++ $cxx "$source" -o "$out" -ltbb
}

peer_taskflow() {
    get g++
    echo '#include <taskflow/taskflow.hpp>' | g++ -std=c++17 -fsyntax-only -x c++ - 2>/dev/null || {
        echo "its headers are not installed" >&2
        return 1
    }
    g++ $cxx -DNDEBUG -pthread "$source" -o "$out"
}

peer_omp_gcc() {
    gcc $c -fopenmp "$source" -o "$out"
}

peer_omp_clang() {
    get clang libomp-dev && clang $c -fopenmp "$source" -o "$out"
}

peer_starpu() {
    local found
    get pkg-config libstarpu-dev
    found=$(pkg-config --list-all | sed -n 's/^\(starpu-[0-9.]*\) .*/\1/p' | sort | tail -n 1)
    gcc $c "$source" -o "$out" $(pkg-config --cflags --libs "$found")
}

peer_tensorflow() {
    tensorflow_cxx $cxx "$source" -o "$out"
}

peer_onnxruntime() {
    local at=$PWD/$cache/onnxruntime/onnxruntime/capi library
    get g++ && unpack onnxruntime onnxruntime/capi/libonnxruntime.so || return 1
    library=$(find "$at" -type f -name 'libonnxruntime.so.*' | head -n 1)
    ln -sf "$(basename "$library")" "$at/libonnxruntime.so.1"
    g++ $cxx "$source" -o "$out" "$library" -Wl,-rpath,"$at"
}

# build_peer NAME - the path of its shared object, or nothing: then "$cache/why" says why.
build_peer() {
    local name=$1 out=$cache/peers/$1.so source
    for source in "tests/bench/peers/$name.c" "tests/bench/peers/$name.cpp" \
        "tests/bench/peers/${name%%-*}.c"; do
        [ ! -f "$source" ] || break
    done
    if [ -f "$out" ] && [ -z "$(find "$source" tests/bench/speed/racer.h tests/bench/speed/parts.h \
        tests/bench/peers/*.h -newer "$out")" ]; then
        echo "$out"
        return
    fi
    rm -f "$out"
    if "peer_$(echo "$name" | tr - _)" >"$cache/peers/$name.log" 2>"$cache/why" && [ -f "$out" ]; then
        echo "$out"
    fi
}

# How they log and wait: a thread that spins for long would take the core of whoever is next.
export KMP_BLOCKTIME=1 OMP_DYNAMIC=false
export STARPU_SILENT=1 STARPU_WORKERS_NOBIND=1 STARPU_HOME="$PWD/$cache"

# ---- the run ----------------------------------------------------------------------------

options=""
while [ $# -gt 0 ]; do
    case $1 in
    --quick) quick=--quick ;;
    --no-peers) peers="" ;;
    --only | --peers | --json | --markdown | --svg) [ $# -gt 1 ] || usage ;;
    *) usage ;;
    esac
    case $1 in
    --only) options="$options --only '$2'" huge="" && shift ;;
    --peers) peers=$2 && shift ;;
    --json | --markdown | --svg) options="$options $1 '$(from_caller "$2")'" && shift ;;
    esac
    shift
done

need cmake gcc libc6-dev make
build
for peer in $peers; do
    path=$(build_peer "$peer")
    if [ -n "$path" ]; then
        options="$options '$path'"
    else
        why=$(tail -n 1 "$cache/why" | tr -d "'")
        options="$options --note 'not there: $peer: $why'"
    fi
done
if [ -n "$huge" ]; then
    echo "# huge graphs: what compiling costs"
    "$cache/tests/huge" ${quick:+100000} | tee "$cache/huge.log" |
        awk '!/^goal / { print; fflush() }'
    options="$options --huge '$PWD/$cache/huge.log'"
fi
eval "set -- $options"
exec "$cache/tests/speed" $quick "$@"
