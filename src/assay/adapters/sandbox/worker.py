"""One process inside the walls, seen from outside: it is started, fed, listened to, timed and ended here."""

import asyncio
import base64
import contextlib
import mmap
import os
import signal
import struct
import subprocess
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import orjson

from assay.adapters.sandbox.calls import BadAnswer, Call, decode_answers, failed, timed_out
from assay.adapters.sandbox.layout import MODULES, PROGRAM, Layout
from assay.adapters.sandbox.seccomp import Filters
from assay.core.results import ErrorType

MAX_FRAME = 4 * 1024 * 1024
MEMORY_BYTES = 256 * 1024 * 1024
BASE_BYTES = 64 * 1024 * 1024
CPU_SECONDS = 3600
START_SECONDS = 20.0
TICK_SECONDS = 0.05
ABANDONED_SECONDS = 0.2
LARGEST_WINDOW = 1024
WINDOW_SECONDS = 0.05
_READ_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Launch:
    """How workers are started: the layout, the filters and the limits of one process."""

    layout: Layout
    filters: Filters
    program: Path = PROGRAM
    memory: int = BASE_BYTES + MEMORY_BYTES


@dataclass(frozen=True, slots=True)
class Ended:
    """What a worker left when it ended: calls that can be tried again, and whether it did anything at all."""

    unanswered: Sequence[Call]
    useful: bool


