"""What the page about moving over promises: its own code copies one real server to another."""

import re
from pathlib import Path
from typing import Any

from scale_gp_beta import SGPClient

from tests.builders.wire import metric, run, standalone
from tests.fakes.server_process import ServerProcess, running_server

PAGE = Path(__file__).parents[2] / "docs/how-to/move-from-the-hosted-service.md"


def client_of(server: ServerProcess) -> SGPClient:
    return SGPClient(api_key=server.api_key, account_id="default", base_url=server.base_url, max_retries=0)


def test_the_pages_code_copies_datasets_questions_and_finished_evaluations(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    with running_server(tmp_path / "there") as there, running_server(tmp_path / "here") as here:
        source, target = client_of(there), client_of(here)
        rows = [{"answer": f"a{n}", "right": f"a{n % 2}"} for n in range(150)]
        dataset = source.datasets.create(name="d", data=rows, tags=["t"])
        scale = {"steps": 3, "min_label": "bad", "max_label": "good"}
        rating = source.questions.create(
            question={"name": "q", "prompt": "How?", "question_type": "rating", "configuration": scale}
        )
        number = source.questions.create(question={"name": "n", "prompt": "How many?", "question_type": "number"})
        done, items = run(source, standalone(rows, metric("exact_match", "answer", "right"), metadata={"k": 1}))

        ids = names["copy"](source, target)

        copied = [item.data for item in target.dataset_items.list(dataset_id=ids[dataset.id], limit=1000)]
        assert copied == rows
        assert target.datasets.retrieve(ids[dataset.id]).tags == ["t"]
        assert target.questions.retrieve(ids[rating.id]).configuration.to_dict() == scale
        assert target.questions.retrieve(ids[number.id]).question_type == "number"
        moved = target.evaluations.retrieve(ids[done.id])
        assert (moved.status, moved.metadata) == ("completed", {"k": 1, "copied_from": done.id})
        there_now = [item.data for item in target.evaluation_items.list(evaluation_id=moved.id, limit=1000)]
        assert there_now == [item.data for item in items]
        assert there_now[0]["exact_match"] == 1
