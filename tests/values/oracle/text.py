# SPDX-License-Identifier: MIT
"""Arrays and attrs in the graph's text form, and files of cases.

A file of cases is lines of text:

    # what this case shows
    case broadcast_middle within 1e-6
    a = Const() {value=float32[2,1,3](1,2,3,4,5,6)}
    b = Const() {value=float32[4,1](1,2,3,4)}
    y = Add(a, b)
    want = Const() {value=float32[2,4,3](...)}

A case ends where the next begins; blank lines and lines that start with '#' are skipped. After
its name a case says how it is judged:

    (nothing)                 each element has the same bits, any NaN being like any other
    within T                  |got - want| <= T * max(1, |want|)
    within T relative         |got - want| <= T * |want|
    fails CODE "words"...     is refused when the node is added; the message has all the words in it
    fails in_step CODE ...    can be built and compiled, and running it fails
    fails sometime CODE ...   one or the other
    on CPU                    not on other devices (at the end of the line)

y is the node in question, want what its output 0 must be, want_1 output 1, and so on. A
Placeholder x is fed with the Const x_fed.
"""

import ml_dtypes
import numpy as np

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
FLOATS = ["float32", "float64"]
SHORT = ["float16", "bfloat16"]
INTS = ["int8", "int16", "int32", "int64", "uint8"]
NUMBERS = FLOATS + INTS
PLAIN = NUMBERS + ["bool"] + SHORT


def dtype_of(name):
    return BFLOAT16 if name == "bfloat16" else np.dtype(str(name))


# Said where an attr is not of its type.
UNREADABLE = "expected"


class Word(str):
    """An attr that is written without quotes: a dtype."""


def is_float(a):
    return a.dtype == BFLOAT16 or a.dtype.kind == "f"


def float_text(x):
    """The shortest decimal that reads back as x, by way of a double."""
    if np.isnan(x):
        return "nan"
    if np.isinf(x):
        return "inf" if x > 0 else "-inf"
    exact = x if x.dtype == np.float64 else np.float32(x)
    plain = np.format_float_positional(exact, trim="-")
    short = np.format_float_scientific(exact, trim="-", exp_digits=1).replace("e+", "e")
    text = min(short, plain, key=len) if len(plain) > 6 else plain
    back = np.float64(text).astype(x.dtype)
    assert back == x and np.signbit(back) == np.signbit(x), (text, x)
    return text


def string_text(s):
    """Bytes between quotes, as the graph's text has them."""
    out = '"'
    for b in s:
        c = chr(b)
        out += "\\" + c if c in '"\\' else c if 32 <= b < 127 else "\\x%02x" % b
    return out + '"'


def tensor(a):
    """float32[2](1,2.5)"""
    a = np.asarray(a)
    flat = a.reshape(-1)
    if a.dtype == object:
        name, items = "string", [string_text(s) for s in flat]
    elif is_float(a):
        name, items = a.dtype.name, [float_text(x) for x in flat]
    else:
        name, items = a.dtype.name, [str(int(x)) for x in flat]
    dims = ",".join(str(d) for d in a.shape)
    return f"{name}[{dims}]" + (f"({','.join(items)})" if items else "")


def attr(v):
    if isinstance(v, Word):
        return str(v)
    if isinstance(v, str):
        return '"' + v + '"'
    if isinstance(v, bool):
        return "true" if v else "false"
    if isinstance(v, float) and not isinstance(v, np.generic):
        return float_text(np.float64(v))
    if isinstance(v, (list, tuple)):
        return "[" + ",".join("?" if d is None else str(d) for d in v) + "]"
    if isinstance(v, (np.ndarray, np.generic)):
        return tensor(v)
    return str(v)


def node(name, op, inputs=(), **attrs):
    """name = op(inputs) {attrs}"""
    held = ", ".join(f"{k}={attr(v)}" for k, v in attrs.items())
    return f"{name} = {op}({', '.join(inputs)})" + (f" {{{held}}}" if held else "")


def const(name, value):
    return node(name, "Const", value=np.asarray(value))


def op_of(lines):
    return next(line for line in lines if line.startswith("y = "))[4:].split("(")[0]


class File:
    """Cases of one family, in the order added. expect(op, inputs, attrs) gives what is wanted."""

    def __init__(self, name, expect):
        self.name, self.expect = name, expect
        self.blocks, self.names = [], set()

    def block(self, name, judged, lines, about=None, on=None):
        assert name not in self.names, f"{self.name}: two cases named {name}"
        self.names.add(name)
        head = " ".join(["case", name] + judged + (["on", on] if on else []))
        notes = [f"# {line}" for line in about.splitlines()] if about else []
        self.blocks.append("\n".join(notes + [head] + lines))

    def raw(self, name, lines, wants, about=None, on=None, within=None, relative=False):
        """Any graph that has a node y; wants are y's outputs."""
        if not isinstance(wants, (list, tuple)):
            wants = [wants]
        judged = ["within", repr(within)] if within else []
        judged += ["relative"] if within and relative else []
        wanted = [const("want" if i == 0 else f"want_{i}", w) for i, w in enumerate(wants)]
        self.block(name, judged, lines + wanted, about, on)

    def case(self, name, op, *inputs, about=None, on=None, within=None, relative=None, **attrs):
        """y = op(inputs) {attrs}; tolerance and what is wanted are the oracle's."""
        inputs = [np.asarray(x) for x in inputs]
        wants, tolerance, is_relative = self.expect(op, inputs, attrs)
        names, lines = [], []
        for i, x in enumerate(inputs):
            names.append("abcdefgh"[i] if i < 8 else f"i{i}")
            lines.append(const(names[i], x))
        lines.append(node("y", op, names, **attrs))
        self.raw(
            name,
            lines,
            wants,
            about,
            on,
            tolerance if within is None else within,
            is_relative if relative is None else relative,
        )

    def fails(
        self,
        name,
        lines,
        *words,
        code="INVALID_ARGUMENT",
        when="",
        about=None,
        on=None,
        named=True,
    ):
        """The message names node and op, unless the text cannot be read, or it is not `named`."""
        if code == "NOT_FOUND":
            words = (f"{op_of(lines)} has no attr",) + words
        elif named and UNREADABLE not in words:
            words = (f"node y ({op_of(lines)})",) + words
        judged = ["fails"] + ([when] if when else []) + [code]
        self.block(name, judged + [f'"{w}"' for w in words], lines, about, on)

    def text(self, head):
        return head + "\n" + "\n\n".join(self.blocks) + "\n"
