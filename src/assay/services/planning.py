"""From tasks as they are sent to tasks that can run: validates them, settles their aliases, binds their
locators and orders them. The same code checks an evaluation when it is made and compiles it when it runs."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from assay.core.errors import InvalidInput, Problem
from assay.core.evaluations import Evaluation
from assay.core.graph import Cycle, Node, dependencies, topological_order
from assay.core.locators import Binding, MissingValue, UnknownColumn, bind, parse_locator
from assay.core.tasks import TaskSpec
from assay.registry.task_types import Reading, Services, TaskType

MAX_ALIAS_LENGTH = 256
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

Loc = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class RunnableTask:
    """A task compiled against an evaluation's columns.

    `resolve` gives the configuration with every locator and template replaced by an item's values;
    `waits_for` are the aliases of the tasks it depends on; `writes` its own alias and its output columns.
    """

    spec: TaskSpec
    task_type: TaskType
    writes: tuple[str, ...]
    waits_for: tuple[str, ...]
    resolve: Callable[[Mapping[str, Any]], dict[str, Any]]

    @property
    def alias(self) -> str:
        """The task's name in its evaluation."""
        return self.spec.alias


@dataclass(frozen=True, slots=True)
class Plan:
    """An evaluation's tasks: as stored (`specs`, in the caller's order) and as run (`runnable`, each after
    all that it waits for; tasks that people do are not in it)."""

    specs: tuple[TaskSpec, ...]
    runnable: tuple[RunnableTask, ...]

    @property
    def has_job(self) -> bool:
        """Whether anything needs the engine."""
        return bool(self.runnable)

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that running the plan writes for an item."""
        return tuple(column for task in self.runnable for column in task.writes)


def plan_tasks(
    tasks: Sequence[Any], columns: Collection[str], task_types: Mapping[str, TaskType], services: Services
) -> Plan:
    """Validate raw task objects against the rows' columns.

    `tasks` are the wire's `{task_type, alias?, configuration}` objects. Raises InvalidInput with a Problem
    for each fault, located under ("body", "tasks", i, ...).
    """
    problems: list[Problem] = []
    specs: list[TaskSpec] = []
    for index, task in enumerate(tasks):
        spec = _read_task(("body", "tasks", index), task, task_types, services, problems)
        if spec is not None:
            specs.append(spec)
    if problems:
        raise InvalidInput(problems)
    _check_aliases(specs, task_types)
    return Plan(tuple(specs), compile_tasks(specs, columns, task_types))


def compile_tasks(
    specs: Sequence[TaskSpec], columns: Collection[str], task_types: Mapping[str, TaskType]
) -> tuple[RunnableTask, ...]:
    """Bind and order the tasks that the engine runs. Raises InvalidInput for an unknown column or a cycle."""
    writes = {spec.alias: _writes(spec, task_types[spec.task_type]) for spec in specs}
    known = frozenset(columns).union(*writes.values()) if writes else frozenset(columns)
    people = frozenset(spec.alias for spec in specs if not task_types[spec.task_type].executes)
    problems: list[Problem] = []
    compiled: dict[str, tuple[TaskSpec, Binding, dict[str, Any]]] = {}
    visible = list(columns)
    for index, spec in enumerate(specs):
        loc: Loc = ("body", "tasks", index, "configuration")
        task_type = task_types[spec.task_type]
        bound = _bind_task(spec, task_type, _Columns(visible, known, people), loc, problems)
        if bound is not None and task_type.executes:
            compiled[spec.alias] = (spec, *bound)
        if task_type.executes and not getattr(task_type, "judges", False):
            visible += [column for column in writes[spec.alias] if column not in visible]
    if problems:
        raise InvalidInput(problems)
    nodes = [Node(alias, writes[alias], binding.columns) for alias, (_, binding, _) in compiled.items()]
    waits_for = dependencies(nodes)
    try:
        order = topological_order(waits_for)
    except Cycle as cycle:
        index = next(i for i, spec in enumerate(specs) if spec.alias == cycle.aliases[0])
        message = f"tasks wait for each other: {cycle}"
        raise InvalidInput.at(("body", "tasks", index), message, type="cycle") from None
    return tuple(
        RunnableTask(
            compiled[alias][0],
            task_types[compiled[alias][0].task_type],
            writes[alias],
            waits_for[alias],
            _resolver(compiled[alias][1], {**compiled[alias][2], **compiled[alias][0].material}),
        )
        for alias in order
    )


@dataclass(frozen=True, slots=True)
class _Columns:
    """The columns that a task may read: those that tasks before it write and that judge nothing, all, and people's."""

    visible: Sequence[str]
    known: Collection[str]
    people: Collection[str]


