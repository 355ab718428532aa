#!/bin/bash
# SPDX-License-Identifier: MIT
#
# run.sh              makes each mistake of list.txt in a copy of the tree, and shows that its
#                     test finds it
# run.sh --check [BUILD]   only that each can still be made, and that ctest has its test in that folder
# run.sh WORDS...     those whose names contain one of these
#
#   = NAME
#   @ FILE | HOW | TEST
#   -what stands there once        several lines are one text
#   +what is put in its place      none: nothing
#
# HOW: gcc, asan or tsan, as tests/run.sh builds the tests. TEST: a name of ctest's; it must pass
# before, and fail (or hang) with the mistake in it. A mutant that survives is a mistake in the tests.
#
# Builds go to build-gates/mutants/. What was built for one mutant is used for the next.
set -eu
cd "$(dirname "$0")/../.."
list=tests/mutants/list.txt
work=build-gates/mutants

# ---- the list ------------------------------------------------------------------------

names=() files=() hows=() tests=() olds=() news=()

read_list() {
    local line i=-1
    while IFS= read -r line; do
        case $line in
        "= "*)
            i=$((i + 1))
            names[i]=${line#= } olds[i]="" news[i]=""
            ;;
        "@ "*) IFS='| ' read -r _ "files[i]" "hows[i]" "tests[i]" <<<"$line" ;;
        -*) olds[i]+=${line#-}$'\n' ;;
        +*) news[i]+=${line#+}$'\n' ;;
        "" | "#"*) ;;
        *)
            echo "$list: what is this? $line" >&2
            exit 2
            ;;
        esac
    done <$list
}

# How often the text stands in the file.
count() {
    old=$1 awk 'BEGIN { RS = "\001"; old = ENVIRON["old"] }
        { for (s = $0; (i = index(s, old)) > 0; s = substr(s, i + length(old))) n++ }
        END { print n + 0 }' "$2"
}

# The file, with the one text for the other.
replaced() {
    old=$1 new=$2 awk 'BEGIN { RS = "\001"; ORS = ""; old = ENVIRON["old"] }
        { i = index($0, old)
          print substr($0, 1, i - 1) ENVIRON["new"] substr($0, i + length(old)) }' "$3"
}

# check MUTANT [BUILD]
check() {
    local times=0
    [ -z "${olds[$1]}" ] || times=$(count "${olds[$1]}" "${files[$1]}")
    if [ "$times" != 1 ]; then
        echo "\"${names[$1]}\": its text is $times times in ${files[$1]}, and must be once" >&2
        return 1
    fi
    [ -z "${2-}" ] || grep -qE "^add_test\((\[=*\[)?${tests[$1]}[] ]" "$2/CTestTestfile.cmake" || {
        echo "\"${names[$1]}\": ctest has no ${tests[$1]}" >&2
        return 1
    }
}

# ---- a copy of the tree, and programs of it --------------------------------------------

list_files() {
    find . \( -path './build*' -o -path ./.git -o -path ./.cache \) -prune -o -type f -print | sort
}

# What is as it was keeps its time, so that little is built.
make_copy() {
    mkdir -p $work/tree
    list_files >$work/wanted
    (cd $work/tree && list_files) >$work/there
    comm -13 $work/wanted $work/there | (cd $work/tree && xargs -r -d '\n' rm -f)
    while IFS= read -r file; do
        cmp -s "$file" "$work/tree/$file" && continue
        mkdir -p "$work/tree/${file%/*}"
        cp "$file" "$work/tree/$file"
    done <$work/wanted
}

wrapper() {
    [ "$1" = tsan ] && setarch "$(uname -m)" -R true 2>/dev/null && echo "setarch;$(uname -m);-R"
    true
}

