#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/bench/remote.sh [OPTION...] - what it costs to reach another process on this machine: a
# session over a cluster, gRPC and UCX called from C with the same way of waiting, a TCP socket, and
# TensorFlow's distributed session, which has its own gRPC; gRPC without and with TLS. And what each
# worker more costs, from one to eight, in processes of their own. Builds into build-bench/.
#
#   --quick            fewer repeats
#   --no-tls           without that
#   --no-tensorflow    without that; else it is fetched from PyPI by pip, and left out if that fails
#   --json FILE
set -eu
call_from=$(pwd)
cd "$(dirname "$0")/../.."
. tests/tools/packages.sh
. tests/bench/fetch.sh

cache=build-bench
tls=yes tensorflow=yes options=""
while [ $# -gt 0 ]; do
    case $1 in
    --quick) options="$options --quick" ;;
    --no-tls) tls=no ;;
    --no-tensorflow) tensorflow=no ;;
    --json)
        case $2 in
        /*) options="$options --json $2" ;;
        *) options="$options --json $call_from/$2" ;;
        esac
        shift
        ;;
    *)
        sed -n 's/^# \{0,1\}//; 4,12p' tests/bench/remote.sh >&2
        exit 2
        ;;
    esac
    shift
done

# The program $1: TensorFlow's session. Why it cannot be had goes to the standard error.
build_tensorflow() {
    local source=tests/bench/peers/tensorflow_session.cpp
    mkdir -p "$cache/peers"
    [ ! -f "$1" ] || [ -n "$(find "$source" tests/bench/peers/proto.h -newer "$1")" ] || return 0
    tensorflow_cxx -O2 -g -std=c++17 -Wall -Wextra "$source" -o "$1"
}

need cmake gcc libc6-dev make pkg-config libgrpc-dev libucx-dev openssl
mkdir -p "$cache"
cmake -S . -B "$cache" -DDATAFLOW_TESTS=OFF -DDATAFLOW_EXAMPLES=OFF -DDATAFLOW_BENCH=ON \
    -DDATAFLOW_GRPC=ON -DDATAFLOW_UCX=ON >"$cache/configure.log"
cmake --build "$cache" --parallel "$(nproc)" --target remote >"$cache/build.log" 2>&1 || {
    cat "$cache/build.log" >&2
    exit 1
}
if [ $tls = yes ]; then
    sh tests/tools/certificates.sh "$cache/certificates"
    options="$options --certificates $cache/certificates"
fi
if [ $tensorflow = yes ]; then
    if build_tensorflow "$cache/peers/tensorflow_session" 2>"$cache/why"; then
        options="$options --tensorflow $cache/peers/tensorflow_session"
    else
        echo "not there: TensorFlow: $(tail -n 1 "$cache/why")"
    fi
fi
exec "$cache/tests/remote" $options
