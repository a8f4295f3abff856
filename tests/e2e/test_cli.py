"""The command line as a user calls it: real processes, real servers."""

import json
import signal
import subprocess
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import psutil
import pytest

from tests.fakes.model_endpoint import EndpointProcess
from tests.fakes.server_process import ASSAY, clean_environment, fake_vendor, running_server

ROWS = "".join(json.dumps({"id": index, "text": f"word {index % 7}", "wanted": "word 3"}) + "\n" for index in range(60))
FUNCTION = "def right(text, wanted):\n    return int(text == wanted)\n"


def _write(folder: Path, thresholds: str = "errors: '<= 0'", metric: str = "f1", model: str | None = None) -> Path:
    (folder / "rows.jsonl").write_text(ROWS)
    (folder / "checks.py").write_text(FUNCTION)
    chat = f"""
  - task_type: chat_completion
    alias: reply
    configuration: {{model: {model}, max_tokens: 2, messages: [{{role: user, content: "{{{{item.text}}}}"}}]}}"""
    path = folder / "run.yaml"
    path.write_text(f"""\
name: sixty rows
data: rows.jsonl
tasks:
  - task_type: metric
    alias: score
    configuration:
      type: {metric}
      candidate: item.text
      reference: item.wanted
  - task_type: custom_function
    configuration: {{function: "checks.py:right"}}{chat if model else ""}
thresholds:
  {thresholds}
""")
    return path


def _assay(home: Path, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ASSAY), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        env=clean_environment(home, **environment),
        cwd=home,
    )


