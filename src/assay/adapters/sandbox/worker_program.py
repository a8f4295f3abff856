"""Runs inside the sandbox: defines one user function and calls it on the rows that come in on descriptor 0.

It needs only the standard library and is started as a script. Every wall that counts is outside of it
(namespaces, system-call filters, limits); what it does to the function's builtins and imports keeps honest
code honest and makes hostile code work for its living. Its answers are read as untrusted bytes.

Frames are a length (4 bytes, big-endian) and JSON. In: one object that sets it up, then arrays of argument
objects. Out: `"ready"`, then arrays of answers `[0, value, seconds]`, `[1, message, seconds]` (the function
failed) or `[2, message, seconds]` (its value is no good), in the order of the rows. The number of rows begun
stands in shared memory, so that whoever ends the process knows which row was running.
"""

import builtins
import importlib
import json
import math
import mmap
import os
import resource
import struct
import sys
import types
from base64 import b64decode
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any

FILE_NAME = "<function>"
MAX_VALUE_BYTES = 1_000_000
MAX_VALUE_DEPTH = 64
MAX_MESSAGE = 1000
MAX_PENDING_BYTES = 64 * 1024
IMPORTED_BY_LIBRARIES = ("_strptime", "time")
"""What the allowed modules' own C code imports while it runs, through the caller's `__import__`."""
FLUSH_SECONDS = 0.002

BUILTINS = """
    abs all any ascii bin bool bytearray bytes callable chr classmethod complex delattr dict dir divmod
    enumerate filter float format frozenset getattr hasattr hash hex id int isinstance issubclass iter len
    list locals map max memoryview min next object oct ord pow property range repr reversed round set setattr
    slice sorted staticmethod str sum super tuple type vars zip
    None True False Ellipsis NotImplemented __build_class__ __debug__
"""


class Unfit(Exception):
    """A returned value that cannot be a result; the message says why."""