def _bind_task(
    spec: TaskSpec, task_type: TaskType, columns: _Columns, loc: Loc, problems: list[Problem]
) -> tuple[Binding, dict[str, Any]] | None:
    """A task's binding, with its readings, and its fixed fields. What waits for people cannot be read."""
    known = columns.known
    for inner, value in task_type.required_locators(spec.configuration):
        locator = parse_locator(value, known)
        if locator is None:
            problems.append(Problem((*loc, *inner), _unknown_locator(value, known), "unknown_locator", value))
        elif locator.column in columns.people:
            problems.append(Problem((*loc, *inner), _PEOPLES.format(locator.column), "waits_for_people", value))
    bound = _bind_configuration(spec, task_type, known, loc, problems)
    if bound is None:
        return None
    binding, fixed = bound
    readings = getattr(task_type, "readings", None)
    if task_type.executes and readings is not None:
        binding = _bind_readings(binding, readings(spec.configuration, columns.visible, known), known, loc, problems)
    read = sorted(binding.columns.intersection(columns.people))
    problems.extend(Problem(loc, _PEOPLES.format(column), "waits_for_people", column) for column in read)
    return binding, fixed


def executed_aliases(evaluation: Evaluation, task_types: Mapping[str, TaskType]) -> tuple[str, ...]:
    """The aliases of the tasks that the engine runs: pending on an item without a result."""
    return tuple(
        task.alias
        for task in evaluation.tasks
        if task.task_type not in task_types or task_types[task.task_type].executes
    )


