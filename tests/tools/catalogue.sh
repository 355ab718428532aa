#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# catalogue.sh BUILD - every row of the catalogue of faults in docs/reliability.md has a test that is
# there, and that ctest runs in the folder BUILD; or stands there as not promised, with the reason.
# Then it plants rows that are wrong in copies, which must all be found.
set -eu
cd "$(dirname "$0")/../.."
build=${1:?catalogue: BUILD}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rows=76
# Not by ctest, which would begin its log anew under the ctest that runs this.
sed -nE 's/^add_test\((\[=*\[)?([^] ]+).*/\2/p' "$build/CTestTestfile.cmake" >"$work/registered"

# look_process FILE FUNCTION - the same of tests that are there where gRPC is: ctest runs each by its
# name in the program, or all.
look_process() {
    local case
    grep -qxF transport-grpc "$work/registered" || return 0
    case=$(sed -nE "s/.*\"(.*)\", cmocka_unit_test\($2\).*/process-\1/p" "$1")
    grep -qxF "${case:-transport-grpc-refusals}" "$work/registered" ||
        echo "ctest does not run $2 of $1"
}

# look TOKEN - what is wrong with a test that a row names, or nothing.
look() {
    local token=$1 file=tests/${1%%:*} name=""
    case $token in
    "ctest "*)
        grep -qxF "${token#ctest }" "$work/registered" || echo "ctest has no ${token#ctest }"
        return
        ;;
    */test_*.c | */test_*.c:*) ;;
    *) echo "$token is no test"; return ;;
    esac
    [ -f "$file" ] || { echo "there is no $file"; return; }
    case $token in
    *:*)
        name=${token#*:}
        grep -qE "^static (int|void) $name\(void \*\*state\)" "$file" &&
            grep -qE "[(, ]$name[),]" <(grep -vE '^static ' "$file") ||
            echo "$file runs no $name"
        ;;
    esac
    case $token in
    process/*) look_process "$file" "$name"; return ;;
    esac
    name=$(basename "$file" .c)
    grep -qE "^(conformance-|transport-)?${name#test_}$|^(conformance|transport|${name#test_})-" \
        "$work/registered" || echo "ctest does not run $name"
}

# check FILE - says in $work/wrong what is wrong with its catalogue.
declare -A seen
check() {
    check_rows "$1" >"$work/wrong"
}
check_rows() {
    local n=0 number what promised tests rest token
    while IFS='|' read -r _ number what promised tests rest; do
        number=${number// /}
        n=$((n + 1))
        [ "$number" = "$n" ] || { echo "row $n is missing, or not in its place"; n=$number; }
        case $rest in *[!\ ]*) echo "row $n: a | too many" ;; esac
        [ -n "${what// /}" ] && [ -n "${promised// /}" ] || echo "row $n says nothing"
        [[ $tests == *\`* || $promised =~ ^\ not\ promised[^:]*:\ .{20} ]] || echo "row $n has no test"
        while [[ $tests =~ \`([^\`]+)\`(.*) ]]; do
            token=${BASH_REMATCH[1]} tests=${BASH_REMATCH[2]}
            [ -n "${seen[$token]+seen}" ] || seen[$token]=$(look "$token")
            [ -z "${seen[$token]}" ] || echo "row $n: ${seen[$token]}"
        done
    done < <(sed -n '/^## Faults/,/^## [^F]/p' "$1" | grep -E '^\| *[0-9]+ *\|')
    [ "$n" = "$rows" ] || echo "there are $n rows, not $rows"
}

check docs/reliability.md
[ ! -s "$work/wrong" ] || { sed 's/^/catalogue: /' "$work/wrong" >&2; exit 1; }
n_tests=${#seen[@]}

# plant EDIT WORDS - a copy that sed has changed so is found to be wrong, in these words.
plant() {
    sed -E "$1" docs/reliability.md >"$work/planted.md"
    check "$work/planted.md"
    grep -q "$2" "$work/wrong" || {
        echo "catalogue: \"$2\" was planted and not found" >&2
        exit 1
    }
}
plant '/^\| 8 \|/d' 'row 8 is missing'
plant 's/^(\| 8 \|.*)an_unknown_op_is_refused/\1an_unknown_op_is_welcome/' 'runs no an_unknown_op_is_welcome'
plant 's/^(\| 8 \|.*)test_graph\.c/\1test_nothing.c/' 'there is no tests/unit/test_nothing.c'
plant 's/^(\| 8 \|[^|]*\|[^|]*\|).*/\1 - |/' 'row 8 has no test'
plant 's/^(\| 8 \|[^|]*\|[^|]*\|).*/\1 `ctest nothing` |/' 'ctest has no nothing'
plant 's/^(\| 37 \|[^|]*\| not promised).*/\1 | - |/' 'row 37 has no test'
plant 's/^\| 76 \|.*/&\n| 77 | this | that | - |/' 'row 77 has no test'

echo "catalogue: $rows faults, $n_tests tests that show them"
