"""Fifty contributors who claim and answer at once from one queue, over HTTP: how long a claim takes, and whether every
item is answered by as many different people as it should be, none by more."""

import argparse
import asyncio
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from assay.adapters.clock import SystemClock
from assay.adapters.storage import open_storage, upgrade
from assay.core.identity import Identity
from assay.services.access import Access
from benchmarks.measuring import Driver, Line, at_most, quantile, show, workplace
from tests.fakes.postgres import fresh_database
from tests.fakes.server_process import ServerProcess

TARGET_MS = 50
OWN_KEY = "k" * 40
LAYOUT = {"children": [{"data": "item.question"}, {"data": "item.answer"}]}


@dataclass
class Taken:
    """What the contributors did: seconds of each call, and who answered which item."""

    claims: list[float] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)
    given: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


async def make_keys(url: str, people: int) -> list[str]:
    """A key for each contributor, made in the server's database as `assay keys create` does."""
    storage = open_storage(url)
    try:
        access = Access(storage, SystemClock())
        return [(await access.create_key(f"p{n}", identity=Identity(f"p{n}")))[1] for n in range(people)]
    finally:
        await storage.close()


async def work(server: ServerProcess, key: str, think: float, taken: Taken) -> None:
    """One contributor: claim, think, answer, until there is nothing left."""
    headers = {"x-api-key": key, "content-type": "application/json"}
    async with aiohttp.ClientSession(server.base_url, headers=headers) as session:
        await asyncio.sleep(random.uniform(0, think))
        while True:
            begun = time.perf_counter()
            task = (await _post(session, "/v5/annotation-tasks/claim", {}))["task"]
            taken.claims.append(time.perf_counter() - begun)
            if task is None:
                return
            await asyncio.sleep(random.expovariate(1 / think) if think else 0)
            begun = time.perf_counter()
            body = {"answers": {"quality": random.choice(("good", "bad"))}, "duration_seconds": 1}
            done = await _post(session, f"/v5/annotation-tasks/{task['id']}/answer", body)
            taken.answers.append(time.perf_counter() - begun)
            taken.given[done["evaluation_item_id"]].append(done["assigned_to"])


async def _post(session: aiohttp.ClientSession, path: str, body: Any) -> Any:
    async with session.post(path, data=orjson.dumps(body)) as reply:
        found = await reply.read()
        assert reply.status == 200, found
    return orjson.loads(found)


async def one_run(server: ServerProcess, keys: list[str], options: argparse.Namespace) -> tuple[Taken, list[Line]]:
    """Ask, have everybody answer, and look at what is there in the end."""
    rows = [{"question": f"question {n}", "answer": f"answer {n} " * 10} for n in range(options.items)]
    async with Driver(server) as driver:
        question = {
            "name": "quality",
            "prompt": "How is it?",
            "question_type": "categorical",
            "configuration": {"choices": ["good", "bad"]},
        }
        question_id = (await driver.post("/v5/questions", orjson.dumps(question)))["id"]
        settings = {"question_id": question_id, "layout": LAYOUT, "overlap": options.overlap}
        task = {"task_type": "contributor_evaluation.question", "alias": "quality", "configuration": settings}
        begun = time.perf_counter()
        evaluation = await driver.post(
            "/v5/evaluations", orjson.dumps({"name": "claiming", "data": rows, "tasks": [task]})
        )
        queued = time.perf_counter() - begun
        taken = Taken()
        begun = time.perf_counter()
        await asyncio.gather(*(work(server, key, options.think, taken) for key in keys))
        worked = time.perf_counter() - begun
        items = await driver.read_items(evaluation["id"], page=2_000)
        progress = (await driver.get(f"/v5/evaluations/{evaluation['id']}"))["progress"]["annotation"]
    settled = Counter(item["task_result_statuses"]["quality"] for item in items)
    counts = Counter(len(names) for names in taken.given.values())
    twice = sum(len(set(names)) != len(names) for names in taken.given.values())
    wrong = options.items - counts[options.overlap]
    milliseconds = [1000 * seconds for seconds in taken.claims]
    lines = [
        at_most("a claim, p95, ms", quantile(milliseconds, 0.95), TARGET_MS, digits=1),
        Line("  p50, ms", f"{quantile(milliseconds, 0.5):.1f}"),
        Line("  p99, ms", f"{quantile(milliseconds, 0.99):.1f}"),
        Line("an answer, p95, ms", f"{1000 * quantile(taken.answers, 0.95):.1f}"),
        Line("calls a second", f"{(len(taken.claims) + len(taken.answers)) / worked:,.0f}"),
        Line("queueing, items a second", f"{options.items / queued:,.0f}"),
        at_most("items without exactly as many answers", wrong, 0, digits=0),
        at_most("items answered twice by one person", twice, 0, digits=0),
        at_most("items without a result", settled["pending"] + options.items - len(items), 0, digits=0),
        at_most("tasks not completed", progress["pending"], 0, digits=0),
    ]
    return taken, lines


@contextmanager
def started(place: Path, url: str | None) -> Iterator[ServerProcess]:
    """A server on SQLite, or on the PostgreSQL database of that URL."""
    chosen = {} if url is None else {"ASSAY_DATABASE_URL": url, "ASSAY_API_KEY": OWN_KEY}
    server = ServerProcess(place / "data", chosen)
    try:
        server.start()
        if url is not None:
            (server.data_dir / "api-key").write_text(OWN_KEY)
        yield server
    finally:
        server.stop()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--overlap", type=int, default=1)
    parser.add_argument("--think", type=float, default=0.5, help="seconds between a claim and its answer, on average")
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    options = parser.parse_args()
    for kind in ("sqlite", "postgresql") if options.database == "both" else (options.database,):
        with workplace() as place:
            url = None
            if kind == "postgresql":
                url = fresh_database()
                asyncio.run(upgrade(url))
            with started(place, url) as server:
                keys = asyncio.run(make_keys(url or f"sqlite:///{server.data_dir}/assay.db", options.people))
                _, lines = asyncio.run(one_run(server, keys, options))
        show(f"{kind}: {options.people} contributors, {options.items:,} items, overlap {options.overlap}", lines)


if __name__ == "__main__":
    main()
