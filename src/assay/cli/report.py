"""What the commands print about evaluations: tables that fit 100 columns and read without colour."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from assay.cli.progress import duration
from assay.cli.thresholds import Verdict

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

WIDTH = 100
NOTHING = "-"
MOST_SHARES = 5
LONGEST_MESSAGE = 200


def make_console(*, stderr: bool = False, record: bool = False, width: int = WIDTH) -> "Console":
    """A console as wide as the terminal; `width` columns where there is none."""
    from rich.console import Console

    console = Console(stderr=stderr, record=record, highlight=False)
    if not console.is_terminal:
        console.width = width
    return console


def make_table(*columns: str, title: str | None = None, texts: int = 1) -> "Table":
    """A table whose first `texts` columns are text and whose others are numbers."""
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for index, column in enumerate(columns):
        text = index < texts
        whole = not text or column == "id"  # an id is there to be copied
        table.add_column(column, justify="left" if text else "right", overflow="fold", no_wrap=whole)
    return table


def number(value: float | None) -> str:
    """A number with three decimals, or four significant digits when it is large."""
    if value is None:
        return NOTHING
    return f"{value:.3f}" if abs(value) < 100 else f"{value:.4g}"


def interval(found: Mapping[str, Any] | None) -> str:
    """An interval as `(0.210, 0.334)`."""
    return f"({number(found['low'])}, {number(found['high'])})" if found else NOTHING


def seconds(aggregate: Mapping[str, Any]) -> str:
    """The mean time of the task on one item, where a task says how long it took."""
    mean = (aggregate.get("latency") or {}).get("mean")
    return duration(mean) if mean is not None else NOTHING


def made_of(aggregate: Mapping[str, Any]) -> int:
    """How many values a task's numbers are made of; of values that are no numbers, how many there are."""
    return int(aggregate.get("n") or aggregate.get("completed") or 0)


