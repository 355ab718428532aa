#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# bits.sh EPOCHS CHOICES COMMAND... - trains with an example, run by COMMAND, on several choices of
# devices, workers and perhaps processes, "cpu:0,sim:0/2 cpu:0,cpu:1/0/3": loss and weights must have
# the same bits on all of them. How well it has learnt does not count. 77: one of the devices is not there.
set -eu
[ $# -gt 2 ] || { echo "bits: EPOCHS CHOICES COMMAND..." >&2; exit 2; }
epochs=$1 choices=$2
shift 2

first='' failed=0 runs=0
for choice in $choices; do
    devices=${choice%%/*} workers=${choice#*/} processes=0
    case $workers in */*) processes=${workers#*/} workers=${workers%/*} ;; esac
    output=$("$@" --epochs "$epochs" --devices "$devices" --workers "$workers" \
        --processes "$processes" 2>&1) || true
    case $output in *"leave OPENCL out of the devices"*)
        printf '%s\n' "$output" | tail -n 1
        exit 77
        ;;
    esac
    bits=$(printf '%s\n' "$output" | sed -n 's/^bits of loss and weights //p')
    : "${first:=$bits}"
    runs=$((runs + 1))
    [ -n "$bits" ] && [ "$bits" = "$first" ] || {
        echo "bits: $devices with $workers workers gives '$bits', the first run '$first'" >&2
        printf '%s\n' "$output" | tail -n 3 >&2
        failed=1
    }
done
[ "$failed" = 0 ] || exit 1
echo "bits: $first in $runs runs"
