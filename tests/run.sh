#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/run.sh            builds with gcc into build/ and runs every test and example
# tests/run.sh gates      runs all gates in turn
# tests/run.sh GATE...    runs these:
#
#   clang     builds with clang, warnings as errors, lock analysis; runs the tests
#   asan      the tests under the address, undefined and leak sanitizers
#   tsan      the tests under the thread sanitizer
#   memcheck  the tests under valgrind, with fewer rounds
#   layers    no layer includes what it must not see
#   symbols   the library exports what its headers declare, and nothing else
#   format    clang-format, and the few rules it does not know
#   headers   every header stands alone, as C and as C++
#   consumer  installs the library and builds other projects with it
#   size      prints how big it is, no more than it is known to be, and how long it takes to build
#
# and these, which take longer and are run by their names, or in turn as "nightly":
#
#   fuzz      libFuzzer's own inputs into each target of tests/fuzz for FUZZ_SECONDS in all, by
#             default 600, then a million texts into the parser, and as many heads of messages; under
#             the sanitizers of asan
#   faults    a hundred thousand worlds in which devices fail (tests/fault/test_device_faults.c)
#   huge      graphs of up to a million nodes: what a node costs in each pass (8 GiB of memory)
#   models    the models of tests/model/spin in all sizes; all mixes of four calls on a channel, and
#             one of five, under C11's memory model; each order of memory weakened in turn
#   mutants   each mistake of tests/mutants/list.txt, in a copy of the tree: its test must find it
#   soak      runs that are cancelled and closed at random for SOAK_MINUTES, by default an hour:
#             half of it under the sanitizers of asan, half under that of tsan; then 64 runs at
#             once of one program, ten thousand times, under that of tsan
#   coverage  which branches of rendezvous, compile and exec no test takes (tests/tools/coverage.sh)
#   platforms the unit tests for 32 bits, and on other processors under qemu (tests/tools/platforms.sh)
#
# What is missing on the machine is installed with apt-get, by root or sudo; otherwise it
# is named. The last line is "N passed, N failed". Builds go to build/ and build-gates/.
set -eu
cd "$(dirname "$0")/.."
. tests/tools/packages.sh

gates="layers format headers symbols clang asan tsan memcheck consumer size"
long_gates="fuzz faults huge models mutants soak coverage platforms"
to_build="cmake gcc libc6-dev make libcmocka-dev pkg-config libgrpc-dev libucx-dev openssl"
to_test="ocl-icd-libopencl1 pocl-opencl-icd" # OpenCL on the CPU
# It looks for the processors in /sys, which a bare chroot lacks, and would abort: none is found then.
[ -d /sys/devices/system/cpu ] || export OCL_ICD_VENDORS=/nowhere
jobs=$(nproc)

# build FOLDER OPTION... - all, or what is named in $targets
build() {
    local folder=$1
    shift
    echo "building into $folder"
    mkdir -p "$folder"
    cmake -S . -B "$folder" -DDATAFLOW_WERROR=ON "$@" >"$folder/configure.log" 2>&1 || {
        cat "$folder/configure.log" >&2
        return 1
    }
    cmake --build "$folder" --parallel "$jobs" ${targets:+--target $targets} \
        >"$folder/build.log" 2>&1 || {
        grep -v '^\[ *[0-9]*%\]' "$folder/build.log" >&2
        return 1
    }
}

# run_tests FOLDER ARGUMENT... - ctest, and a line of counts after its own.
run_tests() {
    local folder=$1 log=$1/ctest.log status total passed skipped cases
    shift
    {
        status=0
        (cd "$folder" && ctest --output-on-failure --no-tests=error --parallel "$jobs" "$@") ||
            status=$?
        echo "$status" >"$folder/ctest.status"
    } 2>&1 | tee "$log"
    status=$(cat "$folder/ctest.status")
    total=$(grep -cE '^ *[0-9]+/[0-9]+ +Test +#' "$log" || true)
    passed=$(grep -cE '^ *[0-9]+/[0-9]+ +Test +#.* Passed ' "$log" || true)
    skipped=$(grep -cE '^ *[0-9]+/[0-9]+ +Test +#.*\*\*\*Skipped ' "$log" || true)
    cases=$(awk '/^\[  PASSED  \] [0-9]+ test/ { n += $4 } END { print n + 0 }' \
        "$folder/Testing/Temporary/LastTest.log" 2>/dev/null || echo 0)
    [ "$skipped" = 0 ] || echo "$skipped skipped"
    echo "$cases test cases passed in $total programs"
    echo "$passed passed, $((total - passed - skipped)) failed"
    return "$status"
}

