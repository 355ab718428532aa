#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/bench/remote.sh [--quick] [--no-tls] [--json FILE] - what it costs to reach another process
# on this machine: a session over a cluster, gRPC and UCX called from C with the same way of
# waiting, and a TCP socket; gRPC without and with TLS. Builds into build-bench/.
set -eu
call_from=$(pwd)
cd "$(dirname "$0")/../.."
. tests/tools/packages.sh

cache=build-bench
tls=yes options=""
while [ $# -gt 0 ]; do
    case $1 in
    --quick) options="$options --quick" ;;
    --no-tls) tls=no ;;
    --json)
        case $2 in
        /*) options="$options --json $2" ;;
        *) options="$options --json $call_from/$2" ;;
        esac
        shift
        ;;
    *)
        sed -n 's/^# \{0,1\}//; 4,6p' tests/bench/remote.sh >&2
        exit 2
        ;;
    esac
    shift
done

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
exec "$cache/tests/remote" $options
