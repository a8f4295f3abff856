"""Which server a command talks to: the one it is told of, the one that holds the data directory, or one of its own."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer

from assay.cli.client import Client, Refused, Unreachable
from assay.cli.configuration import load_settings
from assay.cli.exits import COULD_NOT_RUN, WRONG, fail
from assay.cli.server_process import LOG_NAME, ServerDidNotStart, ServerProcess, running_server, stored_key


@dataclass(frozen=True, slots=True)
class Target:
    """What the user said about the server: options of the command, each None where not given."""

    base_url: str | None = None
    api_key: str | None = None
    account: str | None = None
    data_dir: Path | None = None


@contextmanager
def connect(target: Target) -> Iterator[Client]:
    """A client of the server that a command should use; a server of its own stops when the block ends.

    Ends the command with exit code 3 when no server can be reached and inside the block when one refuses.
    """
    try:
        if target.base_url:
            yield from _remote(target)
        else:
            yield from _embedded(target)
    except Unreachable as error:
        fail(COULD_NOT_RUN, str(error))
    except Refused as error:
        fail(COULD_NOT_RUN, f"the server refused: {error}")


def _remote(target: Target) -> Iterator[Client]:
    key = target.api_key or os.environ.get("ASSAY_API_KEY")
    if not key:
        fail(WRONG, "--base-url needs a key too: --api-key, or ASSAY_API_KEY")
    try:
        client = Client(target.base_url or "", key, account=target.account, on_lost=say_lost)
    except ValueError as error:
        fail(WRONG, str(error))
    try:
        yield client
    finally:
        client.close()


def _embedded(target: Target) -> Iterator[Client]:
    data_dir = (target.data_dir or load_settings().data_dir).expanduser().absolute()
    url = running_server(data_dir)
    if url is not None:
        yield from _use(url, data_dir, target)
        return
    with own_server(data_dir, {"ASSAY_API_KEY": target.api_key} if target.api_key else {}) as server:
        yield from _use(server.url, data_dir, target, server)


def say_lost(first: bool) -> None:
    """Tell the user that the server is away and that this waits for it."""
    if first:
        typer.echo("assay: the server does not answer; trying again for a minute ...", err=True)


def reviver(server: ServerProcess) -> Callable[[bool], None]:
    """A client's `on_lost` that starts a server of the command's own again when it has died."""

    def revive(first: bool) -> None:
        say_lost(first)
        server.revive()

    return revive


@contextmanager
def own_server(
    data_dir: Path, environment: Mapping[str, str], *, own_settings: bool = False
) -> Iterator[ServerProcess]:
    """A child server on the data directory for as long as the block lasts."""
    server = ServerProcess(data_dir, environment, own_settings=own_settings)
    try:
        server.start()
        yield server
    except ServerDidNotStart as error:
        fail(COULD_NOT_RUN, str(error))
    except Refused as error:
        if error.status < 500:
            raise
        fail(COULD_NOT_RUN, f"{error} ({data_dir / LOG_NAME})")
    finally:
        server.stop()


def _use(url: str, data_dir: Path, target: Target, server: ServerProcess | None = None) -> Iterator[Client]:
    try:
        key = target.api_key or stored_key(data_dir)
        client = Client(url, key, account=target.account, on_lost=reviver(server) if server else say_lost)
    except OSError:
        fail(COULD_NOT_RUN, f"no key to use the server at {url}: set ASSAY_API_KEY")
    except ValueError as error:
        fail(WRONG, str(error))
    try:
        yield client
    finally:
        client.close()
