"""What the benchmarks share: the rows, the table of targets, quantiles, and the driving of a server over HTTP."""

import argparse
import asyncio
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from tests.fakes.server_process import ServerProcess

LATENCY = 0.05
IN_FLIGHT = 200
TEXT = (
    "the quick brown fox jumps over a lazy dog while seven wizards quietly mix grey paint for five old boxes "
    "and nobody asks how long that takes"
)
WORDS = TEXT.split()


def make_rows(count: int) -> list[dict[str, Any]]:
    """Rows of a question of some twenty words and an expected answer; every tenth question is its own answer."""
    rows = []
    for place in range(count):
        words = [WORDS[(place * 7 + step * 3) % len(WORDS)] for step in range(20)]
        question = f"{place} " + " ".join(words)
        expected = question if place % 10 == 0 else f"{place} " + " ".join(words[4:] + words[:2])
        rows.append({"question": question, "expected": expected})
    return rows


def arguments(description: str, items: int = 10_000, kinds: Sequence[str] = ()) -> argparse.Namespace:
    """The options that all benchmarks have; `--kind` where there are kinds."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="a fifth of the work, once: to see that it runs")
    parser.add_argument("--runs", type=int, default=3, help="how often each is measured; the median counts")
    parser.add_argument("--items", type=int, default=0, help="items in a run")
    if kinds:
        parser.add_argument("--kind", choices=kinds, help=f"what is measured; {kinds[0]} unless given")
    found = parser.parse_args()
    found.items = found.items or (items // 5 if found.quick else items)
    found.runs = 1 if found.quick else found.runs
    return found


@dataclass(frozen=True)
class Line:
    """One figure: what it is, what it should be and what it was; `met` is None for a figure without a target."""

    name: str
    measured: str
    target: str = ""
    met: bool | None = None


def at_least(name: str, value: float, target: float, unit: str = "", digits: int = 2) -> Line:
    return Line(name, f"{value:,.{digits}f}{unit}", f">= {target:,g}{unit}", value >= target)


def at_most(name: str, value: float, target: float, unit: str = "", digits: int = 2) -> Line:
    return Line(name, f"{value:,.{digits}f}{unit}", f"<= {target:,g}{unit}", value <= target)


def show(title: str, lines: Iterable[Line]) -> None:
    """Print the figures beside their targets."""
    shown = list(lines)
    width = max(len(line.name) for line in shown)
    print(f"\n{title}   ({platform.system()}, {os.cpu_count()} cores, Python {platform.python_version()})")
    print(f"{'':{width}}  {'measured':>14}  {'target':>14}")
    for line in shown:
        verdict = "" if line.met is None else ("met" if line.met else "MISSED")
        print(f"{line.name:{width}}  {line.measured:>14}  {line.target:>14}  {verdict}".rstrip())


def median(values: Iterable[float]) -> float:
    return statistics.median(list(values))


def quantile(values: Iterable[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@contextmanager
def workplace() -> Iterator[Path]:
    """A directory for one benchmark's data, on the disk that temporary files are on."""
    with tempfile.TemporaryDirectory(prefix="assay-bench-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def peak_memory(server: ServerProcess) -> float:
    """The most megabytes that the server's processes have had resident, where the system remembers it."""
    total = 0.0
    for member in server.members():
        try:
            status = Path(f"/proc/{member.pid}/status").read_text("utf-8")
        except OSError:
            total += member.memory_info().rss / 2**20
            continue
        total += next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024
    return total


def chat_evaluation(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """One chat call an item, exact match and ROUGE-L of its answer."""

    def metric(kind: str) -> dict[str, Any]:
        return {
            "task_type": "metric",
            "configuration": {"type": kind, "candidate": "item.answer", "reference": "item.expected"},
        }

    call = {
        "task_type": "chat_completion",
        "alias": "answer",
        "configuration": {"model": "fake/echo", "messages": [{"role": "user", "content": "item.question"}]},
    }
    return {"name": "benchmark", "data": rows, "tasks": [call, metric("exact_match"), metric("rougeL")]}


@dataclass
class Driven:
    """One evaluation driven through the API: seconds to its end and to the last item read back, and the items."""

    evaluation_id: str
    answered: float
    completed: float
    read: float
    items: list[dict[str, Any]]


class Driver:
    """Drives a server from this process, with as little work as possible here."""

    def __init__(self, server: ServerProcess) -> None:
        self._base = server.base_url
        self._headers = {"x-api-key": server.api_key, "content-type": "application/json"}

    async def __aenter__(self) -> "Driver":
        self._session = aiohttp.ClientSession(self._base, headers=self._headers)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def get(self, path: str) -> Any:
        async with self._session.get(path) as answer:
            body = await answer.read()
            assert answer.status == 200, body
        return orjson.loads(body)

    async def post(self, path: str, body: bytes) -> Any:
        async with self._session.post(path, data=body) as answer:
            found = await answer.read()
            assert answer.status == 200, found
        return orjson.loads(found)

    async def drive(self, body: bytes, page: int = 1_000, poll: float = 0.05) -> Driven:
        """Create the evaluation, wait for its end and read every item back."""
        begun = time.perf_counter()
        evaluation_id = (await self.post("/v5/evaluations", body))["id"]
        answered = time.perf_counter() - begun
        while (await self.get(f"/v5/evaluations/{evaluation_id}"))["status"] == "running":
            await asyncio.sleep(poll)
        completed = time.perf_counter() - begun
        items = await self.read_items(evaluation_id, page)
        return Driven(evaluation_id, answered, completed, time.perf_counter() - begun, items)

    async def read_items(self, evaluation_id: str, page: int = 1_000) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        after = ""
        while True:
            found = await self.get(f"/v5/evaluation-items?evaluation_id={evaluation_id}&limit={page}{after}")
            items += found["items"]
            if not found["has_more"]:
                return items
            after = f"&starting_after={items[-1]['id']}"

    async def watch_latency(self, path: str, every: float = 0.02) -> list[float]:
        """Seconds of requests made one after another until it is cancelled."""
        taken: list[float] = []
        try:
            while True:
                begun = time.perf_counter()
                await self.get(path)
                taken.append(time.perf_counter() - begun)
                await asyncio.sleep(every)
        except asyncio.CancelledError:
            return taken
