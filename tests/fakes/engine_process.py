"""The real engine in a process of its own, with a job that writes down what it is called for: started, told what to
do line by line, asked to close, or killed.

The process is `python -m tests.fakes.engine_process FOLDER TEND_SECONDS KEEP_SECONDS`. A file `ID.json` in the
folder is an evaluation: how many chunks it has, how long one takes and what goes wrong.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog

from assay.adapters.engine.dbos_engine import DbosEngine, EngineSettings
from assay.ports.engine import Chunk, Job

IN_FLIGHT = 2
TEXT = "a user's secret words"


class JournalJob:
    """A job whose chunks sleep. The journal has a line for each thing that happened; an evaluation is settled when
    every chunk has ended or when a failure was told."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._journal = (folder / "journal").open("a", buffering=1)
        self._closed = False

    def _write(self, *words: object) -> None:
        self._journal.write(json.dumps([time.time(), *words]) + "\n")

    def _evaluation(self, evaluation_id: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self._folder / f"{evaluation_id}.json").read_text())
        return found

    async def plan(self, evaluation_id: str) -> list[Chunk]:
        """As many chunks as the evaluation's file says."""
        self._check_open()
        if "plan_fails" in self._evaluation(evaluation_id):
            raise RuntimeError(TEXT)
        return [Chunk(evaluation_id, n, n * 10, n * 10 + 9) for n in range(self._evaluation(evaluation_id)["chunks"])]

    async def run_chunk(self, chunk: Chunk) -> None:
        """Sleep, unless it ended before."""
        self._check_open()
        evaluation = self._evaluation(chunk.evaluation_id)
        if chunk.number in self._ended(chunk.evaluation_id):
            return
        self._write("begin", chunk.evaluation_id, chunk.number)
        await asyncio.sleep(evaluation.get("seconds", 0.05))
        if evaluation.get("fails") == chunk.number:
            raise RuntimeError(TEXT)
        self._write("end", chunk.evaluation_id, chunk.number)

    async def finish(self, evaluation_id: str, failure: str | None) -> None:
        """Settle it if it is time."""
        self._check_open()
        evaluation = self._evaluation(evaluation_id)
        marker = self._folder / f"{evaluation_id}.finish_fails"
        if marker.exists():
            marker.unlink()
            raise RuntimeError(TEXT)
        all_ended = len(self._ended(evaluation_id)) == evaluation["chunks"]
        if not self._is_settled(evaluation_id) and (failure is not None or all_ended):
            self._write("settled", evaluation_id, failure)

    async def unfinished(self) -> Sequence[str]:
        """Every evaluation that is not settled."""
        known = [path.stem for path in sorted(self._folder.glob("*.json"))]
        return [evaluation_id for evaluation_id in known if not self._is_settled(evaluation_id)]

    def _is_settled(self, evaluation_id: str) -> bool:
        """Whether it was settled as often as its file says: once, unless it got more to do since."""
        settled = [line for line in read_journal(self._folder) if line[1:3] == ["settled", evaluation_id]]
        return len(settled) >= self._evaluation(evaluation_id).get("settles", 1)

    def close(self) -> None:
        """Like a storage that is closed: whoever comes later fails."""
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("the job is closed")

    def _ended(self, evaluation_id: str) -> set[int]:
        return {line[3] for line in read_journal(self._folder) if line[1:3] == ["end", evaluation_id]}


def read_journal(folder: Path) -> list[list[Any]]:
    """The journal's lines: [time, word, evaluation, more...]."""
    path = folder / "journal"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


class EngineProcess:
    """An engine under test, and the folder that outlives it."""

    def __init__(self, folder: Path, *, tend_seconds: float = 60, keep_seconds: float = 3600) -> None:
        self.folder = folder
        self._times = (str(tend_seconds), str(keep_seconds))
        self._process: subprocess.Popen[str] | None = None

    def add(self, evaluation_id: str, chunks: int, **more: Any) -> str:
        """An evaluation that can be started."""
        (self.folder / f"{evaluation_id}.json").write_text(json.dumps({"chunks": chunks, **more}))
        return evaluation_id

    def launch(self) -> None:
        """Start the process; returns when the engine works."""
        with (self.folder / "log").open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.fakes.engine_process", str(self.folder), *self._times],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._answer() == "ready", self.log

    def tell(self, *words: str) -> str:
        """Give an order (start ID, resume ID, cancel ID, close) and wait for its answer."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(words) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def kill(self) -> None:
        """`kill -9`; nothing when it is not running."""
        if self._process is not None:
            self._process.kill()
            self._gone()

    def close(self) -> None:
        """Close the engine and wait for the process to end."""
        assert self.tell("close") == "ok", self.log
        self._gone()

    def _gone(self) -> None:
        assert self._process is not None
        self._process.wait(20)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self._process = None

    @property
    def log(self) -> str:
        """What the engine logged."""
        return (self.folder / "log").read_text()

    def journal(self, *words: Any) -> list[list[Any]]:
        """The journal's lines that begin with these words, their times first."""
        return [line for line in read_journal(self.folder) if line[1 : 1 + len(words)] == list(words)]


def main(folder: Path, tend_seconds: float, keep_seconds: float) -> None:
    """Serve orders until the input ends."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    jobs: list[JournalJob] = []

    async def open_job() -> Job:
        job = JournalJob(folder)
        jobs.append(job)
        return Job(job.plan, job.run_chunk, job.finish, job.unfinished)

    async def close_job() -> None:
        jobs[0].close()
        await asyncio.sleep(0.5)

    url = f"sqlite:///{folder}/engine.db"
    settings = EngineSettings(url, "embedded", IN_FLIGHT, tend_seconds=tend_seconds, keep_seconds=keep_seconds)
    engine = DbosEngine(settings, open_job, close_job)
    engine.launch()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        word, *arguments = line.split()
        if word == "start":
            asyncio.run(engine.start(*arguments))
        elif word == "resume":
            asyncio.run(engine.resume(*arguments))
        elif word == "cancel":
            asyncio.run(engine.cancel(*arguments))
        elif word == "close":
            engine.close()
        sys.stdout.write("ok\n")
        sys.stdout.flush()
        if word == "close":
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))
