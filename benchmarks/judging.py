"""Items a second of a judge whose answers are held to a schema, beside the same bare loop as `throughput`.

Each item is one call of a judge that takes 50 ms, 200 in flight; its answer is read, held to the schema and
stored. `--kind` chooses what judges: `structured` (guided decoding by a schema), `choices`, `question` or `agent`.
"""

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx
import orjson

from benchmarks.measuring import LATENCY, Driver, Line, arguments, at_least, make_rows, median, show, workplace
from benchmarks.throughput import bare_loop
from tests.fakes.model_endpoint import EndpointProcess
from tests.fakes.server_process import ServerProcess, fake_vendor, running_server

ITEMS = 5_000
SCHEMA = {
    "type": "object",
    "properties": {
        "verdict": {"type": "string", "enum": ["good", "bad"]},
        "score": {"type": "integer", "minimum": 0, "maximum": 10},
        "why": {"type": "string"},
    },
    "required": ["verdict", "score", "why"],
    "additionalProperties": False,
}
MODEL = {"model": "fake/judge"}


def judged_rows(items: int) -> list[dict[str, Any]]:
    """Rows that hold what the judge will say of each of them, beside a question and an expected answer."""
    rows = make_rows(items)
    for place, row in enumerate(rows):
        verdict = {"verdict": "good" if place % 3 else "bad", "score": place % 11, "why": row["expected"]}
        row["said"] = orjson.dumps(verdict).decode()
        row["chosen"] = (
            "[[" + orjson.dumps({"reasoning": row["expected"], "answer": verdict["verdict"]}).decode() + "]]"
        )
    return rows


def judge_task(kind: str, question_id: str) -> dict[str, Any]:
    """The judge's task."""
    if kind == "structured":
        configuration: dict[str, Any] = {**MODEL, "prompt": "item.said", "response_format": SCHEMA}
    elif kind == "choices":
        configuration = {**MODEL, "prompt": "item.chosen", "choices": ["good", "bad"]}
    elif kind == "question":
        prompt = "Q: {{item.question}} A: {{item.expected}} {{item.chosen}}"
        return {
            "task_type": "auto_evaluation.question",
            "alias": "judged",
            "configuration": {**MODEL, "prompt": prompt, "question_id": question_id},
        }
    else:
        configuration = {
            "name": "Good",
            "definition": "Is it good?",
            "output_rules": ["good or bad"],
            "output_values": ["good", "bad"],
            "data_fields": ["question", "expected", "chosen"],
            "designated_to": {"config": MODEL},
        }
    return {"task_type": "auto_evaluation.guided_decoding", "alias": "judged", "configuration": configuration}


def a_question(server: ServerProcess) -> str:
    """A stored question with the choices good and bad."""
    question = {"name": "q", "prompt": "Is it good?", "question_type": "categorical"}
    body = {**question, "configuration": {"choices": ["good", "bad"]}}
    answer = httpx.post(f"{server.base_url}/v5/questions", json=body, headers={"x-api-key": server.api_key})
    found: str = answer.raise_for_status().json()["id"]
    return found


async def server_run(server: ServerProcess, items: int, kind: str, question_id: str) -> dict[str, float]:
    """One evaluation through the API: its seconds, and the server's CPU."""
    rows = judged_rows(items)
    body = orjson.dumps({"name": "judged", "data": rows, "tasks": [judge_task(kind, question_id)]})
    async with Driver(server) as driver:
        before = server.weigh().cpu
        driven = await driver.drive(body)
        cpu = server.weigh().cpu - before
    assert len(driven.items) == items
    for item in driven.items:
        judged = item["data"]["judged"]
        said = orjson.loads(item["data"]["said"])
        assert judged == (said if kind == "structured" else said["verdict"]), item
    return {"seconds": driven.read, "cpu": cpu}


def compare(endpoint: EndpointProcess, place: Path, items: int, runs: int, kind: str) -> list[Line]:
    """The bare loop and the server in turns, after one small run of each to warm up."""
    bare, served = [], []
    with running_server(place / kind, **fake_vendor(endpoint.url)) as server:
        time.sleep(1)
        question_id = a_question(server)
        bare_loop(endpoint, place, 500)
        asyncio.run(server_run(server, 500, kind, question_id))
        for _ in range(runs):
            bare.append(bare_loop(endpoint, place, items))
            served.append(asyncio.run(server_run(server, items, kind, question_id)))
            print(f"  {kind}: bare loop {bare[-1]['seconds']:.2f} s   server {served[-1]['seconds']:.2f} s", flush=True)
    ratio = median(one["seconds"] / other["seconds"] for one, other in zip(bare, served, strict=True))
    return [
        Line(f"{kind}: bare loop, items/s", f"{items / median(run['seconds'] for run in bare):,.0f}"),
        Line(f"{kind}: server, items/s", f"{items / median(run['seconds'] for run in served):,.0f}"),
        at_least(f"{kind}: server / bare loop", ratio, 0.8),
        Line(f"{kind}: server, CPU ms an item", f"{1000 * median(run['cpu'] for run in served) / items:.2f}"),
    ]


def main() -> None:
    """Measure and print."""
    options = arguments(__doc__, items=ITEMS, kinds=("structured", "choices", "question", "agent"))
    with workplace() as place, EndpointProcess(latency=LATENCY) as endpoint:
        lines = compare(endpoint, place, options.items, options.runs, options.kind or "structured")
    show(f"Judging {options.items:,} items", lines)


if __name__ == "__main__":
    main()