gate_clang() {
    need $to_build $to_test clang
    build build-gates/clang -DCMAKE_C_COMPILER=clang
    run_tests build-gates/clang --timeout 300
}

build_asan() {
    need $to_build clang libclang-rt-14-dev
    build build-gates/asan -DCMAKE_C_COMPILER=clang -DDATAFLOW_SANITIZE=address
    export ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1
    export UBSAN_OPTIONS=print_stacktrace=1
}

gate_asan() {
    build_asan
    export DATAFLOW_TEST_SCALE=2
    run_tests build-gates/asan --timeout 600
}

gate_fuzz() {
    local targets
    need $to_build clang libclang-rt-14-dev
    targets="test_parse_fuzz test_frame_fuzz $(ls tests/fuzz/fuzz_*.c | sed 's,.*/fuzz_\(.*\)\.c,fuzz_\1 hunt_\1,')"
    build build-gates/fuzz -DCMAKE_C_COMPILER=clang -DDATAFLOW_SANITIZE=fuzz -DDATAFLOW_BENCH=OFF \
        -DDATAFLOW_EXAMPLES=OFF
    sh tests/fuzz/hunt.sh build-gates/fuzz "${FUZZ_SECONDS:-600}"
    build-gates/fuzz/tests/test_parse_fuzz --count 1000000
    build-gates/fuzz/tests/test_frame_fuzz --count 1000000
}

# FAULTS_FIRST: the first seed. Worlds mostly wait: so there are more parts than processors.
gate_faults() {
    local n_parts=$((4 * jobs)) first=${FAULTS_FIRST:-1} i=0 failed=0 parts="" part
    local n=$(((100000 + n_parts - 1) / n_parts))
    need $to_build
    build build
    while [ "$i" -lt "$n_parts" ]; do
        build/tests/test_device_faults --first $((first + i * n)) --count "$n" &
        parts="$parts $!"
        i=$((i + 1))
    done
    for part in $parts; do wait "$part" || failed=1; done
    return "$failed"
}

gate_huge() {
    need $to_build
    build build
    build/tests/huge
}

gate_mutants() {
    need $to_build clang libclang-rt-14-dev
    tests/mutants/run.sh
}

gate_models() {
    need $to_build spin
    build build
    tests/model/spin.sh --long
    build/tests/weak_rendezvous 4 SVCsa
    DATAFLOW_TEST_SPOIL=rendezvous/ build/tests/weak_rendezvous
    DATAFLOW_TEST_SPOIL=exec/ build/tests/weak_completion
}

build_tsan() {
    need $to_build clang libclang-rt-14-dev
    # Addresses at fixed places: some systems draw them from more bits than it can take.
    tsan_wrapper=""
    if setarch "$(uname -m)" -R true 2>/dev/null; then tsan_wrapper="setarch $(uname -m) -R"; fi
    build build-gates/tsan -DCMAKE_C_COMPILER=clang -DDATAFLOW_SANITIZE=thread \
        -DDATAFLOW_TEST_WRAPPER="$(echo "$tsan_wrapper" | tr ' ' ';')"
    export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
}

gate_tsan() {
    build_tsan
    export DATAFLOW_TEST_SCALE=4
    # gRPC and UCX are not built for it: it does not see what orders the threads there.
    run_tests build-gates/tsan --timeout 600 \
        --exclude-regex '^(transport-(grpc|ucx)|process-|example_.*_processes$)'
}

