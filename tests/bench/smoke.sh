#!/bin/sh
# SPDX-License-Identifier: MIT
#
# smoke.sh COMMAND... - runs the bench `speed` on small graphs: its values must be right (it checks
# them itself), and what it prints and writes must have its form. How fast it was is not looked at.
set -eu
at=$(mktemp -d)
trap 'rm -rf "$at"' EXIT
"$@" --smoke --json "$at/json" --markdown "$at/markdown" --svg "$at/svg" >"$at/out"

awk '
    function fail(what) { print "line " NR ": " what ": " $0; bad = 1 }
    function number(x) { return x ~ /^-?[0-9]+(\.[0-9]+)?(e[-+]?[0-9]+)?$/ }
    /^#/ { next }
    $1 == "point" { heads++; next }
    $1 == "goal" {
        bound = $4; sub(/^>=/, "", bound)
        if (NF != 5 || !number($3) || !number(bound) || $5 !~ /^(ok|missed)$/) fail("no goal")
        goals++; next
    }
    {
        if (NF != 7 || !number($3) || !number($4) || !number($5)) fail("no row")
        if ($6 != "-" && !number($6)) fail("no ratio")
        split($1, part, "/"); groups[part[1]]++
    }
    END {
        if (heads != 1) { print "no head, or several"; bad = 1 }
        n = split("run feeds empty work gap cut crossing pair crowd start", wanted, " ")
        for (i = 1; i <= n; i++)
            if (!(wanted[i] in groups)) { print "nothing of " wanted[i]; bad = 1 }
        if (goals < 30) { print "only " goals + 0 " goals"; bad = 1 }
        exit bad
    }' "$at/out" >&2

grep -q '"point": "empty/chain/control", "racer": "dataflow"' "$at/json"
grep -q '^## Goals' "$at/markdown"
tail -n 1 "$at/svg" | grep -q '^</svg>$'
if command -v python3 >/dev/null; then
    python3 -c 'import json, sys; json.load(open(sys.argv[1]))' "$at/json"
    python3 -c 'import sys, xml.dom.minidom as d; d.parse(sys.argv[1])' "$at/svg"
fi
echo "speed: $(grep -c '^[a-z]*/' "$at/out") rows and $(grep -c '^goal ' "$at/out") goals in order"
