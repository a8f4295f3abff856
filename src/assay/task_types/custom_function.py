"""The task type `custom_function`: a user's own scoring function, run in the sandbox."""

import json
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, StrictStr, field_validator, model_validator

from assay.core.functions import FunctionSignature, RefusedSource, parse_function
from assay.core.locators import PREFIX, Locator, MissingValue
from assay.core.results import ErrorType, Outcome, Usage
from assay.ports.sandbox import FunctionReturn
from assay.registry.task_types import ConfigurationProblem, Services

ROW_SECONDS = 10.0
MAX_CONFIG_ARGS = 10_000

Loc = tuple[str | int, ...]


class Output(BaseModel):
    """A value inside the returned object that becomes a column of its own."""

    model_config = ConfigDict(extra="forbid")

    path: StrictStr = Field(min_length=1, max_length=256, description="Dot path into the returned object.")
    alias: StrictStr | None = Field(
        default=None, min_length=1, max_length=256, description="The column's name; by default the path, dots as `_`."
    )

    @property
    def column(self) -> str:
        """The column that the value is stored under."""
        return self.alias if self.alias is not None else self.path.replace(".", "_")


class Configuration(BaseModel):
    """A function and what it is called with. An omitted or empty `arg_mapping` is filled in: each parameter
    without a value in `config_args` reads the column of its own name."""

    model_config = ConfigDict(extra="forbid")

    function_source: StrictStr = Field(description="The source of one function, written with `def`.")
    arg_mapping: dict[str, StrictStr] | None = Field(
        default=None, description="Parameter to locator; by default each parameter reads `item.<parameter>`."
    )
    config_args: dict[str, Any] | None = Field(
        default=None, description="Parameter to literal value; wins over `arg_mapping`."
    )
    outputs: list[Output] | None = Field(
        default=None, max_length=100, description="Values inside a returned object that become columns."
    )

    @field_validator("function_source")
    @classmethod
    def _accept_source(cls, source: str) -> str:
        try:
            parse_function(source)
        except RefusedSource as refused:
            raise ValueError(str(refused)) from None
        return source

    @field_validator("config_args")
    @classmethod
    def _bound_config_args(cls, values: dict[str, Any] | None) -> dict[str, Any] | None:
        if values is not None:
            try:
                size = len(json.dumps(values, ensure_ascii=False, allow_nan=False))
            except (TypeError, ValueError, RecursionError) as error:
                raise ValueError(f"must be JSON: {error}") from None
            if size > MAX_CONFIG_ARGS:
                raise ValueError(f"is {size} characters of JSON; at most {MAX_CONFIG_ARGS}")
        return values

    @model_validator(mode="after")
    def _fill_mapping(self) -> "Configuration":
        if not self.arg_mapping:
            given = self.config_args or {}
            names = [parameter.name for parameter in parse_function(self.function_source).parameters]
            self.arg_mapping = {name: PREFIX + name for name in names if name not in given}
        return self


