"""Judging by a criterion: four agents that differ in how they are told to work, one call each.

The names are those of the vendor's agents. What those do inside is not known; the prompts here are our own.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, Literal, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr, model_validator

from assay.core.locators import PREFIX, parse_locator, render
from assay.judging.answers import Reader, Unreadable, ValueReader, one_value_shape, shown
from assay.judging.asking import Inquiry
from assay.judging.conditions import equal
from assay.judging.prompts import DATA_RULE, mark_for, system_message

Text = Annotated[str, Field(min_length=1, max_length=100_000)]
Scalar = StrictStr | StrictBool | StrictInt | StrictFloat
Loc = tuple[str | int, ...]

_WORKING: Mapping[str, str] = {
    "BaseAgent": "You judge one item of an evaluation by one criterion, carefully and without favour.",
    "APEAgent": (
        "You judge one item of an evaluation by one criterion. First turn the criterion and its rules into a short "
        "list of checks that anybody would decide in the same way. Then make each check on the item, one after the "
        "other, and let the checks alone decide."
    ),
    "IFAgent": (
        "You judge how far instructions were followed. List every instruction that the item and the criterion give, "
        "also those of form, length, language and order. Check each of them by itself on what was produced. An "
        "instruction that is followed in part is not followed. Whether the content is right does not matter."
    ),
    "TruthfulnessAgent": (
        "You judge whether what is claimed is true. List the factual claims one by one. Check each against the item's "
        "other fields first, which count as given, and against what you know for certain after that. A claim that "
        "nothing supports is not true because it sounds likely. Style, length and tone do not matter."
    ),
}

AgentName = Literal["APEAgent", "IFAgent", "TruthfulnessAgent", "BaseAgent"]


class AgentSettings(BaseModel):
    """The judge of an agent. Without `model` it is the server's (the setting `judge_model`)."""

    model_config = ConfigDict(extra="ignore", protected_namespaces=())

    model: Annotated[str, Field(min_length=1, max_length=500, description="The judge: `vendor/model`.")] | None = None
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False, description="APEAgent only.")] | None = None


class Designation(BaseModel):
    """Which of the agents judges, and with what."""

    model_config = ConfigDict(extra="ignore")

    agent_name: AgentName = "BaseAgent"
    config: AgentSettings = Field(default_factory=AgentSettings)

    @model_validator(mode="after")
    def _temperature_is_apes(self) -> Self:
        if self.config.temperature is not None and self.agent_name != "APEAgent":
            raise ValueError(f"config.temperature: {self.agent_name} takes none, only APEAgent does")
        return self


class AgentConfiguration(BaseModel):
    """A criterion, how its answer is given, and who judges by it."""

    model_config = ConfigDict(extra="ignore", title="AutoEvaluationAgentConfiguration", protected_namespaces=())

    name: Annotated[Text, Field(description="The criterion's title.")]
    definition: Annotated[Text, Field(description="What is judged.")]
    output_rules: Annotated[list[Text], Field(max_length=1000, description="Which answer to give when.")]
    data_fields: Annotated[
        list[Text] | None,
        Field(
            min_length=1,
            max_length=1000,
            description="The columns (or locators) that the judge is shown. Default: the row's columns and what the "
            "tasks before this one produced, but no metric's or other judge's result.",
        ),
    ] = None
    output_type: Literal["text", "integer", "float", "boolean"] | None = None
    output_values: Annotated[
        list[Scalar] | None, Field(min_length=1, max_length=1000, description="The answers that are allowed.")
    ] = None
    designated_to: Designation | None = None
    rubric_id: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    rubric_version: Annotated[int, Field(strict=True, ge=1)] | None = None


_TYPES: Mapping[str, tuple[str, str]] = {
    "text": ("string", "a text"),
    "integer": ("integer", "a whole number"),
    "float": ("number", "a number"),
    "boolean": ("boolean", "true or false"),
}


def _has_type(value: Any, output_type: str) -> bool:
    match output_type:
        case "text":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case _ if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        case "integer":
            return isinstance(value, int) or value.is_integer()
        case _:
            return True


def agent_faults(configuration: Mapping[str, Any]) -> Iterator[tuple[Loc, str]]:
    """What is wrong with an agent's configuration beyond its schema, each fault with its place."""
    values = configuration.get("output_values") or ()
    output_type = configuration.get("output_type")
    for index, value in enumerate(values):
        if output_type is not None and not _has_type(value, output_type):
            yield ("output_values", index), f"is not {_TYPES[output_type][1]}, which output_type asks for"
        elif any(equal(value, other) for other in values[:index]):
            yield ("output_values", index), "is allowed twice"
    if configuration.get("rubric_version") is not None and configuration.get("rubric_id") is None:
        yield ("rubric_version",), "a version needs the rubric_id that it is of"


