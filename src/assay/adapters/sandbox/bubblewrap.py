"""The sandbox on Linux: CPython in bubblewrap, a process a function, calls of one function sent in batches."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Mapping, Sequence
from time import monotonic
from typing import Any

from assay.adapters.sandbox.calls import Call, encode_arguments, failed
from assay.adapters.sandbox.worker import Ended, Launch, Worker
from assay.core.functions import parse_function, plain_source
from assay.core.results import ErrorType
from assay.ports.sandbox import FunctionReturn

MAX_WORKERS = 16
MAX_IDLE = 8
IDLE_SECONDS = 60.0
TURN_SECONDS = 1.0
OLD_SECONDS = 900.0
MAX_BATCH_BYTES = 1024 * 1024
MAX_FALSE_STARTS = 3


class BubblewrapSandbox:
    """Runs each function in a process of its own behind namespaces, system-call filters and limits.

    May be used from several event loops; each has processes of its own. `workers` is how many processes one
    function may have at a time.
    """

    name = "bubblewrap"

    def __init__(self, launch: Launch, *, workers: int = 1) -> None:
        self._launch = launch
        self._workers = workers
        self._pools: dict[asyncio.AbstractEventLoop, _Pool] = {}
        self._closed = False

    async def call(self, source: str, arguments: Mapping[str, Any], *, timeout: float = 10.0) -> FunctionReturn:
        """Call the function once. Calls made in one turn of the loop leave in one batch."""
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
            pool = self._pools.get(loop) or self._new_pool(loop)
            pool.lane(source).add(Call(body, timeout, future))
        return future

    def _new_pool(self, loop: asyncio.AbstractEventLoop) -> "_Pool":
        for old in [old for old in self._pools if old.is_closed()]:
            self._pools.pop(old).abandon()
        pool = self._pools[loop] = _Pool(loop, self._launch, self._workers)
        return pool

    async def close(self) -> None:
        """Stop every process; calls that wait end in an error."""
        self._closed = True
        here = asyncio.get_running_loop()
        for loop, pool in list(self._pools.items()):
            del self._pools[loop]
            if loop is here:
                pool.close()
                await pool.reaped()
            elif loop.is_running():
                try:
                    await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(pool.aclose(), loop))
                except RuntimeError:
                    pool.abandon()
            else:
                pool.abandon()


async def gathered(waiting: Sequence["asyncio.Future[FunctionReturn]"], total_timeout: float) -> list[FunctionReturn]:
    """The returns in order; calls that are not done in time are cancelled and are timeout errors."""
    if not waiting:
        return []
    try:
        await asyncio.wait(waiting, timeout=total_timeout)
        late = failed(ErrorType.TIMEOUT, f"not reached within {total_timeout:g} seconds for all rows together")
        return [future.result() if future.done() else late for future in waiting]
    finally:
        for future in waiting:
            future.cancel()


class _Pool:
    """The processes of one event loop, and who may have them."""

    def __init__(self, loop: asyncio.AbstractEventLoop, launch: Launch, workers_each: int) -> None:
        self.loop = loop
        self.launch = launch
        self.workers_each = workers_each
        self.live: set[Worker] = set()
        self.ending: set[Worker] = set()
        self._lanes: dict[str, _Lane] = {}
        self._idle: OrderedDict[Worker, tuple[float, _Lane]] = OrderedDict()
        self._waiting: deque[_Lane] = deque()
        self._promised: set[_Lane] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self.closed = False

    @property
    def contended(self) -> bool:
        """Whether a function waits for a process."""
        return bool(self._waiting)

    def lane(self, source: str) -> "_Lane":
        """The queue of calls of a function."""
        found = self._lanes.get(source)
        if found is None:
            found = self._lanes[source] = _Lane(self, source)
        return found

    def forget(self, lane: "_Lane") -> None:
        """Drop a queue with nothing in it and no process."""
        self._lanes.pop(lane.source, None)

    def may_start(self, lane: "_Lane") -> bool:
        """Whether a process may be started for this function now; if not, it waits its turn."""
        if lane in self._promised:
            self._promised.remove(lane)
            return True
        if len(self.live) >= MAX_WORKERS and self._idle:
            self._end_oldest()
        if len(self.live) + len(self._promised) < MAX_WORKERS and not self._waiting:
            return True
        if lane not in self._waiting:
            self._waiting.append(lane)
        return False

    def pass_on(self, lane: "_Lane | None" = None) -> None:
        """Promise free places to those who have waited longest; `lane` does not need the one it was promised."""
        if lane is not None:
            self._promised.discard(lane)
        while self._waiting and len(self.live) + len(self._promised) < MAX_WORKERS:
            first = self._waiting.popleft()
            self._promised.add(first)
            first.schedule()

    def idle(self, worker: Worker, lane: "_Lane") -> None:
        """The process has nothing to do: keep it for a while, unless somebody waits for its place."""
        if self.contended or monotonic() - worker.started > OLD_SECONDS:
            worker.end()
            return
        self._idle[worker] = (monotonic(), lane)
        if len(self._idle) > MAX_IDLE:
            self._end_oldest()
        if self._sweep is None:
            self._sweep = self.loop.call_later(IDLE_SECONDS, self._end_expired)

    def busy(self, worker: Worker) -> None:
        """The process has work again."""
        self._idle.pop(worker, None)

    def gone(self, worker: Worker) -> None:
        """A process ended: its place is free for whoever waits."""
        self.live.discard(worker)
        self._idle.pop(worker, None)
        self.ending = {ending for ending in self.ending if not ending.reaped}
        self.ending.add(worker)
        if not self.closed:
            self.pass_on()

    def _end_oldest(self) -> None:
        next(iter(self._idle)).end()

    def _end_expired(self) -> None:
        self._sweep = None
        now = monotonic()
        for worker, (since, _) in list(self._idle.items()):
            if now - since >= IDLE_SECONDS * 0.9:
                worker.end()
        if self._idle:
            self._sweep = self.loop.call_later(IDLE_SECONDS / 2, self._end_expired)

    def close(self) -> None:
        """End every process and answer every call."""
        self.closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        for worker in list(self.live):
            worker.end()
        for lane in list(self._lanes.values()):
            lane.fail_all("the sandbox was closed")

    async def aclose(self) -> None:
        """`close`, from another thread's point of view."""
        self.close()
        await self.reaped()

    async def reaped(self) -> None:
        """Wait until the operating system has let go of every process."""
        while any(not worker.reaped for worker in self.ending):  # noqa: ASYNC110  milliseconds, once
            await asyncio.sleep(0.005)

    def abandon(self) -> None:
        """The loop is gone: end the processes without it."""
        for worker in self.live:
            worker.abandon()


