"""Filters, lists and groups of accounts with up to a million evaluations, through a real server on either database.

Loads the evaluations itself, then times requests that are all different, one after another, from another process:
the time from sending a request to having read its answer, which contains the server's time and the HTTP around it.
"""

import argparse
import asyncio
import multiprocessing
import os
import random
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import orjson
from sqlalchemy import insert, text

from assay.adapters.storage import SqlStorage, open_storage, upgrade
from assay.adapters.storage.changes import recount
from assay.adapters.storage.datasets import naming
from assay.adapters.storage.migrations.versions import v0002_groups_counted
from assay.adapters.storage.tables import evaluations, group_members, groups
from assay.core.identity import Account
from benchmarks.measuring import peak_memory, quantile, workplace
from tests.fakes.postgres import fresh_database
from tests.fakes.server_process import ServerProcess, running_server

ACCOUNTS = {"default": 0.7, "second": 0.25, "third": 0.05}
"""Shares of the evaluations and groups; requests are made in the first, the largest."""

GROUPS = 20_000
BATCH = 5_000
START = datetime(2025, 1, 1, tzinfo=UTC)
MODELS = [f"vendor/model-{n}" for n in range(12)]
TEAMS = [f"team-{n}" for n in range(25)]
SETS = [f"set {n}" for n in range(40)]
TAGS = ["nightly", "release", "smoke", *(f"tag-{n}" for n in range(17))]
TASKS = [
    {
        "task_type": "chat_completion",
        "alias": "answer",
        "configuration": {"model": "fake/echo", "messages": [{"role": "user", "content": "item.question"}]},
    },
    {
        "task_type": "metric",
        "alias": "rougeL",
        "configuration": {"type": "rougeL", "candidate": "item.answer", "reference": "item.expected"},
    },
]


@dataclass
class Loaded:
    """What was loaded: ids of the first account's evaluations and groups in order, some of their commits, and the
    seconds it took."""

    ids: list[str] = field(default_factory=list)
    group_ids: list[str] = field(default_factory=list)
    commits: list[str] = field(default_factory=list)
    seconds: float = 0.0


def make_id(place: int, kind: int) -> str:
    """An id that sorts by place."""
    return f"01900000-{place >> 16:04x}-7{kind:03x}-8000-{place:012x}"


def make_metadata(rng: random.Random) -> dict[str, Any]:
    """Five to eight keys: few and many different values, numbers, dates, booleans, a nested one."""
    found: dict[str, Any] = {
        "model": rng.choice(MODELS),
        "accuracy": round(rng.random(), 6),
        "commit": f"{rng.getrandbits(64):016x}",
        "day": (START + timedelta(days=rng.randrange(600))).date().isoformat(),
        "params": {"temperature": rng.choice([0, 0.2, 0.5, 0.7, 1])},
    }
    more = {"dataset": rng.choice(SETS), "reviewed": rng.random() < 0.3, "team": rng.choice(TEAMS)}
    for key in rng.sample(sorted(more), rng.randrange(4)):
        found[key] = more[key]
    return found


def make_row(place: int, account: str, rng: random.Random) -> dict[str, Any]:
    """An evaluation's row."""
    moment = START + timedelta(seconds=place)
    name = f"{rng.choice(SETS)} on {rng.choice(MODELS)} #{place}"
    return {
        "id": make_id(place, 1),
        "account_id": account,
        **naming(name, None, tuple(rng.sample(TAGS, rng.randrange(4)))),
        "metadata": make_metadata(rng),
        "tasks": TASKS,
        "status": "completed" if rng.random() < 0.9 else "failed",
        "status_reason": None,
        "item_total": 100,
        "item_successful": 98,
        "item_failed": 2,
        "error_count": rng.randrange(5),
        "has_job": True,
        "created_at": moment,
        "created_by_id": "loader",
        "created_by_type": "user",
        "updated_at": moment,
        "archived_at": moment if rng.random() < 0.02 else None,
        "started_at": moment,
        "finished_at": moment,
        "column_names": ["question", "expected"],
        "taxonomy": None,
        "skip_prefilled_rows": False,
    }


