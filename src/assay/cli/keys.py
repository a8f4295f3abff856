"""`assay keys`: make, list and revoke API keys, directly in the database that a server uses."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from assay.cli.configuration import load_settings
from assay.cli.exits import COULD_NOT_RUN, WRONG, fail
from assay.cli.options import DatabaseUrl, DataDir
from assay.core.identity import DEFAULT_ACCOUNT_ID, Identity, Role

if TYPE_CHECKING:
    from assay.bootstrap import Local
    from assay.core.identity import ApiKey

T = TypeVar("T")

keys = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True)


@keys.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whom or what the key is for.")],
    account: Annotated[list[str] | None, typer.Option(help="An account that the key opens; may be repeated.")] = None,
    identity: Annotated[str | None, typer.Option(help="Whose key it is; by default the key is nobody else's.")] = None,
    contributor: Annotated[bool, typer.Option("--contributor", help="Good for annotation tasks only.")] = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Make a key and show it, once: only its hash is stored."""
    accounts = tuple(account or (DEFAULT_ACCOUNT_ID,))
    whose = None if identity is None else Identity(identity)
    role: Role = "contributor" if contributor else "member"
    key, secret = _on_local(
        lambda local: local.access.create_key(name, account_ids=accounts, identity=whose, role=role),
        data_dir,
        database_url,
    )
    typer.echo(secret)
    typer.echo(f"Key {key.id} ({name}); keep it now, it is not shown again.", err=True)


@keys.command("list")
def list_(data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """List the keys, oldest first, never their secrets."""
    from assay.cli.report import make_console, make_table, plain

    found = _on_local(lambda local: local.access.list_keys(), data_dir, database_url)
    table = make_table("id", "name", "whose", "begins", "accounts", "created", "revoked", texts=7)
    for key in found:
        revoked = f"{key.revoked_at:%Y-%m-%d}" if key.revoked_at else ""
        table.add_row(
            key.id,
            plain(key.name),
            _whose(key),
            key.hint,
            plain(", ".join(key.account_ids)),
            f"{key.created_at:%Y-%m-%d}",
            revoked,
        )
    make_console(width=140).print(table)


def _whose(key: "ApiKey") -> str:
    from assay.cli.report import plain

    named = "" if key.identity.id == key.id else plain(key.identity.id)
    return f"{named} (contributor)".strip() if key.role == "contributor" else named


@keys.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `assay keys list` shows it.")],
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Revoke a key: it stops working within a few seconds."""
    _on_local(lambda local: local.access.revoke_key(key_id), data_dir, database_url)
    typer.echo(f"Key {key_id} is revoked; a running server refuses it within a few seconds.")


def _on_local(use: Callable[["Local"], Awaitable[T]], data_dir: DataDir, database_url: DatabaseUrl) -> T:
    """Open the database, use it, close it."""
    from assay import bootstrap
    from assay.core.errors import AssayError, Unavailable

    settings = load_settings(data_dir=data_dir, database_url=database_url)

    async def work() -> T:
        async with bootstrap.open_local(settings) as local:
            return await use(local)

    try:
        return asyncio.run(work())
    except Unavailable as error:
        fail(COULD_NOT_RUN, str(error))
    except AssayError as error:
        fail(WRONG, str(error))
