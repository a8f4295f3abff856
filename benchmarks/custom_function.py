"""Items a second of a custom function in the sandbox, over short items, from the POST to the last item read back."""

import asyncio
from typing import Any

import orjson

from benchmarks.measuring import Driver, Line, arguments, at_least, make_rows, median, peak_memory, show, workplace
from tests.fakes.server_process import ServerProcess, running_server

SOURCE = "def words_kept(question, expected):\n    return len(set(question.split()) & set(expected.split()))\n"


async def one_run(server: ServerProcess, items: int) -> dict[str, Any]:
    """One evaluation of a custom function."""
    task = {"task_type": "custom_function", "configuration": {"function_source": SOURCE}}
    rows = make_rows(items)
    body = orjson.dumps({"name": "functions", "data": rows, "tasks": [task]})
    async with Driver(server) as driver:
        before = server.weigh().cpu
        driven = await driver.drive(body)
        cpu = server.weigh().cpu - before
    assert len(driven.items) == items
    for item, row in zip(driven.items, rows, strict=True):
        kept = set(row["question"].split()) & set(row["expected"].split())
        assert item["data"]["words_kept"] == len(kept), item
    return {"completed": driven.completed, "read": driven.read, "cpu": cpu}


def main() -> None:
    """Measure and print."""
    options = arguments(__doc__)
    with workplace() as place, running_server(place / "data") as server:
        asyncio.run(one_run(server, 200))
        runs = [asyncio.run(one_run(server, options.items)) for _ in range(options.runs)]
        peak = peak_memory(server)
        processes = server.weigh().processes
    items = options.items
    lines = [
        at_least("items/s, to the last item read back", items / median(run["read"] for run in runs), 4_000, digits=0),
        Line("items/s, to the evaluation's end", f"{items / median(run['completed'] for run in runs):,.0f}"),
        Line("CPU ms an item, sandbox included", f"{1000 * median(run['cpu'] for run in runs) / items:.2f}"),
        Line("peak of server and sandbox, MB", f"{peak:.0f}"),
        Line("processes", str(processes)),
    ]
    show(f"A custom function over {items:,} items", lines)


if __name__ == "__main__":
    main()
