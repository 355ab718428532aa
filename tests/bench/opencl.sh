#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# opencl.sh [BUILD] - OpenCL on what the system has: builds into BUILD (build), and measures what calls
# cost beside the driver's own, the host synchronisations of a step that stays on the device, and the
# example digits beside the same on the CPU. Ends with lines `goal NAME VALUE BOUND ok|missed`. 77: there is
# no device.
set -eu
cd "$(dirname "$0")/../.."
build=${1-build}
cmake -S . -B "$build" >/dev/null
cmake --build "$build" --parallel "$(nproc)" --target opencl digits >/dev/null
"$build/tests/opencl"

# The best of three.
steps() { # DEVICES
    for _ in 1 2 3; do
        "$build/examples/digits" --devices "$1" | sed -n 's/ steps per second$//p'
    done | sort -n | tail -1
}
cpu=$(steps cpu:0,cpu:0) opencl=$(steps cpu:0,opencl:0)
echo "digits: $cpu steps a second on the CPU, $opencl with OpenCL"
awk -v cpu="$cpu" -v opencl="$opencl" 'BEGIN {
    times = cpu / opencl
    printf "goal opencl_digits %.1f 1.5 %s\n", times, times <= 1.5 ? "ok" : "missed" }'
