from pathlib import Path

import pytest

from assay.cli.documents import UnreadableFile
from assay.cli.runfile import read_run_file
from assay.cli.thresholds import Threshold

GOOD = """\
name: capitals
tags: [demo]
metadata: {model: x}
data:
  - {answer: Paris, capital: Paris}
tasks:
  - task_type: metric
    alias: same
    configuration: {type: exact_match, candidate: item.answer, reference: item.capital}
thresholds:
  same: {mean: ">= 0.4", n: "== 1"}
  errors: "<= 0"
"""


def _file(tmp_path: Path, text: str, name: str = "run.yaml") -> Path:
    path = tmp_path / name
    path.write_text(text, "utf-8")
    return path


def test_a_run_file_becomes_the_request_and_its_thresholds(tmp_path: Path) -> None:
    found = read_run_file(_file(tmp_path, GOOD))
    assert found.evaluation == {
        "name": "capitals",
        "tags": ["demo"],
        "metadata": {"model": "x"},
        "data": [{"answer": "Paris", "capital": "Paris"}],
        "tasks": [
            {
                "task_type": "metric",
                "alias": "same",
                "configuration": {"type": "exact_match", "candidate": "item.answer", "reference": "item.capital"},
            }
        ],
    }
    assert found.thresholds == [
        Threshold("same", "mean", ">=", 0.4),
        Threshold("same", "n", "==", 1),
        Threshold(None, "errors", "<=", 0),
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("tags:", "tag:", r"run\.yaml:2: tag: unknown key; did you mean 'tags'\?"),
        ("alias: same", "allias: same", r"run\.yaml:8: tasks\.0\.allias: unknown key; did you mean 'alias'\?"),
        ("  same: {mean:", "  sane: {mean:", r"run\.yaml:11: thresholds\.sane: no task has this alias; .*'same'"),
        ("{mean:", "{meen:", r"run\.yaml:11: thresholds\.same\.meen: unknown key; did you mean 'mean'"),
        ("errors:", "error:", r"run\.yaml:12: thresholds\.error: unknown; did you mean 'errors'"),
        ('">= 0.4"', '"=> 0.4"', r"run\.yaml:11: thresholds\.same\.mean: must be a comparison"),
        ('">= 0.4"', "0.4", r"run\.yaml:11: thresholds\.same\.mean: must be a comparison"),
        ("name: capitals", "name: 7", r"run\.yaml:1: name: must be text"),
        ("tags: [demo]", "tags: [1]", r"run\.yaml:2: tags\.0: a tag must be text"),
        ("  - {answer: Paris, capital: Paris}", "  - Paris", r"run\.yaml:5: data\.0: a row must be a mapping"),
        ("task_type: metric", "task_type: 5", r"run\.yaml:7: tasks\.0\.task_type: task_type must be given, as text"),
        ("tags: [demo]", "cache: always", r"run\.yaml:2: cache: must be one of auto, on, read, off"),
        ("tags: [demo]", "max_cost: 0", r"run\.yaml:2: max_cost: must be a number of US dollars above 0"),
        ("tags: [demo]", "max_cost: true", r"run\.yaml:2: max_cost: must be a number"),
        ("name: capitals\n", "", r"run\.yaml: the key 'name' is missing"),
    ],
)
def test_what_is_wrong_is_named_by_line_and_key(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(UnreadableFile, match=message):
        read_run_file(_file(tmp_path, GOOD.replace(old, new)))


def test_a_run_file_says_how_models_may_be_called_and_the_command_line_has_the_last_word(tmp_path: Path) -> None:
    found = read_run_file(_file(tmp_path, GOOD.replace("tags: [demo]", "cache: off\nmax_cost: 2")))

    assert (found.evaluation["cache"], found.evaluation["max_cost"]) == ("off", 2)
    assert found.under(max_cost=3.5).evaluation == {**found.evaluation, "max_cost": 3.5}
    assert found.under(max_cost=None).evaluation == found.evaluation


def test_rows_are_read_from_a_file_beside_the_run_file(tmp_path: Path) -> None:
    _file(tmp_path, "answer,capital\nParis,Paris\nRome,Roma\n", "rows.csv")
    text = GOOD.replace("data:\n  - {answer: Paris, capital: Paris}", "data: rows.csv")
    found = read_run_file(_file(tmp_path, text))
    assert found.evaluation["data"][1] == {"answer": "Rome", "capital": "Roma"}
    assert found.explain(["body", "data", 1, "capital"], "is wrong").endswith("rows.csv:3: capital: is wrong")


def test_rows_from_a_file_that_is_not_there_name_the_line_of_data(tmp_path: Path) -> None:
    text = GOOD.replace("data:\n  - {answer: Paris, capital: Paris}", "data: rows.csv")
    with pytest.raises(UnreadableFile, match=r"run\.yaml:4: data: no such file"):
        read_run_file(_file(tmp_path, text))


def test_what_the_server_finds_wrong_is_said_with_the_files_line(tmp_path: Path) -> None:
    found = read_run_file(_file(tmp_path, GOOD))
    said = found.explain(["body", "tasks", 0, "configuration", "type"], "no such metric")
    assert said.endswith("run.yaml:9: tasks.0.configuration.type: no such metric")
    assert found.explain([], "the vendor is not configured").endswith("run.yaml: the vendor is not configured")


def test_a_function_is_taken_from_a_python_file(tmp_path: Path) -> None:
    _file(tmp_path, "import os\n\ndef other(a):\n    return 1\n\ndef long(answer):\n    return len(answer)\n", "f.py")
    text = GOOD.replace(
        "  - task_type: metric\n    alias: same\n    configuration: {type: exact_match, candidate: item.answer, "
        "reference: item.capital}",
        "  - task_type: custom_function\n"
        "    configuration: {function: 'f.py:long', arg_mapping: {answer: item.answer}}",
    ).replace("  same:", "  long:")
    task = read_run_file(_file(tmp_path, text)).evaluation["tasks"][0]
    assert task["configuration"] == {
        "function_source": "def long(answer):\n    return len(answer)",
        "arg_mapping": {"answer": "item.answer"},
    }
    with pytest.raises(UnreadableFile, match=r"has no function 'lon'; did you mean 'long'"):
        read_run_file(_file(tmp_path, text.replace("f.py:long", "f.py:lon")))


@pytest.mark.parametrize(
    ("task", "alias"),
    [
        ("{task_type: metric, configuration: {type: f1}}", "f1"),
        ("{task_type: chat_completion, configuration: {}}", "chat_completion"),
        ("{task_type: auto_evaluation.question, configuration: {}}", "auto_evaluation_question"),
        ('{task_type: custom_function, configuration: {function_source: "def g(a): return 1"}}', "g"),
        ("{task_type: custom_function, alias: h, configuration: {outputs: [{path: x.y}]}}", "x_y"),
    ],
)
def test_thresholds_know_the_aliases_that_tasks_get_by_default(tmp_path: Path, task: str, alias: str) -> None:
    text = f"name: x\ndata: [{{a: 1}}]\ntasks: [{task}]\nthresholds: {{{alias}: {{mean: '> 0'}}}}\n"
    assert read_run_file(_file(tmp_path, text)).thresholds[0].alias == alias
