"""Applications that are evaluated: a spec groups their evaluations, a variant is one configuration of one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from assay.core.endpoints import read_endpoint
from assay.core.errors import InvalidInput, Problem
from assay.core.identity import Identity

Loc = tuple[str | int, ...]


class VariantVersion(StrEnum):
    """How a variant's configuration is written, and so what can be done with it."""

    V0 = "V0"
    AGENTS_SERVICE = "AGENTS_SERVICE"
    OFFLINE = "OFFLINE"


@dataclass(frozen=True, slots=True)
class ApplicationSpec:
    """An application, as a grouping of evaluations. `seq` orders by insertion."""

    id: str
    seq: int
    account_id: str
    name: str
    description: str
    created_at: datetime
    created_by: Identity
    run_online_evaluation: bool | None = None
    theme_id: str | None = None
    archived_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ApplicationVariant:
    """One configuration of an application. `configuration` is kept as it was given.

    Its member `endpoint`, where there is one, says where the application answers; see `core.endpoints`.
    """

    id: str
    seq: int
    account_id: str
    application_spec_id: str
    name: str
    version: VariantVersion
    configuration: Mapping[str, Any]
    created_at: datetime
    created_by: Identity
    updated_at: datetime
    description: str | None = None
    draft: bool = False
    published_at: datetime | None = None
    archived_at: datetime | None = None


_AGENT_TYPES = ("WORKFLOW", "PLAN", "STATE_MACHINE")
_EDGE_TEXTS = ("from_node", "from_field", "to_node", "to_field")
_NODE_TEXTS = ("id", "application_node_schema_id")


def check_configuration(version: VariantVersion, configuration: Mapping[str, Any], loc: Loc) -> None:
    """Raise InvalidInput, with places under `loc`, for a configuration that its version cannot have.

    Keys that the version does not know are let be. `endpoint` is Assay's own, for versions that can be called.
    """
    problems: list[Problem] = []
    metadata = configuration.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        problems.append(Problem((*loc, "metadata"), "must be an object", "dict_type"))
    if version is VariantVersion.V0:
        problems += _graph_problems(configuration, loc)
    if version is VariantVersion.AGENTS_SERVICE:
        problems += _agent_problems(configuration, loc)
    if configuration.get("endpoint") is not None:
        problems += _endpoint_problems(version, configuration["endpoint"], (*loc, "endpoint"))
    if problems:
        raise InvalidInput(problems)


def _endpoint_problems(version: VariantVersion, endpoint: Any, loc: Loc) -> list[Problem]:
    if version is VariantVersion.OFFLINE:
        return [Problem(loc, "is not for an OFFLINE variant, whose outputs are uploaded; use V0", "invalid_endpoint")]
    try:
        read_endpoint(endpoint, loc)
    except InvalidInput as invalid:
        return list(invalid.problems)
    return []


def _graph_problems(configuration: Mapping[str, Any], loc: Loc) -> list[Problem]:
    problems = []
    for part, texts in (("nodes", _NODE_TEXTS), ("edges", _EDGE_TEXTS)):
        members = configuration.get(part)
        if not isinstance(members, list):
            problems.append(Problem((*loc, part), "a V0 configuration has a list here", "missing"))
            continue
        for index, member in enumerate(members):
            given = member if isinstance(member, dict) else {}
            problems += [
                Problem((*loc, part, index, name), "must be text", "string_type")
                for name in texts
                if not isinstance(given.get(name), str)
            ]
    return problems


def _agent_problems(configuration: Mapping[str, Any], loc: Loc) -> list[Problem]:
    problems = []
    if configuration.get("type") not in _AGENT_TYPES:
        problems.append(Problem((*loc, "type"), f"must be one of {', '.join(_AGENT_TYPES)}", "enum"))
    if configuration.get("params") is None:
        problems.append(Problem((*loc, "params"), "an AGENTS_SERVICE configuration has params", "missing"))
    raw = configuration.get("raw_configuration")
    if raw is not None and not isinstance(raw, str):
        problems.append(Problem((*loc, "raw_configuration"), "must be text", "string_type"))
    return problems
