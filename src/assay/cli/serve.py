"""`assay serve`: the server, until it is told to stop."""

import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assay.cli.configuration import load_settings
from assay.cli.exits import COULD_NOT_RUN, WRONG, fail
from assay.cli.options import DatabaseUrl, DataDir

if TYPE_CHECKING:
    from assay.bootstrap import Ready


def serve(
    host: Annotated[str | None, typer.Option(help="The address to listen on. [default: 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="The port; 0 takes a free one. [default: 5003]")] = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    until_stdin_closes: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Serve the API until Ctrl-C or SIGTERM. What was running when a server stopped goes on by itself."""
    settings = load_settings(host=host, port=port, data_dir=data_dir, database_url=database_url)
    from assay import bootstrap
    from assay.core.errors import AssayError, NotConfigured

    if until_stdin_closes:
        _stop_when_stdin_closes()
    try:
        code = bootstrap.serve(settings, on_ready=_say_nothing if until_stdin_closes else _banner)
    except NotConfigured as error:
        fail(WRONG, str(error))
    except (AssayError, OSError) as error:
        fail(COULD_NOT_RUN, str(error))
    raise typer.Exit(code)


def _banner(ready: "Ready") -> None:
    """Where it serves, where the key is and what is in force. The key itself was shown when it was made."""
    lines = [f"Assay serves at   {ready.url}"]
    if ready.key_file is not None:
        lines.append(f"API key           in {_tilde(ready.key_file)}")
    else:
        lines.append("API key           as set by ASSAY_API_KEY, or made by `assay keys create`")
    lines += [f"Data              {_tilde(ready.place.data_dir)}", f"Functions run in  {ready.sandbox}"]
    lines += ["Stop with Ctrl-C; running evaluations go on at the next start."]
    typer.echo("\n".join(lines))
    sys.stdout.flush()


def _say_nothing(ready: "Ready") -> None:
    pass


def _tilde(path: Path) -> str:
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


def _stop_when_stdin_closes() -> None:
    """Stop with the process that started this one, even when that was killed."""

    def wait() -> None:
        while os.read(0, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="stdin", daemon=True).start()
