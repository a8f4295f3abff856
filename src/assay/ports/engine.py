"""The durable engine: runs an evaluation's job to its end, whatever happens to the process."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Chunk:
    """A contiguous part of an evaluation: items with first_seq <= seq <= last_seq."""

    evaluation_id: str
    number: int
    first_seq: int
    last_seq: int


@dataclass(frozen=True, slots=True)
class Job:
    """What the engine calls. Each may be called again after a crash and must then do only what is left.

    `plan` splits an evaluation into chunks, the same ones every time; `run_chunk` runs one; `finish` settles
    the evaluation's state, with a reason when the job itself failed. `unfinished` gives the ids of the
    evaluations that are not settled: the engine sees to it that each has a job.
    """

    plan: Callable[[str], Awaitable[list[Chunk]]]
    run_chunk: Callable[[Chunk], Awaitable[None]]
    finish: Callable[[str, str | None], Awaitable[None]]
    unfinished: Callable[[], Awaitable[Sequence[str]]]


class Engine(Protocol):
    """Starts and cancels evaluations' jobs durably."""

    async def start(self, evaluation_id: str) -> None:
        """Start the job; a second call for the same evaluation changes nothing. Durable once it returns: a
        job that cannot be started now is one of `unfinished`, and is started later."""
        ...

    async def resume(self, evaluation_id: str) -> None:
        """See to it that an evaluation that is `unfinished` again (it got more items, or was stopped) has a job
        that does what is left: at once, or when the job that still runs has ended. Durable as `start` is."""
        ...

    async def cancel(self, evaluation_id: str) -> None:
        """Stop the job; calls in flight are dropped. Unknown or finished evaluations: no effect."""
        ...
