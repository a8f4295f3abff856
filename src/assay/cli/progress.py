"""Shows an evaluation's progress: a bar on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assay.cli.client import Client

if TYPE_CHECKING:
    from rich.console import Console

FIRST_POLL = 0.1
SLOWEST_POLL = 1.0
SECONDS_BETWEEN_LINES = 3.0


@dataclass(frozen=True, slots=True)
class Count:
    """How far an evaluation is: items in all, finished and failed among the finished, and seconds so far."""

    total: int
    done: int
    failed: int
    seconds: float

    @property
    def rate(self) -> float:
        """Items a second so far."""
        return self.done / self.seconds if self.seconds > 0 else 0.0

    @property
    def text(self) -> str:
        """It all in words: `120 of 240 items, 2 failed, 53/s, 2 s left`."""
        failed = f", {self.failed} failed" if self.failed else ""
        left = f", {duration((self.total - self.done) / self.rate)} left" if 0 < self.done < self.total else ""
        rate = f"{self.rate:.1f}" if 0 < self.rate < 9.95 else f"{self.rate:.0f}"
        return f"{self.done} of {self.total} items{failed}, {rate}/s{left}"


Show = Callable[[Count], None]


def watch(client: Client, evaluation_id: str, console: "Console", label: str) -> dict[str, Any]:
    """Wait for an evaluation to end, showing progress; returns it as it then is."""
    started = time.monotonic()
    pause = FIRST_POLL
    with _display(console, label) as show:
        while True:
            evaluation: dict[str, Any] = client.get(f"/v5/evaluations/{evaluation_id}")
            show(_count(evaluation, time.monotonic() - started))
            if evaluation["status"] != "running":
                return evaluation
            time.sleep(pause)
            pause = min(pause * 1.2, SLOWEST_POLL)


def duration(seconds: float) -> str:
    """Seconds as a person says them: `<1 ms`, `40 ms`, `1.2 s`, `12 s`, `3 min 5 s`, `2 h 10 min`."""
    if seconds < 0.001:
        return "<1 ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _count(evaluation: dict[str, Any], seconds: float) -> Count:
    items = (evaluation.get("progress") or {}).get("items") or {}
    failed = int(items.get("failed", 0))
    return Count(int(items.get("total", 0)), int(items.get("successful", 0)) + failed, failed, seconds)


@contextmanager
def _display(console: "Console", label: str) -> Iterator[Show]:
    if console.is_terminal or console.record:
        with _bar(console, label) as show:
            yield show
    else:
        yield _lines(console, label)


@contextmanager
def _bar(console: "Console", label: str) -> Iterator[Show]:
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=30), TextColumn("{task.fields[words]}"))
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(label, total=None, words="")

        def show(count: Count) -> None:
            progress.update(task, total=count.total or None, completed=count.done, words=count.text)

        yield show


def _lines(console: "Console", label: str) -> Show:
    last = time.monotonic()
    ended = False

    def show(count: Count) -> None:
        nonlocal last, ended
        now = time.monotonic()
        end = count.done == count.total
        if (end and not ended) or now - last >= SECONDS_BETWEEN_LINES:
            last, ended = now, end
            console.print(f"{label}: {count.text}", markup=False, highlight=False, soft_wrap=True)

    return show
