"""The sandbox where bubblewrap cannot be: Monty, an interpreter of part of Python that knows no operating system.

It runs in processes of its own with limits of time and memory. It lacks some of CPython's library (difflib,
fractions, statistics, textwrap) and language; functions that need them fail with an error that says so.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
import threading
from collections import OrderedDict, deque
from collections.abc import Awaitable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import monotonic, perf_counter
from typing import Any

from assay.adapters.sandbox.bubblewrap import gathered
from assay.adapters.sandbox.calls import Call, encode_arguments, failed, timed_out
from assay.adapters.sandbox.worker_program import MAX_MESSAGE, MAX_VALUE_BYTES, MAX_VALUE_DEPTH, Unfit, encoded
from assay.core.functions import ALLOWED_MODULES, parse_function, plain_source
from assay.core.results import ErrorType
from assay.ports.sandbox import FunctionReturn

MEMORY_BYTES = 256 * 1024 * 1024
PROCESS_BYTES = 4 * 1024 * 1024 * 1024
THREADS = 4
MAX_IDLE = 8
BATCH_SECONDS = 0.05
GRACE_SECONDS = 1.0

_DRIVER = """
import json as _json

def _unfit(value, depth):
    kind = type(value)
    if kind is dict or kind is list or kind is tuple:
        if depth >= DEPTH:
            return "a value nested deeper than DEPTH levels"
        if kind is dict:
            for key in value:
                if type(key) is not str:
                    return "an object with a key of type " + type(key).__name__ + "; keys must be text"
        for inner in (value.values() if kind is dict else value):
            said = _unfit(inner, depth + 1)
            if said is not None:
                return said
        return None
    if value is None or kind is bool or kind is int or kind is float or kind is str:
        return None
    return kind.__name__ + ", which is not a number or another JSON value"

def _answer(value):
    said = _unfit(value, 0)
    if said is not None:
        return [2, "returned " + said]
    text = _json.dumps(value)
    if len(text) > SIZE:
        return [2, "returned " + str(len(text)) + " bytes of JSON; at most SIZE"]
    return [0, text]
