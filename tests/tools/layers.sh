#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# layers.sh [ROOT] - checks that the house stands as drawn: which layer sees which, and
# what no layer may do. Prints each violation as FILE:LINE: what; fails if there is one.
# layers.sh --self-test plants violations in a copy, and fails if one is not found.
#
# A layer is a folder of src. It may include the headers of itself and of the layers that
# the table names, by "layer/header.h", and the public headers that belong to these.
set -eu
here=$(cd "$(dirname "$0")/../.." && pwd)

# layer: what it may include ("*": all but cluster). The order is that of the house.
table='
base:
name: base
tensor: base
device: base name tensor
op: base tensor
graph: base name tensor op
kernels: base tensor device op
transport: base
rendezvous: base name tensor device transport
plan: base name tensor op
compile: base name tensor op graph plan
exec: base name tensor device op plan rendezvous
session: *
cluster: *
'

# The layer that each public header belongs to.
public='
error.h base
allocator.h base
threads.h base
memory.h name
key.h name
tensor.h tensor
device.h device
device_ops.h device
cuda.h device
opencl.h device
sim.h device
attr.h op
op.h op
inline.h op
graph.h graph
ops.h graph
transport.h transport
mem_transport.h transport
grpc_transport.h transport
ucx_transport.h transport
rendezvous.h rendezvous
run.h exec
cluster.h cluster
partition.h session
session.h session
runtime.h session
dataflow.h session
'

