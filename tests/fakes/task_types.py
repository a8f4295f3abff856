"""Task types and models whose behaviour the item's own row decides: what a test of running tasks needs."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from assay.core.results import ErrorType, Outcome
from assay.registry.task_types import ConfigurationProblem, Services


class AnyConfiguration(BaseModel):
    """Accepts everything."""

    model_config = ConfigDict(extra="allow")


class FakeTaskType:
    """A task whose `input` says what it does on an item: `{"raise": ...}`, `{"error": ...}`, `{"cancelled": ...}`,
    `{"skip": ...}`,
    or any other value, which is its result. `outputs` are the columns that it writes beside its own; `later` makes
    it wait for a turn of the loop."""

    name: ClassVar[str] = "fake"
    executes: ClassVar[bool] = True
    Configuration: ClassVar[type[BaseModel]] = AnyConfiguration
    resolved: ClassVar[frozenset[str] | None] = frozenset({"input"})

    def __init__(self) -> None:
        self.inputs: list[Any] = []

    def default_alias(self, configuration: Mapping[str, Any]) -> str:
        """`fake`."""
        return self.name

    def output_aliases(self, configuration: Mapping[str, Any]) -> Sequence[str]:
        """What the configuration says."""
        return tuple(configuration.get("outputs", ()))

    def required_locators(self, configuration: Mapping[str, Any]) -> Sequence[tuple[tuple[str | int, ...], str]]:
        """None."""
        return ()

    def check(self, configuration: Mapping[str, Any], services: Services) -> Sequence[ConfigurationProblem]:
        """Nothing is ever wrong."""
        return ()

    def run(self, configuration: Mapping[str, Any], services: Services) -> Outcome | Awaitable[Outcome]:
        """The outcome that the input asks for, at once or later."""
        given = configuration["input"]
        self.inputs.append(given)
        return self._later(configuration) if configuration.get("later") else self._outcome(configuration)

    async def _later(self, configuration: Mapping[str, Any]) -> Outcome:
        await asyncio.sleep(0)
        if isinstance(configuration["input"], dict) and "cancelled" in configuration["input"]:
            waited_for = asyncio.get_running_loop().create_future()
            waited_for.cancel()
            await waited_for
        return self._outcome(configuration)

    def _outcome(self, configuration: Mapping[str, Any]) -> Outcome:
        given = configuration["input"]
        if isinstance(given, dict) and "raise" in given:
            raise RuntimeError(f"secret words: {given['raise']}")
        if isinstance(given, dict) and "error" in given:
            return Outcome.failed(ErrorType.FUNCTION_ERROR, str(given["error"]))
        if isinstance(given, dict) and "skip" in given:
            return Outcome(skipped=True)
        columns = {name: f"{name} of {given}" for name in configuration.get("outputs", ())}
        return Outcome(value=given, columns=columns)
