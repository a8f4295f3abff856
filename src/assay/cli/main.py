"""The `assay` command: finds the command's file when it is asked for, so that help is instant."""

import sys
import traceback

import typer

from assay.cli.db import db
from assay.cli.demo import demo
from assay.cli.evaluations import evaluations
from assay.cli.exits import COULD_NOT_RUN
from assay.cli.keys import keys
from assay.cli.run import run
from assay.cli.serve import serve
from assay.cli.version import version

app = typer.Typer(
    name="assay",
    help="Evaluate LLM applications: a server that loses nothing, and numbers that say how sure they are.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(serve)
app.command()(run)
app.command()(demo)
app.add_typer(evaluations, name="evaluations")
app.add_typer(keys, name="keys")
app.add_typer(db, name="db")
app.command()(version)


def main() -> None:
    """Run the command line. An error of Assay's own ends with 3, never with 1, which means a missed threshold."""
    try:
        app()
    except Exception:
        traceback.print_exc()
        sys.exit(COULD_NOT_RUN)


if __name__ == "__main__":
    main()