check() {
    local root=$1 files
    files=$(cd "$root" && find include src -name '*.[ch]' -o -name '*.inc' | LC_ALL=C sort)
    [ -n "$files" ] || { echo "$root: no sources to check" >&2; return 1; }
    (cd "$root" && printf '%s\n' $files | awk -v table="$table" -v public="$public" '
    function complain(what) { printf "%s:%d: %s\n", file, line, what; bad = 1 }

    # The line without comments; `strings` 0: without what is between quotes too.
    function strip(text, strings,    out, c, two, quote) {
        out = ""; quote = ""
        while (text != "") {
            c = substr(text, 1, 1); two = substr(text, 1, 2)
            if (in_comment) {
                if (two == "*/") { in_comment = 0; text = substr(text, 3); out = out " " }
                else text = substr(text, 2)
                continue
            }
            if (quote != "") {
                if (c == "\\") { if (strings) out = out two; text = substr(text, 3); continue }
                if (c == quote) quote = ""
                else if (!strings) c = ""
            } else if (two == "/*") { in_comment = 1; text = substr(text, 3); continue }
            else if (two == "//") break
            else if (c == "\"" || c == "\047") quote = c
            out = out c; text = substr(text, 2)
        }
        return out
    }

    function allowed(from, to) {
        if (from == to) return 1
        if (may[from] ~ /\*/) return to != "cluster"
        return index(" " may[from] " ", " " to " ") > 0
    }

    function see(to, what) {
        if (!allowed(layer, to)) complain("layer " layer " may not include " what " of layer " to)
    }

    function check_include(text,    name, part) {
        name = text
        sub(/^[ \t]*#[ \t]*include[ \t]*/, "", name)
        if (name ~ /^</) {
            sub(/^</, "", name); sub(/>.*$/, "", name)
            if (name ~ /^dataflow\//) {
                sub(/^dataflow\//, "", name)
                if (name in owner) see(owner[name], "<dataflow/" name ">")
                else complain("<dataflow/" name "> is in no layer; add it to layers.sh")
            } else if (name == "stdatomic.h" && file != "src/base/atomic.h")
                complain("<stdatomic.h> outside base/atomic.h, which has the wrappers")
            else if (name ~ /^(pthread|threads|semaphore)\.h$/ && layer != "base")
                complain("<" name "> outside base, which has the wrappers")
            else if (name == "assert.h") complain("<assert.h>: an error is a value")
            return
        }
        sub(/^"/, "", name); sub(/".*$/, "", name)
        if (is_public) { complain("\"" name "\" in a public header"); return }
        if (split(name, part, "/") < 2) complain("\"" name "\" is not included by its layer")
        else if (!(part[1] in may)) complain("\"" name "\" is of a layer that is not in the table")
        else see(part[1], "\"" name "\"")
    }

    # A call of one of these, not of a member or of a longer name.
    function calls(text, names,    before) {
        before = "(^|[^A-Za-z0-9_>.])"
        return match(text, before "(" names ")[ \t]*\\(")
    }

    function check_code(text) {
        if (file != "src/base/alloc.c" &&
            calls(text, "malloc|calloc|realloc|free|strdup|strndup|aligned_alloc|posix_memalign"))
            complain("memory outside base/alloc.c; use alloc_bytes, alloc_free")
        if (calls(text, "printf|fprintf|vprintf|vfprintf|dprintf|puts|fputs|putchar|fputc|fwrite|perror"))
            complain("printing; an error is a value")
        if (calls(text, "abort|exit|_exit|_Exit|quick_exit|atexit|assert|raise|__builtin_trap"))
            complain("ending the process; an error is a value")
        if (calls(text, "getenv|secure_getenv|setenv|putenv"))
            complain("the environment; use an option")
        if (file != "src/transport/ucx/worker.c" && # which gives back what UCX has taken
            calls(text, "signal|sigaction|sigqueue|kill"))
            complain("signals belong to the program")
        if (file != "src/base/atomic.h" &&
            text ~ /(^|[^A-Za-z0-9_])(atomic_(load|store|exchange|compare_exchange|fetch|thread_fence|signal_fence|flag)[a-z_]*|__atomic_[a-z_]+|__sync_[a-z_]+)[ \t]*\(/)
            complain("a bare atomic; use the wrappers of base/atomic.h")
        if (layer != "base" && text ~ /(^|[^A-Za-z0-9_])pthread_[a-z_]+/)
            complain("pthreads outside base; use base/mutex.h, base/thread.h")
    }

    BEGIN {
        n = split(table, rows, "\n")
        for (i = 1; i <= n; i++) if (split(rows[i], cell, ":")) may[cell[1]] = cell[2]
        n = split(public, rows, "\n")
        for (i = 1; i <= n; i++) if (split(rows[i], cell, " ") == 2) owner[cell[1]] = cell[2]
    }
    {
        file = $0; line = 0; in_comment = 0
        split(file, path, "/")
        is_public = path[1] == "include"
        layer = is_public ? owner[path[3]] : path[2]
        if (is_public && layer == "") complain("a header in no layer; add it to layers.sh")
        else if (!is_public && !(layer in may)) complain("a layer that is not in the table")
        while ((getline text < file) > 0) {
            line++
            is_include = !in_comment && text ~ /^[ \t]*#[ \t]*include/
            text = strip(text, is_include)
            if (is_include) check_include(text); else check_code(text)
        }
        close(file)
    }
    END { exit bad }
    ')
}

# plant FILE TEXT PATTERN - with TEXT as FILE, check must complain of it by PATTERN.
plant() {
    mkdir -p "$copy/$(dirname "$1")"
    printf '%b\n' "$2" >"$copy/$1"
    if output=$(check "$copy" 2>&1) || ! printf '%s\n' "$output" | grep -q "^$1:[0-9]*: .*$3"; then
        echo "not found in $1: $2 (the output was: $output)" >&2
        failed=1
    fi
    rm "$copy/$1"
}

# harmless FILE TEXT - it must be let through.
harmless() {
    mkdir -p "$copy/$(dirname "$1")"
    printf '%b\n' "$2" >"$copy/$1"
    if ! output=$(check "$copy" 2>&1); then
        echo "wrongly refused: $output" >&2
        failed=1
    fi
    rm "$copy/$1"
}

self_test() {
    copy=$(mktemp -d) failed=0
    trap 'rm -rf "$copy"' EXIT
    mkdir -p "$copy/include/dataflow" "$copy/src/base"
    echo '#include <stddef.h>' >"$copy/include/dataflow/error.h"
    echo '#include <dataflow/error.h>' >"$copy/src/base/error.h"
    check "$copy" || { echo "a clean tree was refused" >&2; failed=1; }

    plant src/base/x.c '#include "tensor/tensor.h"' 'base may not include'
    plant src/base/x_of.inc '#include "tensor/tensor.h"' 'base may not include'
    plant src/name/x.c '#include "tensor/tensor.h"' 'name may not include'
    plant src/tensor/x.h '#  include "device/device.h"' 'tensor may not include'
    plant src/device/sim/x.c '#include "exec/pool.h"' 'device may not include'
    plant src/exec/x.c '#include "graph/graph.h"' 'exec may not include'
    plant src/compile/x.c '#include "exec/executor.h"' 'compile may not include'
    plant src/session/x.c '#include "cluster/cluster.h"' 'session may not include'
    plant src/tensor/x.c '#include <dataflow/device.h>' 'tensor may not include'
    plant src/compile/x.c '#include <dataflow/session.h>' 'compile may not include'
    plant src/base/x.c '#include <dataflow/dataflow.h>' 'base may not include'
    plant src/base/x.c '#include <dataflow/new.h>' 'in no layer'
    plant src/base/x.c '#include "error.h"' 'not included by its layer'
    plant src/base/x.c '#include "attic/x.h"' 'not in the table'
    plant src/attic/x.c 'int x;' 'not in the table'
    plant include/dataflow/new.h 'int x;' 'in no layer'
    plant include/dataflow/tensor.h '#include <dataflow/graph.h>' 'tensor may not include'
    plant include/dataflow/tensor.h '#include "base/error.h"' 'in a public header'
    plant src/base/x.c '#include <stdatomic.h>' 'outside base/atomic.h'
    plant src/exec/x.c '#include <pthread.h>' 'outside base'
    plant src/base/x.c '#include <assert.h>' 'assert.h'
    plant src/base/x.c 'void f(void) { atomic_load(&x); }' 'bare atomic'
    plant src/base/x.c 'void f(void) { g(atomic_fetch_add_explicit(&x, 1, 2)); }' 'bare atomic'
    plant src/exec/x.c 'void f(void) { pthread_mutex_lock(&m); }' 'pthreads outside'
    plant src/base/x.c 'void *f(void) { return malloc(8); }' 'memory outside'
    plant src/op/x.c 'void f(void *p) {\nfree (p);\n}' 'memory outside'
    plant src/op/x.c 'void f(void) { x = "/*"; printf(x); /* */ }' 'printing'
    plant src/op/x.c 'void f(void) { if (x) abort(); }' 'ending the process'
    plant src/op/x.c 'void f(void) { assert(x); }' 'ending the process'
    plant src/op/x.c 'char *f(void) { return getenv("X"); }' 'environment'
    plant src/op/x.c 'void f(void) { (void)signal(2, g); }' 'signals'

    harmless src/op/x.c '/* malloc(8), printf( and\n * free(x) in words */ // abort()'
    harmless src/op/x.c 'void f(void) { r->ops->abort(x); a->free(p); thing_free(p); }'
    harmless src/op/x.c 'void f(void) { set(e, "call free(x), \\"exit(1)\\""); snprintf(b, 1, c); }'
    harmless src/op/x.c '_Static_assert(1, "x"); void f(void) { atomic_init(&x, 0); }'
    harmless src/session/x.c '#include "exec/pool.h"\n#include <dataflow/dataflow.h>'
    harmless src/base/alloc.c 'void f(void *p) { free(p); }'
    harmless src/base/atomic.h '#include <stdatomic.h>'
    [ "$failed" = 0 ] && echo "layers: every planted violation was found"
    return "$failed"
}

if [ "${1-}" = --self-test ]; then
    self_test
else
    check "${1-$here}"
    echo "layers: in order"
fi
