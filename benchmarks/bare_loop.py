"""The yardstick: an asyncio and aiohttp loop without a server, a database or recovery.

It makes the same calls, computes the same scores with the same classes and writes a JSON Lines file. As a
process it prints one JSON object: seconds, CPU seconds and the most megabytes it had resident.
"""

import argparse
import asyncio
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from assay.metrics.exact_match import Metric as ExactMatch
from assay.metrics.rouge_l import Metric as RougeL
from benchmarks.measuring import IN_FLIGHT, make_rows


async def run(base_url: str, rows: list[dict[str, Any]], output: Path) -> None:
    """Call, score and write every row, 200 at a time."""
    exact_match, rouge_l = ExactMatch(), RougeL()
    queue: Iterator[dict[str, Any]] = iter(rows)
    with output.open("wb") as file:
        connector = aiohttp.TCPConnector(limit=IN_FLIGHT)
        async with aiohttp.ClientSession(connector=connector) as session:

            async def work() -> None:
                for row in queue:
                    request = {"model": "echo", "messages": [{"role": "user", "content": row["question"]}]}
                    async with session.post(f"{base_url}/chat/completions", json=request) as reply:
                        body = orjson.loads(await reply.read())
                    answer = body["choices"][0]["message"]["content"]
                    scored = {
                        **row,
                        "answer": answer,
                        "exact_match": exact_match.score(answer, row["expected"]),
                        "rougeL": rouge_l.score(answer, row["expected"]),
                    }
                    file.write(orjson.dumps(scored) + b"\n")

            await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
        file.flush()
        os.fsync(file.fileno())


def main() -> None:
    """Run it once and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base_url")
    parser.add_argument("output", type=Path)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--uvloop", action="store_true", help="uvloop's event loop instead of asyncio's own")
    options = parser.parse_args()
    rows = make_rows(options.items)
    start = asyncio.run
    if options.uvloop:
        import uvloop

        start = uvloop.run
    cpu, begun = time.process_time(), time.perf_counter()
    start(run(options.base_url, rows, options.output))
    figures = {
        "seconds": time.perf_counter() - begun,
        "cpu": time.process_time() - cpu,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(orjson.dumps(figures).decode())


if __name__ == "__main__":
    main()
