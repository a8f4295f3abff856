"""What a task type is: a name, a Configuration and a run. One file each in `assay.task_types`."""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from pydantic import BaseModel

from assay.core.results import Outcome
from assay.ports.applications import Applications, NoApplications
from assay.ports.models import Models
from assay.ports.sandbox import Sandbox
from assay.registry.metrics import Metric


@dataclass(frozen=True, slots=True)
class Services:
    """What a task may use while it runs."""

    models: Models
    sandbox: Sandbox
    metrics: Mapping[str, Metric]
    applications: Applications = field(default_factory=NoApplications)
    judge_model: str = "openai/gpt-4o"
    """`vendor/model` of judges that name none (the setting `judge_model`)."""


@dataclass(frozen=True, slots=True)
class ConfigurationProblem:
    """What is wrong with a configuration that its schema alone cannot see; `loc` is inside `configuration`."""

    loc: tuple[str | int, ...]
    message: str


@dataclass(frozen=True, slots=True)
class Reference:
    """Something in the account that a configuration names by id: looked up when the evaluation is made, and
    given to `run` as it was then, as the configuration's member `key`.

    `kind` is one of `services.references`; `version` pins a version of what has versions; `loc` is inside
    `configuration`.
    """

    kind: str
    id: str
    key: str
    loc: tuple[str | int, ...]
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """A value of the item that `run` is given beside the configuration, as `configuration["item"][name]`.

    `locator` is its place, which must be in the evaluation; `loc` is where the configuration asks for it. An
    item that has no such value is an error of that item when it is `required`, and without the member otherwise.
    """

    name: str
    locator: str
    loc: tuple[str | int, ...]
    required: bool = True


class TaskType(Protocol):
    """A task type: a class `TaskType` with these members, in a module of `assay.task_types`.

    Locators: before `run`, every string inside the fields of `resolved` that is a locator is replaced by the
    item's typed value, and every template is rendered. `required_locators` lists the values that must be
    locators (unknown columns there are refused at creation).

    A task type may also define `optional_locators(configuration)`, in the form of `required_locators`: values
    inside an object that are left out of the configuration where the evaluation has no such column or an item
    no such value; and `skips_missing(configuration)`, whether it is skipped, instead of failing, on an item that has
    no value at another locator. One may define `readings(configuration, columns, known)`, a sequence of `Reading`;
    `columns` are the rows' columns and those that the tasks before it write, but not those of tasks that judge (a
    task type whose `judges` is true); `known` are all columns. One may define `references(configuration)`, a
    sequence of `Reference`: what is kept in the account and named in the configuration; then also
    `material_problems(configuration, material)`, in the form of `check`: what is wrong with what was found. One may
    define `completed(configuration, services)`: the configuration with what the server's settings say where it is
    silent. And one that calls models defines `calls(configuration)`, a sequence of `core.model_calls.ModelCall`:
    what it asks of models for one item, with the configuration resolved (or, to learn the models alone, as it is);
    from it come estimates of cost.
    """

    name: ClassVar[str]
    """The wire word, as in `{"task_type": "chat_completion"}`."""

    executes: ClassVar[bool]
    """Whether the engine runs it (people's questions it does not)."""

    Configuration: ClassVar[type[BaseModel]]
    """The schema of `configuration`; the API's union, its document and the web form derive from it."""

    resolved: ClassVar[frozenset[str] | None]
    """The configuration fields in which locators and templates are resolved; None: all of them, recursively."""

    def default_alias(self, configuration: Mapping[str, Any]) -> str:
        """The alias of a task that was given none."""
        ...

    def output_aliases(self, configuration: Mapping[str, Any]) -> Sequence[str]:
        """Aliases of further columns that the task writes beside its own; usually none."""
        ...

    def required_locators(self, configuration: Mapping[str, Any]) -> Sequence[tuple[tuple[str | int, ...], str]]:
        """(loc inside configuration, value) of each value that must be a locator."""
        ...

    def check(self, configuration: Mapping[str, Any], services: Services) -> Sequence[ConfigurationProblem]:
        """What is wrong with a configuration beyond its schema: an unknown metric, a model that is not
        configured, source that does not parse."""
        ...

    def run(self, configuration: Mapping[str, Any], services: Services) -> Outcome | Awaitable[Outcome]:
        """The task on one item, with the configuration resolved. Returns at once when it needs no waiting;
        never raises for what the item or the outside did."""
        ...
