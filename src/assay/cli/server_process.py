"""A server of the command's own: `assay serve` as a child process on a data directory, stopped with the command."""

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from assay.cli.configuration import load_settings

START_SECONDS = 60.0
STOP_SECONDS = 15.0
LOG_NAME = "embedded-server.log"


class ServerDidNotStart(Exception):
    """The child process ended, or did not answer in time; the message ends with what it last said."""


def running_server(data_dir: Path) -> str | None:
    """The address of a server that holds the data directory and answers, or None."""
    from assay import bootstrap

    noted = bootstrap.running_server(bootstrap.place_of(load_settings(data_dir=data_dir)))
    return noted["url"] if noted is not None and is_ready(noted["url"]) else None


def is_ready(url: str, timeout: float = 2.0) -> bool:
    """Whether a server answers at the address that it can serve."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    try:
        connection.request("GET", f"{parts.path.rstrip('/')}/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def stored_key(data_dir: Path) -> str:
    """The key that the server keeps in its data directory; ASSAY_API_KEY when it was set instead."""
    named = os.environ.get("ASSAY_API_KEY")
    if named:
        return named
    return (data_dir / "api-key").read_text("utf-8").strip()


class ServerProcess:
    """A child process that serves a data directory. It ends when this process does, however that ends.

    The child reads its standard input, which nobody writes to, and stops when that closes.
    """

    def __init__(self, data_dir: Path, environment: Mapping[str, str], *, own_settings: bool = False) -> None:
        """`environment` is laid over this process's. With `own_settings` the child sees neither an `assay.toml`
        nor the database that the user's environment names: it keeps to its data directory."""
        self._data_dir = data_dir
        self._working_dir = data_dir if own_settings else None
        self._environment = {**os.environ, **environment}
        if own_settings:
            for name in ("ASSAY_CONFIG", "ASSAY_DATABASE_URL"):
                self._environment.pop(name, None)
        self._port = 0
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it and wait until it can serve. Raises ServerDidNotStart."""
        self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._port = self._port or _free_port()
        self._launch()
        give_up = time.monotonic() + START_SECONDS
        while not is_ready(self.url):
            if self._child is None or self._child.poll() is not None:
                raise ServerDidNotStart(f"the server did not start:\n{self._last_words()}")
            if time.monotonic() > give_up:
                self.stop()
                raise ServerDidNotStart(f"the server did not answer in {START_SECONDS:g} s:\n{self._last_words()}")
            time.sleep(0.05)

    def revive(self) -> None:
        """Start it again if it has died."""
        if self._child is not None and self._child.poll() is not None:
            self._launch()

    def stop(self) -> None:
        """Ask it to stop, and kill it if it does not. Idempotent."""
        child, self._child = self._child, None
        if child is None:
            return
        if child.stdin is not None:
            with contextlib.suppress(OSError):
                child.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            child.terminate()
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def _launch(self) -> None:
        previous = self._child
        if previous is not None and previous.stdin is not None:
            previous.stdin.close()
        command = [
            *(sys.executable, "-m", "assay.cli.main", "serve", "--until-stdin-closes"),
            *("--host", "127.0.0.1", "--port", str(self._port), "--data-dir", str(self._data_dir)),
        ]
        mode = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if previous is None else os.O_APPEND)
        log = os.open(self._data_dir / LOG_NAME, mode, 0o600)
        try:
            self._child = subprocess.Popen(  # noqa: S603 - this interpreter and options of our own
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,  # where a first start shows its new key
                stderr=log,
                env=self._environment,
                cwd=self._working_dir,
                start_new_session=True,  # Ctrl-C reaches this process alone, which then stops the child in order
            )
        finally:
            os.close(log)

    def _last_words(self) -> str:
        text = (self._data_dir / LOG_NAME).read_text("utf-8", "replace")
        return "\n".join(text.splitlines()[-15:])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
