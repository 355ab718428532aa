#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# coverage.sh BUILD - which branches of rendezvous, compile and exec the tests have not taken, after they
# ran in the folder BUILD, built by clang with -fprofile-instr-generate -fcoverage-mapping -fcoverage-mcdc.
# Prints branches and MC/DC of each file and layer. Each branch that no test takes must stand in
# coverage_excused.txt, which says how, below the reason why none can; and what stands there must be there
# and not be taken, but for what depends on timing. So moving code changes nothing, and a test or a change
# that makes an excuse untrue fails.
set -eu
cd "$(dirname "$0")/../.."
build=${1:?coverage: BUILD}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
suffix=$(sed -nE 's/^CMAKE_C_COMPILER:[^=]*=.*clang(-[0-9]+)?$/\1/p' "$build/CMakeCache.txt")

llvm-profdata"$suffix" merge -sparse "$build"/profiles/*.profraw -o "$work/all.profdata"
# These programs together hold every object of the three layers.
look="-instr-profile $work/all.profdata $build/tests/test_cluster -object $build/tests/test_verify
    -object $build/tests/test_explain -object $build/tests/test_dot
    $PWD/src/rendezvous $PWD/src/compile $PWD/src/exec"

llvm-cov"$suffix" report --show-branch-summary --show-mcdc-summary $look 2>/dev/null | awk '
    function line(name, n, missed, m, left) {
        printf "%-28s branches %4d of %4d %7.2f%%   mc/dc %4d of %4d %7.2f%%\n", name, n - missed, n,
            100 * (n - missed) / n, m - left, m, m ? 100 * (m - left) / m : 100
    }
    NF == 16 && $1 ~ /\.[ch]$|^TOTAL$/ && $11 {
        line($1, $11, $12, $14, $15)
        layer = $1
        if (sub(/\/.*/, "", layer)) { b[layer] += $11; bm[layer] += $12; c[layer] += $14; cm[layer] += $15 }
    }
    END { for (l in b) line(l, b[l], bm[l], c[l], cm[l]) }' | LC_ALL=C sort

# "FILE:FUNCTION true|false CONDITION", then a tab, the line, and whether it was taken. A condition is
# told by its source, as far as that is on its first line.
llvm-cov"$suffix" show --show-branches=count --show-instantiations=false $look 2>/dev/null | awk '
    function condition(text, at,   i, c, depth, quote) {
        text = substr(text, at)
        for (i = 1; i <= length(text); i++) {
            c = substr(text, i, 1)
            if (quote) { if (c == "\\") i++; else if (c == quote) quote = "" }
            else if (c == "\"" || c == "\047") quote = c
            else if (index("([{", c)) depth++
            else if (index(")]}", c)) { if (--depth < 0) break }
            else if (!depth && (index("?:;,", c) || substr(text, i, 2) ~ /^(&&|[|][|])$/)) break
        }
        text = substr(text, 1, i - 1)
        gsub(/ +$/, "", text)
        return text
    }
    function side(name, text,   key) {
        if (!match(text, name ": [^],]+")) return
        key = file ":" fn " " tolower(name) " " what "\t" line
        if (!((key, column) in taken)) order[++n_keys] = key SUBSEP column
        taken[key, column] += substr(text, RSTART + length(name) + 2, RLENGTH - length(name) - 2) != "0"
    }
    /^\/.*\.[ch]:$/ { file = $0; sub(/:$/, "", file); sub(/.*\/src\//, "", file); fn = "" }
    /^ *[0-9]+\|[^|]*\|/ {
        n = $0 + 0
        source[n] = $0
        sub(/^ *[0-9]+\|[^|]*\|/, "", source[n])
        if (source[n] ~ /^[A-Za-z].*\(/ && source[n] !~ /;$/) {
            fn = source[n]
            sub(/__attribute__\(\([^)]*\)\) */, "", fn)
            sub(/\(.*/, "", fn)
            sub(/.*[ *]/, "", fn)
        }
    }
    /Branch \([0-9]+:[0-9]+\): \[/ {
        at = $0
        sub(/.*Branch \(/, "", at)
        line = at + 0
        sub(/^[0-9]+:/, "", at)
        column = at + 0
        what = condition(source[line], column)
        side("True", $0)
        side("False", $0)
    }
    END { # a function of a header is there for each file that uses it
        for (i = 1; i <= n_keys; i++) {
            split(order[i], part, SUBSEP)
            print part[1] "\t" (taken[order[i]] > 0)
        }
    }' >"$work/branches"

awk -F'\t' '
    function bad(text) { print "coverage: " text; failed = 1 }
    NR == FNR {
        if (/^(#|$)/) next
        if (/^: /) { why = $0; loose = 0; next }
        if (/^~ /) { why = $0; loose = 1; next }
        if (length(why) < 30) bad($0 ": no reason stands above it")
        if (loose) may[$0]++
        else must[$0]++
        next
    }
    {
        all[$1]++
        if ($3) next
        missed[$1]++
        lines[$1] = lines[$1] " " $2
    }
    END {
        for (key in missed) {
            if (missed[key] > must[key] + may[key])
                bad("no test takes: " key "  (line" lines[key] ")")
            n += missed[key]
        }
        for (key in must)
            if (missed[key] < must[key]) bad((all[key] ? "a test takes: " : "there is no: ") key)
        for (key in may)
            if (all[key] < may[key]) bad("there is no: " key)
        for (key in all) total += all[key]
        if (!total) bad("there are no branches")
        printf "coverage: of %d branches %d are taken and %d excused\n", total, total - n, n
        exit failed + 0
    }' tests/tools/coverage_excused.txt "$work/branches"
