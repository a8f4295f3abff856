"""What source is accepted as a function, and what is said of the rest."""

import ast
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core.functions import ALLOWED_MODULES, MAX_SOURCE_BYTES, RefusedSource, parse_function, plain_source


def refused(source: str) -> str:
    with pytest.raises(RefusedSource) as caught:
        parse_function(source)
    return str(caught.value)


def test_the_signature_has_the_name_and_every_kind_of_parameter():
    signature = parse_function("def score(a, b=1, /, c=2, *, d, e=3):\n    return a\n")
    assert signature.name == "score"
    assert [(p.name, p.has_default, p.positional_only) for p in signature.parameters] == [
        ("a", False, True),
        ("b", True, True),
        ("c", True, False),
        ("d", False, False),
        ("e", True, False),
    ]
    assert signature.required == ("a", "d")
    assert signature.optional == ("b", "c", "e")
    assert signature.positional_only == ("a", "b")


def test_a_function_without_parameters_is_accepted():
    assert parse_function("def f(): return 1").parameters == ()


ACCEPTED = {
    "shared indentation": "    def f(x):\n        return x\n",
    "windows line ends": "def f(x):\r\n    return x\r\n",
    "comments around": "# before\ndef f(x):\n    return x\n# after\n",
    "annotations": "def f(x: 'np.ndarray' = None) -> float:\n    return 1.0\n",
    "an inner generator": "def f(x):\n    def g():\n        yield 1\n    return sum(g())\n",
    "an inner lambda": "def f(x):\n    return max(x, key=lambda y: -y)\n",
    "an inner class": "def f(x):\n    class A:\n        pass\n    return 1\n",
    "an inner decorator": "def f(x):\n    @staticmethod\n    def g():\n        return 1\n    return g()\n",
    "star arguments inside": "def f(x):\n    def g(*a, **k):\n        return 1\n    return g(*x)\n",
    "submodules": "def f(x):\n    import collections.abc\n    from json.decoder import JSONDecodeError\n    return 1\n",
    "a loop with break and continue": "def f(x):\n    while x:\n        if x: break\n        continue\n    return 1\n",
    "an invalid escape": "def f(x):\n    return len('\\d')\n",
    "150 brackets": "def f():\n    return " + "(" * 150 + "1" + ")" * 150,
    "a long sum": "def f():\n    return " + "+".join(["1"] * 150),
}


