"""`assay demo`: two evaluations of the same job over bundled rows, compared in one table. No key, no network."""

import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assay.cli.connection import own_server, reviver
from assay.cli.exits import COULD_NOT_RUN, fail

if TYPE_CHECKING:
    from rich.console import Console

    from assay.cli.client import Client

Evaluated = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Model:
    """What answers the model task, the server's settings for it, and what to say about it."""

    name: str
    environment: Mapping[str, str]
    said: str


def demo(
    data_dir: Annotated[Path, typer.Option(help="Where the demo keeps its data.")] = Path(".demo"),
    svg: Annotated[Path | None, typer.Option(help="Also write what is printed as an SVG picture.")] = None,
) -> None:
    """Run two real evaluations over bundled rows and compare them.

    Needs no key and no network. With OPENAI_API_KEY set, its model task asks the real model that
    ASSAY_DEMO_MODEL names (gpt-4o-mini unless set), at OPENAI_BASE_URL when that is set.
    """
    from assay.cli.client import Refused, Unreachable
    from assay.cli.report import make_console
    from assay.cli.server_process import running_server

    data_dir = data_dir.absolute()
    taken = running_server(data_dir)
    if taken is not None:
        fail(COULD_NOT_RUN, f"a server at {taken} already uses {data_dir}; stop it first, or give another --data-dir")
    console = make_console(record=svg is not None)
    try:
        with _model() as model, _server(data_dir, model) as client:
            _introduce(console, client, model, data_dir)
            _run(console, client, model, data_dir)
    except (Refused, Unreachable) as error:
        fail(COULD_NOT_RUN, str(error))
    if svg is not None:
        svg.write_text(_without_fonts(console.export_svg(title="make demo")), "utf-8")


@contextmanager
def _model() -> Iterator[_Model]:
    if os.environ.get("OPENAI_API_KEY"):
        name = f"openai/{os.environ.get('ASSAY_DEMO_MODEL') or 'gpt-4o-mini'}"
        yield _Model(name, {}, f"{name}, since OPENAI_API_KEY is set")
        return
    from assay.cli.demo_endpoint import MODEL, stand_in

    with stand_in() as url:
        environment = {
            "ASSAY_VENDORS__DEMO__BASE_URL": url,
            "ASSAY_VENDORS__DEMO__API_KEY_REQUIRED": "false",
            "ASSAY_VENDORS__DEMO__CONCURRENCY": "8",
        }
        yield _Model(MODEL, environment, "a fixed rule that is NOT a model")


@contextmanager
def _server(data_dir: Path, model: _Model) -> "Iterator[Client]":
    from assay.cli.client import Client
    from assay.cli.server_process import stored_key

    with own_server(data_dir, model.environment, own_settings=True) as server:
        client = Client(server.url, stored_key(data_dir), on_lost=reviver(server))
        try:
            yield client
        finally:
            client.close()


def _introduce(console: "Console", client: "Client", model: _Model, data_dir: Path) -> None:
    from assay.cli.demo_job import ANSWERS_FROM, ROWS_FROM, VARIANTS

    lines = [
        "Which prompt makes a small model name more countries' capitals?",
        f"  rows        {ROWS_FROM}",
        f"  answers     {ANSWERS_FROM}",
        *(f"  variant {variant.letter}   {variant.name}" for variant in VARIANTS),
        f"  model task  guess the continent; answered by {model.said}",
        f"  server      {client.base_url}, data in {_relative(data_dir)}",
    ]
    console.print("\n".join(lines), markup=False, soft_wrap=True)
    console.print()


def _run(console: "Console", client: "Client", model: _Model, data_dir: Path) -> None:
    from assay.cli.comparison import compare, comparison_table, sentences
    from assay.cli.demo_job import ROW_IDENTIFIER, VARIANTS
    from assay.cli.progress import duration
    from assay.cli.report import by_alias

    done = [_evaluate(console, client, variant, model.name) for variant in VARIANTS]
    ids = [str(evaluation["id"]) for evaluation in done]
    group = client.post(
        "/v5/evaluation-groups",
        {
            "name": "capitals: plain question or worked examples",
            "evaluation_ids": ids,
            "row_identifiers": dict.fromkeys(ids, ROW_IDENTIFIER),
            "tags": ["demo"],
        },
    )
    a, b = (client.get(f"/v5/evaluations/{each}/aggregates") for each in ids)
    items_a, items_b = (list(client.items("/v5/evaluation-items", {"evaluation_id": each})) for each in ids)
    compared = compare((by_alias(a), by_alias(b)), (items_a, items_b), ROW_IDENTIFIER)
    console.print()
    console.print(comparison_table(compared, "A: plain question   B: two worked examples first"))
    for line in sentences(compared):
        console.print(line, markup=False)
    console.print(f"Time is for one item; A took {duration(a['seconds'])} in all, B {duration(b['seconds'])}.")
    console.print()
    _where_next(console, group["id"], data_dir)
    failed = [evaluation for evaluation in done if evaluation["status"] != "completed"]
    if failed:
        fail(COULD_NOT_RUN, f"{failed[0]['name']}: {failed[0].get('status_reason')}")


def _evaluate(console: "Console", client: "Client", variant: Any, model: str) -> Evaluated:
    from assay.cli.demo_job import evaluation
    from assay.cli.progress import watch

    created = client.post("/v5/evaluations", evaluation(variant, model))
    return watch(client, created["id"], console, f"variant {variant.letter}")


def _where_next(console: "Console", group_id: str, data_dir: Path) -> None:
    assay, folder = _command(), _relative(data_dir)
    lines = [
        "Where next",
        f"  each on its own     {assay} evaluations list --data-dir {folder}",
        f"  the server itself   {assay} serve --data-dir {folder}     (key in {folder}/api-key)",
        f"  the group           GET /v5/evaluation-groups/{group_id}",
        "  a real model        OPENAI_API_KEY=... make demo   (and OPENAI_BASE_URL, ASSAY_DEMO_MODEL)",
        "  your own rows       docs/tutorial/first-evaluation.md",
    ]
    console.print("\n".join(lines), markup=False, soft_wrap=True)


def _without_fonts(picture: str) -> str:
    """The SVG without the fonts that it would load from elsewhere: any fixed-width one does."""
    return re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)


def _command() -> str:
    program = Path(sys.argv[0])
    return _relative(program) if program.name == "assay" else "assay"


def _relative(path: Path) -> str:
    path = path.absolute()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
