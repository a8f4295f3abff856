"""Answers that a configuration constrains: one of some choices, or an object by a JSON Schema."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import orjson

from assay.judging.answers import ObjectReader, Unreadable, ValueReader, one_value_shape, shown
from assay.judging.schemas import UnusableSchema, compiled_schema
from assay.ports.models import AnswerShape

_SHAPE_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NAME = "answer"


def choice_reader(choices: Sequence[str]) -> ValueReader:
    """The reader of one of some texts. Making it again costs next to nothing."""
    return _choices(tuple(choices))


@lru_cache(maxsize=1024)
def _choices(choices: tuple[str, ...]) -> ValueReader:
    known = frozenset(choices)
    listed = ", ".join(orjson.dumps(choice).decode() for choice in choices)

    def kept(said: Any) -> str:
        if not isinstance(said, str) or said not in known:
            text = said if isinstance(said, str) else orjson.dumps(said).decode()
            raise Unreadable(f"{shown(text)} is not one of the choices: {listed}")
        return said

    return ValueReader(
        one_value_shape(_NAME, {"type": "string", "enum": list(choices)}, reasons=False),
        f'Answer with a JSON object and nothing else: {{"answer": ...}}. "answer" is exactly one of: {listed}.',
        kept,
        known,
    )


def schema_reader(response_format: Mapping[str, Any]) -> ObjectReader:
    """The reader of an object by a schema, given bare or in OpenAI's wrapper `{"type": "json_schema",
    "json_schema": {"schema": ...}}`. Making it again costs next to nothing. Raises UnusableSchema."""
    try:
        return _objects(orjson.dumps(response_format))
    except TypeError as error:
        raise UnusableSchema(f"not JSON: {error}") from None


@lru_cache(maxsize=256)
def _objects(response_format: bytes) -> ObjectReader:
    given = orjson.loads(response_format)
    name, strict, schema = _NAME, None, given
    if given.get("type") == "json_schema":
        wrapper = given.get("json_schema")
        if not isinstance(wrapper, dict) or not isinstance(wrapper.get("schema"), dict):
            raise UnusableSchema("json_schema must be an object with the member schema, an object")
        schema = wrapper["schema"]
        name = wrapper["name"] if _is_shape_name(wrapper.get("name")) else _NAME
        strict = wrapper["strict"] if isinstance(wrapper.get("strict"), bool) else None
    compiled = compiled_schema(schema)
    if schema.get("type", "object") != "object":
        raise UnusableSchema("the answer is an object: the schema's type must be object")
    return ObjectReader(
        AnswerShape(name, {"type": "object", **schema}, strict),
        "Answer with a JSON object and nothing else. It must match this JSON Schema: " + orjson.dumps(schema).decode(),
        compiled,
    )


def _is_shape_name(name: Any) -> bool:
    return isinstance(name, str) and _SHAPE_NAME.fullmatch(name) is not None
