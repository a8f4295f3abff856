"""Items a second, CPU an item and memory of a real server beside the bare loop, in turns on the same machine.

Each item is one chat call to a local endpoint that takes 50 ms, 200 in flight, then exact match and ROUGE-L.
The server's time runs from the POST to the last item read back over HTTP by another process.
"""

import asyncio
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import orjson

from benchmarks.measuring import (
    LATENCY,
    Driver,
    Line,
    arguments,
    at_least,
    at_most,
    chat_evaluation,
    make_rows,
    median,
    peak_memory,
    quantile,
    show,
    workplace,
)
from tests.fakes.model_endpoint import EndpointProcess
from tests.fakes.server_process import ServerProcess, fake_vendor, running_server


def bare_loop(endpoint: EndpointProcess, place: Path, items: int) -> dict[str, float]:
    """One run of the bare loop in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.bare_loop", endpoint.url, str(place / "bare.jsonl")]
    done = subprocess.run([*command, "--items", str(items)], capture_output=True, check=True)
    return dict(orjson.loads(done.stdout))


async def server_run(server: ServerProcess, items: int, watch: bool = False) -> dict[str, Any]:
    """One evaluation through the API: its seconds, the server's CPU, and latencies of a list when watched."""
    body = orjson.dumps(chat_evaluation(make_rows(items)))
    async with Driver(server) as driver:
        await driver.get("/v5/evaluations")
        before = server.weigh().cpu
        watching = asyncio.create_task(driver.watch_latency("/v5/evaluations")) if watch else None
        driven = await driver.drive(body)
        cpu = server.weigh().cpu - before
        latencies = []
        if watching is not None:
            watching.cancel()
            latencies = await watching
    assert len(driven.items) == items
    assert all(item["data"]["answer"] == item["data"]["question"] for item in driven.items)
    assert sum(item["data"]["exact_match"] for item in driven.items) == items // 10
    assert not any(item["task_errors"] for item in driven.items)
    return {
        "seconds": driven.read,
        "answered": driven.answered,
        "completed": driven.completed,
        "cpu": cpu,
        "latencies": latencies,
    }


def compare(endpoint: EndpointProcess, place: Path, items: int, runs: int) -> list[Line]:
    """The bare loop and the server in turns, after one small run of each to warm up."""
    bare, served, latencies = [], [], []
    with running_server(place / "data", **fake_vendor(endpoint.url)) as server:
        time.sleep(1)
        idle = server.weigh().resident / 2**20
        bare_loop(endpoint, place, 500)
        asyncio.run(server_run(server, 500))
        for _ in range(runs):
            bare.append(bare_loop(endpoint, place, items))
            served.append(asyncio.run(server_run(server, items)))
            print(f"  bare loop {bare[-1]['seconds']:.2f} s   server {served[-1]['seconds']:.2f} s", flush=True)
        peak = peak_memory(server)
        for _ in range(runs):
            latencies += asyncio.run(server_run(server, items, watch=True))["latencies"]
    ratio = median(one["seconds"] / other["seconds"] for one, other in zip(bare, served, strict=True))
    return [
        Line("bare loop, items/s", f"{items / median(run['seconds'] for run in bare):,.0f}"),
        Line("server, items/s", f"{items / median(run['seconds'] for run in served):,.0f}"),
        at_least("server / bare loop", ratio, 0.8),
        Line("bare loop, CPU ms an item", f"{1000 * median(run['cpu'] for run in bare) / items:.2f}"),
        at_most("server, CPU ms an item", 1000 * median(run["cpu"] for run in served) / items, 0.45),
        Line("server, POST answered after s", f"{median(run['answered'] for run in served):.2f}"),
        Line("server, items read back in s", f"{median(run['seconds'] - run['completed'] for run in served):.2f}"),
        at_most("memory idle, MB", idle, 150, digits=0),
        at_most("memory at its peak, MB", peak, 250, digits=0),
        at_most("GET /v5/evaluations p99 meanwhile, ms", 1000 * quantile(latencies, 0.99), 100, digits=0),
        Line("  the same, median, ms", f"{1000 * median(latencies):.0f}"),
    ]


def growth(endpoint: EndpointProcess, place: Path, items: int, quick: bool) -> list[Line]:
    """How the peak grows with the size of an evaluation, in one server's life.

    Two runs of the first size come before, so that what a server needs once is not counted as growth.
    """
    sizes = [items, 2 * items] if quick else [items, 2 * items, 4 * items]
    peaks = []
    with running_server(place / "growing", **fake_vendor(endpoint.url)) as server:
        for _ in range(2):
            asyncio.run(server_run(server, items))
        for size in sizes:
            asyncio.run(server_run(server, size))
            peaks.append(peak_memory(server))
    per_ten_thousand = (peaks[-1] - peaks[0]) / (sizes[-1] - sizes[0]) * 10_000
    shown = [Line(f"peak after {size:,} items, MB", f"{peak:.0f}") for size, peak in zip(sizes, peaks, strict=True)]
    return [*shown, at_most("growth for each further 10,000 items, MB", per_ten_thousand, 10, digits=1)]


def main() -> None:
    """Measure and print."""
    options = arguments(__doc__)
    with workplace() as place, EndpointProcess(latency=LATENCY) as endpoint:
        lines = compare(endpoint, place, options.items, options.runs)
        lines += growth(endpoint, place, options.items, options.quick)
    show(f"Throughput of {options.items:,} items", lines)


if __name__ == "__main__":
    main()
