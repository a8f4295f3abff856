"""Storing and searching spans, through a real server on either database.

Tells a server spans of about 1 kB, ten to a trace, then times searches that differ where they can, one after
another, from another process: the time from sending a request to having read its answer of at most 100 spans.
"""

import argparse
import asyncio
import os
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import orjson

from assay.adapters.storage import upgrade
from assay.core.spans import SpanType
from benchmarks.measuring import quantile, workplace
from tests.fakes.postgres import fresh_database
from tests.fakes.server_process import running_server

START = datetime(2026, 1, 1, tzinfo=UTC)
STEP = timedelta(milliseconds=7)
IN_A_TRACE = 10
TYPES = list(SpanType)
WORDS = [f"word{n}" for n in range(5_000)]

Times = dict[str, list[float]]


def make_span(place: int, rng: random.Random) -> dict[str, Any]:
    """The span at a place; the first of its trace is the others' parent."""
    trace, started = place // IN_A_TRACE, START + place * STEP
    root = f"span {trace * IN_A_TRACE}"
    return {
        "id": f"span {place}",
        "trace_id": f"trace {trace}",
        "parent_id": None if place % IN_A_TRACE == 0 else root,
        "group_id": f"group {trace % 100}",
        "name": f"step {place % 50}",
        "start_timestamp": started.isoformat(),
        "end_timestamp": (started + timedelta(milliseconds=rng.randrange(5_000))).isoformat(),
        "type": TYPES[place % len(TYPES)],
        "status": "ERROR" if rng.random() < 0.05 else "SUCCESS",
        "input": {"question": " ".join(rng.choices(WORDS, k=40))},
        "output": {"answer": " ".join(rng.choices(WORDS, k=60)), "usage": {"output_tokens": rng.randrange(1_000)}},
        "metadata": {"env": rng.choice(["prod", "dev"]), "user": f"user {place % 1_000}", "place": place},
    }


def searches(size: int, rng: random.Random) -> dict[str, Callable[[], tuple[str, dict[str, Any]]]]:
    """The searches by name: each makes a query and a body."""
    start, end = START + size * STEP * 0.4, START + size * STEP * 0.5
    window = str(httpx.QueryParams({"from_ts": start.isoformat(), "to_ts": end.isoformat()}))
    return {
        "one trace": lambda: ("", {"trace_ids": [f"trace {rng.randrange(size // IN_A_TRACE)}"]}),
        "everything": lambda: ("", {}),
        "everything, deep": lambda: (f"starting_after=span+{rng.randrange(size)}", {}),
        "roots, newest": lambda: ("sort_order=desc", {"parents_only": True}),
        "a group": lambda: ("", {"group_id": f"group {rng.randrange(100)}"}),
        "a name": lambda: ("", {"names": [f"step {rng.randrange(50)}"]}),
        "a tenth of the time": lambda: (window, {}),
        "a status and a type": lambda: ("", {"statuses": ["ERROR"], "types": [rng.choice(TYPES)]}),
        "a duration": lambda: ("", {"min_duration_ms": 4_900 + rng.randrange(50)}),
        "everything, by duration": lambda: ("sort_by=duration_ms&sort_order=desc", {}),
        "everything, by tokens": lambda: ("sort_by=output_tokens&sort_order=desc", {}),
        "a metadata value, half have it": lambda: ("", {"extra_metadata": {"env": "prod"}}),
        "a metadata value, 1 in 1,000": lambda: ("", {"extra_metadata": {"user": f"user {rng.randrange(1_000)}"}}),
        "a text, 1 in 50": lambda: ("", {"search_texts": [f"{rng.choice(WORDS)} "]}),
        "a text that is nowhere": lambda: ("", {"search_texts": [f"nowhere{rng.randrange(1_000)}"]}),
        "a text in a tenth of the time": lambda: (window, {"search_texts": [f"{rng.choice(WORDS)} "]}),
    }


class Teller:
    """Makes requests and keeps their times in milliseconds."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.times: Times = {}

    def ask(self, name: str, method: str, path: str, body: dict[str, Any]) -> None:
        content = orjson.dumps(body)
        begun = time.perf_counter()
        answer = self.client.request(method, path, content=content, headers={"content-type": "application/json"})
        self.times.setdefault(name, []).append((time.perf_counter() - begun) * 1e3)
        assert answer.status_code == 200, answer.text


def run(database: str, size: int, requests: int) -> Times:
    """Tell one server the spans and search them."""
    rng = random.Random(size)
    environment = {"ASSAY_DATABASE_URL": fresh_database()} if database == "postgres" else {}
    environment |= {"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {}
    with workplace() as place:
        (place / "data").mkdir()
        if database == "postgres":
            asyncio.run(upgrade(environment["ASSAY_DATABASE_URL"]))
        with (
            running_server(place / "data", **environment) as server,
            httpx.Client(base_url=server.base_url, headers={"x-api-key": server.api_key}, timeout=60) as client,
        ):
            teller = Teller(client)
            many = size - 50 * requests
            for first, last, step in ((0, many, 1_000), (many, size, 50)):
                for at in range(first, last, step):
                    items = [make_span(place, rng) for place in range(at, min(at + step, last))]
                    teller.ask(f"PUT of {step:,} spans", "PUT", "/v5/spans/batch", {"items": items})
            for name, make in searches(size, rng).items():
                for _ in range(requests):
                    query, body = make()
                    teller.ask(name, "POST", f"/v5/spans/search?{query}", body)
    return teller.times


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=200_000)
    parser.add_argument("--database", choices=["sqlite", "postgres", "both"], default="both")
    parser.add_argument("--requests", type=int, default=20, help="requests of each kind")
    options = parser.parse_args()
    databases = ["sqlite", "postgres"] if options.database == "both" else [options.database]
    results = [run(database, options.size, options.requests) for database in databases]
    print(f"\n| p50 / p95, ms, {options.size:,} spans | " + " | ".join(databases) + " |")
    print("|---" * (len(databases) + 1) + "|")
    for name in results[0]:
        cells = [f"{quantile(each[name], 0.5):.1f} / {quantile(each[name], 0.95):.1f}" for each in results]
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