def by_alias(aggregates: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The answer of the aggregates endpoint by task alias, in the tasks' order."""
    return {one["alias"]: one for one in aggregates["tasks"]}


def task_table(aggregates: Mapping[str, Any]) -> "Table":
    """One line a task: mean, interval, how many it is made of and how many it lacks."""
    table = make_table("task", "mean", "95 % interval", "n", "missing", "errors", "cached", "time")
    for alias, one in by_alias(aggregates).items():
        counts = (str(one.get(key) or 0) for key in ("missing", "errored", "cached"))
        table.add_row(plain(alias), *_centre(one), str(made_of(one)), *counts, seconds(one))
    return table


def _centre(one: Mapping[str, Any]) -> tuple[str, str]:
    """The mean and interval; when the values are no numbers, each value's share and its interval, a line each, or
    how many values there are when most of them are different."""
    values: Mapping[str, int] | None = one.get("values")
    if one.get("mean") is None and values and len(values) > max(MOST_SHARES, made_of(one) // 2):
        return f"{len(values)} different", NOTHING
    if one.get("mean") is None and values:
        shares: Mapping[str, Any] = one.get("shares") or {}
        most = sorted(values.items(), key=lambda pair: -pair[1])[:MOST_SHARES]
        rest = len(values) - len(most)
        lines = [
            (f"{plain(_short(value))} {number((shares.get(value) or {}).get('share'))}", shares.get(value))
            for value, _ in most
        ]
        means = [line for line, _ in lines] + ([f"{rest} more"] if rest else [])
        return "\n".join(means), "\n".join(interval((share or {}).get("interval")) for _, share in lines)
    return number(one.get("mean")), interval(one.get("interval"))


def _short(text: str, longest: int = 12) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def totals(evaluation: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of an evaluation as a whole that thresholds can be about."""
    items = (evaluation.get("progress") or {}).get("items") or {}
    return {
        "errors": float(evaluation.get("error_count") or 0),
        "failed": float(items.get("failed") or 0),
        "items": float(items.get("total") or 0),
    }


def agreement_table(agreement: Mapping[str, Any]) -> "Table | None":
    """One line for each question that several people answered, and for each judge beside people; None without any."""
    table = make_table("agreement", "items", "percent", "kappa", "alpha", "95 % interval", title=None)
    for one in agreement["questions"]:
        if one["items"] and one["scale"]:
            between = f"{plain(one['alias'])}: {len(one['contributors'])} people"
            pairs = one["pairs"]
            kappa = pairs[0]["cohens_kappa"] if len(pairs) == 1 else None
            _add_agreement(table, between, one, kappa)
    for one in agreement["comparisons"]:
        if one["items"] and one["scale"]:
            _add_agreement(table, " and ".join(map(plain, one["aliases"])), one, one["cohens_kappa"])
    return table if table.row_count else None


def _add_agreement(table: "Table", name: str, one: Mapping[str, Any], kappa: Mapping[str, Any] | None) -> None:
    alpha = one["krippendorffs_alpha"] or {}
    share = (one["percent_agreement"] or {}).get("value")
    figures = (number(share), number((kappa or {}).get("value")), number(alpha.get("value")))
    table.add_row(name, str(one["items"]), *figures, interval(alpha.get("interval")))


def print_evaluation(
    evaluation: Mapping[str, Any], aggregates: Mapping[str, Any], agreement: Mapping[str, Any] | None = None
) -> None:
    """An evaluation's state and tables."""
    console = make_console()
    reason = f": {evaluation['status_reason']}" if evaluation.get("status_reason") else ""
    console.print(f"[bold]{plain(evaluation['name'])}[/bold] is {evaluation['status']}{plain(reason)}")
    console.print(task_table(aggregates))
    for line in error_lines(evaluation, aggregates):
        console.print(line, markup=False, soft_wrap=True)
    agreed = None if agreement is None else agreement_table(agreement)
    if agreed is not None:
        console.print(agreed)
    console.print(summary(evaluation, aggregates), markup=False, soft_wrap=True)
    if at_its_budget(evaluation):
        way_on = f"assay evaluations resume {evaluation['id']} --max-cost DOLLARS"
        console.print(f"Go on with: {way_on}", markup=False, soft_wrap=True)


def at_its_budget(evaluation: Mapping[str, Any]) -> bool:
    """Whether an evaluation stopped because its calls cost what they may."""
    reason = str(evaluation.get("status_reason") or "")
    return evaluation["status"] == "failed" and reason.startswith("Stopped at max_cost")


def error_lines(evaluation: Mapping[str, Any], aggregates: Mapping[str, Any]) -> list[str]:
    """What kinds of errors each task had, most frequent first, and the first message that the progress tells."""
    lines = []
    for alias, one in by_alias(aggregates).items():
        kinds = sorted((one.get("error_types") or {}).items(), key=lambda pair: (-pair[1], pair[0]))
        if kinds:
            counted = ", ".join(f"{count} {kind}" for kind, count in kinds)
            lines.append(f"errors of {visible(alias)}: {counted}")
    told = ((evaluation.get("progress") or {}).get("items") or {}).get("failed_items") or ()
    if lines and told:
        lines.append(f"such as: {visible(_short(str(told[0]['error']), LONGEST_MESSAGE))} (item {told[0]['item_id']})")
    return lines


def summary(evaluation: Mapping[str, Any], aggregates: Mapping[str, Any]) -> str:
    """The line under a table: which evaluation, how many items, how long."""
    found = totals(evaluation)
    failed = f", {found['failed']:.0f} of them with errors" if found["failed"] else ""
    took = aggregates.get("seconds")
    elapsed = f", in {duration(took)}" if took is not None else ""
    cost = aggregates.get("cost")
    spent = f", its calls cost {dollars(cost)}" if cost is not None else ""
    return f"Evaluation {evaluation['id']}: {found['items']:.0f} items{failed}{elapsed}{spent}"


def dollars(amount: float | None) -> str:
    """US dollars with two decimals, or two significant digits when they are less than ten cents."""
    if amount is None:
        return NOTHING
    return f"${amount:,.2f}" if amount >= 0.1 or amount == 0 else f"${float(f'{amount:.2g}'):.10f}".rstrip("0")


def print_estimate(estimate: Mapping[str, Any], max_cost: float | None = None) -> None:
    """What an evaluation would ask of models and what that would cost, and whether its budget is enough for that."""
    console = make_console()
    figures = ("calls", "cached", "prompt\ntokens", "answer\ntokens", "tokens\nat most", "cost", "cost\nat most")
    table = make_table("task", "model", *figures, texts=2)
    total = {"alias": "total", "model": "", **estimate["total"]}
    for one in [*estimate["tasks"], *([total] if len(estimate["tasks"]) > 1 else [])]:
        tokens = ("prompt_tokens", "completion_tokens", "completion_tokens_at_most")
        shown = (NOTHING if one[name] is None else f"{one[name]:,}" for name in ("calls", "cached_calls", *tokens))
        table.add_row(
            plain(one["alias"]), plain(one["model"]), *shown, dollars(one["cost"]), dollars(one["cost_at_most"])
        )
    seen = estimate["sampled"]
    looked = "" if seen == estimate["items"] else f" (reckoned from {seen:,} of them)"
    console.print(f"{estimate['items']:,} items{looked}; nothing was called", markup=False)
    if not estimate["tasks"]:
        console.print("no task calls a model by itself", markup=False)
        return
    console.print(table)
    for line in _estimate_notes(estimate):
        console.print(line, markup=False, soft_wrap=True)
    expected = estimate["total"].get("cost")
    if max_cost is not None and expected is not None and expected > max_cost:
        console.print(f"That is more than max_cost, {dollars(max_cost)}: it would stop there.", soft_wrap=True)


def _estimate_notes(estimate: Mapping[str, Any]) -> list[str]:
    """How sure the figures are, and what would make them surer."""
    notes = ["Prompt tokens are reckoned from characters; answers by this account's past calls of the model."]
    unexpected = [one for one in estimate["tasks"] if one["completion_tokens"] is None]
    if unexpected:
        limitless = any(one["completion_tokens_at_most"] is None for one in unexpected)
        limit = ", or set max_tokens for a bound" if limitless else ""
        notes.append(f"Too few past calls to expect answers from (-): run a few items first{limit}.")
    notes.extend(
        f'No price is set for {model}: set input and output of [vendors.{vendor}.prices."{name}"] in assay.toml.'
        for model in estimate["unpriced"]
        for vendor, _, name in [model.partition("/")]
    )
    return notes


def print_evaluations(found: Sequence[Mapping[str, Any]], total: int) -> None:
    """A list of evaluations."""
    console = make_console()
    table = make_table("id", "name", "status", "created", "items", "errors", texts=4)
    for evaluation in found:
        counted = totals(evaluation)
        created = str(evaluation["created_at"])[:16].replace("T", " ")
        name = plain(str(evaluation["name"]))
        counts = (f"{counted['items']:.0f}", f"{counted['errors']:.0f}")
        table.add_row(evaluation["id"], name, evaluation["status"], created, *counts)
    console.print(table)
    console.print(f"{len(found)} of {total} evaluations", markup=False)


def print_verdicts(console: "Console", verdicts: Sequence[Verdict]) -> None:
    """Each threshold, whether it is met, and what it was held against."""
    for verdict in verdicts:
        word = "[green]met   [/green]" if verdict.met else "[red]MISSED[/red]"
        value = "there is no such number" if verdict.value is None else f"it is {verdict.value:.4g}"
        console.print(f"{word}  {plain(verdict.threshold.text)}  ({value})", soft_wrap=True)


def plain(text: str) -> str:
    """Text of the user's, safe to put among markup and on a terminal."""
    from rich.markup import escape

    return escape(visible(text))


def visible(text: str) -> str:
    """Text of the user's, safe to put on a terminal."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
