"""`kill -9` at 40 % and a restart: when the first new call is made, what is asked for again, what is lost."""

import asyncio
import itertools
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import orjson

from benchmarks.measuring import (
    IN_FLIGHT,
    LATENCY,
    Driver,
    Line,
    arguments,
    at_most,
    chat_evaluation,
    make_rows,
    median,
    show,
    workplace,
)
from tests.fakes.model_endpoint import EndpointProcess
from tests.fakes.server_process import ServerProcess, fake_vendor

OLD = 0.5


async def start_and_wait(server: ServerProcess, body: bytes, until: int) -> str:
    """Create the evaluation and return its id once `until` items are finished."""
    async with Driver(server) as driver:
        evaluation_id = str((await driver.post("/v5/evaluations", body))["id"])
        while True:
            progress = (await driver.get(f"/v5/evaluations/{evaluation_id}"))["progress"]["items"]
            if progress["successful"] + progress["failed"] >= until:
                return evaluation_id
            await asyncio.sleep(0.01)


async def wait_for_the_end(server: ServerProcess, evaluation_id: str) -> list[dict[str, Any]]:
    async with Driver(server) as driver:
        while (await driver.get(f"/v5/evaluations/{evaluation_id}"))["status"] == "running":
            await asyncio.sleep(0.05)
        return await driver.read_items(evaluation_id)


def one_run(endpoint: EndpointProcess, data_dir: Path, items: int) -> dict[str, float]:
    """One kill and restart."""
    endpoint.reset()
    server = ServerProcess(data_dir, fake_vendor(endpoint.url))
    try:
        server.start()
        body = orjson.dumps(chat_evaluation(make_rows(items)))
        evaluation_id = asyncio.run(start_and_wait(server, body, int(0.4 * items)))
        server.kill()
        killed = server.killed_at
        time.sleep(0.2)
        ready = server.start()
        found = asyncio.run(wait_for_the_end(server, evaluation_id))
    finally:
        server.stop()
    calls = endpoint.calls()
    first = min((call.at for call in calls if call.at > server.started_at), default=float("inf"))
    times: dict[str, list[float]] = defaultdict(list)
    for call in calls:
        times[call.message].append(call.at)
    repeated = [pair for same in times.values() for pair in itertools.pairwise(sorted(same))]
    complete = [item for item in found if {"answer", "exact_match", "rougeL"} <= item["data"].keys()]
    return {
        "ready": ready,
        "first": first - server.started_at,
        "again": len(repeated),
        "old": sum(killed - (before + LATENCY) > OLD for before, _ in repeated),
        "missing": items - len({item["data"]["question"] for item in complete}),
        "twice": len(found) - len({item["id"] for item in found}),
    }


def main() -> None:
    """Measure and print."""
    options = arguments(__doc__)
    with workplace() as place, EndpointProcess(latency=LATENCY) as endpoint:
        runs = [one_run(endpoint, place / f"data{number}", options.items) for number in range(options.runs)]
    worst = {name: max(run[name] for run in runs) for name in runs[0]}
    lines = [
        at_most("first new call after the restart, s", median(run["first"] for run in runs), 2.5),
        Line("  the slowest of the runs, s", f"{worst['first']:.2f}"),
        Line("restart to /healthz, s", f"{median(run['ready'] for run in runs):.2f}"),
        at_most(f"answers older than {OLD} s asked for again", worst["old"], 0, digits=0),
        Line(f"calls made again ({IN_FLIGHT} were in flight)", f"{worst['again']:.0f}"),
        at_most("items without all results", worst["missing"], 0, digits=0),
        at_most("items twice", worst["twice"], 0, digits=0),
    ]
    show(f"kill -9 at 40 % of {options.items:,} items", lines)


if __name__ == "__main__":
    main()
