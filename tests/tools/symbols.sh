#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# symbols.sh BUILD - looks at the built library in the folder BUILD, as its users' linkers
# do:
#
#   1. the shared library exports every DF_API function of the headers, and nothing else;
#   2. so do the static one, and the engines of transport those of theirs, where they were made of
#      one object;
#   3. neither calls what prints, ends the process, or reads the environment;
#   4. no object holds writable data: nothing is global (a thread's own apart).
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
build=${1-$root/build}
shared=$build/libdataflow.so
static=$build/libdataflow.a
failed=0

complain() {
    echo "symbols: $1" >&2
    printf '%s\n' "$2" | sed 's/^/    /' >&2
    failed=1
}

# Names that the headers declare: DF_API, then anything but these up to "df_name(".
declared_in() {
    cat "$@" | tr '\n' ' ' | grep -oE 'DF_API [^;(]*\(' | grep -oE 'df_[a-z0-9_]+\($' |
        tr -d '(' | LC_ALL=C sort -u
}
defined_in() {
    nm -g --defined-only "$1" | awk 'NF == 3 { print $3 }' | LC_ALL=C sort -u
}
mem=$root/include/dataflow/mem_transport.h
grpc=$root/include/dataflow/grpc_transport.h
ucx=$root/include/dataflow/ucx_transport.h
declared=$(declared_in $(ls "$root"/include/dataflow/*.h | grep -vx -e "$mem" -e "$grpc" -e "$ucx"))
exported=$(nm -D --defined-only "$shared" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' |
    LC_ALL=C sort -u)

missing=$(comm -23 <(echo "$declared") <(echo "$exported"))
surplus=$(comm -13 <(echo "$declared") <(echo "$exported"))
[ -z "$missing" ] || complain "declared in a header, not exported:" "$missing"
[ -z "$surplus" ] || complain "exported, not declared in a header:" "$surplus"

if [ -f "$build/dataflow.o" ]; then
    in_archive=$(defined_in "$static")
    [ "$in_archive" = "$exported" ] || complain "the static library's names differ:" \
        "$(diff <(echo "$exported") <(echo "$in_archive") || true)"
    for engine in mem grpc ucx; do
        library=$build/libdataflow_$engine.a
        [ -f "$library" ] || [ $engine = mem ] || continue
        differ=$(diff <(declared_in "$root/include/dataflow/${engine}_transport.h") \
            <(defined_in "$library") || true)
        [ -z "$differ" ] || complain "$library shows other names than its header:" "$differ"
    done
fi
for engine in grpc ucx; do
    library=$build/libdataflow_$engine.so
    [ -f "$library" ] || continue
    differ=$(diff <(declared_in "$root/include/dataflow/${engine}_transport.h") \
        <(nm -D --defined-only "$library" |
            awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | LC_ALL=C sort -u) || true)
    [ -z "$differ" ] || complain "$library exports other names than its header:" "$differ"
done

forbidden='(abort|exit|_exit|_Exit|quick_exit|atexit|__assert_fail|raise|kill|getenv|secure_getenv'
forbidden="$forbidden|setenv|putenv|(__)?v?f?d?printf(_chk)?|puts|fputs|putchar|fputc|fwrite|perror"
forbidden="$forbidden|stdout|stderr|signal|sigaction|system|fork|popen)"
used=$(nm -D --undefined-only "$shared" | awk '{ sub(/@.*/, "", $2); print $2 }' |
    grep -xE "$forbidden" || true)
[ -z "$used" ] || complain "a library must not call:" "$used"

objects=$(find "$build"/CMakeFiles/dataflow*_objects.dir -name '*.o')
writable=$(objdump -t $objects | awk '
    /file format/ { object = $1; sub(/^.*\/src\//, "src/", object) }
    / O / && match($0, / \.(data|bss)[^ \t]*/) {
        section = substr($0, RSTART + 1, RLENGTH - 1)
        if (section !~ /^\.data\.rel\.ro/) print object $NF " in " section
    }')
[ -z "$writable" ] || complain "writable data that is global:" "$writable"

[ "$failed" = 0 ] || exit 1
echo "symbols: $(echo "$exported" | wc -l) functions exported, as declared"