configure() {
    local generator="" sanitize="" compiler=gcc
    command -v ninja >/dev/null && generator=-GNinja
    [ "$1" = gcc ] || compiler=clang
    [ "$1" != asan ] || sanitize=address
    [ "$1" != tsan ] || sanitize=thread
    mkdir -p "$work/$1"
    cmake -S $work/tree -B "$work/$1" $generator -DCMAKE_C_COMPILER=$compiler \
        -DDATAFLOW_SANITIZE=$sanitize -DDATAFLOW_BENCH=OFF -DDATAFLOW_EXAMPLES=OFF \
        -DDATAFLOW_TEST_WRAPPER="$(wrapper "$1")" >"$work/$1/configure.log" 2>&1 || {
        cat "$work/$1/configure.log" >&2
        exit 2
    }
}

program_of() {
    case $1 in
    fuzz-parse) echo test_parse_fuzz ;;
    fuzz-*) echo "fuzz_${1#fuzz-}" ;;
    oom-*) echo test_oom ;;
    sched-*) echo "test_dfs_$(echo "${1#sched-}" | tr - _)" ;;
    transport-ucx-*) echo "test_$(echo "${1#transport-}" | tr - _)" ;;
    *) echo "test_$1" ;;
    esac
}

build() {
    cmake --build "$work/$1" --parallel "$(nproc)" --target "$(program_of "$2")" \
        >"$work/build.log" 2>&1 || {
        grep -v '^\[' "$work/build.log" >&2
        return 1
    }
}

# passes HOW TEST SECONDS - what takes longer hangs
passes() {
    (cd "$work/$1" && ctest --no-tests=error --timeout "$3" -R "^$2\$") >$work/test.log 2>&1
}

declare -A limits # by HOW/TEST, once it has passed: seconds

# pass_before HOW TEST
pass_before() {
    local begin
    [ -z "${limits[$1/$2]-}" ] || return 0
    build "$1" "$2" || exit 2
    begin=$SECONDS
    passes "$1" "$2" 600 || {
        cat $work/test.log >&2
        echo "$2 fails ($1) without any mistake" >&2
        exit 2
    }
    limits[$1/$2]=$((15 + 3 * (SECONDS - begin)))
}

# try MUTANT - true: caught
try() {
    local how=${hows[$1]} test=${tests[$1]} begin end=caught
    pass_before "$how" "$test"
    begin=$SECONDS
    replaced "${olds[$1]}" "${news[$1]}" "${files[$1]}" >"$work/tree/${files[$1]}"
    if ! build "$how" "$test"; then
        end="DOES NOT BUILD"
    elif passes "$how" "$test" "${limits[$how/$test]}"; then
        end=SURVIVED
    elif grep -q 'Timeout' $work/test.log; then
        end="caught, it hangs"
    fi
    cp "${files[$1]}" "$work/tree/${files[$1]}"
    printf '%-16s %3d s  %-4s %-20s %s\n' "$end" $((SECONDS - begin)) "$how" "$test" "${names[$1]}"
    case $end in caught*) ;; *) return 1 ;; esac
}

# ---- all -------------------------------------------------------------------------------

wanted() {
    local word
    [ $# -gt 1 ] || return 0
    for word in "${@:2}"; do
        [ "${names[$1]#*"$word"}" = "${names[$1]}" ] || return 0
    done
    return 1
}

read_list
failed=0
build=""
[ "${1-}" != --check ] || build=${2-}
for i in "${!names[@]}"; do check "$i" "$build" || failed=$((failed + 1)); done
if [ "$failed" -gt 0 ]; then
    echo "$failed of ${#names[@]} mutants cannot be made" >&2
    exit 1
fi
if [ "${1-}" = --check ]; then
    echo "${#names[@]} mutants can be made"
    exit 0
fi
make_copy
for how in gcc asan tsan; do configure $how; done
n=0 survivors=0
for i in "${!names[@]}"; do
    wanted "$i" "$@" || continue
    n=$((n + 1))
    try "$i" || survivors=$((survivors + 1))
done
echo "$n mutants, $((n - survivors)) caught, $survivors survived"
[ $survivors = 0 ] && [ $n -gt 0 ]