async def load(storage: SqlStorage, size: int) -> Loaded:
    """Fill an empty database, straight through the storage's own connection."""
    loaded, begun, rng = Loaded(), time.perf_counter(), random.Random(size)
    async with storage.write() as work:
        for account in ACCOUNTS:
            await work.accounts.ensure(Account(account, account, START))
    names, shares = list(ACCOUNTS), list(ACCOUNTS.values())
    members: dict[str, list[int]] = {name: [] for name in ACCOUNTS}
    for start in range(0, size, BATCH):
        owners = rng.choices(names, shares, k=min(BATCH, size - start))
        rows = [make_row(start + n, account, rng) for n, account in enumerate(owners)]
        for place, row in enumerate(rows, start + 1):
            if row["archived_at"] is None:
                members[row["account_id"]].append(place)
        mine = [row for row in rows if row["account_id"] == "default"]
        loaded.ids += [row["id"] for row in mine]
        loaded.commits += [row["metadata"]["commit"] for row in mine[::20]]
        async with storage._writing() as session:
            await session.run(insert(evaluations), rows)
    await load_groups(storage, loaded, members, rng, min(GROUPS, size // 5))
    async with storage._writing() as session:
        await recount(session)
        await session.run(text(v0002_groups_counted.COUNT))
        await session.run(text("ANALYZE"))
    loaded.seconds = time.perf_counter() - begun
    return loaded


async def load_groups(
    storage: SqlStorage, loaded: Loaded, members: dict[str, list[int]], rng: random.Random, count: int
) -> None:
    """Groups of two to four members each."""
    names, shares = list(ACCOUNTS), list(ACCOUNTS.values())
    for start in range(0, count, BATCH):
        owners = rng.choices(names, shares, k=min(BATCH, count - start))
        made, links = [], []
        for place, account in enumerate(owners, start + 1):
            moment = START + timedelta(seconds=place)
            made.append(
                {
                    "id": make_id(place, 2),
                    "account_id": account,
                    **naming(f"group {place}", None, (rng.choice(TAGS),)),
                    "metadata": {"place": place},
                    "created_at": moment,
                    "created_by_id": "loader",
                    "created_by_type": "user",
                    "deleted_at": None,
                }
            )
            links += [
                {"group_seq": place, "position": n, "evaluation_seq": seq, "created_at": moment, "deleted_at": None}
                | {"row_identifier": "question"}
                for n, seq in enumerate(rng.sample(members[account], rng.randrange(2, 5)))
            ]
        loaded.group_ids += [row["id"] for row in made if row["account_id"] == "default"]
        async with storage._writing() as session:
            await session.run(insert(groups), made)
            await session.run(insert(group_members), links)


Request = tuple[str, str, bytes | None]


def filtering(query: str, *filters: tuple[str, str, str]) -> Request:
    """A request that filters."""
    asked = [{"key": key, "operator": operator, "value": value} for key, operator, value in filters]
    return "POST", f"/v5/evaluations/filter?limit=100{query}", orjson.dumps({"filters": asked})


def selective(loaded: Loaded, rng: random.Random) -> Request:
    """A handful of matches."""
    if rng.random() < 0.5:
        return filtering("", ("commit", "==", rng.choice(loaded.commits)))
    return filtering(
        "", ("accuracy", ">=", f"{0.9995 + rng.random() / 10_000:.8f}"), ("model", "==", rng.choice(MODELS))
    )


def broad(_loaded: Loaded, rng: random.Random) -> Request:
    """Most evaluations."""
    return filtering("", ("accuracy", ">=", f"{rng.random() / 4:.8f}"))


def mixed(_loaded: Loaded, rng: random.Random) -> Request:
    """Six filters of every kind."""
    return filtering(
        "",
        ("model", "IN", ",".join(rng.sample(MODELS, 4))),
        ("accuracy", "<=", f"{0.5 + rng.random() / 2:.8f}"),
        ("day", ">=", (START + timedelta(days=rng.randrange(300))).date().isoformat()),
        ("params.temperature", "!=", "0.5"),
        ("team", "NOT_IN", ",".join(rng.sample(TEAMS, 5))),
        ("status", "==", "completed"),
    )


def deep(loaded: Loaded, rng: random.Random) -> str:
    """An id 500,000 deep, or as deep as three quarters of the account."""
    depth = min(500_000, len(loaded.ids) * 3 // 4)
    return loaded.ids[depth + rng.randrange(-len(loaded.ids) // 20, len(loaded.ids) // 20)]


def deep_filter(loaded: Loaded, rng: random.Random) -> Request:
    """A page of a broad filter far into it."""
    return filtering(f"&starting_after={deep(loaded, rng)}", ("accuracy", ">=", f"{rng.random() / 4:.8f}"))


def first_list(_loaded: Loaded, rng: random.Random) -> Request:
    """The first page, of a limit that differs a little so that no two requests need be the same."""
    return "GET", f"/v5/evaluations?limit=100&sort_order={rng.choice(['asc', 'desc'])}&x={rng.random()}", None


def deep_list(loaded: Loaded, rng: random.Random) -> Request:
    return "GET", f"/v5/evaluations?limit=100&starting_after={deep(loaded, rng)}", None


def named_list(_loaded: Loaded, rng: random.Random) -> Request:
    """A part of the name and a tag."""
    part = f"{rng.choice(SETS)} on {rng.choice(MODELS)} #{rng.randrange(10)}".replace(" ", "%20").replace("#", "%23")
    return "GET", f"/v5/evaluations?limit=100&name={part}&tags={rng.choice(TAGS)}", None


def sorted_list(loaded: Loaded, rng: random.Random) -> Request:
    """Another order, far into it."""
    return "GET", f"/v5/evaluations?limit=100&sort_by=name&starting_after={deep(loaded, rng)}", None


def first_groups(_loaded: Loaded, rng: random.Random) -> Request:
    return "GET", f"/v5/evaluation-groups?limit=100&sort_order={rng.choice(['asc', 'desc'])}&x={rng.random()}", None


def deep_groups(loaded: Loaded, rng: random.Random) -> Request:
    return "GET", f"/v5/evaluation-groups?limit=100&starting_after={rng.choice(loaded.group_ids)}", None


def keys(_loaded: Loaded, rng: random.Random) -> Request:
    return "GET", f"/v5/evaluations/metadata-keys?x={rng.random()}", None


def numbered(order: str = "") -> Callable[[Loaded, random.Random], Request]:
    """Version 4's list: the first pages and those around the 5,000th, or the last of a smaller account."""

    def page(loaded: Loaded, rng: random.Random) -> Request:
        last = min(5000, len(loaded.ids) * 95 // 10_000)
        number = rng.randrange(1, 4) if rng.random() < 0.5 else max(1, last - rng.randrange(40))
        sort_by = f"&sort_by={order}" if order else ""
        return "GET", f"/v4/evaluations?account_id=default&limit=100&page={number}{sort_by}&x={rng.random()}", None

    return page


CASES: dict[str, Callable[[Loaded, random.Random], Request]] = {
    "filter, selective": selective,
    "filter, broad": broad,
    "filter, mixed (6)": mixed,
    "filter, broad, deep page": deep_filter,
    "list, first page": first_list,
    "list, deep page": deep_list,
    "list by name, deep page": sorted_list,
    "list with name and tag": named_list,
    "groups, first page": first_groups,
    "groups, deep page": deep_groups,
    "metadata-keys": keys,
    "v4 list, newest first": numbered(),
    "v4 list by name": numbered("name:asc"),
    "v4 list by status, newest": numbered("status:desc,created_at:desc"),
    "v4 list by completed_at": numbered("completed_at:asc"),
    "v4 list by variant": numbered("application_variant_id:asc"),
}


@dataclass
class Measured:
    """One database and size: milliseconds by case, and the other figures by name."""

    times: dict[str, list[float]] = field(default_factory=dict)
    figures: dict[str, str] = field(default_factory=dict)


class Asker:
    """One client with one connection."""

    def __init__(self, base_url: str, api_key: str) -> None:
        self._base, self._headers = base_url, {"x-api-key": api_key, "content-type": "application/json"}

    async def __aenter__(self) -> "Asker":
        self._session = aiohttp.ClientSession(self._base, headers=self._headers)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def ask(self, request: Request) -> float:
        """Milliseconds to the end of the answer, which must be a good one."""
        method, path, body = request
        begun = time.perf_counter()
        async with self._session.request(method, path, data=body) as answer:
            found = await answer.read()
        taken = 1000 * (time.perf_counter() - begun)
        assert answer.status == 200, found[:500]
        return taken


async def measure(server: ServerProcess, loaded: Loaded, requests: int, measured: Measured) -> None:
    """Every case, then creation alone, then lists while evaluations are created."""
    rng = random.Random(1)
    async with Asker(server.base_url, server.api_key) as asker:
        await measure_start(server, asker, loaded, rng, measured)
        measured.figures["first order by name, s"] = f"{(await asker.ask(sorted_list(loaded, rng))) / 1000:.1f}"
        for name, case in CASES.items():
            await asker.ask(case(loaded, rng))
            measured.times[name] = [await asker.ask(case(loaded, rng)) for _ in range(requests)]
        rate, _ = await create(asker, rng, seconds=3)
        measured.figures["created a second"] = f"{rate:,.0f}"
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as elsewhere:
            elsewhere.submit(create_elsewhere, server.base_url, server.api_key, 0.1).result()
            for name, case in {"list": first_list, "filter, mixed": mixed}.items():
                creating = elsewhere.submit(create_elsewhere, server.base_url, server.api_key, 4)
                await asyncio.sleep(0.5)
                meanwhile = []
                while not creating.done():
                    meanwhile.append(await asker.ask(case(loaded, rng)))
                    await asyncio.sleep(0.02)
                measured.times[f"{name} while creating"] = meanwhile
                measured.figures[f"created a second beside {name}"] = f"{creating.result():,.0f}"
    measured.figures["memory at its peak, MB"] = f"{peak_memory(server):,.0f}"


async def measure_start(
    server: ServerProcess, asker: Asker, loaded: Loaded, rng: random.Random, measured: Measured
) -> None:
    """A filter asked for right after the start, and lists while it waits; then wait for what is loaded behind it."""
    async with Asker(server.base_url, server.api_key) as another:
        waiting = asyncio.create_task(another.ask(selective(loaded, rng)))
        meanwhile = []
        while not waiting.done():
            meanwhile.append(await asker.ask(first_list(loaded, rng)))
            await asyncio.sleep(0.02)
    measured.times["list while a filter waits for its index"] = meanwhile
    measured.figures["first filter, s"] = f"{waiting.result() / 1000:.1f}"
    used = server.weigh().cpu
    while True:
        await asyncio.sleep(0.5)
        before, used = used, server.weigh().cpu
        if used - before < 0.1:
            return


async def create(asker: Asker, rng: random.Random, seconds: float) -> tuple[float, int]:
    """Evaluations created a second, four in flight, each with two rows and metadata."""
    end, made = time.perf_counter() + seconds, 0

    async def go_on() -> None:
        nonlocal made
        while time.perf_counter() < end:
            body = {"name": f"created {made}", "metadata": make_metadata(rng), "data": [{"q": 1}, {"q": 2}]}
            await asker.ask(("POST", "/v5/evaluations", orjson.dumps(body)))
            made += 1

    begun = time.perf_counter()
    await asyncio.gather(*(go_on() for _ in range(4)))
    return made / (time.perf_counter() - begun), made


def create_elsewhere(base_url: str, api_key: str, seconds: float) -> float:
    """The same from another process."""

    async def run() -> float:
        async with Asker(base_url, api_key) as asker:
            return (await create(asker, random.Random(2), seconds))[0]

    return asyncio.run(run())


def run(database: str, size: int, requests: int) -> Measured:
    """Load one database and measure it."""
    with workplace() as place:
        data = place / "data"
        data.mkdir()
        url = fresh_database() if database == "postgres" else f"sqlite:///{data}/assay.db"
        environment = {"ASSAY_DATABASE_URL": url} if database == "postgres" else {}
        environment |= {"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {}

        async def prepare() -> Loaded:
            await upgrade(url)
            storage = open_storage(url)
            try:
                return await load(storage, size)
            finally:
                await storage.close()

        loaded = asyncio.run(prepare())
        measured = Measured()
        measured.figures["loaded in, s"] = f"{loaded.seconds:.0f}"
        with running_server(data, **environment) as server:
            measured.figures["memory before, MB"] = f"{server.weigh().resident / 2**20:,.0f}"
            asyncio.run(measure(server, loaded, requests, measured))
    return measured


def show(results: dict[tuple[str, int], Measured]) -> None:
    """One Markdown table: a row a case, a column a database and size."""
    heads = [f"{database}, {size:,}" for database, size in results]
    print("\n| p50 / p95, ms | " + " | ".join(heads) + " |")
    print("|---" * (len(heads) + 1) + "|")
    for case in next(iter(results.values())).times:
        cells = [f"{quantile(m.times[case], 0.5):.1f} / {quantile(m.times[case], 0.95):.1f}" for m in results.values()]
        print(f"| {case} | " + " | ".join(cells) + " |")
    for name in next(iter(results.values())).figures:
        print(f"| {name} | " + " | ".join(m.figures[name] for m in results.values()) + " |")


def main() -> None:
    """Load, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--database", choices=["sqlite", "postgres", "both"], default="both")
    parser.add_argument("--requests", type=int, default=200, help="requests of each kind")
    options = parser.parse_args()
    databases = ["sqlite", "postgres"] if options.database == "both" else [options.database]
    results = {}
    for database in databases:
        for size in options.size:
            results[database, size] = run(database, size, options.requests)
            show(results)


if __name__ == "__main__":
    main()