@pytest.mark.filterwarnings("ignore:invalid escape")
@pytest.mark.parametrize("source", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_source_is_accepted(source):
    assert parse_function(source).name == "f"
    compile(plain_source(source), "<function>", "exec")


REFUSED = {
    "nothing": ("  \n", "empty"),
    "no function": ("x = 1", "line 1: must be a function written with 'def'"),
    "a lambda": ("lambda x: x", "not a lambda"),
    "a named lambda": ("f = lambda x: x", "not a lambda"),
    "two functions": ("def f(x):\n    return x\ndef g(x):\n    return x\n", "line 3: must be exactly one function"),
    "an import before": ("import math\ndef f(x):\n    return x\n", "exactly one function; found 2"),
    "a class": ("class A:\n    def f(self): pass\n", "not a class"),
    "async": ("async def f(x):\n    return x\n", "async functions are not accepted"),
    "a decorator": ("@cache\ndef f(x):\n    return x\n", "line 1: decorators are not accepted"),
    "a generator": ("def f(x):\n    yield x\n", "line 2: generators are not accepted"),
    "a generator in a loop": ("def f(x):\n    for y in x:\n        yield from y\n", "line 3: generators"),
    "star arguments": ("def f(*rest): return 1", "*rest is not accepted"),
    "double star": ("def f(**rest): return 1", "**rest is not accepted"),
    "a syntax error": ("def f(x):\n    return +\n", "line 2: syntax error"),
    "a wrong indentation": ("def f(x):\nreturn x\n", "line 2: syntax error"),
    "python 2": ("def f(x):\n    print x\n", "line 2: syntax error"),
    "a parameter twice": ("def f(a, a): return a", "duplicate argument"),
    "a stray nonlocal": ("def f():\n    nonlocal x\n", "syntax error"),
    "a stray break": ("def f():\n    break\n", "line 2: syntax error: 'break'"),
    "a continue in a loop's else": (
        "def f(x):\n    for y in x:\n        pass\n    else:\n        continue\n",
        "line 5",
    ),
    "a break in an inner function": ("def f(x):\n    while x:\n        def g():\n            break\n", "line 4"),
    "await": ("def f(x):\n    await x\n", "line 2: 'await'"),
    "an import": ("def f():\n    import os\n", "line 2: import of 'os' is not accepted"),
    "an import of a part": ("def f():\n    import os.path\n", "import of 'os.path'"),
    "an import from": ("def f():\n    from subprocess import run\n", "import of 'subprocess'"),
    "one of several imports": ("def f():\n    import math, socket\n", "import of 'socket'"),
    "a relative import": ("def f():\n    from . import json\n", "import of '.'"),
    "a module that is a prefix": ("def f():\n    import jsonpickle\n", "import of 'jsonpickle'"),
    "an import in an inner function": ("def f():\n    def g():\n        import sys\n", "line 3"),
    "an import in a lambda's neighbour": (
        "def f():\n    if 1:\n        for x in 'a':\n            import ctypes\n",
        "line 4",
    ),
    "a star import": ("def f():\n    from math import *\n", "only allowed at module level"),
    "a NUL byte": ("def f():\n    return '\0'\n", "NUL"),
    "half a pair": ("def f():\n    return '\ud800'\n", "surrogate"),
    "an encoding": ("# -*- coding: utf-7 -*-\ndef f(): return 1\n", "line 1: an encoding declaration"),
    "too much": ("def f():\n    return 1\n#" + "x" * MAX_SOURCE_BYTES, f"at most {MAX_SOURCE_BYTES}"),
    "a number too long": ("def f():\n    return " + "9" * 5000, "syntax error"),
}


@pytest.mark.parametrize(("source", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_source_is_refused_with_its_cause(source, said):
    assert said in refused(source)


def test_a_refused_import_names_what_is_there():
    assert all(module in refused("def f():\n    import os\n") for module in ALLOWED_MODULES)


NESTED = {
    "signs": lambda n: "-" * n + "1",
    "negations": lambda n: "not " * n + "1",
    "brackets": lambda n: "(" * n + ")" * n,
    "lists": lambda n: "[" * n + "]" * n,
    "dicts": lambda n: "{1:" * n + "1" + "}" * n,
    "attributes": lambda n: "x" + ".a" * n,
    "calls": lambda n: "x" + "()" * n,
    "items": lambda n: "x" + "[0]" * n,
    "sums": lambda n: "1" + "+1" * n,
    "powers": lambda n: "1" + "**-1" * n,
    "lambdas": lambda n: "lambda:" * n + "1",
    "conditions": lambda n: "1 if 1 else " * n + "1",
    "walruses": lambda n: "(x:=" * n + "1" + ")" * n,
    "formats": lambda n: "f'{" * n + "1" + "}'" * n,
    "branches": lambda n: "0\n    if 1: pass\n" + "    elif 1: pass\n" * n,
    "blocks": lambda n: "0\n" + "".join(" " * (level + 4) + "if 1:\n" for level in range(min(n, 400))),
}


@pytest.mark.parametrize("count", [250, 3000, 10_000, 45_000])
@pytest.mark.parametrize("make", NESTED.values(), ids=NESTED.keys())
def test_absurd_nesting_is_refused_quickly_on_any_thread(make, count):
    source = "def f(x):\n    return " + make(count)
    messages: list[str] = []
    started = time.monotonic()
    thread = threading.Thread(target=lambda: messages.append(refused(source)))
    thread.start()
    thread.join()
    assert messages
    assert time.monotonic() - started < 5


def test_nested_finally_blocks_cost_nothing_here():
    nested = "".join(" " * (level + 1) + "try: a\n" + " " * (level + 1) + "finally:\n" for level in range(19))
    started = time.monotonic()
    parse_function("def f():\n" + nested + " " * 20 + "b\n")
    assert time.monotonic() - started < 1


@given(st.text(max_size=200))
def test_any_text_is_accepted_or_refused_and_nothing_else(text):
    try:
        signature = parse_function("def f(x):\n    return " + text)
    except RefusedSource:
        return
    assert signature.name == "f"
    assert len(ast.parse(plain_source("def f(x):\n    return " + text)).body) == 1
