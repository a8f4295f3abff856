"""A vendor's gate: how many calls may be in flight, in order of arrival, and pauses that all of them keep."""

import asyncio
import contextlib
import threading
import time
from collections import deque
from weakref import WeakKeyDictionary

_EASE = 0.1

_Waiting = tuple[asyncio.AbstractEventLoop, "asyncio.Future[None]"]


class Gate:
    """Lets at most `limit` calls in at a time, first come first served, from whichever event loops they come:
    tasks run on the engine's loop and requests on the web server's, and to the vendor they are one.

    A vendor that says "too many" halves what is allowed, down to one call, and may close the gate for a
    while; every call that succeeds afterwards opens it a little, so that a round of successes gives back a
    tenth.
    """

    def __init__(self, limit: int) -> None:
        self._limit = float(limit)
        self._allowed = float(limit)
        self._lock = threading.RLock()  # not a Lock: the garbage collector may end a call while it is held
        self._inside = 0
        self._waiting: deque[_Waiting] = deque()
        self._opens_at = 0.0
        self._slowed_at = float("-inf")
        self._timers: WeakKeyDictionary[asyncio.AbstractEventLoop, float] = WeakKeyDictionary()

    async def enter(self) -> None:
        """Wait for a place. Whoever entered leaves with `leave`, also after an error."""
        with self._lock:
            if not self._opens_at and not self._waiting and self._inside + 1 <= self._allowed:
                self._inside += 1
                return
            loop = asyncio.get_running_loop()
            place = loop.create_future()
            self._waiting.append((loop, place))
            if self._opens_at:
                self._look_again(loop)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.leave()
            raise

    def leave(self) -> None:
        """Give the place to the first that waits."""
        with self._lock:
            self._inside -= 1
            if self._waiting:
                self._admit()

    def pause(self, seconds: float) -> None:
        """Let nobody in for that long; a longer pause that already holds stays."""
        opens_at = time.monotonic() + seconds
        with self._lock:
            if opens_at > self._opens_at:
                self._opens_at = opens_at
                self._look_again(asyncio.get_running_loop())

    def closed_for(self) -> float:
        """How many seconds of a pause are left; 0 without one."""
        opens_at = self._opens_at
        return max(0.0, opens_at - time.monotonic()) if opens_at else 0.0

    def slow_down(self) -> None:
        """Halve what is allowed, at most once a second: answers to one burst count once."""
        now = time.monotonic()
        with self._lock:
            if now - self._slowed_at >= 1.0:
                self._slowed_at = now
                self._allowed = max(1.0, min(self._allowed, self._inside) / 2)

    def ease(self) -> None:
        """A call succeeded."""
        if self._allowed < self._limit:
            with self._lock:
                self._allowed = min(self._limit, self._allowed + _EASE)

    def _look_again(self, loop: asyncio.AbstractEventLoop) -> None:
        """See to it that this loop looks at the gate when the pause ends."""
        if self._timers.get(loop) != self._opens_at:
            self._timers[loop] = self._opens_at
            loop.call_later(max(0.0, self._opens_at - time.monotonic()), self._open, self._opens_at)

    def _open(self, opens_at: float) -> None:
        with self._lock:
            if opens_at < self._opens_at:
                return
            self._opens_at = 0.0
            self._admit()

    def _admit(self) -> None:
        if self._opens_at:
            return
        here = asyncio.get_running_loop()
        while self._waiting and self._inside + 1 <= self._allowed:
            loop, place = self._waiting.popleft()
            if place.done():
                continue
            if loop is here:
                self._inside += 1
                place.set_result(None)
                continue
            with contextlib.suppress(RuntimeError):  # its loop is closed: nobody waits there any more
                loop.call_soon_threadsafe(self._let_in, place)
                self._inside += 1

    def _let_in(self, place: "asyncio.Future[None]") -> None:
        """On the loop of the one that waits, who may have gone meanwhile."""
        if place.done():
            self.leave()
        else:
            place.set_result(None)
