"""Exports of an evaluation's items: files as streams of bytes, and links that need no key and expire."""

import base64
import binascii
import csv
import hashlib
import hmac
import io
import json
import re
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson

from assay.core.errors import Forbidden, NotFound
from assay.core.evaluations import Evaluation, Item
from assay.core.identity import Caller
from assay.core.results import ResultStatus
from assay.ports.clock import Clock
from assay.ports.storage import Storage

LINK_KEY = "export_links"
"""The name under which the store keeps the key that signs links."""

_OTHERS = re.compile(r"id$|task_errors$|data\.|files\.")
"""Names of the columns of a CSV that are no results."""

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")

RenderItem = Callable[[Evaluation, Item], bytes]
"""Gives an item's wire object as JSON bytes; each version of the API has its own."""


class ExportFormat(StrEnum):
    """The form of an exported file."""

    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"

    @property
    def media_type(self) -> str:
        """The file's content type; never one that ends in `json` but is not one JSON value."""
        return {"json": "application/json", "jsonl": "application/jsonl", "csv": "text/csv; charset=utf-8"}[self]


@dataclass(frozen=True, slots=True)
class ExportLink:
    """What a link stands for."""

    evaluation_id: str
    account_id: str
    format: ExportFormat
    include_archived: bool
    expires_at: int


class Exports:
    """The use cases of exports."""

    def __init__(self, storage: Storage, clock: Clock, *, link_seconds: int) -> None:
        self._storage = storage
        self._clock = clock
        self._link_seconds = link_seconds
        self._secret: bytes | None = None

    async def evaluation(self, account_id: str, evaluation_id: str, *, include_archived: bool = False) -> Evaluation:
        """The evaluation to export. Raises NotFound."""
        async with self._storage.read() as unit:
            found = await unit.evaluations.get(account_id, evaluation_id, include_archived=include_archived)
        if found is None:
            raise NotFound("evaluation", evaluation_id)
        return found

    async def sign(
        self, caller: Caller, evaluation: Evaluation, export_format: ExportFormat, *, include_archived: bool = False
    ) -> str:
        """A token that opens the evaluation's export without a key until it expires."""
        expires_at = int(self._clock.now().timestamp()) + self._link_seconds
        claims = [evaluation.id, caller.account_id, export_format, include_archived, expires_at]
        payload = _encode(orjson.dumps(claims))
        return f"{payload}.{_encode(await self._signature(payload))}"

    async def open(self, token: str) -> ExportLink:
        """What a token stands for. Raises Forbidden for one that was altered or has expired."""
        payload, _, signature = token.partition(".")
        given = _decode(signature)
        if given is None or not hmac.compare_digest(given, await self._signature(payload)):
            raise Forbidden("this link is not valid")
        evaluation_id, account_id, export_format, include_archived, expires_at = orjson.loads(_decode(payload) or b"")
        if self._clock.now().timestamp() >= expires_at:
            raise Forbidden("this link has expired; export again for a new one")
        return ExportLink(evaluation_id, account_id, ExportFormat(export_format), include_archived, expires_at)

    async def stream(
        self, evaluation: Evaluation, export_format: ExportFormat, render: RenderItem, *, include_archived: bool = False
    ) -> AsyncIterator[bytes]:
        """The file, in pieces of about a thousand items, from one consistent snapshot."""
        archived = include_archived or evaluation.archived_at is not None
        async with self._storage.read() as unit:

            def batches() -> AsyncIterator[Sequence[Item]]:
                return unit.items.stream(evaluation.seq, include_archived=archived)

            if export_format is ExportFormat.CSV:
                table = _Table()
                async for batch in batches():
                    table.learn(batch)
                yield table.header()
                async for batch in batches():
                    yield table.rows(batch)
            elif export_format is ExportFormat.JSONL:
                async for batch in batches():
                    yield b"".join(render(evaluation, item) + b"\n" for item in batch)
            else:
                start = b"["
                async for batch in batches():
                    yield start + b",\n".join(render(evaluation, item) for item in batch)
                    start = b",\n"
                yield b"[]" if start == b"[" else b"]"

    async def _signature(self, payload: str) -> bytes:
        if self._secret is None:
            self._secret = (await self._storage.secret(LINK_KEY, secrets.token_hex(32))).encode()
        return hmac.digest(self._secret, payload.encode("utf-8", "surrogatepass"), hashlib.sha256)


def filename(evaluation: Evaluation, export_format: ExportFormat) -> str:
    """A name that is safe in every file system and header: `<name>_<id>.<format>`."""
    name = _UNSAFE.sub("_", evaluation.name).strip("._-")[:80] or "evaluation"
    return f"{name}_{_UNSAFE.sub('_', evaluation.id)}.{export_format}"


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes | None:
    try:
        return base64.b64decode(text.encode() + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None


class _Table:
    """A CSV of items: `id`, `data.*` flattened, results by alias (objects flattened), `files.*`, `task_errors`.
    A result whose column would be named like one of the others has `results.` before its name.

    Cells are the values as they are: text that a spreadsheet would take for a formula is not altered, because
    the file is for programs to read back and altering data silently is worse.
    """

    def __init__(self) -> None:
        self._data: dict[str, None] = {}
        self._results: dict[str, None] = {}
        self._files: dict[str, None] = {}

    def learn(self, items: Iterable[Item]) -> None:
        """Add the columns that these items have."""
        for item in items:
            for known, cells in zip((self._data, self._results, self._files), _cells(item), strict=True):
                if not cells.keys() <= known.keys():
                    known.update(dict.fromkeys(cells))

    def header(self) -> bytes:
        """The first line."""
        results = (f"results.{name}" if _OTHERS.match(name) else name for name in self._results)
        return _lines([["id", *self._data, *results, *self._files, "task_errors"]])

    def rows(self, items: Iterable[Item]) -> bytes:
        """The items' lines."""
        return _lines(self._row(item) for item in items)

    def _row(self, item: Item) -> list[Any]:
        data, results, files = _cells(item)
        errors = {
            alias: {"type": result.error.type, "message": result.error.message}
            for alias, result in item.results.items()
            if result.error is not None
        }
        return [
            item.id,
            *(data.get(name) for name in self._data),
            *(results.get(name) for name in self._results),
            *(files.get(name) for name in self._files),
            _json(errors) if errors else None,
        ]


def _cells(item: Item) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    data: dict[str, Any] = {}
    _flatten("data.", item.data, data)
    results: dict[str, Any] = {}
    for alias, result in item.results.items():
        if result.status is ResultStatus.COMPLETED or result.status is ResultStatus.PREFILLED:
            _flatten("", {alias: result.value}, results)
    return data, results, {f"files.{name}": file_id for name, file_id in (item.files or {}).items()}


def _flatten(prefix: str, values: Mapping[str, Any], into: dict[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, dict) and value:
            _flatten(f"{prefix}{key}.", value, into)
        elif isinstance(value, str) or value is None:
            into[prefix + key] = value
        else:
            into[prefix + key] = _json(value)


def _json(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return json.dumps(value, separators=(",", ":"))


def _lines(rows: Iterable[Iterable[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode("utf-8", "replace")
