"""Starting: places, the lock, the first key, who is running, and the reasons not to start."""

import json
import os
import socket
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from assay.adapters.storage import schema_state, upgrade
from assay.bootstrap import Place, Ready, _when_started, first_key, hold, place_of, prepare_database, running_server
from assay.core.errors import InvalidInput, NotConfigured, Unavailable
from assay.services.access import Access
from assay.settings import Settings
from tests.builders.stored import MovableClock, sqlite_storage


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in [name for name in os.environ if name.startswith("ASSAY_")]:
        monkeypatch.delenv(name)
    return Settings(data_dir=tmp_path / "data")


@pytest.fixture
def place(settings: Settings) -> Place:
    return place_of(settings)


@pytest.fixture
async def access(tmp_path: Path) -> AsyncIterator[Access]:
    async with sqlite_storage(tmp_path) as storage:
        yield Access(storage, MovableClock())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def a_pid_that_ended() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


class TestPlaces:
    def test_the_embedded_server_keeps_everything_in_a_folder_that_only_its_owner_reads(self, place: Place) -> None:
        assert mode(place.data_dir) == 0o700
        assert place.embedded
        assert place.database_url == f"sqlite:///{place.data_dir}/assay.db"
        assert place.engine_url == f"sqlite:///{place.data_dir}/engine.db"

    def test_a_database_elsewhere_has_its_engine_and_its_lock_beside_it(self, tmp_path: Path) -> None:
        place = place_of(Settings(data_dir=tmp_path, database_url=f"sqlite:///{tmp_path}/here/a.db"))

        assert place.engine_url == f"sqlite:///{tmp_path}/here/a.db.engine"
        assert place.lock_file == tmp_path / "here" / "a.db.lock"

    def test_both_spellings_of_postgresql_are_known_and_others_refused_without_their_password(
        self, tmp_path: Path
    ) -> None:
        place = place_of(Settings(data_dir=tmp_path, database_url="postgres://u:p@h/d"))
        assert (place.engine_url, place.embedded) == ("postgresql://u:p@h/d", False)

        with pytest.raises(NotConfigured, match="mysql") as refused:
            place_of(Settings(data_dir=tmp_path, database_url="mysql://u:hidden@h/d"))
        assert "hidden" not in str(refused.value)

    def test_a_folder_that_cannot_be_made_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()

        with pytest.raises(NotConfigured, match=r"data_dir: cannot make .*file/data"):
            place_of(Settings(data_dir=tmp_path / "file" / "data"))


class TestTheLock:
    def test_a_second_server_is_refused_and_told_where_the_first_is(self, place: Place) -> None:
        with hold(place):
            place.server_file.write_text(json.dumps({"url": "http://127.0.0.1:5003", "pid": os.getpid()}))

            with (
                pytest.raises(Unavailable, match=r"another server already uses .* at http://127.0.0.1:5003"),
                hold(place),
            ):
                pass

        with hold(place):
            pass

    def test_a_database_in_a_folder_that_is_not_there_is_said_so(self, tmp_path: Path) -> None:
        place = place_of(Settings(data_dir=tmp_path, database_url=f"sqlite:///{tmp_path}/nowhere/a.db"))

        with pytest.raises(NotConfigured, match=r"database_url: cannot write .*nowhere"), hold(place):
            pass


class TestWhoIsRunning:
    def test_a_server_that_holds_the_lock_is_found(self, place: Place) -> None:
        told = {"url": "http://127.0.0.1:5003", "pid": os.getpid()}
        place.server_file.write_text(json.dumps(told))

        with hold(place):
            assert running_server(place) == told

    @pytest.mark.parametrize(
        "left", ["", "{", "[]", "{}", '{"pid": "x"}', '{"pid": 1e400}', f'{{"pid": {10**30}}}', '{"pid": null}']
    )
    def test_a_file_that_makes_no_sense_is_nobody(self, place: Place, left: str) -> None:
        place.server_file.write_text(left)

        with hold(place):
            assert running_server(place) is None

    def test_a_server_that_died_is_not_running(self, place: Place) -> None:
        place.server_file.write_text(json.dumps({"url": "http://127.0.0.1:1", "pid": a_pid_that_ended()}))

        with hold(place):
            assert running_server(place) is None

    def test_a_pid_that_is_another_programs_by_now_is_not_a_server(self, place: Place) -> None:
        place.server_file.write_text(json.dumps({"url": "http://127.0.0.1:1", "pid": os.getpid()}))
        assert running_server(place) is None

        place.lock_file.touch()
        assert running_server(place) is None


