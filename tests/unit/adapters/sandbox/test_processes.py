"""The lives of the sandbox's processes: shared, kept, given up, and never left behind."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import psutil
import pytest

from assay.adapters.sandbox import bubblewrap, worker
from assay.adapters.sandbox.bubblewrap import BubblewrapSandbox
from assay.adapters.sandbox.layout import find_bwrap, find_layout
from assay.adapters.sandbox.seccomp import filters
from assay.adapters.sandbox.worker import Launch
from assay.core.results import ErrorType

SERVER = """
import asyncio, os, sys, threading
from assay.adapters.sandbox import open_sandbox
from assay.settings import Settings

async def serve():
    sandbox = await open_sandbox(Settings(sandbox=sys.argv[1]))
    endless = "def f():\\n    while True:\\n        pass\\n"
    waiting = asyncio.ensure_future(sandbox.call(endless, {}, timeout=float(sys.argv[2])))
    await sandbox.call("def f():\\n    return 1\\n", {})
    await asyncio.sleep(0.3)
    print("ready", flush=True)
    await waiting

thread = threading.Thread(target=asyncio.run, args=(serve(),))
thread.start()
thread.join()
"""


@pytest.fixture
async def sandbox() -> AsyncIterator[BubblewrapSandbox]:
    made = BubblewrapSandbox(Launch(find_layout(find_bwrap()), filters()))
    yield made
    await made.close()


def own_bwraps() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if child.name() == "bwrap"]


async def until(condition, seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


@pytest.mark.parametrize(("kind", "timeout"), [("bubblewrap", "60"), ("monty", "3")])
def test_nothing_outlives_a_server_that_is_killed(kind, timeout):
    """Monty's processes see their server's end only between calls, so they last at most a call's time."""
    with subprocess.Popen([sys.executable, "-c", SERVER, kind, timeout], stdout=subprocess.PIPE, text=True) as server:
        assert any("ready" in line for line in server.stdout)
        family = psutil.Process(server.pid).children(recursive=True)
        assert family
        os.kill(server.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(family, timeout=2 if kind == "bubblewrap" else 6)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []


async def test_calls_of_one_function_share_a_process(sandbox):
    source = "def f(a):\n    return a\n"
    await asyncio.gather(*(sandbox.call(source, {"a": a}) for a in range(50)))
    await sandbox.call(source, {"a": 1})
    assert len(own_bwraps()) == 1


async def test_a_slow_function_gets_as_many_processes_as_it_may_have():
    sandbox = BubblewrapSandbox(Launch(find_layout(find_bwrap()), filters()), workers=2)
    source = "def f(a):\n    for _ in range(3_000_000):\n        pass\n    return a\n"
    answers = await asyncio.gather(*(sandbox.call(source, {"a": a}) for a in range(40)))
    processes = len(own_bwraps())
    await sandbox.close()
    assert [answer.value for answer in answers] == list(range(40))
    assert processes == 2


async def test_a_killed_process_is_reaped(sandbox):
    endless = "def f():\n    while True:\n        pass\n"
    assert (await sandbox.call(endless, {}, timeout=0.2)).error.type is ErrorType.TIMEOUT
    await until(lambda: not own_bwraps())


async def test_a_process_that_is_killed_from_outside_costs_only_the_row_that_ran(sandbox):
    source = "def f(a):\n    for _ in range(3_000_000):\n        pass\n    return a\n"
    waiting = asyncio.gather(*(sandbox.call(source, {"a": a}) for a in range(10)))
    await asyncio.sleep(0.3)
    for process in own_bwraps():
        process.kill()
    answers = await waiting
    failed = [answer for answer in answers if answer.error is not None]
    assert len(failed) <= 1
    assert all(answer.value == a for a, answer in enumerate(answers) if answer.error is None)


async def test_only_a_few_idle_processes_are_kept(sandbox, monkeypatch):
    monkeypatch.setattr(bubblewrap, "MAX_IDLE", 2)
    for number in range(5):
        await sandbox.call(f"def f():\n    return {number}\n", {})
    await until(lambda: len(own_bwraps()) <= 2)


async def test_idle_processes_end_after_a_while(sandbox, monkeypatch):
    monkeypatch.setattr(bubblewrap, "IDLE_SECONDS", 0.2)
    await sandbox.call("def f():\n    return 1\n", {})
    assert own_bwraps()
    await until(lambda: not own_bwraps())
    assert (await sandbox.call("def f():\n    return 1\n", {})).value == 1


async def test_there_are_never_more_processes_than_the_limit(sandbox, monkeypatch):
    monkeypatch.setattr(bubblewrap, "MAX_WORKERS", 2)
    most = 0
    waiting = asyncio.gather(*(sandbox.call(f"def f():\n    return {number}\n", {}) for number in range(12)))
    while not waiting.done():
        most = max(most, len([process for process in own_bwraps() if process.status() != psutil.STATUS_ZOMBIE]))
        await asyncio.sleep(0.005)
    assert [answer.value for answer in await waiting] == list(range(12))
    assert most <= 4  # two, and those that are just ending


async def test_a_busy_function_makes_room_for_a_waiting_one(sandbox, monkeypatch):
    monkeypatch.setattr(bubblewrap, "MAX_WORKERS", 1)
    monkeypatch.setattr(bubblewrap, "TURN_SECONDS", 0.2)
    slow = "def f(a):\n    for _ in range(2_000_000):\n        pass\n    return a\n"
    busy = asyncio.gather(*(sandbox.call(slow, {"a": a}) for a in range(100)))
    await asyncio.sleep(0.1)
    assert (await sandbox.call("def g():\n    return 1\n", {})).value == 1
    assert not busy.done()
    assert [answer.value for answer in await busy] == list(range(100))


async def test_a_process_that_cannot_start_is_an_error_of_ours(sandbox, monkeypatch):
    def refuse(*_args, **_options):
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(worker.subprocess, "Popen", refuse)
    answer = await sandbox.call("def f():\n    return 1\n", {})
    assert answer.error.type is ErrorType.INTERNAL_ERROR
    assert "could not be started" in answer.error.message


async def test_large_arguments_and_values_pass(sandbox):
    text = "é" * 400_000
    answers = await asyncio.gather(*(sandbox.call("def f(a):\n    return a\n", {"a": text}) for _ in range(20)))
    assert all(answer.value == text for answer in answers)


async def test_arguments_over_the_limit_are_an_error(sandbox):
    answer = await sandbox.call("def f(a):\n    return len(a)\n", {"a": "x" * (17 * 1024 * 1024)})
    assert answer.error.type is ErrorType.INVALID_INPUT
