"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

BaseUrl = Annotated[
    str | None,
    typer.Option(envvar="ASSAY_BASE_URL", help="The server to use. Without it: one on this machine's data."),
]
ApiKey = Annotated[
    str | None, typer.Option(help="The key to use it with. [env var: ASSAY_API_KEY]", show_default=False)
]
AccountId = Annotated[str | None, typer.Option(help="The account, if not the key's default one.")]
DataDir = Annotated[
    Path | None,
    typer.Option(
        help="Where the data is. [env var: ASSAY_DATA_DIR; default: ~/.local/share/assay]", show_default=False
    ),
]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        help="sqlite:///PATH or postgresql://… [env var: ASSAY_DATABASE_URL; default: SQLite in the data directory]",
        show_default=False,
    ),
]