def _resolver(binding: Binding, fixed: dict[str, Any]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    if binding.constant:
        merged = {**fixed, **binding.resolve({})}
        return lambda _values: merged
    if not fixed:
        return binding.resolve
    return lambda values: {**fixed, **binding.resolve(values)}


def _bind_configuration(
    spec: TaskSpec, task_type: TaskType, known: Collection[str], loc: Loc, problems: list[Problem]
) -> tuple[Binding, dict[str, Any]] | None:
    """The binding of the fields in which locators are resolved, and the other fields as they are."""
    resolved = task_type.resolved
    located = {key: value for key, value in spec.configuration.items() if resolved is None or key in resolved}
    fixed = {key: value for key, value in spec.configuration.items() if key not in located}
    optional = getattr(task_type, "optional_locators", None)
    try:
        if optional is not None:
            return _bind_with_optional(located, optional(spec.configuration), known), fixed
        return bind(located, known), fixed
    except UnknownColumn as unknown:
        field = next((key for key, value in located.items() if _mentions(value, unknown.locator)), None)
        where = loc if field is None else (*loc, field)
        problems.append(Problem(where, _unknown_locator(unknown.locator, known), "unknown_locator", unknown.locator))
        return None


def _bind_with_optional(
    located: Mapping[str, Any], optional: Sequence[tuple[Loc, str]], known: Collection[str]
) -> Binding:
    """A binding in which the values at the optional (field, key) places are left out where there is no such
    column, or an item has no such value."""
    places = {loc for loc, _ in optional}
    required = {
        field: {key: inner for key, inner in value.items() if (field, key) not in places}
        if isinstance(value, Mapping)
        else value
        for field, value in located.items()
    }
    base = bind(required, known)
    extras = [(loc, bind(value, known)) for loc, value in optional if parse_locator(value, known) is not None]
    if not extras:
        return base

    def resolve(values: Mapping[str, Any]) -> dict[str, Any]:
        resolved: dict[Any, Any] = base.resolve(values)
        for (field, key), extra in extras:
            try:
                value = extra.resolve(values)
            except MissingValue:
                continue
            resolved = {**resolved, field: {**resolved[field], key: value}}
        return resolved

    return Binding(resolve, base.columns.union(*(extra.columns for _, extra in extras)), constant=False)


def _bind_readings(
    base: Binding, readings: Sequence[Reading], known: Collection[str], loc: Loc, problems: list[Problem]
) -> Binding:
    """The binding with the values that the readings point at, as its member `item`."""
    found = []
    for reading in readings:
        locator = parse_locator(reading.locator, known)
        if locator is None:
            message = _unknown_locator(reading.locator, known)
            problems.append(Problem((*loc, *reading.loc), message, "unknown_locator", reading.locator))
        else:
            found.append((reading, locator))

    def resolve(values: Mapping[str, Any]) -> dict[str, Any]:
        item: dict[str, Any] = {}
        for reading, locator in found:
            try:
                item[reading.name] = locator.resolve(values)
            except MissingValue:
                if reading.required:
                    raise
        return {**base.resolve(values), "item": item}

    return Binding(resolve, base.columns.union(locator.column for _, locator in found), constant=False)


def _mentions(value: Any, locator: str) -> bool:
    if isinstance(value, str):
        return locator in value
    if isinstance(value, Mapping):
        return any(_mentions(inner, locator) for inner in value.values())
    return isinstance(value, list) and any(_mentions(inner, locator) for inner in value)


_PEOPLES = "the column {!r} is people's answers: nothing can wait for them, nor may people see them beforehand"


def _unknown_locator(value: str, known: Collection[str]) -> str:
    if not value.startswith("item."):
        return f"must be a locator such as 'item.<column>', not {value[:100]!r}"
    shown = ", ".join(sorted(known)[:20]) or "none"
    more = "" if len(known) <= 20 else f" and {len(known) - 20} more"
    return f"{value[:200]!r} points at no column; the columns and aliases are: {shown}{more}"


def _writes(spec: TaskSpec, task_type: TaskType) -> tuple[str, ...]:
    return (spec.alias, *task_type.output_aliases(spec.configuration))


def _read_task(
    loc: Loc, task: Any, task_types: Mapping[str, TaskType], services: Services, problems: list[Problem]
) -> TaskSpec | None:
    if not isinstance(task, Mapping):
        problems.append(Problem(loc, "a task must be an object", "dict_type"))
        return None
    name = task.get("task_type")
    if not isinstance(name, str) or name not in task_types:
        said = "is missing" if name is None else f"{str(name)[:100]!r} is unknown"
        known = ", ".join(sorted(task_types))
        problems.append(Problem((*loc, "task_type"), f"task_type {said}; there are: {known}", "unknown_task_type"))
        return None
    task_type = task_types[name]
    configuration = read_configuration(
        (*loc, "configuration"), task.get("configuration"), task_type, services, problems
    )
    if configuration is None:
        return None
    alias = task.get("alias")
    if alias is None:
        alias = task_type.default_alias(configuration)
    elif (cause := _alias_fault(alias)) is not None:
        problems.append(Problem((*loc, "alias"), cause, "invalid_alias"))
        return None
    return TaskSpec(name, alias, configuration)


def read_configuration(
    loc: Loc, configuration: Any, task_type: TaskType, services: Services, problems: list[Problem]
) -> dict[str, Any] | None:
    """Validate one task's configuration by its schema and its own checks; None when problems were added."""
    if configuration is None:
        problems.append(Problem(loc, "configuration is missing", "missing"))
        return None
    try:
        model = task_type.Configuration.model_validate(configuration, strict=False)
    except ValidationError as error:
        problems.extend(
            Problem((*loc, *fault["loc"]), fault["msg"].removeprefix("Value error, "), fault["type"])
            for fault in error.errors(include_url=False)
        )
        return None
    except RecursionError:
        problems.append(Problem(loc, "nested too deeply", "too_deep"))
        return None
    clean: dict[str, Any] = model.model_dump(mode="json", by_alias=True, exclude_unset=True)
    completed = getattr(task_type, "completed", None)
    if completed is not None:
        clean = completed(clean, services)
    faults = task_type.check(clean, services)
    problems.extend(Problem((*loc, *fault.loc), fault.message, "invalid_configuration") for fault in faults)
    return None if faults else clean


def _alias_fault(alias: Any) -> str | None:
    if not isinstance(alias, str) or not alias:
        return "must be non-empty text"
    if len(alias) > MAX_ALIAS_LENGTH:
        return f"is {len(alias)} characters long; at most {MAX_ALIAS_LENGTH}"
    if _CONTROL.search(alias):
        return "must not contain control characters"
    return None


def _check_aliases(specs: Sequence[TaskSpec], task_types: Mapping[str, TaskType]) -> None:
    first: dict[str, int] = {}
    problems: list[Problem] = []
    for index, spec in enumerate(specs):
        for column in _writes(spec, task_types[spec.task_type]):
            if column in first:
                message = (
                    f"the alias {column!r} is already used by task {first[column]}; give this task an alias of its own"
                )
                problems.append(Problem(("body", "tasks", index, "alias"), message, "duplicate_alias"))
            elif (cause := _alias_fault(column)) is not None:
                problems.append(Problem(("body", "tasks", index, "alias"), f"{column!r} {cause}", "invalid_alias"))
            else:
                first[column] = index
    if problems:
        raise InvalidInput(problems)
