"""A real `assay serve` process on a free port and a temporary data directory: started, killed, started again."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ASSAY = Path(sys.executable).with_name("assay")
_INHERITED = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT", "XDG_RUNTIME_DIR")


def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def clean_environment(home: Path, **variables: str) -> dict[str, str]:
    """The least environment that a process needs: no keys, no settings, a home of its own."""
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {**kept, "HOME": str(home), "PYTHONUNBUFFERED": "1", **variables}


LIFE = "LIFE_OF_THE_SERVER"
"""The variable that numbers the lives of a server that is started again and again."""


def fake_vendor(base_url: str, name: str = "FAKE") -> dict[str, str]:
    """The environment that gives a server a vendor at `base_url`. The key that it shows there is the number of its
    life, so that the endpoint's record tells which life made a call, however late it came."""
    return {
        f"ASSAY_VENDORS__{name}__BASE_URL": base_url,
        f"ASSAY_VENDORS__{name}__API_KEY_REQUIRED": "false",
        f"ASSAY_VENDORS__{name}__API_KEY_ENV": LIFE,
    }


@dataclass
class Weight:
    """What a server's processes weigh together: resident bytes, CPU seconds, and how many they are."""

    resident: int
    cpu: float
    processes: int


@dataclass
class ServerProcess:
    """A server under test. `kill` is `kill -9` of the server itself; what it started must go by itself."""

    data_dir: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    lives: int = 0
    started_at: float = 0.0
    killed_at: float = 0.0
    family: dict[tuple[int, float], psutil.Process] = field(default_factory=dict)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log_path(self) -> Path:
        return self.data_dir.with_name(self.data_dir.name + ".log")

    @property
    def log(self) -> str:
        """Everything that the server has written to its terminal so far."""
        return self.log_path.read_text("utf-8", "replace") if self.log_path.exists() else ""

    @property
    def api_key(self) -> str:
        return (self.data_dir / "api-key").read_text("utf-8").strip()

    def start(self, timeout: float = 30.0) -> float:
        """Start it and wait until it can serve; returns the seconds that took."""
        home = self.data_dir.with_name(self.data_dir.name + ".home")
        home.mkdir(parents=True, exist_ok=True)
        command = [str(ASSAY), "serve", "--port", str(self.port), "--data-dir", str(self.data_dir)]
        self.lives += 1
        self.started_at = time.time()
        begun = time.monotonic()
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=clean_environment(home, **{LIFE: str(self.lives), **self.environment}),
                cwd=home,
                start_new_session=True,
            )
        while not self.healthy():
            if self.process.poll() is not None:
                raise RuntimeError(f"assay serve ended with {self.process.returncode}:\n{self.log[-4000:]}")
            if time.monotonic() - begun > timeout:
                self.stop()
                raise RuntimeError(f"assay serve was not ready in {timeout} s:\n{self.log[-4000:]}")
            time.sleep(0.01)
        return time.monotonic() - begun

    def healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.base_url}/healthz", timeout=2) as reply:
                return bool(reply.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def members(self) -> list[psutil.Process]:
        """The server and everything that it started and that is alive."""
        if self.process is None or self.process.poll() is not None:
            return []
        try:
            head = psutil.Process(self.process.pid)
            found = [head, *head.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []
        for member in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                self.family[member.pid, member.create_time()] = member
        return found

    def weigh(self) -> Weight:
        """Memory and CPU of the server and its children. Children that have ended count through their parent."""
        resident = count = 0
        cpu = 0.0
        for member in self.members():
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                with member.oneshot():
                    memory = member.memory_info().rss
                    times = member.cpu_times()
                resident += memory
                cpu += times.user + times.system + times.children_user + times.children_system
                count += 1
        return Weight(resident, cpu, count)

    def kill(self) -> None:
        """`kill -9` of the server process alone."""
        if self.process is None:
            return
        self.members()
        self.killed_at = time.time()
        self.process.kill()
        self.process.wait()

    def survivors(self) -> list[psutil.Process]:
        """Processes of earlier lives of this server that still run; the present life's are not among them."""
        present = {(member.pid, member.create_time()) for member in self.members()}
        return [
            member
            for key, member in self.family.items()
            if key not in present and member.is_running() and member.status() != psutil.STATUS_ZOMBIE
        ]

    def terminate(self, timeout: float = 15.0) -> int:
        """Ask it to end, as Ctrl-C or a service manager does; returns its exit code."""
        assert self.process is not None
        self.members()
        self.process.terminate()
        return self.process.wait(timeout)

    def stop(self) -> None:
        """End it by whatever it takes, and everything that it started."""
        if self.process is not None and self.process.poll() is None:
            self.members()
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for member in self.survivors():
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()


@contextlib.contextmanager
def running_server(data_dir: Path, port: int | None = None, **environment: str) -> Iterator[ServerProcess]:
    """A started server that is gone when the block ends."""
    server = ServerProcess(data_dir, environment, port=port or free_port())
    try:
        server.start()
        yield server
    finally:
        server.stop()
