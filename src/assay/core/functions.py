"""A user's function as text: whether it can be accepted, and what it wants to be called with.

Only the text is looked at; nothing of it is run or compiled here (compiling alone can be made to take
seconds: nested `finally` blocks double the code each time).
"""

import ast
import re
import symtable
import textwrap
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

MAX_SOURCE_BYTES = 100_000
MAX_NESTING = 200
"""Levels of the syntax tree. Ordinary code stays under 40; a sum of 150 terms has 150."""

ALLOWED_MODULES = (
    "collections",
    "copy",
    "datetime",
    "decimal",
    "difflib",
    "fractions",
    "functools",
    "itertools",
    "json",
    "math",
    "re",
    "statistics",
    "textwrap",
    "unicodedata",
)
ALLOWED_SUBMODULES = ("collections.abc", "json.decoder", "json.encoder")

_CODING = re.compile(r"^[ \t\f]*#.*?coding[:=]")
_LOOPS = (ast.For, ast.While, ast.AsyncFor)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


class RefusedSource(Exception):
    """The source is not one plain function; the message names the cause, and the line where there is one."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(f"line {line}: {message}" if line is not None else message)
        self.line = line


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter: its name, whether the function can be called without it, and whether only by position."""

    name: str
    has_default: bool
    positional_only: bool = False


@dataclass(frozen=True, slots=True)
class FunctionSignature:
    """What a function is called and what it takes, in the order of its parameters."""

    name: str
    parameters: tuple[Parameter, ...]

    @property
    def required(self) -> tuple[str, ...]:
        """Names of the parameters without a default."""
        return tuple(parameter.name for parameter in self.parameters if not parameter.has_default)

    @property
    def optional(self) -> tuple[str, ...]:
        """Names of the parameters with a default."""
        return tuple(parameter.name for parameter in self.parameters if parameter.has_default)

    @property
    def positional_only(self) -> tuple[str, ...]:
        """Names of the parameters that cannot be given by name."""
        return tuple(parameter.name for parameter in self.parameters if parameter.positional_only)


@lru_cache(maxsize=64)
def parse_function(source: str) -> FunctionSignature:
    """The signature of the one function that the source defines. Raises RefusedSource.

    Refused: anything but one plain `def` at the top (a class, a lambda, `async def`, a decorated function:
    names outside the function do not exist where it runs), a generator, `*args` and `**kwargs`, imports
    outside `ALLOWED_MODULES`, syntax errors, over 100 kB, nested too deeply. Indentation that all lines
    share is taken off first, so lines are counted as they were sent.
    """
    tree = _parse(plain_source(source))
    _check_nesting(tree)
    function = _only_function(tree)
    signature = FunctionSignature(function.name, tuple(_parameters(function)))
    _check_body(function)
    _check_names(plain_source(source))
    return signature


def plain_source(source: str) -> str:
    """The source without the indentation that all its lines share: the text that is run."""
    return textwrap.dedent(source).replace("\r\n", "\n").replace("\r", "\n")


def _parse(source: str) -> ast.Module:
    if not source.strip():
        raise RefusedSource("the source is empty")
    if "\0" in source:
        raise RefusedSource("the source contains a NUL byte")
    try:
        size = len(source.encode())
    except UnicodeEncodeError:
        raise RefusedSource("the source contains half of a surrogate pair, which is no text") from None
    if size > MAX_SOURCE_BYTES:
        raise RefusedSource(f"the source is {size} bytes long; at most {MAX_SOURCE_BYTES}")
    for number, line in enumerate(source.splitlines()[:2], 1):
        if _CODING.match(line):
            raise RefusedSource("an encoding declaration has no meaning here", number)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source, "<function>")
    except SyntaxError as error:
        raise RefusedSource(f"syntax error: {error.msg}", error.lineno) from None
    except (RecursionError, MemoryError):
        raise _too_deep() from None
    except ValueError as error:
        raise RefusedSource(f"cannot be read: {error}") from None


def _too_deep(line: int | None = None) -> RefusedSource:
    return RefusedSource(f"nested too deeply; at most {MAX_NESTING} levels", line)