class Worker:
    """A process that runs one function. Belongs to one event loop.

    `on_room` is called when answers came in, `on_end` once when the process is gone.
    """

    def __init__(
        self,
        launch: Launch,
        source: str,
        name: str,
        *,
        on_room: Callable[["Worker"], None],
        on_end: Callable[["Worker", Ended], None],
    ) -> None:
        self.in_flight: deque[Call] = deque()
        self.window = 16
        self.ended = False
        self._loop = asyncio.get_running_loop()
        self._on_room = on_room
        self._on_end = on_end
        self._ready = False
        self._answered = 0
        self._begun = 0
        self._since = self.started = monotonic()
        self._input = bytearray()
        self._output = bytearray()
        self._writing = False
        self._tick: asyncio.TimerHandle | None = None
        self._memory: mmap.mmap
        self._start(launch)
        self._loop.add_reader(self._from, self._on_readable)
        setup = {
            "source": source,
            "name": name,
            "modules": MODULES,
            "memory": launch.memory,
            "cpu": CPU_SECONDS,
            "filter": base64.b64encode(launch.filters.running).decode(),
        }
        self._send(orjson.dumps(setup))

    def _start(self, launch: Launch) -> None:
        """Start the process. Raises OSError."""
        with contextlib.ExitStack() as ours:
            counter = _memory_fd(bytes(mmap.PAGESIZE))
            ours.callback(os.close, counter)
            program = _memory_fd(launch.filters.starting)
            ours.callback(os.close, program)
            info_from, info_to = os.pipe2(os.O_CLOEXEC)
            ours.callback(os.close, info_to)
            command = launch.layout.command(
                program=launch.program, arguments=[str(counter)], filter_fd=program, info_fd=info_to
            )
            try:
                self._memory = mmap.mmap(counter, mmap.PAGESIZE)
                self._process = subprocess.Popen(  # noqa: S603  bubblewrap, with paths of our own
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    pass_fds=(counter, program, info_to),
                    env={},
                    bufsize=0,
                    start_new_session=True,
                )
            except BaseException:
                os.close(info_from)
                raise
        self._info = info_from
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self._from = self._process.stdin.fileno(), self._process.stdout.fileno()
        for descriptor in (self._to, self._from, self._info):
            os.set_blocking(descriptor, False)

    @property
    def room(self) -> int:
        """How many more calls it should be given now."""
        return 0 if self.ended else self.window - len(self.in_flight)

    def give(self, calls: Sequence[Call]) -> None:
        """Send calls; they are answered in order."""
        if not self.in_flight:
            self._since = monotonic()
            self._schedule_tick()
        self.in_flight.extend(calls)
        self._send(b"[" + b",".join([call.body for call in calls]) + b"]")

    def _send(self, body: bytes) -> None:
        self._output += struct.pack(">I", len(body))
        self._output += body
        if not self._writing:
            self._on_writable()

    def _on_writable(self) -> None:
        try:
            written = os.write(self._to, self._output)
        except BlockingIOError:
            written = 0
        except OSError:  # it ended; the reader sees that too
            self._output.clear()
            written = 0
        del self._output[:written]
        if bool(self._output) != self._writing:
            self._writing = not self._writing
            if self._writing:
                self._loop.add_writer(self._to, self._on_writable)
            else:
                self._loop.remove_writer(self._to)

    def _on_readable(self) -> None:
        try:
            piece = os.read(self._from, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if not piece:
            self._gone()
            return
        self._input += piece
        try:
            self._take_frames()
        except BadAnswer:
            if self.in_flight:
                self.in_flight.popleft().settle(
                    failed(ErrorType.FUNCTION_ERROR, "the function interfered with its sandbox and was stopped")
                )
                self._answered += 1
            self.end()
            return
        self._on_room(self)

    def _take_frames(self) -> None:
        start = 0
        while len(self._input) - start >= 4:
            size = int.from_bytes(self._input[start : start + 4])
            if size > MAX_FRAME:
                raise BadAnswer
            if len(self._input) - start - 4 < size:
                break
            frame = bytes(self._input[start + 4 : start + 4 + size])
            start += 4 + size
            if self._ready:
                self._settle(frame)
            elif frame == b'"ready"':
                self._ready = True
                self._since = monotonic()
            else:
                raise BadAnswer
        del self._input[:start]

    def _settle(self, frame: bytes) -> None:
        answers = decode_answers(frame)
        if len(answers) > len(self.in_flight):
            raise BadAnswer
        spent = 0.0
        for answer in answers:
            self.in_flight.popleft().settle(answer)
            spent += answer.seconds
        self._answered += len(answers)
        if answers:
            each = max(spent / len(answers), 1e-6)
            wanted = int(min(max(WINDOW_SECONDS / each, 2), LARGEST_WINDOW))
            self.window = min(wanted, self.window * 4)
            self._since = monotonic()

    def _schedule_tick(self) -> None:
        if self._tick is None and not self.ended:
            self._tick = self._loop.call_later(TICK_SECONDS, self._on_tick)

    def _on_tick(self) -> None:
        """Stop the process when the row that runs has had its time, or when nobody waits for it any more."""
        self._tick = None
        if not self.in_flight or self.ended:
            return
        self._schedule_tick()
        now = monotonic()
        running = self._running()
        begun = self._counted()
        if begun != self._begun:
            self._begun = begun
            self._since = now
            return
        spent = now - self._since
        if running is None:
            if spent > START_SECONDS:
                self.end()
            return
        call = self.in_flight[running]
        if spent > call.timeout or (call.future.done() and spent > ABANDONED_SECONDS):
            call.settle(timed_out(call.timeout, spent))
            del self.in_flight[running]
            self._answered += 1
            self.end()

    def _counted(self) -> int:
        return int(struct.unpack("<Q", self._memory[:8])[0])

    def _running(self) -> int | None:
        """Which of the calls in flight runs; a count that cannot be (it is the function's to forge) is the first."""
        ahead = self._counted() - self._answered
        if ahead <= 0:
            return None
        return ahead - 1 if ahead <= len(self.in_flight) else 0

    def end(self) -> None:
        """End the process now. Its unanswered calls are handed to `on_end`."""
        if not self.ended:
            self._kill()
            self._finish(list(self.in_flight))

    def _gone(self) -> None:
        """The process ended by itself: the row that ran is to blame, the others can run elsewhere."""
        if self.ended:
            return
        running = self._running()
        if running is not None and running < len(self.in_flight):
            self.in_flight[running].settle(
                failed(ErrorType.FUNCTION_ERROR, "the function ended its process (a crash, or too much memory)")
            )
            del self.in_flight[running]
            self._answered += 1
        self._kill()
        self._finish(list(self.in_flight))

    def _finish(self, unanswered: list[Call]) -> None:
        self.ended = True
        self.in_flight.clear()
        self._output.clear()
        if self._tick is not None:
            self._tick.cancel()
        self._loop.remove_reader(self._from)
        if self._writing:
            self._loop.remove_writer(self._to)
        self._close_files()
        self._reap(0)
        self._on_end(self, Ended([call for call in unanswered if not call.future.done()], self._answered > 0))

    def _close_files(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        os.close(self._info)
        self._memory.close()

    def _kill(self) -> None:
        """Kill the namespace's first process: all in it die, and bubblewrap, whose child it is, ends by itself
        and leaves no orphan. Where its number is not known yet, kill bubblewrap."""
        with contextlib.suppress(OSError, ValueError, KeyError):
            child = orjson.loads(os.read(self._info, 4096))["child-pid"]
            handle = os.pidfd_open(child)
            try:  # its number could be another process's by now; the handle cannot, once its parent is seen right
                if _parent_of(child) == self._process.pid:
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                    return
            finally:
                os.close(handle)
        self._process.kill()

    def _reap(self, attempt: int) -> None:
        if self._process.poll() is None:
            if attempt == 50:
                self._process.kill()
            self._loop.call_later(0.005 * 1.1 ** min(attempt, 60), self._reap, attempt + 1)

    def abandon(self) -> None:
        """End the process from another thread, when the loop is gone; waits for its end."""
        if not self.ended:
            self.ended = True
            self._kill()
            self._close_files()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)

    @property
    def reaped(self) -> bool:
        """Whether the operating system has let go of the process."""
        return self._process.poll() is not None

    @property
    def process_id(self) -> int:
        """The number of bubblewrap's own process."""
        return self._process.pid


def _memory_fd(content: bytes) -> int:
    descriptor = os.memfd_create("sandbox", os.MFD_CLOEXEC)
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _parent_of(process_id: int) -> int:
    status = Path(f"/proc/{process_id}/stat").read_bytes()
    return int(status.rpartition(b")")[2].split()[1])
