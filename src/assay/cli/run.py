"""`assay run`: an evaluation as a file, with thresholds that decide the exit code."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assay.cli.connection import Target, connect
from assay.cli.exits import COULD_NOT_RUN, MISSED, WRONG, fail
from assay.cli.options import AccountId, ApiKey, BaseUrl, DataDir

if TYPE_CHECKING:
    from assay.cli.client import Client
    from assay.cli.runfile import RunFile
    from assay.cli.thresholds import Verdict

_THE_FILES_FAULT = frozenset({400, 413, 422})


def run(  # noqa: PLR0913, PLR0917 - each is an option
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A run file: YAML or JSON.")],
    base_url: BaseUrl = None,
    api_key: ApiKey = None,
    account: AccountId = None,
    data_dir: DataDir = None,
    junit: Annotated[Path | None, typer.Option(help="Write the thresholds as JUnit XML here.")] = None,
    output: Annotated[Path | None, typer.Option(help="Write every item with its results here, as JSONL.")] = None,
    max_cost: Annotated[float | None, typer.Option(min=0, help="US dollars that the calls may cost.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would ask and cost; run nothing.")] = False,
) -> None:
    """Run an evaluation from a file, show its numbers and check its thresholds.

    Exits 0, or 1 when a threshold is missed, 2 when the file is wrong, 3 when it could not run.
    """
    from assay.cli.documents import UnreadableFile
    from assay.cli.report import print_estimate
    from assay.cli.runfile import read_run_file

    for target in (junit, output):
        if target is not None and not target.absolute().parent.is_dir():
            fail(WRONG, f"no such directory: {target.parent}")
    try:
        run_file = read_run_file(file)
    except UnreadableFile as error:
        fail(WRONG, str(error))
    run_file = run_file.under(max_cost=max_cost)
    with connect(Target(base_url, api_key, account, data_dir)) as client:
        if dry_run:
            print_estimate(ask(client, run_file, "/v5/evaluations/estimate"), run_file.evaluation.get("max_cost"))
            return
        evaluation, aggregates = _evaluate(client, run_file)
        if output is not None:
            write_items(client, evaluation["id"], output)
    _conclude(run_file, evaluation, aggregates, junit)


def create(client: "Client", run_file: "RunFile") -> dict[str, Any]:
    """Create the evaluation; what the server finds wrong is said with the file's own lines, and ends with 2."""
    return ask(client, run_file, "/v5/evaluations")


def unheeded(sent: Mapping[str, Any], stored: Mapping[str, Any]) -> list[tuple[Sequence[str | int], str]]:
    """Keys of tasks' configurations that the server left out, for it knows no such keys: typing mistakes, mostly."""
    found: list[tuple[Sequence[str | int], str]] = []
    for index, (ours, kept) in enumerate(zip(sent["tasks"], stored.get("tasks") or (), strict=False)):
        if ours["task_type"] == kept["task_type"]:
            message = f"{ours['task_type']} has no such key; it is not heeded"
            left_out = [key for key in ours["configuration"] if key not in kept["configuration"]]
            found.extend((("body", "tasks", index, "configuration", key), message) for key in left_out)
    return found


def ask(client: "Client", run_file: "RunFile", path: str) -> dict[str, Any]:
    """Send the evaluation somewhere; the answer. A refusal ends the program, see `create`."""
    from assay.cli.client import Refused

    try:
        evaluation: dict[str, Any] = client.post(path, run_file.evaluation)
    except Refused as error:
        if error.status not in _THE_FILES_FAULT:
            raise
        fail(WRONG, "\n       ".join(run_file.explain(loc, message) for loc, message in error.problems))
    return evaluation


def write_items(client: "Client", evaluation_id: str, path: Path) -> None:
    """Write the evaluation's items as JSONL; the file appears only when it is whole."""
    unfinished = path.with_name(f"{path.name}.part")
    with unfinished.open("w", encoding="utf-8") as file:
        for item in client.items("/v5/evaluation-items", {"evaluation_id": evaluation_id}):
            file.write(json.dumps(item, ensure_ascii=False) + "\n")
    os.replace(unfinished, path)


def _evaluate(client: "Client", run_file: "RunFile") -> tuple[dict[str, Any], dict[str, Any]]:
    from assay.cli.progress import watch
    from assay.cli.report import make_console

    evaluation = create(client, run_file)
    kept = client.get(f"/v5/evaluations/{evaluation['id']}", {"views": "tasks"})
    for loc, message in unheeded(run_file.evaluation, kept):
        typer.echo(f"assay: {run_file.explain(loc, message)}", err=True)
    console = make_console(stderr=True)
    try:
        evaluation = watch(client, evaluation["id"], console, run_file.name)
    except KeyboardInterrupt:
        typer.echo(
            f"assay: evaluation {evaluation['id']} is not finished; a server on the same data goes on with it,"
            f" and `assay evaluations cancel {evaluation['id']}` ends it",
            err=True,
        )
        raise
    return evaluation, client.get(f"/v5/evaluations/{evaluation['id']}/aggregates")


def _conclude(
    run_file: "RunFile", evaluation: Mapping[str, Any], aggregates: Mapping[str, Any], junit: Path | None
) -> None:
    """Print the table and the verdicts, write the JUnit file, and end with the exit code they deserve."""
    from assay.cli.junit import write_junit
    from assay.cli.report import by_alias, make_console, print_evaluation, print_verdicts, totals
    from assay.cli.thresholds import check

    tasks = by_alias(aggregates)
    verdicts: list[Verdict] = [check(one, tasks, totals(evaluation)) for one in run_file.thresholds]
    print_evaluation(evaluation, aggregates)
    print_verdicts(make_console(), verdicts)
    typer.echo(f"Look again with: assay evaluations show {evaluation['id']}")
    failed = evaluation["status"] != "completed"
    reason = str(evaluation.get("status_reason") or "no reason given") if failed else None
    if junit is not None:
        write_junit(junit, run_file.name, verdicts, tasks, reason)
    if reason is not None:
        fail(COULD_NOT_RUN, f"the evaluation failed: {reason}")
    if not all(verdict.met for verdict in verdicts):
        raise typer.Exit(MISSED)