def _check_nesting(tree: ast.Module) -> None:
    stack: list[tuple[ast.AST, int]] = [(tree, 0)]
    while stack:
        node, depth = stack.pop()
        if depth > MAX_NESTING:
            raise _too_deep(getattr(node, "lineno", None))
        stack.extend((child, depth + 1) for child in ast.iter_child_nodes(node))


def _only_function(tree: ast.Module) -> ast.FunctionDef:
    if len(tree.body) != 1:
        second = tree.body[1].lineno if len(tree.body) > 1 else None
        raise RefusedSource(f"must be exactly one function; found {len(tree.body)} statements", second)
    (statement,) = tree.body
    line = statement.lineno
    if isinstance(statement, ast.AsyncFunctionDef):
        raise RefusedSource("async functions are not accepted; write a plain 'def'", line)
    if isinstance(statement, ast.ClassDef):
        raise RefusedSource("must be a function, not a class", line)
    if not isinstance(statement, ast.FunctionDef):
        has_lambda = any(isinstance(node, ast.Lambda) for node in ast.walk(statement))
        found = "a lambda" if has_lambda else "another statement"
        raise RefusedSource(f"must be a function written with 'def', not {found}", line)
    if statement.decorator_list:
        raise RefusedSource(
            "decorators are not accepted: names outside the function do not exist where it runs",
            statement.decorator_list[0].lineno,
        )
    return statement


def _parameters(function: ast.FunctionDef) -> Iterator[Parameter]:
    arguments = function.args
    for kind, extra in (("*", arguments.vararg), ("**", arguments.kwarg)):
        if extra is not None:
            raise RefusedSource(f"{kind}{extra.arg} is not accepted; name each parameter", extra.lineno)
    positional = [*arguments.posonlyargs, *arguments.args]
    without = len(positional) - len(arguments.defaults)
    for index, argument in enumerate(positional):
        yield Parameter(argument.arg, index >= without, index < len(arguments.posonlyargs))
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield Parameter(argument.arg, default is not None)


def _check_body(function: ast.FunctionDef) -> None:
    """Imports anywhere; `yield`, `await` and stray `break` where they belong to this function itself."""
    stack: list[tuple[ast.AST, bool, bool, bool]] = [(child, True, False, False) for child in function.body]
    while stack:
        node, own, in_loop, in_async = stack.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            _check_import(node)
        elif isinstance(node, ast.Yield | ast.YieldFrom) and own:
            raise RefusedSource("generators are not accepted; return one value", node.lineno)
        elif isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith) and not in_async:
            raise RefusedSource("'await' and 'async' outside an async function", node.lineno)
        elif isinstance(node, ast.Break | ast.Continue) and not in_loop:
            word = "break" if isinstance(node, ast.Break) else "continue"
            raise RefusedSource(f"syntax error: '{word}' outside a loop", node.lineno)
        if isinstance(node, _SCOPES):
            inner = (False, False, isinstance(node, ast.AsyncFunctionDef))
            stack.extend((child, *inner) for child in ast.iter_child_nodes(node))
        elif isinstance(node, _LOOPS):
            stack.extend((child, own, True, in_async) for child in node.body)
            head = [node.test] if isinstance(node, ast.While) else [node.target, node.iter]
            stack.extend((child, own, in_loop, in_async) for child in (*head, *node.orelse))
        else:
            stack.extend((child, own, in_loop, in_async) for child in ast.iter_child_nodes(node))


def _check_import(node: ast.Import | ast.ImportFrom) -> None:
    if isinstance(node, ast.ImportFrom):
        names = ["." * node.level + (node.module or "")]
    else:
        names = [alias.name for alias in node.names]
    for name in names:
        if name not in ALLOWED_MODULES and name not in ALLOWED_SUBMODULES:
            there = ", ".join(ALLOWED_MODULES)
            raise RefusedSource(f"import of {name[:100]!r} is not accepted; there are: {there}", node.lineno)


def _check_names(source: str) -> None:
    """What only the symbol table sees: a parameter named twice, a stray `nonlocal`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            symtable.symtable(source, "<function>", "exec")
    except SyntaxError as error:
        raise RefusedSource(f"syntax error: {error.msg}", error.lineno) from None
    except (RecursionError, MemoryError):
        raise _too_deep() from None