def with_model(configuration: dict[str, Any], model: str) -> dict[str, Any]:
    """The configuration with a judge, where it names none."""
    designated = configuration.get("designated_to") or {}
    settings = designated.get("config") or {}
    if settings.get("model"):
        return configuration
    named = {"agent_name": "BaseAgent", **designated, "config": {**settings, "model": model}}
    return {**configuration, "designated_to": named}


def agent_model(configuration: Mapping[str, Any]) -> tuple[Loc, str]:
    """The judge of a configuration `with_model`, and where it says so."""
    model: str = configuration["designated_to"]["config"]["model"]
    return ("designated_to", "config", "model"), model


def agent_fields(
    configuration: Mapping[str, Any], columns: Sequence[str], known: Collection[str]
) -> list[tuple[str, str, Loc, bool]]:
    """What the judge is shown of an item: name, locator, place, and whether an item must have it."""
    fields = configuration.get("data_fields")
    if fields is None:
        return [(column, PREFIX + column, ("data_fields",), False) for column in columns]
    found: list[tuple[str, str, Loc, bool]] = []
    for index, field in enumerate(fields):
        locator = field if parse_locator(field, known) is not None else PREFIX + field
        found.append((locator.removeprefix(PREFIX), locator, ("data_fields", index), True))
    return found


def agent_reader(configuration: Mapping[str, Any]) -> Reader:
    """The reader of an agent's answers. Making it again costs next to nothing."""
    return _reader(orjson.dumps([configuration.get("output_type"), configuration.get("output_values")]))


@lru_cache(maxsize=1024)
def _reader(document: bytes) -> ValueReader:
    output_type, values = orjson.loads(document)
    if values is not None:
        schema: dict[str, Any] = {"enum": values}
        listed = ", ".join(orjson.dumps(value).decode() for value in values)
        words = f"exactly one of: {listed}"
    else:
        schema, words = {}, ""
    kind, in_words = _TYPES[output_type or "text"]
    if output_type is not None or values is None:
        schema, words = {"type": kind, **schema}, words or in_words

    def kept(said: Any) -> Any:
        if values is not None:
            matching = next((value for value in values if equal(value, said)), None)
            if matching is None:
                raise Unreadable(f"{_shown(said)} is not one of the values: {listed}")
            return matching
        if not _has_type(said, output_type or "text"):
            raise Unreadable(f"{_shown(said)} is not {in_words}")
        return int(said) if output_type == "integer" else said

    return ValueReader(
        one_value_shape("judgement", schema, reasons=True),
        f'Answer with a JSON object and nothing else: {{"reasoning": "...", "answer": ...}}. '
        f'"reasoning" is your reasons, in a few sentences. "answer" is {words}.',
        kept,
        frozenset(value for value in values or () if isinstance(value, str)),
    )


def _shown(said: Any) -> str:
    return shown(said if isinstance(said, str) else orjson.dumps(said).decode())


def agent_inquiry(configuration: Mapping[str, Any]) -> Inquiry:
    """What is asked about one item. The configuration is one `with_model`; it has the item's values by name as its
    member `item`, and the rubric, if it names one, as `rubric`."""
    designated = configuration["designated_to"]
    settings = designated["config"]
    reader = agent_reader(configuration)
    texts = {name: render(value) for name, value in configuration["item"].items()}
    mark = mark_for(*texts.values())
    shown_fields = "\n\n".join(f"{name}:\n<{mark}>{text}</{mark}>" for name, text in texts.items())
    told = [
        f"Criterion: {configuration['name']}",
        configuration["definition"],
        _listed("Rules for the answer:", configuration["output_rules"]),
        _rubric(configuration.get("rubric")),
        f"The item:\n\n{shown_fields or '(nothing)'}",
        reader.instruction,
    ]
    messages = (
        system_message(_WORKING[designated.get("agent_name") or "BaseAgent"], DATA_RULE.format(mark=mark)),
        {"role": "user", "content": "\n\n".join(part for part in told if part)},
    )
    arguments = {"temperature": settings["temperature"]} if settings.get("temperature") is not None else {}
    return Inquiry(settings["model"], messages, reader, arguments)


def _listed(title: str, lines: Sequence[str]) -> str:
    return "\n".join([title, *(f"- {line}" for line in lines)]) if lines else ""


def _rubric(rubric: Mapping[str, Any] | None) -> str:
    if rubric is None:
        return ""
    lines = [f"{each['title']} (weight {each['weight']:g})" for each in rubric["criteria"]]
    return _listed(f"Judge by this rubric: {rubric['title']}", lines) or f"Judge by this rubric: {rubric['title']}"
