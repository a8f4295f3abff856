"""`assay evaluations`: look at evaluations on a server, cancel one, let one go on."""

from typing import Annotated

import typer

from assay.cli.connection import Target, connect
from assay.cli.options import AccountId, ApiKey, BaseUrl, DataDir

evaluations = typer.Typer(help="Show, list, cancel and resume evaluations.", no_args_is_help=True)

EvaluationId = Annotated[str, typer.Argument(metavar="ID", help="The evaluation's id.")]


@evaluations.command()
def show(
    evaluation_id: EvaluationId,
    base_url: BaseUrl = None,
    api_key: ApiKey = None,
    account: AccountId = None,
    data_dir: DataDir = None,
) -> None:
    """Show an evaluation: its state, its numbers by task, and how far people agree where they are asked."""
    from assay.cli.report import print_evaluation

    with connect(Target(base_url, api_key, account, data_dir)) as client:
        evaluation = client.get(f"/v5/evaluations/{evaluation_id}")
        aggregates = client.get(f"/v5/evaluations/{evaluation_id}/aggregates")
        asks_people = (evaluation.get("progress") or {}).get("annotation") is not None
        agreement = client.get(f"/v5/evaluations/{evaluation_id}/agreement") if asks_people else None
    print_evaluation(evaluation, aggregates, agreement)


@evaluations.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 20,
    base_url: BaseUrl = None,
    api_key: ApiKey = None,
    account: AccountId = None,
    data_dir: DataDir = None,
) -> None:
    """List evaluations, newest first."""
    from assay.cli.report import print_evaluations

    with connect(Target(base_url, api_key, account, data_dir)) as client:
        page = client.get("/v5/evaluations", {"limit": limit, "sort_order": "desc"})
    print_evaluations(page["items"], page["total"])


@evaluations.command()
def cancel(
    evaluation_id: EvaluationId,
    base_url: BaseUrl = None,
    api_key: ApiKey = None,
    account: AccountId = None,
    data_dir: DataDir = None,
) -> None:
    """Cancel a running evaluation. Results that are there stay."""
    with connect(Target(base_url, api_key, account, data_dir)) as client:
        evaluation = client.post(f"/v5/evaluations/{evaluation_id}/cancel")
    typer.echo(f"{evaluation['id']} is {evaluation['status']}: {evaluation.get('status_reason') or 'finished before'}")


@evaluations.command()
def resume(
    evaluation_id: EvaluationId,
    max_cost: Annotated[float | None, typer.Option(min=0, help="US dollars that its calls may cost in all.")] = None,
    base_url: BaseUrl = None,
    api_key: ApiKey = None,
    account: AccountId = None,
    data_dir: DataDir = None,
) -> None:
    """Let a stopped evaluation go on with what has no result yet, and show its numbers. Ends with 3 if it fails."""
    from assay.cli.exits import COULD_NOT_RUN, fail
    from assay.cli.progress import watch
    from assay.cli.report import make_console, print_evaluation

    with connect(Target(base_url, api_key, account, data_dir)) as client:
        body = {} if max_cost is None else {"max_cost": max_cost}
        name = client.post(f"/v5/evaluations/{evaluation_id}/resume", body)["name"]
        evaluation = watch(client, evaluation_id, make_console(stderr=True), name)
        aggregates = client.get(f"/v5/evaluations/{evaluation_id}/aggregates")
    print_evaluation(evaluation, aggregates)
    if evaluation["status"] != "completed":
        fail(COULD_NOT_RUN, f"the evaluation failed: {evaluation.get('status_reason') or 'no reason given'}")
