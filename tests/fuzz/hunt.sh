#!/bin/sh
# SPDX-License-Identifier: MIT
#
# hunt.sh BUILD SECONDS [TARGET...] - lets libFuzzer look for what is wrong, from the corpora that
# are kept on, for so long in all: as many targets at once as there are processors, each for an
# equal part. BUILD was made with DATAFLOW_SANITIZE=fuzz. TARGET: graph, key...; none: all.
#
# What is found lies in BUILD/found/, and is not added to the corpora. To keep it:
#
#   BUILD/tests/hunt_X -merge=1 NEW BUILD/found/X     as few files as reach all that these reach
#   BUILD/tests/fuzz_X --pack NEW/* >tests/fuzz/corpus/X.txt
set -eu
cd "$(dirname "$0")/../.."
build=$1 seconds=$2
shift 2
[ $# -gt 0 ] || set -- $(ls tests/fuzz/corpus | sed 's/\.txt$//')
at_once=$(nproc)
[ "$at_once" -le $# ] || at_once=$#
each=$((seconds * at_once / $#))
mkdir -p "$build/found"
export ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1

# hunt TARGET
hunt() {
    local folder="$build/found/$1" log="$build/found/$1.log"
    mkdir -p "$folder"
    "$build/tests/fuzz_$1" --unpack "tests/fuzz/corpus/$1.txt" "$folder"
    if "$build/tests/hunt_$1" -max_total_time="$each" -timeout=25 -rss_limit_mb=4096 \
        -print_final_stats=1 -artifact_prefix="$build/found/$1-" "$folder" >"$log" 2>&1; then
        echo "$1: $(sed -n 's/.*number_of_executed_units: *//p' "$log") inputs, nothing wrong"
    else
        tail -n 60 "$log"
        echo "$1: to repeat: $build/tests/hunt_$1 $(sed -n 's/.*written to //p' "$log")"
        return 1
    fi
}

failed=0
while [ $# -gt 0 ]; do
    running=""
    for target in $(echo "$@" | cut -d ' ' -f "1-$at_once"); do
        hunt "$target" &
        running="$running $!"
        shift
    done
    for process in $running; do wait "$process" || failed=1; done
done
exit $failed
