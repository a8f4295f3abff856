"""What a metric is: a pure formula over a candidate and a reference text."""

from typing import ClassVar, Protocol


class Metric(Protocol):
    """A metric: one file in `assay.metrics` that defines a class `Metric` with these members.

    Its docstring states the definition, the range and the source. Heavy libraries are imported in
    `__init__` or later, never at module import: an evaluation that does not use a metric does not pay for it.
    """

    name: ClassVar[str]
    """The wire word, as in `{"type": "rougeL"}`."""

    def score(self, candidate: str, reference: str) -> float:
        """The score of a candidate text against a reference text: a finite float in the metric's range.

        Raises ValueError with a message for the user when the texts cannot be scored (for example too long)."""
        ...
