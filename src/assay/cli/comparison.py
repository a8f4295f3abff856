"""Compares two evaluations task by task, item by item, and says in a sentence what is more than chance."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assay.cli.report import NOTHING, interval, made_of, make_table, number, plain, seconds
from assay.stats.paired import PairedDifference, holm, paired_difference

if TYPE_CHECKING:
    from rich.table import Table

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Compared:
    """One task in both evaluations: its aggregates, B - A over the items both have, and the p value corrected
    for how many tasks are compared (None: nothing to compare)."""

    alias: str
    a: Mapping[str, Any]
    b: Mapping[str, Any]
    difference: PairedDifference | None
    p_value: float | None

    @property
    def beyond_chance(self) -> bool:
        """Whether a difference this large would be rare without a real one."""
        return self.p_value is not None and self.p_value < 1 - LEVEL


def compare(
    aggregates: tuple[Mapping[str, Mapping[str, Any]], Mapping[str, Mapping[str, Any]]],
    items: tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]],
    row_identifier: str,
) -> list[Compared]:
    """Every task that both evaluations have; `items` are the wire's, joined by the row identifier's column."""
    a, b = aggregates
    shared = [alias for alias in a if alias in b]
    differences: dict[str, PairedDifference | None] = {}
    for alias in shared:
        values_a, values_b = (_numbers(side, alias, row_identifier) for side in items)
        differences[alias] = paired_difference(values_a, values_b, LEVEL)
    tested = [
        (alias, found.p_value)
        for alias, found in differences.items()
        if found is not None and found.p_value is not None
    ]
    corrected = dict(zip((alias for alias, _ in tested), holm([p for _, p in tested]), strict=True))
    return [Compared(alias, a[alias], b[alias], differences[alias], corrected.get(alias)) for alias in shared]


def _numbers(items: Iterable[Mapping[str, Any]], alias: str, row_identifier: str) -> dict[str, float]:
    return {
        str(item["data"][row_identifier]): float(item["data"][alias])
        for item in items
        if isinstance(item["data"].get(alias), int | float)
    }


def comparison_table(compared: Sequence[Compared], title: str) -> "Table":
    """The table: means with their intervals below them, the difference, and what is behind the numbers."""
    table = make_table("task", "A", "B", "B - A", "p", "n", "missing", "errors", "time", title=title)
    for one in compared:
        found = one.difference
        gap = _stack(_signed(found.mean_difference), _bounds(found)) if found else NOTHING
        strong = ("[bold]", "[/bold]") if one.beyond_chance else ("", "")
        table.add_row(
            f"{strong[0]}{plain(one.alias)}{strong[1]}",
            *(_stack(number(side.get("mean")), interval(side.get("interval"))) for side in (one.a, one.b)),
            f"{strong[0]}{gap}{strong[1]}",
            _p(one.p_value),
            _both(str(made_of(one.a)), str(made_of(one.b))),
            *(_both(str(one.a.get(key) or 0), str(one.b.get(key) or 0)) for key in ("missing", "errored")),
            _both(seconds(one.a), seconds(one.b)),
        )
    return table


def sentences(compared: Sequence[Compared]) -> list[str]:
    """What the table says, in words."""
    tested = [one for one in compared if one.p_value is not None]
    real = [one for one in tested if one.beyond_chance]
    said = []
    for one in real:
        assert one.difference is not None
        word = "higher" if one.difference.mean_difference > 0 else "lower"
        said.append(f"{one.alias} is {word} with B by {abs(one.difference.mean_difference):.3f}")
    lines = [f"More than chance: {'; '.join(said)}."] if said else ["No difference is larger than chance makes."]
    same = [
        one for one in tested if one.difference is not None and one.p_value == 1 and not one.difference.mean_difference
    ]
    rest = [one.alias for one in tested if one not in real and one not in same]
    if said and rest:
        lines.append(f"Could be chance: {', '.join(rest)}.")
    if same:
        lines.append(f"No difference: {', '.join(one.alias for one in same)}.")
    lines.append("Intervals are 95 %; differences pair the same rows of both evaluations;")
    lines.append(
        f"p is the chance of such a difference were there none, corrected (Holm) for {len(tested)} comparisons."
    )
    return lines


def _stack(first: str, second: str) -> str:
    return first if second == NOTHING else f"{first}\n[dim]{second}[/dim]"


def _both(a: str, b: str) -> str:
    """A's number above B's, or one for both."""
    return a if a == b else f"{a}\n{b}"


def _signed(value: float) -> str:
    return f"{value:+.3f}" if round(value, 3) else "0.000"


def _bounds(found: PairedDifference) -> str:
    return f"({_signed(found.interval.low)}, {_signed(found.interval.high)})" if found.interval else NOTHING


def _p(value: float | None) -> str:
    if value is None:
        return NOTHING
    return "<0.001" if value < 0.001 else f"{value:.3f}"
