"""A vendor's gate: how many calls may be in flight, in order of arrival, and pauses that all of them keep."""

import asyncio
from collections import deque

_EASE = 0.1


class Gate:
    """Lets at most `limit` calls in at a time, first come first served. Belongs to one event loop.

    A vendor that says "too many" halves what is allowed, down to one call, and may close the gate for a
    while; every call that succeeds afterwards opens it a little, so that a round of successes gives back a
    tenth.
    """

    def __init__(self, limit: int, loop: asyncio.AbstractEventLoop) -> None:
        self._limit = float(limit)
        self._allowed = float(limit)
        self._loop = loop
        self._inside = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._opens_at = 0.0
        self._slowed_at = float("-inf")
        self._timer: asyncio.TimerHandle | None = None

    async def enter(self) -> None:
        """Wait for a place. Whoever entered leaves with `leave`, also after an error."""
        if self._timer is None and not self._waiting and self._inside + 1 <= self._allowed:
            self._inside += 1
            return
        place = self._loop.create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.leave()
            raise

    def leave(self) -> None:
        """Give the place to the first that waits."""
        self._inside -= 1
        self._admit()

    def pause(self, seconds: float) -> None:
        """Let nobody in for that long; a longer pause that already holds stays."""
        opens_at = self._loop.time() + seconds
        if opens_at <= self._opens_at:
            return
        self._opens_at = opens_at
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(opens_at, self._open)

    def slow_down(self) -> None:
        """Halve what is allowed, at most once a second: answers to one burst count once."""
        now = self._loop.time()
        if now - self._slowed_at >= 1.0:
            self._slowed_at = now
            self._allowed = max(1.0, min(self._allowed, self._inside) / 2)

    def ease(self) -> None:
        """A call succeeded."""
        if self._allowed < self._limit:
            self._allowed = min(self._limit, self._allowed + _EASE)

    def _open(self) -> None:
        self._timer = None
        self._admit()

    def _admit(self) -> None:
        if self._timer is not None:
            return
        while self._waiting and self._inside + 1 <= self._allowed:
            place = self._waiting.popleft()
            if not place.done():
                self._inside += 1
                place.set_result(None)