gate_soak() {
    local seconds=$((${SOAK_MINUTES:-60} * 30))
    build_asan
    build-gates/asan/tests/test_soak --seconds "$seconds"
    build_tsan
    $tsan_wrapper build-gates/tsan/tests/test_soak --seconds "$seconds"
    $tsan_wrapper build-gates/tsan/tests/test_many_runs 10000
}

gate_coverage() {
    need $to_build $to_test clang-19 llvm-19 libclang-rt-19-dev
    # Threads count together: without atomic counts some get lost, and branches with them.
    local counts="-O1 -fprofile-instr-generate -fprofile-update=atomic -fcoverage-mapping -fcoverage-mcdc"
    local folder=build-gates/coverage
    build "$folder" -DCMAKE_C_COMPILER=clang-19 -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS="$counts" \
        -DDATAFLOW_EXAMPLES=OFF -DDATAFLOW_BENCH=OFF
    rm -rf "$folder/profiles"
    export LLVM_PROFILE_FILE="$PWD/$folder/profiles/%8m.profraw"
    # Most schedules take a quarter of an hour and more where each branch is counted.
    run_tests "$folder" --timeout 900 --label-exclude model
    run_tests "$folder" --timeout 900 --tests-regex '^sched-(rendezvous|tickets)$'
    tests/tools/coverage.sh "$folder"
}

gate_platforms() {
    need $to_build
    tests/tools/platforms.sh
}

gate_memcheck() {
    need $to_build valgrind libc6-dbg
    local wrapper="valgrind;-q;--error-exitcode=99;--leak-check=full;--show-leak-kinds=definite"
    wrapper="$wrapper;--errors-for-leak-kinds=definite;--fair-sched=try"
    build build-gates/memcheck -DDATAFLOW_EXAMPLES=OFF -DDATAFLOW_TEST_WRAPPER="$wrapper"
    export DATAFLOW_TEST_SCALE=50
    export DATAFLOW_TEST_EMULATED=1 # its int64 to float32 conversion rounds twice
    # OpenCL's drivers compile for processors that it does not know: none is found.
    export OCL_ICD_VENDORS=/nowhere
    # The model tests switch stacks under its feet, and those of kernels for CUDA. Three take many minutes
    # here, and find the same under the address sanitizer, as do those by gRPC and UCX.
    run_tests build-gates/memcheck --timeout 900 --label-exclude "model|fibers" \
        --exclude-regex '^(oom-.*|device_suite|transport_suite|transport-(grpc|ucx).*|process-.*)$'
}

gate_layers() {
    tests/tools/layers.sh --self-test
    tests/tools/layers.sh
}

gate_symbols() {
    need $to_build binutils
    build build
    tests/tools/symbols.sh build
}

gate_format() {
    need clang-format
    tests/tools/format.sh
}

gate_headers() {
    need gcc libc6-dev clang g++ pkg-config libgrpc-dev libucx-dev
    tests/tools/headers.sh
}

gate_consumer() {
    need $to_build g++ binutils
    tests/tools/consumer.sh
}

gate_size() {
    need $to_build binutils
    tests/tools/size.sh
}

run_gates() {
    local gate passed=0 failed=""
    for gate in "$@"; do
        echo "---- gate: $gate"
        if sh tests/run.sh "--one-gate=$gate"; then
            passed=$((passed + 1))
        else
            failed="$failed $gate"
        fi
    done
    [ -z "$failed" ] || echo "failed gates:$failed"
    echo "$passed passed, $(echo $failed | wc -w) failed"
    [ -z "$failed" ]
}

case ${1-} in
"")
    need $to_build $to_test spin
    build build
    run_tests build --timeout 300
    ;;
--one-gate=*) "gate_${1#--one-gate=}" ;;
gates) run_gates $gates ;;
nightly) run_gates $long_gates ;;
*)
    for gate in "$@"; do
        case " $gates $long_gates " in
        *" $gate "*) ;;
        *)
            echo "no gate '$gate'; there are: $gates $long_gates" >&2
            exit 2
            ;;
        esac
    done
    run_gates "$@"
    ;;
esac
