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
     ├─ ApplicationFailed   an application that was called did not answer as it should  (502)
     └─ VendorFailed        a vendor of models refused a call or failed at it           (the vendor's; 502, 504)

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


MOST_OF_AN_ID = 256
"""So many characters of an id, which may be anything that was sent, are repeated in a message."""


class Conflict(AssayError):
    """Well formed, but something that is there already stands against it; trying again changes nothing."""

    code = "conflict"


class NotFound(AssayError):
    """No such thing in this account; says no more, so that other accounts' ids stay unknown."""

    code = "not_found"

    def __init__(self, kind: str, identifier: str) -> None:
        shown = identifier if len(identifier) <= MOST_OF_AN_ID else f"{identifier[:MOST_OF_AN_ID]}…"
        super().__init__(f"{kind} not found: {shown}")
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


class VendorFailed(AssayError):
    """A vendor of models refused a call, failed at it or did not answer, after the attempts that it was worth.

    `status` is the HTTP status that the vendor gave, None when it gave no answer or none that can be used;
    `retry_after` the seconds that it asks to wait; `may_pass`: whether the same call may go better later. `own_key`:
    the call carried a key that the caller brought.
    The message names the vendor, the model and the cause; never a key, a prompt or a header.
    """

    code = "vendor_failed"

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        timed_out: bool = False,
        may_pass: bool = True,
        own_key: bool = False,
    ) -> None:
        super().__init__(message[:2000])
        self.status = status
        self.retry_after = retry_after
        self.timed_out = timed_out
        self.may_pass = may_pass
        self.own_key = own_key