class TaskType:
    """Calls the user's function on each item and keeps the number that it returns.

    Value: the returned int or float (finite). With `outputs`, an object is allowed too: it is the task's
    value and each output's JSON scalar is a further column. Errors: `function_error` (it raised, crashed or
    took too much memory), `timeout` (10 s an item), `invalid_output`, `missing_field`.
    """

    name: ClassVar[str] = "custom_function"
    executes: ClassVar[bool] = True
    Configuration: ClassVar[type[BaseModel]] = Configuration
    resolved: ClassVar[frozenset[str] | None] = frozenset({"arg_mapping"})

    def default_alias(self, configuration: Mapping[str, Any]) -> str:
        """The function's own name."""
        return _signature(configuration).name

    def output_aliases(self, configuration: Mapping[str, Any]) -> Sequence[str]:
        """The columns of the outputs."""
        return [output.column for output in _outputs(configuration)]

    def required_locators(self, configuration: Mapping[str, Any]) -> Sequence[tuple[Loc, str]]:
        """Every mapped value but the optional ones."""
        optional = {loc for loc, _ in self.optional_locators(configuration)}
        mapping = configuration.get("arg_mapping") or {}
        located = [(("arg_mapping", name), value) for name, value in mapping.items()]
        return [(loc, value) for loc, value in located if loc not in optional]

    def optional_locators(self, configuration: Mapping[str, Any]) -> Sequence[tuple[Loc, str]]:
        """Mapped values that are left out of the configuration where there is no such column, or an item has
        no such value: of a parameter that has a default and reads the column of its own name, and of one
        that `config_args` overrides."""
        defaults = _signature(configuration).optional
        overridden = configuration.get("config_args") or {}
        return [
            (("arg_mapping", name), value)
            for name, value in (configuration.get("arg_mapping") or {}).items()
            if name in overridden or (name in defaults and value == PREFIX + name)
        ]

    def check(self, configuration: Mapping[str, Any], services: Services) -> Sequence[ConfigurationProblem]:
        """Parameters that get no value, values for no parameter, and outputs that share a column."""
        signature = _signature(configuration)
        known = {parameter.name for parameter in signature.parameters}
        mapping, given = configuration.get("arg_mapping") or {}, configuration.get("config_args") or {}
        problems = [
            ConfigurationProblem((field, name), f"{signature.name} has no parameter {name[:100]!r}")
            for field, names in (("arg_mapping", mapping), ("config_args", given))
            for name in names
            if name not in known
        ]
        problems += [
            ConfigurationProblem(("arg_mapping",), f"the parameter {name!r} of {signature.name} gets no value")
            for name in signature.required
            if name not in mapping and name not in given
        ]
        seen: set[str] = set()
        for index, output in enumerate(_outputs(configuration)):
            if output.column in seen:
                message = f"the column {output.column!r} is written twice; give this output an alias"
                problems.append(ConfigurationProblem(("outputs", index), message))
            seen.add(output.column)
        return problems

    def run(self, configuration: Mapping[str, Any], services: Services) -> Awaitable[Outcome]:
        """Call the function on one item. `arg_mapping` holds the item's values by parameter."""
        return self._run(configuration, services)

    async def _run(self, configuration: Mapping[str, Any], services: Services) -> Outcome:
        arguments = {**(configuration.get("arg_mapping") or {}), **(configuration.get("config_args") or {})}
        returned = await services.sandbox.call(configuration["function_source"], arguments, timeout=ROW_SECONDS)
        return _outcome(returned, configuration, {"sandbox": services.sandbox.name})


def _outcome(returned: FunctionReturn, configuration: Mapping[str, Any], detail: Mapping[str, Any]) -> Outcome:
    usage = Usage(latency=returned.seconds)
    if returned.error is not None:
        return Outcome.failed(returned.error.type, returned.error.message, usage=usage, detail=detail)
    outputs = _outputs(configuration)
    value = returned.value
    if not outputs:
        if type(value) in {int, float}:
            return Outcome(value=value, usage=usage, detail=detail)
        hint = "; name the values in it by 'outputs' to keep them" if isinstance(value, dict) else ""
        message = f"returned {_shown(value)}; it must return a number (int or float){hint}"
        return Outcome.failed(ErrorType.INVALID_OUTPUT, message, usage=usage, detail=detail)
    if not isinstance(value, dict):
        message = f"returned {_shown(value)}; with 'outputs' it must return a dict"
        return Outcome.failed(ErrorType.INVALID_OUTPUT, message, usage=usage, detail=detail)
    columns: dict[str, Any] = {}
    for output in outputs:
        try:
            part = Locator("value", output.path).resolve({"value": value})
        except MissingValue:
            message = f"the returned dict has nothing at the output {output.path!r}"
            return Outcome.failed(ErrorType.INVALID_OUTPUT, message, usage=usage, detail=detail)
        if isinstance(part, dict | list):
            message = f"the output {output.path!r} is {_shown(part)}; it must be a number, text, bool or None"
            return Outcome.failed(ErrorType.INVALID_OUTPUT, message, usage=usage, detail=detail)
        columns[output.column] = part
    return Outcome(value=value, usage=usage, columns=columns, detail=detail)


def _signature(configuration: Mapping[str, Any]) -> FunctionSignature:
    return parse_function(configuration["function_source"])


def _outputs(configuration: Mapping[str, Any]) -> list[Output]:
    return [Output.model_validate(output) for output in configuration.get("outputs") or ()]


def _shown(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
