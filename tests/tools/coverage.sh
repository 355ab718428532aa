#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# coverage.sh BUILD - which branches of rendezvous, compile and exec the tests have not taken, after they
# ran in the folder BUILD, built by clang with -fprofile-instr-generate -fcoverage-mapping -fcoverage-mcdc.
# A function may have as many as coverage_excused.txt says of it, with the reason; "open" is none, and
# counted apart. Lines are "FILE:FUNCTION BRANCHES REASON", so that moving code changes nothing.
# coverage.sh BUILD --update writes the list anew; reasons that it has stay.
set -eu
cd "$(dirname "$0")/../.."
build=${1:?coverage: BUILD}
excused=tests/tools/coverage_excused.txt
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
suffix=$(sed -nE 's/^CMAKE_C_COMPILER:[^=]*=.*clang(-[0-9]+)?$/\1/p' "$build/CMakeCache.txt")

llvm-profdata"$suffix" merge -sparse "$build"/profiles/*.profraw -o "$work/all.profdata"
# These programs together hold every object of the three layers.
look="-instr-profile $work/all.profdata $build/tests/test_cluster -object $build/tests/test_verify
    -object $build/tests/test_explain -object $build/tests/test_dot
    $PWD/src/rendezvous $PWD/src/compile $PWD/src/exec"

llvm-cov"$suffix" report --show-branch-summary --show-mcdc-summary $look 2>/dev/null | awk '
    NF == 16 && $1 ~ /\.[ch]$|^TOTAL$/ && $11 {
        printf "%-28s branches %4d of %4d %8s   mc/dc %4d of %4d %8s\n", $1, $11 - $12, $11, $13, $14 - $15, $14, $16
    }' | LC_ALL=C sort

llvm-cov"$suffix" export -format=lcov $look 2>/dev/null | awk -F'[:,]' '
    /^SF:/ { file = $2; sub(/.*\/src\//, "", file); n = 0 }
    /^FN:/ { n++; start[n] = $2; name[n] = $3; sub(/^.*:/, "", name[n]); sub(/^.*\.c:/, "", name[n]) }
    /^FN:.*:/ && NF > 3 { name[n] = $NF }
    /^BRDA:/ && ($NF == "0" || $NF == "-") {
        best = 0
        for (i = 1; i <= n; i++)
            if (start[i] + 0 <= $2 + 0 && (!best || start[i] + 0 > start[best] + 0)) best = i
        key = file ":" name[best]
        missed[key]++
        where[key] = where[key] " " $2
    }
    END { for (key in missed) print key, missed[key], where[key] }' | LC_ALL=C sort >"$work/missed"

if [ "${2-}" = --update ]; then
    awk 'NR == FNR { if (!/^#/) { key = $1; $1 = $2 = ""; sub(/^ +/, ""); why[key] = $0 } next }
        { print $1, $2, ($1 in why) ? why[$1] : "open" }' "$excused" "$work/missed" >"$work/list"
    { grep '^#' "$excused"; cat "$work/list"; } >"$work/new"
    mv "$work/new" "$excused"
fi

awk '
    NR == FNR { if (!/^#/ && NF) { may[$1] = $2; if ($3 == "open") { open += $2 } else { argued += $2 } } next }
    { found++; if ($2 > may[$1] + 0) {
        lines = $0; sub(/^[^ ]+ [^ ]+ /, "", lines)
        print "coverage: " $1 " has " $2 " branches that no test takes, not " may[$1] + 0 ": lines" lines; bad++ } }
    END {
        print "coverage: not taken and excused " argued + 0 ", open " open + 0
        exit bad > 0 }' "$excused" "$work/missed"