def _processes_of(data_dir: Path) -> list[psutil.Process]:
    """Every process whose command line names the data directory."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(data_dir) in process.cmdline():
                found.append(process)
        except psutil.Error:
            continue
    return found


def _until(condition: object, seconds: float = 30.0) -> None:
    assert callable(condition)
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.05)


def test_a_run_with_a_server_of_its_own_meets_its_thresholds_and_leaves_no_process(tmp_path: Path) -> None:
    file = _write(tmp_path, "right: {mean: '>= 0.1', n: '== 60'}")
    junit, output, data = tmp_path / "j.xml", tmp_path / "o.jsonl", tmp_path / "data"
    ended = _assay(tmp_path, "run", file, "--junit", junit, "--output", output, "--data-dir", data)
    assert ended.returncode == 0, ended.stderr
    assert "60 of 60 items" in ended.stderr
    lines = ended.stdout.splitlines()
    (right,) = [line.split() for line in lines if line.startswith(" right ")]
    assert right[1] == "0.150"  # 9 of 60
    assert right[4:8] == ["60", "0", "0", "0"]
    assert max(map(len, lines)) <= 100
    assert ET.parse(junit).getroot()[0].get("failures") == "0"
    items = [json.loads(line) for line in output.read_text("utf-8").splitlines()]
    assert [item["data"]["id"] for item in items] == list(range(60))
    assert [item["data"]["right"] for item in items[:4]] == [0, 0, 0, 1]
    assert _processes_of(data) == []
    assert not (data / "server.json").exists()
    shown = _assay(tmp_path, "evaluations", "list", "--data-dir", data)
    assert "sixty rows" in shown.stdout


def test_the_exit_code_tells_a_missed_threshold_from_a_wrong_file_and_from_no_server(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        at = ("--base-url", server.base_url, "--api-key", server.api_key)
        missed = _assay(tmp_path, "run", _write(tmp_path, "right: {mean: '>= 0.9'}"), *at)
        assert missed.returncode == 1
        assert "MISSED  right mean >= 0.9  (it is 0.15)" in missed.stdout
        wrong = _assay(tmp_path, "run", _write(tmp_path, metric="f2"), *at)
        assert wrong.returncode == 2
        assert "run.yaml:7: tasks.0.configuration.type: " in wrong.stderr
        key = _assay(tmp_path, "run", _write(tmp_path), "--base-url", server.base_url, "--api-key", "no-such-key")
        assert key.returncode == 3
    gone = _assay(tmp_path, "run", _write(tmp_path), ASSAY_BASE_URL=server.base_url, ASSAY_API_KEY="x")
    assert gone.returncode == 3
    assert "does not answer" in gone.stderr


def test_a_dry_run_says_what_would_be_asked_and_a_budget_stops_and_goes_on(tmp_path: Path) -> None:
    prices = {"ASSAY_VENDORS__FAKE__PRICES": '{"echo": {"input": 0, "output": 1000000}}'}
    with EndpointProcess() as endpoint:
        environment = {**fake_vendor(endpoint.url), **prices}
        path = _write(tmp_path, model="fake/echo")
        with running_server(tmp_path / "data", **environment) as server:
            there = ("--base-url", server.base_url, "--api-key", server.api_key)
            dry = _assay(tmp_path, "run", path, "--dry-run", *there)
            asked = len(endpoint.calls())
            stopped = _assay(tmp_path, "run", path, "--max-cost", "60", *there)
            evaluation = stopped.stdout.split()[-1]
            shown = _assay(tmp_path, "evaluations", "show", evaluation, *there)
            resumed = _assay(tmp_path, "evaluations", "resume", evaluation, "--max-cost", "1000000", *there)

    assert (dry.returncode, asked) == (0, 0)
    assert "60 items; nothing was called" in dry.stdout
    assert "fake/echo" in dry.stdout
    assert stopped.returncode == 3
    assert "Stopped at max_cost 60" in stopped.stderr
    assert "calls cost $" in shown.stdout
    assert "is completed" in resumed.stdout


def test_a_run_goes_on_when_the_server_is_killed_and_started_again(tmp_path: Path) -> None:
    with (
        EndpointProcess(latency=0.5) as endpoint,
        running_server(tmp_path / "data", **fake_vendor(endpoint.url), ASSAY_VENDORS__FAKE__CONCURRENCY="8") as server,
    ):
        file = _write(tmp_path, "reply: {completed: '== 60'}", model="fake/x")
        command = [str(ASSAY), "run", str(file), "--base-url", server.base_url, "--api-key", server.api_key]
        run = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_environment(tmp_path)
        )
        time.sleep(2)
        assert run.poll() is None
        server.kill()
        time.sleep(0.5)
        server.start()
        out, err = run.communicate(timeout=60)
    assert run.returncode == 0, err
    assert "the server does not answer; trying again" in err
    assert "met     reply completed == 60" in out


def test_a_run_starts_its_own_server_again_when_that_is_killed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with EndpointProcess(latency=0.5) as endpoint:
        file = _write(tmp_path, "reply: {completed: '== 60'}", model="fake/x")
        run = subprocess.Popen(
            [str(ASSAY), "run", str(file), "--data-dir", str(data)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=clean_environment(tmp_path, **fake_vendor(endpoint.url), ASSAY_VENDORS__FAKE__CONCURRENCY="8"),
        )
        _until((data / "server.json").exists)
        time.sleep(1)
        first = int(json.loads((data / "server.json").read_text())["pid"])
        psutil.Process(first).kill()
        out, err = run.communicate(timeout=60)
    assert run.returncode == 0, err
    assert "met     reply completed == 60" in out
    assert _processes_of(data) == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_however_a_run_is_ended_its_server_ends_with_it(tmp_path: Path, how: signal.Signals) -> None:
    data = tmp_path / "data"
    with EndpointProcess(latency=5.0) as endpoint:
        file = _write(tmp_path, model="fake/x")
        run = subprocess.Popen(
            [str(ASSAY), "run", str(file), "--data-dir", str(data)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=clean_environment(tmp_path, **fake_vendor(endpoint.url)),
            # Whoever runs the tests in the background has a process that ignores SIGINT, and so would its children.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509 - no thread here
        )
        _until((data / "server.json").exists)
        time.sleep(1)
        run.send_signal(how)
        _, err = run.communicate(timeout=30)
        _until(lambda: _processes_of(data) == [])
    if how is signal.SIGINT:
        assert run.returncode == 130
        assert "is not finished" in err


def test_keys_are_made_listed_and_revoked_beside_a_running_server(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        at = ("--data-dir", server.data_dir)
        made = _assay(tmp_path, "keys", "create", "ci", *at)
        secret = made.stdout.strip()
        assert secret.startswith("assay_")
        use = ("evaluations", "list", "--base-url", server.base_url, "--api-key", secret)
        assert _assay(tmp_path, *use).returncode == 0
        listed = _assay(tmp_path, "keys", "list", *at).stdout
        (line,) = [line for line in listed.splitlines() if " ci " in line]
        assert secret not in listed
        assert _assay(tmp_path, "keys", "revoke", line.split()[0], *at).returncode == 0
        _until(lambda: _assay(tmp_path, *use).returncode == 3, 15)
        assert _assay(tmp_path, "keys", "revoke", "nothing", *at).returncode == 2


def test_a_running_evaluation_is_shown_and_cancelled(tmp_path: Path) -> None:
    with (
        EndpointProcess(latency=30.0) as endpoint,
        running_server(tmp_path / "data", **fake_vendor(endpoint.url)) as server,
    ):
        at = ("--base-url", server.base_url, "--api-key", server.api_key)
        file = _write(tmp_path, model="fake/x")
        run = subprocess.Popen(
            [str(ASSAY), "run", str(file), *at],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=clean_environment(tmp_path),
        )
        listed = ""
        while "running" not in listed:
            listed = _assay(tmp_path, "evaluations", "list", *at).stdout
        (line,) = [line for line in listed.splitlines() if "running" in line]
        shown = _assay(tmp_path, "evaluations", "show", line.split()[0], *at)
        assert "sixty rows is running" in shown.stdout
        assert "60" in next(line for line in shown.stdout.splitlines() if line.startswith(" reply"))
        cancelled = _assay(tmp_path, "evaluations", "cancel", line.split()[0], *at)
        assert "failed: Cancelled" in cancelled.stdout
        _, err = run.communicate(timeout=30)
    assert run.returncode == 3
    assert "the evaluation failed: Cancelled" in err


@pytest.mark.slow
def test_the_demo_compares_two_evaluations_and_works_a_second_time(tmp_path: Path) -> None:
    for _ in range(2):
        ended = _assay(tmp_path, "demo")
        assert ended.returncode == 0, ended.stderr
        assert "variant B: 244 of 244 items" in ended.stdout
        (row,) = [line.split() for line in ended.stdout.splitlines() if line.startswith(" has_capital")]
        assert row[1:8] == ["0.381", "0.168", "-0.213", "<0.001", "244", "0", "0"]
        assert "NOT a model" in ended.stdout
        assert "has_capital is lower with B by 0.213" in ended.stdout.replace("\n", "")
        assert max(map(len, ended.stdout.split("Where next")[0].splitlines())) <= 100
    assert _processes_of(tmp_path / ".demo") == []


@pytest.mark.slow
def test_with_a_key_the_demos_model_task_goes_to_the_real_endpoint(tmp_path: Path) -> None:
    with EndpointProcess(latency=0.005) as endpoint:
        ended = _assay(
            tmp_path, "demo", OPENAI_API_KEY="k", OPENAI_BASE_URL=endpoint.url, ASSAY_DEMO_MODEL="some-model"
        )
        assert ended.returncode == 0, ended.stderr
        assert "answered by openai/some-model" in ended.stdout
        assert "NOT a model" not in ended.stdout
        items = _assay(tmp_path, "evaluations", "list", "--data-dir", ".demo").stdout
    assert items.count("completed") == 2