class _Lane:
    """The calls of one function that wait, and its processes."""

    def __init__(self, pool: _Pool, source: str) -> None:
        self.source = source
        self._pool = pool
        self._name = parse_function(source).name
        self._pending: deque[Call] = deque()
        self._workers: list[Worker] = []
        self._scheduled = False
        self._false_starts = 0

    def add(self, call: Call) -> None:
        """Take a call; it leaves with the others of this turn of the loop."""
        self._pending.append(call)
        if not self._scheduled:
            self.schedule()

    def schedule(self) -> None:
        """Look for a process for the calls at the end of this turn of the loop."""
        self._scheduled = True
        self._pool.loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._scheduled = False
        if self._pool.closed:
            self.fail_all("the sandbox was closed")
            return
        for worker in list(self._workers):
            if self._must_yield(worker):
                if not worker.in_flight:
                    worker.end()
                    return  # and be called again when those who wait have had their turn
                continue
            self._fill(worker)
        while self._pending and len(self._workers) < self._pool.workers_each and self._pool.may_start(self):
            if not self._start():
                return
        if not self._pending:
            self._pool.pass_on(self)
            if not self._workers:
                self._pool.forget(self)

    def _must_yield(self, worker: Worker) -> bool:
        age = monotonic() - worker.started
        return age > OLD_SECONDS or (self._pool.contended and age > TURN_SECONDS)

    def _start(self) -> bool:
        try:
            worker = Worker(
                self._pool.launch, plain_source(self.source), self._name, on_room=self._on_room, on_end=self._on_end
            )
        except OSError as error:
            self.fail_all(f"the sandbox's process could not be started: {error.strerror}")
            self._pool.pass_on()
            return False
        self._workers.append(worker)
        self._pool.live.add(worker)
        self._fill(worker)
        return True

    def _fill(self, worker: Worker) -> None:
        room = worker.room
        batch: list[Call] = []
        size = 0
        while self._pending and len(batch) < room and size < MAX_BATCH_BYTES:
            call = self._pending.popleft()
            if not call.future.done():
                batch.append(call)
                size += len(call.body)
        if batch:
            self._pool.busy(worker)
            worker.give(batch)

    def _on_room(self, worker: Worker) -> None:
        if self._pending:
            self._pump()
        if not worker.in_flight and not worker.ended:
            self._pool.idle(worker, self)

    def _on_end(self, worker: Worker, ended: Ended) -> None:
        self._workers.remove(worker)
        self._pool.gone(worker)
        self._pending.extendleft(reversed(ended.unanswered))
        self._false_starts = 0 if ended.useful else self._false_starts + 1
        if self._false_starts >= MAX_FALSE_STARTS and self._pending:
            self._false_starts = 0
            self.fail_all("the sandbox's process ended before it could run the function")
        elif not self._scheduled:
            self.schedule()

    def fail_all(self, reason: str) -> None:
        """Answer every waiting call with an error of ours."""
        while self._pending:
            self._pending.popleft().settle(failed(ErrorType.INTERNAL_ERROR, reason))
        if not self._workers:
            self._pool.forget(self)