""".replace("DEPTH", str(MAX_VALUE_DEPTH)).replace("SIZE", str(MAX_VALUE_BYTES))


class MontySandbox:
    """Runs each function in a Monty session of its own, calls one after another on a thread.

    May be used from several event loops.
    """

    name = "monty"

    def __init__(self, *, memory: int = MEMORY_BYTES) -> None:
        self._memory = memory
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="monty")
        self._lanes: dict[tuple[asyncio.AbstractEventLoop, str], _Lane] = {}
        self._sessions = _Sessions(memory)
        self._closed = False

    async def call(self, source: str, arguments: Mapping[str, Any], *, timeout: float = 10.0) -> FunctionReturn:
        """Call the function once."""
        return await self._submit(source, arguments, timeout)

    async def call_many(
        self, source: str, calls: Sequence[Mapping[str, Any]], *, timeout: float = 10.0, total_timeout: float = 30.0
    ) -> list[FunctionReturn]:
        """Call the function once a mapping, in order."""
        waiting = [asyncio.ensure_future(self._submit(source, arguments, timeout)) for arguments in calls]
        return await gathered(waiting, total_timeout)

    def _submit(self, source: str, arguments: Mapping[str, Any], timeout: float) -> Awaitable[FunctionReturn]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[FunctionReturn] = loop.create_future()
        body = encode_arguments(arguments)
        if isinstance(body, FunctionReturn):
            future.set_result(body)
        elif self._closed:
            future.set_result(failed(ErrorType.INTERNAL_ERROR, "the sandbox is closed"))
        else:
            lane = self._lanes.get((loop, source))
            if lane is None:
                lane = self._lanes[(loop, source)] = _Lane(self._threads, self._sessions, loop, source)
                lane.on_empty = lambda: self._lanes.pop((loop, source), None)
            lane.add(Call(body, timeout, future))
        return future

    async def close(self) -> None:
        """Stop every process; calls that wait end in an error."""
        if self._closed:
            return
        self._closed = True
        here = asyncio.get_running_loop()
        for (loop, _), lane in list(self._lanes.items()):
            if loop is here:
                lane.close()
            elif loop.is_running():
                loop.call_soon_threadsafe(lane.close)
        self._threads.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self._sessions.close)


class _Sessions:
    """Monty's processes, and the sessions that wait in them. Used from the threads."""

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._lock = threading.Lock()
        self._pool: Any = None
        self._idle: OrderedDict[tuple[str, float], Any] = OrderedDict()
        self._process_ids: set[int] = set()
        self._closed = False

    def take(self, source: str, timeout: float) -> Any:
        """A session in which the function is defined. Raises MontyError when its definition fails."""
        with self._lock:
            if self._closed:
                raise RuntimeError("closed")
            waiting = self._idle.pop((source, timeout), None)
            pool = self._open_pool()
        return waiting or self._new(pool, source, timeout)

    def _open_pool(self) -> Any:
        if self._pool is None:
            from pydantic_monty import Monty

            self._pool = Monty(
                min_processes=0, max_processes=THREADS + MAX_IDLE + 1, feed_duration_limit_grace=GRACE_SECONDS
            )
            self._pool.__enter__()
        return self._pool

    def _new(self, pool: Any, source: str, timeout: float) -> Any:
        limits = {"max_feed_duration_secs": timeout, "max_memory": self._memory, "max_total_sleep_secs": 0.0}
        session = pool.checkout(
            limits=limits, os_policy={"sleep": "zero", "random_start": {"seed": 0}}, assert_message_annotations=False
        )
        session.__enter__()
        try:
            self._bound(session.worker_pid)
            session.feed_run(plain_source(source), print_callback=_nowhere)
            session.feed_run(_DRIVER, print_callback=_nowhere)
        except BaseException:
            self.drop(session)
            raise
        return session

    def _bound(self, process_id: int | None) -> None:
        """A second limit of memory, by the kernel where it can be set on another process."""
        if process_id is None:
            return
        with self._lock:
            self._process_ids.add(process_id)
        if sys.platform == "linux":
            import resource

            with contextlib.suppress(OSError, ValueError):
                resource.prlimit(process_id, resource.RLIMIT_AS, (PROCESS_BYTES, PROCESS_BYTES))
                resource.prlimit(process_id, resource.RLIMIT_CORE, (0, 0))

    def give_back(self, source: str, timeout: float, session: Any) -> None:
        """Keep a session for the next calls."""
        surplus: list[Any] = []
        with self._lock:
            if self._closed or (source, timeout) in self._idle:
                surplus.append(session)
            else:
                self._idle[(source, timeout)] = session
                if len(self._idle) > MAX_IDLE:
                    surplus.append(self._idle.popitem(last=False)[1])
        for unwanted in surplus:
            self.drop(unwanted)

    @staticmethod
    def drop(session: Any) -> None:
        """End a session."""
        with contextlib.suppress(Exception):  # its process may be gone, which is what is wanted
            session.__exit__(None, None, None)

    def close(self) -> None:
        """End every session and process."""
        with self._lock:
            self._closed = True
            idle, self._idle = list(self._idle.values()), OrderedDict()
            pool, self._pool = self._pool, None
        for session in idle:
            self.drop(session)
        if pool is not None:
            for process_id in self._process_ids:
                if _is_ours(process_id):
                    with contextlib.suppress(OSError):
                        os.kill(process_id, signal.SIGKILL)
            pool.__exit__(None, None, None)


