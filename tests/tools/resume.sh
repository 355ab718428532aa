#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# resume.sh CHOICES COMMAND... - trains with an example, run by COMMAND, for four epochs in one go;
# then for two in one process and for two more in another, on each pair of choices of devices and
# workers, "cpu:0,sim:0/2>cpu:0,cpu:1/0": the weights must have the same bits. How well it has learnt
# does not count.
set -eu
[ $# -gt 1 ] || { echo "resume: CHOICES COMMAND..." >&2; exit 2; }
choices=$1
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# trained CHOICE ARGUMENT... - sets bits.
trained() {
    local devices=${1%/*} workers=${1#*/}
    shift
    output=$("${command[@]}" --devices "$devices" --workers "$workers" "$@" 2>&1) || true
    bits=$(printf '%s\n' "$output" | sed -n 's/^bits of the weights alone //p')
    [ -n "$bits" ] || {
        printf '%s\n' "$output" | tail -n 3 >&2
        exit 1
    }
}

command=("$@") failed=0 runs=0 first=
for choice in $choices; do
    before=${choice%>*} after=${choice#*>}
    [ -n "$first" ] || {
        trained "$before" --epochs 4
        first=$bits
    }
    trained "$before" --epochs 2 --save "$work/file"
    [ "$bits" != "$first" ] || { echo "resume: two epochs more change nothing" >&2; failed=1; }
    trained "$after" --epochs 4 --resume "$work/file"
    runs=$((runs + 1))
    [ "$bits" = "$first" ] || {
        echo "resume: $choice gives '$bits', in one go it is '$first'" >&2
        failed=1
    }
done
[ "$failed" = 0 ] || exit 1
echo "resume: $first in one go and in $runs interrupted runs"
