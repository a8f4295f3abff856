"""Thresholds of a run file: what a number must be for the run to pass, and whether it is."""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "==": operator.eq,
    "!=": operator.ne,
}
_CONDITION = re.compile(r"\s*(>=|<=|==|!=|>|<)\s*([-+]?(?:\.\d+|\d+(?:\.\d*)?)(?:[eE][-+]?\d+)?)\s*")

EVALUATION_QUANTITIES = ("errors", "failed", "items")
"""What a threshold can be about in the evaluation as a whole."""
TASK_QUANTITIES = (
    "mean",
    "low",
    "high",
    "std",
    "min",
    "max",
    "n",
    "missing",
    "errored",
    "skipped",
    "pending",
    "completed",
    "cached",
    "latency_mean",
    "latency_p50",
    "latency_p95",
)
"""What a threshold can be about in one task."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A condition on a number. `alias` is None when it is about the whole evaluation."""

    alias: str | None
    quantity: str
    comparison: str
    limit: float

    @property
    def text(self) -> str:
        """How it is shown: `rougeL mean >= 0.4`."""
        subject = f"{self.alias} {self.quantity}" if self.alias is not None else self.quantity
        return f"{subject} {self.comparison} {self.limit:g}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a threshold is met, and the number it was held against (None: there is no such number)."""

    threshold: Threshold
    value: float | None
    met: bool


def parse_condition(text: Any) -> tuple[str, float]:
    """Split `>= 0.4` into its comparison and limit. Raises ValueError with a message for the user."""
    matched = _CONDITION.fullmatch(text) if isinstance(text, str) else None
    if matched is None:
        raise ValueError(f"must be a comparison and a number, such as '>= 0.4', not {text!r}")
    return matched[1], float(matched[2])


def check(threshold: Threshold, aggregates: Mapping[str, Mapping[str, Any]], totals: Mapping[str, float]) -> Verdict:
    """Hold a threshold against an evaluation's aggregates by alias and its totals.

    A number that does not exist (the mean of no values) misses every threshold: absence is never a pass.
    """
    if threshold.alias is None:
        value: float | None = totals.get(threshold.quantity)
    else:
        value = quantity(aggregates.get(threshold.alias), threshold.quantity)
    met = value is not None and _OPERATORS[threshold.comparison](value, threshold.limit)
    return Verdict(threshold, value, met)


def quantity(aggregate: Mapping[str, Any] | None, name: str) -> float | None:
    """A number of a task's aggregate by its threshold name, or None when it has none."""
    if aggregate is None:
        return None
    if name in ("low", "high"):
        found = (aggregate.get("interval") or {}).get(name)
    elif name.startswith("latency_"):
        found = (aggregate.get("latency") or {}).get(name.removeprefix("latency_"))
    else:
        found = aggregate.get(name)
    return None if found is None else float(found)