def clean_builtins(modules: Mapping[str, types.ModuleType]) -> dict[str, Any]:
    """The builtins that a function gets: no files, no code from text, and imports from the list alone."""
    names = {name: getattr(builtins, name) for name in BUILTINS.split()}
    errors = [
        value for value in vars(builtins).values() if isinstance(value, type) and issubclass(value, BaseException)
    ]
    names.update((error.__name__, error) for error in errors)
    there = ", ".join(sorted(name for name in modules if "." not in name))
    internal = {name: importlib.import_module(name) for name in IMPORTED_BY_LIBRARIES}

    def import_(
        name: str,
        _globals: object = None,
        _locals: object = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> types.ModuleType:
        if name in internal:
            return internal[name]
        if level or name not in modules:
            raise ImportError(f"import of {name!r} is not available here; there are: {there}")
        return modules[name] if fromlist else modules[name.partition(".")[0]]

    def print_(*_values: object, **_options: object) -> None:
        """Printed text goes nowhere."""

    import_.__name__, print_.__name__ = "__import__", "print"
    names.update(__import__=import_, print=print_)
    return names


def facades(allowed: Sequence[str]) -> dict[str, types.ModuleType]:
    """Each allowed module with its public names only, so that `statistics.random` or `re.enum.sys` lead nowhere."""
    made: dict[str, types.ModuleType] = {}
    for name in sorted(allowed, key=lambda name: -name.count(".")):
        module = importlib.import_module(name)
        made[name] = facade = types.ModuleType(name, module.__doc__)
        for key, value in vars(module).items():
            if not key.startswith("_") and not isinstance(value, types.ModuleType):
                setattr(facade, key, value)
        for child, inner in list(made.items()):
            if child.rpartition(".")[0] == name:
                setattr(facade, child.rpartition(".")[2], inner)
    return made


class Function:
    """The user's function. It is defined on first use, inside the first row's time."""

    def __init__(self, source: str, name: str, allowed: Sequence[str]) -> None:
        self._source = source
        self._name = name
        self._builtins = clean_builtins(facades(allowed))
        self._pristine = dict(self._builtins)
        self._namespace: dict[str, Any] = {"__builtins__": self._builtins, "__name__": "function"}
        self._function: Any = None
        self._positional: tuple[str, ...] = ()
        self._broken: str | None = None

    def call(self, arguments: dict[str, Any]) -> Any:
        """Call it, with the builtins as they were at first whatever the row before did to them."""
        if self._builtins != self._pristine:
            self._builtins.clear()
            self._builtins.update(self._pristine)
        if self._function is None:
            self._define()
        if self._positional:
            values = [arguments.pop(name) for name in self._positional if name in arguments]
            return self._function(*values, **arguments)
        return self._function(**arguments)

    def _define(self) -> None:
        if self._broken is not None:
            raise Undefined(self._broken)
        try:
            exec(compile(self._source, FILE_NAME, "exec", dont_inherit=True), self._namespace)  # noqa: S102
            function = self._namespace[self._name]
            code = function.__code__
        except BaseException as error:
            self._broken = described(error)
            raise Undefined(self._broken) from None
        self._positional = code.co_varnames[: code.co_posonlyargcount]
        self._function = function


class Undefined(Exception):
    """The function's own definition failed; the message is ready to be shown."""


def described(error: BaseException) -> str:
    """What went wrong, and on which line of the function."""
    try:
        if isinstance(error, Undefined):
            return str(error)
        kind = type(error).__name__
        text = str(error)[:MAX_MESSAGE]
        line = error.lineno if isinstance(error, SyntaxError) else None
        trace = error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == FILE_NAME:
                line = trace.tb_lineno
            trace = trace.tb_next
        message = f"{kind}: {text}" if text else kind
        if line is not None:
            message += f" (line {line})"
        if isinstance(error, NameError) and not isinstance(error, UnboundLocalError):
            message += "; nothing outside the function exists here: import inside it"
    except BaseException:
        return "the function raised an error that cannot be shown"
    else:
        return message


def encoded(value: Any) -> bytes:
    """The value as JSON text. Raises Unfit."""
    kind = type(value)
    if kind is float:
        if not math.isfinite(value):
            raise Unfit(f"returned {value!r}, which is not a finite number")
        return float.__repr__(value).encode()
    if kind is int:
        check_integer(value)
        return int.__repr__(value).encode()
    check(value, 0, [100_000])
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        raise Unfit("returned text with half of a surrogate pair, which is no text") from None
    if len(text) > MAX_VALUE_BYTES:
        raise Unfit(f"returned {len(text)} bytes of JSON; at most {MAX_VALUE_BYTES}")
    return text


def check_integer(value: int) -> None:
    """Refuse what does not fit in 64 bits: databases and JSON readers lose digits beyond."""
    if not -(2**63) <= value < 2**63:
        raise Unfit("returned a whole number that does not fit in 64 bits; return a float")


def check(value: Any, depth: int, left: list[int]) -> None:
    """Refuse what is no JSON value. Exact types: a subclass could say anything about itself."""
    kind = type(value)
    left[0] -= 1
    if left[0] < 0:
        raise Unfit("returned a value of more than 100000 parts")
    if kind is int:
        check_integer(value)
    elif kind is float:
        if not math.isfinite(value):
            raise Unfit(f"returned {value!r}, which is not a finite number")
    elif kind is str:
        if len(value) > MAX_VALUE_BYTES:
            raise Unfit(f"returned text of {len(value)} characters; at most {MAX_VALUE_BYTES}")
    elif kind is dict or kind is list or kind is tuple:
        check_inner(value, depth, left)
    elif value is not None and kind is not bool:
        raise Unfit(f"returned {shown_type(value)}, which is not a number or another JSON value")


def check_inner(value: Any, depth: int, left: list[int]) -> None:
    """Refuse what is no JSON object or array."""
    if depth >= MAX_VALUE_DEPTH:
        raise Unfit(f"returned a value nested deeper than {MAX_VALUE_DEPTH} levels")
    if type(value) is dict:
        for key in value:
            if type(key) is not str:
                raise Unfit(f"returned an object with a key of type {shown_type(key)}; keys must be text")
    for inner in value.values() if type(value) is dict else value:
        check(inner, depth + 1, left)


def shown_type(value: Any) -> str:
    """The name of a value's real type, which a hostile class cannot answer for itself."""
    return str(type.__dict__["__name__"].__get__(type(value)))[:100]


class Channel:
    """The frames in and out, and the count of rows begun."""

    def __init__(self, memory_fd: int) -> None:
        self._begun = mmap.mmap(memory_fd, mmap.PAGESIZE)
        os.close(memory_fd)
        self._count = 0
        self._answers: list[bytes] = []
        self._size = 0
        self._flushed = perf_counter()
        self._input = b""

    def receive(self) -> Any:
        """The next frame, decoded; ends the process when there will be none."""
        size = struct.unpack(">I", self._take(4))[0]
        return json.loads(self._take(size))

    def _take(self, size: int) -> bytes:
        while len(self._input) < size:
            piece = os.read(0, max(65536, size - len(self._input)))
            if not piece:
                os._exit(0)
            self._input += piece
        taken, self._input = self._input[:size], self._input[size:]
        return taken

    def begin(self) -> None:
        """Say that the next row begins; send what waits if it has waited long."""
        if self._answers and perf_counter() - self._flushed > FLUSH_SECONDS:
            self.flush()
        self._count += 1
        self._begun[:8] = struct.pack("<Q", self._count)

    def answer(self, answer: bytes) -> None:
        """Keep an answer to be sent."""
        self._answers.append(answer)
        self._size += len(answer)
        if self._size > MAX_PENDING_BYTES:
            self.flush()

    def flush(self) -> None:
        """Send the answers that wait."""
        if self._answers:
            self.send(b"[" + b",".join(self._answers) + b"]")
            self._answers.clear()
            self._size = 0
        self._flushed = perf_counter()

    @staticmethod
    def send(body: bytes) -> None:
        """Send one frame."""
        view = memoryview(struct.pack(">I", len(body)) + body)
        while view:
            view = view[os.write(1, view) :]


def lower_limits(memory: int, cpu: int) -> None:
    """Limits of the kernel, soft and hard."""
    for name, limit in (
        ("RLIMIT_AS", memory), ("RLIMIT_CPU", cpu), ("RLIMIT_FSIZE", 0), ("RLIMIT_NPROC", 0),
        ("RLIMIT_NOFILE", 16), ("RLIMIT_CORE", 0), ("RLIMIT_MEMLOCK", 0), ("RLIMIT_MSGQUEUE", 0),
        ("RLIMIT_STACK", 8 * 1024 * 1024),
    ):  # fmt: skip
        number = getattr(resource, name, None)
        if number is not None:
            hard = resource.getrlimit(number)[1]
            lowest = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
            resource.setrlimit(number, (lowest, lowest))


def seal(program: bytes) -> None:
    """Put the narrow system-call filter on this process, for good. Raises OSError when the kernel refuses."""
    import ctypes

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))

    library = ctypes.CDLL(None, use_errno=True)
    no_new_privileges, dumpable, set_filter = 38, 4, 22
    filter_mode = ctypes.c_ulong(2)
    zero, one = ctypes.c_ulong(0), ctypes.c_ulong(1)
    wanted = Program(len(program) // 8, program)
    for arguments in (
        (dumpable, zero, zero, zero, zero),
        (no_new_privileges, one, zero, zero, zero),
        (set_filter, filter_mode, ctypes.byref(wanted), zero, zero),
    ):
        if library.prctl(*arguments) != 0:
            raise OSError(ctypes.get_errno(), "the sandbox cannot be sealed")


def forget_modules() -> None:
    """Drop what only this program needed from the table of modules."""
    for name in ("ctypes", "_ctypes", "ctypes._endian", "resource", "mmap", "base64", "binascii"):
        sys.modules.pop(name, None)


def run_row(function: Function, arguments: dict[str, Any]) -> tuple[bytes, bool]:
    """The answer for one row, and whether the process is worn out by it."""
    worn_out = False
    started = perf_counter()
    try:
        text = encoded(function.call(arguments))
        return b"[0,%b,%.6f]" % (text, perf_counter() - started), False
    except Unfit as unfit:
        kind, message = 2, str(unfit)
    except MemoryError:
        kind, message, worn_out = 1, "MemoryError: over the limit of memory", True
    except BaseException as error:
        kind, message = 1, described(error)
    shown = message[: MAX_MESSAGE + 200].encode(errors="replace").decode()
    return b"[%d,%b,%.6f]" % (kind, json.dumps(shown).encode(), perf_counter() - started), worn_out


def main() -> None:
    """Set up, seal, and answer rows until the other side closes."""
    channel = Channel(int(sys.argv[1]))
    setup = channel.receive()
    sys.stdin = sys.stdout = sys.stderr = None
    function = Function(setup["source"], setup["name"], setup["modules"])
    lower_limits(setup["memory"], setup["cpu"])
    seal(b64decode(setup["filter"]))
    forget_modules()
    channel.send(b'"ready"')
    while True:
        for arguments in channel.receive():
            channel.begin()
            answer, worn_out = run_row(function, arguments)
            channel.answer(answer)
            if worn_out:
                channel.flush()
                os._exit(0)
        channel.flush()


if __name__ == "__main__":
    main()
