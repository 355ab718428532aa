#!/bin/sh
# SPDX-License-Identifier: MIT
#
# spin.sh [--long] [MODEL...] - runs models under Spin, by default all of tests/model/spin.
#
# Lines of a model's head say what is run:
#
#   holds: OPTION...  every state is visited, and nothing is wrong
#   long:  OPTION...  the same, and takes longer: with --long only
#   found: OPTION...  a fault is planted, and must be found
#
# Prints what came of each; fails if one is otherwise. Where Spin or a C compiler is missing it says
# so, and leaves with 77.
set -eu
cd "$(dirname "$0")/spin"
for tool in spin "${CC:-gcc}"; do
    command -v "$tool" >/dev/null || { echo "skipped: there is no $tool"; exit 77; }
done

is_long=""
[ "${1-}" != --long ] || { is_long=1; shift; }
[ $# -gt 0 ] || set -- *.pml
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# verdict MODEL OPTION... - writes "holds", "found: WHAT" or "broken", and the states, to $work.
verdict() {
    local model=$PWD/$1 wrong
    shift
    (
        cd "$work"
        rm -f pan* out *.trail
        spin -a "$@" "$model" && "${CC:-gcc}" -O1 -w -DSAFETY -DCOLLAPSE -DMEMLIM=8000 -o pan pan.c
    ) >"$work/built" 2>&1 || { cat "$work/built"; echo broken >"$work/verdict"; return; }
    (cd "$work" && ./pan -m1000000) >"$work/out" 2>&1 || true
    states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' "$work/out")
    wrong=$(sed -n 's/^pan:1: \(.*\) (at depth.*/\1/p' "$work/out")
    if grep -q 'errors: 0$' "$work/out" && ! grep -qE 'out of memory|too small|truncated' "$work/out"; then
        echo holds
    elif [ -n "$wrong" ]; then
        echo "found: $wrong"
    else
        cat "$work/out" >&2
        echo broken
    fi >"$work/verdict"
}

for model in "$@"; do
    model=${model%.pml}.pml
    sed -n 's/^ \* \(holds\|long\|found\): */\1 /p' "$model" >"$work/runs"
    [ -s "$work/runs" ] || { echo "$model says nothing to run"; exit 1; }
    while read -r wanted options; do
        [ "$wanted" != long ] || { [ -n "$is_long" ] || continue; wanted=holds; }
        start=$(date +%s)
        states=""
        verdict "$model" $options
        is=$(cat "$work/verdict")
        echo "$model $options: $is; $states states, $(($(date +%s) - start)) s"
        case $is in "$wanted"*) ;; *) echo "  must be: $wanted"; failed=1 ;; esac
    done <"$work/runs"
done
exit $failed
