# SPDX-License-Identifier: MIT
"""What every op must give, from sources that know nothing of the library.

An oracle is a function of the inputs (NumPy arrays) and the attrs, which gives one array or a
tuple of them. Each module says where its values come from, and has

    ORACLES     op -> oracle
    TOLERANCES  op -> (for float32, for float64, relative?); what is not there is exact
"""

import numpy as np

from . import arith, index, nn, random, reduce, shape, state, unary

MODULES = [arith, unary, reduce, shape, index, nn, random, state]
ORACLES, TOLERANCES = {}, {}
for _module in MODULES:
    ORACLES.update(_module.ORACLES)
    TOLERANCES.update(getattr(_module, "TOLERANCES", {}))


def expect(op, inputs, attrs):
    """(outputs, tolerance or None, is it relative?)"""
    with np.errstate(all="ignore"):
        outputs = ORACLES[op](*inputs, **attrs)
    outputs = [np.asarray(o) for o in (outputs if isinstance(outputs, tuple) else (outputs,))]
    name = outputs[0].dtype.name
    if op not in TOLERANCES or name not in ("float32", "float64"):
        return outputs, None, False
    for32, for64, relative = TOLERANCES[op]
    return outputs, for32 if name == "float32" else for64, relative