class TestTheFirstKey:
    async def test_it_is_made_once_and_only_its_owner_reads_it(
        self, settings: Settings, place: Place, access: Access, capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = os.umask(0)
        try:
            assert await first_key(settings, place, access) == place.key_file
        finally:
            os.umask(before)

        secret = place.key_file.read_text().strip()
        assert mode(place.key_file) == 0o600
        assert (await access.authenticate(secret)).account_id == "default"
        assert secret in capsys.readouterr().out
        assert await first_key(settings, place, access) == place.key_file
        assert place.key_file.read_text().strip() == secret
        assert secret not in capsys.readouterr().out
        assert len(await access.list_keys()) == 1
        assert [path.name for path in place.data_dir.iterdir()] == ["api-key"]

    async def test_the_files_key_opens_a_database_that_was_made_anew(
        self, settings: Settings, place: Place, access: Access
    ) -> None:
        place.key_file.write_text("a-key-of-an-earlier-database\n")

        await first_key(settings, place, access)

        assert await access.authenticate("a-key-of-an-earlier-database")

    async def test_a_file_that_a_crash_left_empty_is_made_again(
        self, settings: Settings, place: Place, access: Access
    ) -> None:
        place.key_file.touch()

        await first_key(settings, place, access)

        assert await access.authenticate(place.key_file.read_text().strip())
        assert mode(place.key_file) == 0o600

    async def test_a_revoked_key_does_not_come_back_and_the_server_starts(
        self, settings: Settings, place: Place, access: Access
    ) -> None:
        await first_key(settings, place, access)
        (key,) = await access.list_keys()
        await access.revoke_key(key.id)

        assert await first_key(settings, place, access) == place.key_file

        (key,) = await access.list_keys()
        assert key.revoked_at is not None

    async def test_a_key_that_is_set_is_used_and_written_nowhere(
        self, settings: Settings, place: Place, access: Access
    ) -> None:
        chosen = settings.model_copy(update={"api_key": "a-key-of-my-own-choice"})

        assert await first_key(chosen, place, access) is None

        assert await access.authenticate("a-key-of-my-own-choice")
        assert not place.key_file.exists()

    async def test_a_key_that_is_set_and_too_short_is_refused(
        self, settings: Settings, place: Place, access: Access
    ) -> None:
        with pytest.raises(InvalidInput, match="at least 16"):
            await first_key(settings.model_copy(update={"api_key": "short"}), place, access)


class TestTheSchema:
    async def test_a_new_database_is_made_and_a_current_one_is_left_alone(self, place: Place) -> None:
        await prepare_database(place)
        await prepare_database(place)

        assert await schema_state(place.database_url) == "current"

    async def test_a_database_of_a_newer_program_is_refused(self, place: Place) -> None:
        await upgrade(place.database_url)
        with closing(sqlite3.connect(place.data_dir / "assay.db")) as database:
            database.execute("UPDATE assay_schema SET version_num = '9999'")
            database.commit()

        with pytest.raises(NotConfigured, match="newer Assay"):
            await prepare_database(place)


class TestServe:
    def test_a_port_that_is_taken_is_said_so_before_anything_is_made(self, settings: Settings, place: Place) -> None:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            code = (
                "from assay import bootstrap; from assay.settings import Settings; from pathlib import Path\n"
                f"bootstrap.serve(Settings(data_dir=Path({str(settings.data_dir)!r}), port={port}))"
            )
            ended = subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
            )

        assert f"Unavailable: cannot listen on 127.0.0.1:{port}" in ended.stderr
        assert "--port" in ended.stderr
        assert not (place.data_dir / "assay.db").exists()


class _Warming:
    """A storage that notes what it is asked to make ready."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked: list[int] = []
        self.error = error

    async def warm(self, evaluations: int) -> int:
        self.asked.append(evaluations)
        if self.error is not None:
            raise self.error
        return evaluations


@pytest.mark.parametrize(
    ("setting", "error", "asked"),
    [(1_000_000, None, [1_000_000]), (0, None, []), (10, Unavailable("the database is away"), [10])],
)
async def test_a_server_that_serves_makes_its_filters_ready_and_outlives_a_failure(
    place: Place, setting: int, error: Exception | None, asked: list[int]
) -> None:
    storage, told = _Warming(error), []
    ready = Ready("http://127.0.0.1:1", place, None, "monty")

    def tell(each: Ready) -> None:
        assert not storage.asked, "the server says that it serves before it loads anything"
        told.append(each)

    server: Any = SimpleNamespace(started=True)
    loading: Any = storage
    await _when_started(server, ready, tell, loading, setting)
    assert (told, storage.asked) == ([ready], asked)