class _Lane:
    """The calls of one function from one event loop; one batch of them runs at a time."""

    def __init__(
        self, threads: ThreadPoolExecutor, sessions: _Sessions, loop: asyncio.AbstractEventLoop, source: str
    ) -> None:
        self._threads = threads
        self._sessions = sessions
        self._loop = loop
        self._source = source
        self._signature = parse_function(source)
        self._pending: deque[Call] = deque()
        self._busy = False
        self._closed = False
        self.on_empty: Any = None

    def add(self, call: Call) -> None:
        """Take a call; it leaves with the others of this turn of the loop."""
        self._pending.append(call)
        if not self._busy:
            self._busy = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        batch: list[Call] = []
        while self._pending and len(batch) < 256 and (not batch or self._pending[0].timeout == batch[0].timeout):
            batch.append(self._pending.popleft())
        if self._closed or not batch:
            self._busy = False
            if not self._closed:
                self.on_empty()
            return
        try:
            self._threads.submit(self._run, batch)
        except RuntimeError:  # shut down meanwhile
            self._pending.extendleft(reversed(batch))
            self.close()

    def _run(self, batch: list[Call]) -> None:
        """On a thread: as many of the calls as fit in a turn."""
        answers: list[tuple[Call, FunctionReturn]] = []
        began = monotonic()
        left = deque(batch)
        try:
            while left and monotonic() - began < BATCH_SECONDS:
                call = left.popleft()
                if not call.future.done():
                    answers.append((call, self._run_one(call)))
        except Exception as error:  # whatever Monty's binding raises must not lose the calls
            reason = f"the sandbox failed: {type(error).__name__}"
            answers.extend((call, failed(ErrorType.INTERNAL_ERROR, reason)) for call in batch)
            left.clear()
        with contextlib.suppress(RuntimeError):  # the loop is gone, and with it who waited
            self._loop.call_soon_threadsafe(self._deliver, answers, left)

    def _deliver(self, answers: list[tuple[Call, FunctionReturn]], left: deque[Call]) -> None:
        for call, answer in answers:
            call.settle(answer)
        self._pending.extendleft(reversed(left))
        if self._closed:
            self.close()
        self._pump()

    def _run_one(self, call: Call) -> FunctionReturn:
        from pydantic_monty import MontyCrashedError, MontyError

        started = perf_counter()
        session = None
        kept = False
        try:
            session = self._sessions.take(self._source, call.timeout)
            answer = session.feed_run(
                self._call_text(call), inputs={"_arguments": json.loads(call.body)}, print_callback=_nowhere
            )
            kept = True
            return _read(answer, perf_counter() - started)
        except MontyCrashedError as crash:
            seconds = perf_counter() - started
            if crash.timed_out:
                return timed_out(call.timeout, seconds)
            return failed(ErrorType.FUNCTION_ERROR, "the function ended its process", seconds)
        except MontyError as error:
            seconds = perf_counter() - started
            inner = error.exception()
            if isinstance(inner, TimeoutError) and seconds >= call.timeout * 0.9:
                return timed_out(call.timeout, seconds)
            kept = not isinstance(inner, TimeoutError | MemoryError)
            return failed(ErrorType.FUNCTION_ERROR, _described(error), seconds)
        finally:
            if session is not None:
                if kept:
                    self._sessions.give_back(self._source, call.timeout, session)
                else:
                    self._sessions.drop(session)

    def _call_text(self, call: Call) -> str:
        positional = self._signature.positional_only
        if not positional:
            return f"_answer({self._signature.name}(**_arguments))"
        given = json.loads(call.body)
        words = "".join(f"_arguments.pop({name!r}), " for name in positional if name in given)
        return f"_answer({self._signature.name}({words}**_arguments))"

    def close(self) -> None:
        """Answer every waiting call with an error of ours."""
        self._closed = True
        while self._pending:
            self._pending.popleft().settle(failed(ErrorType.INTERNAL_ERROR, "the sandbox was closed"))


def _read(answer: Any, seconds: float) -> FunctionReturn:
    """What the driver in the session said; the function may have put its own in its place, so nothing is trusted."""
    if type(answer) is not list or len(answer) != 2 or type(answer[1]) is not str or len(answer[1]) > MAX_VALUE_BYTES:
        return failed(ErrorType.FUNCTION_ERROR, "the function interfered with its sandbox", seconds)
    kind, text = answer
    if kind != 0:
        return failed(ErrorType.INVALID_OUTPUT, text[:MAX_MESSAGE], seconds)
    try:
        value = json.loads(text)
        encoded(value)
    except Unfit as unfit:
        return failed(ErrorType.INVALID_OUTPUT, str(unfit), seconds)
    except (ValueError, RecursionError):
        return failed(ErrorType.INVALID_OUTPUT, "returned a number that is too long", seconds)
    return FunctionReturn(value, None, seconds)


def _described(error: Any) -> str:
    """The error and its line in the function."""
    from pydantic_monty import MontyRuntimeError, MontySyntaxError

    if not isinstance(error, MontyRuntimeError | MontySyntaxError):
        return str(error)[:MAX_MESSAGE]
    message = error.display("type-msg")[:MAX_MESSAGE]
    lines = [frame.line for frame in error.traceback() if frame.filename == "<python-input-0>"]
    if lines:
        message += f" (line {lines[-1]})"
    if message.startswith("ModuleNotFoundError"):
        message += "; the sandbox in force, monty, has only a part of " + ", ".join(ALLOWED_MODULES)
    return message


def _nowhere(_stream: str, _text: str) -> None:
    """Printed text goes nowhere."""


def _is_ours(process_id: int) -> bool:
    """Whether that process is still a child of this one (its number may be another's by now)."""
    try:
        with open(f"/proc/{process_id}/stat", "rb") as status:
            return int(status.read().rpartition(b")")[2].split()[1]) == os.getpid()
    except (OSError, ValueError, IndexError):
        return False
