#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""make.py - writes what every standard op must give, tests/values/*.txt.

    pip install numpy scipy "jax[cpu]"
    python3 tests/values/make.py [FOLDER]

Run by a person when an op or a case is new; building and testing need only its output. The values
come from NumPy, SciPy and JAX, never from the library: oracle/ says which from where, families/ has
the cases, oracle/text.py the format. The same versions write the same bytes.
"""

import importlib
import os
import platform
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from oracle import expect  # noqa: E402
from oracle.text import File  # noqa: E402

FAMILIES = "arith compare unary cast matmul reduce shape index nn conv random state".split()


def versions():
    names = ["numpy", "scipy", "jax", "ml_dtypes"]
    held = [f"{n} {importlib.import_module(n).__version__}" for n in names]
    return f"Python {platform.python_version()}, {', '.join(held)} on {platform.machine()}"


def head(family):
    doc = importlib.import_module(f"families.{family}").__doc__
    lines = (
        ["SPDX-License-Identifier: MIT", ""]
        + doc.strip().split("\n")
        + ["", "Written by `python3 tests/values/make.py`; do not edit.", versions()]
    )
    return "\n".join(f"# {line}".rstrip() for line in lines) + "\n"


def main(folder):
    for family in FAMILIES:
        f = File(family, expect)
        importlib.import_module(f"families.{family}").add(f)
        with open(
            os.path.join(folder, family + ".txt"), "w", encoding="ascii", newline="\n"
        ) as out:
            out.write(f.text(head(family)))
        print(f"{family}: {len(f.blocks)} cases")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__)))
