#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# digits_bits.sh COMMAND... - trains with the example `digits`, run by COMMAND, on several
# choices of devices and workers: loss and weights must have the same bits on all of them.
set -eu
[ $# -gt 0 ] || { echo "digits_bits: which program?" >&2; exit 2; }

first='' failed=0 runs=0
compare() { # DEVICES WORKERS
    local output bits
    output=$("${command[@]}" --epochs 10 --devices "$1" --workers "$2") || {
        echo "digits_bits: $1 with $2 workers failed" >&2
        printf '%s\n' "$output" >&2
        exit 1
    }
    bits=$(printf '%s\n' "$output" | sed -n 's/^bits of loss and weights //p')
    : "${first:=$bits}"
    runs=$((runs + 1))
    [ -n "$bits" ] && [ "$bits" = "$first" ] || {
        echo "digits_bits: $1 with $2 workers gives '$bits', the first run '$first'" >&2
        failed=1
    }
}

command=("$@")
compare cpu:0,cpu:0 0
compare cpu:0,cpu:0 2
compare cpu:0,cpu:1 0
compare cpu:1,cpu:0 3
compare cpu:0,sim:0 0
compare cpu:0,sim:0 2
compare sim:0,cpu:0 1
compare sim:0,sim:0 0
compare sim:1,sim:0 2
[ "$failed" = 0 ] || exit 1
echo "digits_bits: $first in $runs runs"
