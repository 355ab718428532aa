#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# gpu.sh [OUT] - everything that needs a GPU, in some minutes, with gcc alone: builds the library and
# its benches into OUT (build-gpu), runs the conformance suite on the GPU, the cost of calls, copies
# and overlap beside the driver's own, and the example digits; and, where they are there, the values
# of all ops (cmocka) and PyTorch and JAX (python3). Ends with the lines `goal NAME VALUE BOUND
# ok|missed`. 77: there is no GPU.
set -u
cd "$(dirname "$0")/../.." || exit 1
out=${1-build-gpu}
mkdir -p "$out"
export LD_LIBRARY_PATH="/usr/local/cuda/lib64:$(echo /usr/local/cuda/targets/*/lib):${LD_LIBRARY_PATH-}"
flags=(-std=gnu11 -O2 -g -D_POSIX_C_SOURCE=200809L -Iinclude -Isrc -Itests -Iconformance
    -Iexamples/shared -ffp-contract=off -fno-math-errno)
status=0

# ---- building ------------------------------------------------------------------------

compile() { # NAME FILE...: into a folder, as many at once as there are processors
    local name=$1
    shift
    mkdir -p "$out/$name"
    printf '%s\n' "$@" | xargs -P "$(nproc)" -I{} sh -c \
        'gcc "$@" -c {} -o "$0/$(echo {} | tr / _).o"' "$out/$name" "${flags[@]}" || exit 1
}

# shellcheck disable=SC2046
compile library $(find src -name '*.c')
ar rcs "$out/libdataflow.a" "$out"/library/*.o
program() { # NAME FILE...
    local name=$1
    shift
    gcc "${flags[@]}" -DDATAFLOW_MODULES_DIR='"."' -DDATAFLOW_TESTS_DIR='"tests"' "$@" \
        "$out/libdataflow.a" -pthread -ldl -lm -o "$out/$name" || exit 1
}
program gpu tests/bench/gpu.c
program cuda tests/bench/cuda.c
program device_kinds tests/conformance/test_device_kinds.c conformance/*.c
if echo '#include <cmocka.h>' | gcc -include stdarg.h -include stddef.h -include stdint.h \
    -include setjmp.h -fsyntax-only -xc - 2>/dev/null; then
    program values tests/values/test_values.c tests/values/value_*.c -lcmocka
fi

# ---- running -------------------------------------------------------------------------

run() {
    echo "== $*"
    "$@"
    local code=$?
    [ "$code" = 0 ] || { echo "== $1 ended with $code"; status=$code; }
    return "$code"
}

command -v nvidia-smi >/dev/null && nvidia-smi --query-gpu=name,driver_version,pcie.link.gen.current,pcie.link.width.current --format=csv
run "$out/gpu"
[ "$status" = 77 ] && exit 77
run "$out/cuda"
DATAFLOW_TEST_CUDA=libcuda.so.1 run "$out/device_kinds" cuda
[ -x "$out/values" ] && for file in tests/values/*.txt; do
    DATAFLOW_TEST_DEVICE=CUDA run "$out/values" "$file"
done
command -v python3 >/dev/null && run python3 tests/bench/peers/gpu.py
exit "$status"
