"""Every error that Assay raises, in one tree. The edge maps a class to an HTTP status or an exit code.

    AssayError
     ├─ InvalidInput        the request's shape or range is wrong; lists Problems       (422)
     ├─ RuleViolation       well formed, but the state forbids it                       (400)
     │   └─ InvalidCursor   a paging cursor that names nothing in this list
     ├─ Conflict            what is there already stands against it                     (409)
     ├─ NotFound            no such thing in this account                               (404)
     ├─ Unauthenticated     no key, an unknown key, a revoked key                       (401)
     ├─ Forbidden           a good key that may not do this                             (403)
     ├─ TooLarge            a body or file over a limit                                 (413)
     ├─ NotOffered          part of the vendor's product that Assay leaves out          (501)
     ├─ Unavailable         cannot be done now; trying again may work                   (503)
     ├─ NotConfigured       a setting is missing or wrong; names the setting            (400)
     └─ ApplicationFailed   an application that was called did not answer as it should  (502)

A task that fails on one item is no exception: it is a result (`core.results.TaskError`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with an input.

    `loc` is the path to it, as in `("body", "tasks", 0, "configuration", "type")`; `type` is a stable
    snake_case word; `input` is the offending value when it is short enough to show, else None.
    """

    loc: tuple[str | int, ...]
    message: str
    type: str = "invalid"
    input: Any = None


class AssayError(Exception):
    """The root. `code` is stable across releases; the message names the value at fault."""

    code = "error"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidInput(AssayError):
    """The request is malformed. Nothing was written."""

    code = "invalid_input"

    def __init__(self, problems: Sequence[Problem]) -> None:
        first = problems[0]
        where = ".".join(str(part) for part in first.loc)
        super().__init__(f"{where}: {first.message}" if where else first.message)
        self.problems = tuple(problems)

    @classmethod
    def at(cls, loc: tuple[str | int, ...], message: str, *, type: str = "invalid") -> "InvalidInput":  # noqa: A002
        """One problem at one place."""
        return cls([Problem(loc, message, type)])


class RuleViolation(AssayError):
    """The request is well formed but the present state forbids it."""

    code = "rule_violation"


class Conflict(AssayError):
    """Well formed, but something that is there already stands against it; trying again changes nothing."""

    code = "conflict"


class NotFound(AssayError):
    """No such thing in this account; says no more, so that other accounts' ids stay unknown."""

    code = "not_found"

    def __init__(self, kind: str, identifier: str) -> None:
        super().__init__(f"{kind} not found: {identifier}")
        self.kind = kind
        self.identifier = identifier


class Unauthenticated(AssayError):
    """No API key, or one that is unknown or revoked."""

    code = "unauthenticated"


class Forbidden(AssayError):
    """The key is good but may not do this."""

    code = "forbidden"


class TooLarge(AssayError):
    """A body or a file is over its limit."""

    code = "too_large"


class NotOffered(AssayError):
    """A part of the vendor's product that Assay leaves out."""

    code = "not_offered"


class Unavailable(AssayError):
    """Cannot be done now; the same request may succeed later."""

    code = "unavailable"


class NotConfigured(AssayError):
    """A setting is missing or wrong; the message names the setting that cures it."""

    code = "not_configured"


class ApplicationFailed(AssayError):
    """An application that was called did not answer as its endpoint says. The message begins with the type of the
    error that an item would have; calling again may do again whatever the application did."""

    code = "application_failed"


class InvalidCursor(RuleViolation):
    """A paging cursor that names nothing in this list."""

    code = "invalid_cursor"

    def __init__(self, parameter: str, cursor: str) -> None:
        super().__init__(f"{parameter}: no such row in this list: {cursor}")
        self.parameter = parameter
        self.cursor = cursor
