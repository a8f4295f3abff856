"""What a judge is told of a result, by an annotation config: a prompt whose placeholders are locators.

A template's own placeholders may be written `{{name}}`, `{{{name}}}` or `{name}`; only the names of variables are any.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay.core.data_locs import EXPECTED, INPUT, OUTPUT, locator_of

EVALUATION_QUESTION = "evaluation_question"
"""The variable that stands for the question's own prompt."""

_INTRODUCTION = "An application was given the input below and gave the output below. Judge the output."
_LOCATOR = re.compile(r"\{\{\s*item\.")
_BELOW = "(the question that stands below)"
_COMMON: Mapping[str, tuple[str, ...]] = {
    "input": INPUT,
    "output": OUTPUT,
    "expected_output": EXPECTED,
    "expected_extra_info": ("test_case_data", "expected_extra_info"),
    "extra_info": ("test_case_output", "extra_info"),
}
"""Variables that every template may use without declaring them; they may be missing."""


@dataclass(frozen=True, slots=True)
class JudgePrompt:
    """A prompt with placeholders `{{item...}}`. The `optional` locators may point at nothing."""

    text: str
    optional: tuple[str, ...] = ()


def judge_prompt(config: Mapping[str, Any] | None, question: str) -> JudgePrompt:
    """The prompt of an annotation config in its normal form: its own, else one that shows its components in order.
    `question` is what is asked.

    Raises ValueError, naming it, for a data location that is none, and for a template with locators of its own.
    """
    written = config.get("llm_prompt") if config is not None else None
    if not written:
        return _shown(_sections(config))
    template = str(written["template"])
    if _LOCATOR.search(template):
        raise ValueError("the template points at item...; declare a variable with a data_loc instead")
    declared = {each["name"]: (each["data_loc"], bool(each.get("optional"))) for each in written["variables"]}
    places = {**{name: (place, True) for name, place in _COMMON.items()}, **declared}
    locators = {name: (_locator(place), optional) for name, (place, optional) in places.items()}
    used: set[str] = set()

    def filled(found: re.Match[str]) -> str:
        name = next(filter(None, found.groups()))
        if name not in locators:
            # What looks like a placeholder inside the question would be taken for one.
            return _BELOW if "{{" in question else question
        used.add(name)
        return f"{{{{{locators[name][0]}}}}}"

    text = _placeholder([*locators, EVALUATION_QUESTION]).sub(filled, template)
    return JudgePrompt(
        text, tuple(locator for name, (locator, optional) in locators.items() if optional and name in used)
    )


def _placeholder(names: Sequence[str]) -> re.Pattern[str]:
    words = "|".join(sorted(map(re.escape, names), key=len, reverse=True))
    inner = rf"[ \t]*({words})[ \t]*"
    return re.compile(rf"\{{\{{\{{{inner}\}}\}}\}}|\{{\{{{inner}\}}\}}|\{{{inner}\}}")


def _sections(config: Mapping[str, Any] | None) -> list[tuple[str, Sequence[str], bool]]:
    """(title, data location, optional) of what is shown."""
    components = [component for row in (config or {}).get("components") or () for component in row]
    if not components:
        return [("Input", INPUT, False), ("Output", OUTPUT, False), ("Expected output", EXPECTED, True)]
    return [
        (each.get("label") or _title(each["data_loc"]), each["data_loc"], bool(each.get("optional")))
        for each in components
    ]


def _title(place: Sequence[str]) -> str:
    words = place[1:] if place[0] != "trace" and len(place) > 1 else place
    return " / ".join(words).replace("_", " ").capitalize()


def _shown(sections: Sequence[tuple[str, Sequence[str], bool]]) -> JudgePrompt:
    located = [(title, _locator(place), optional) for title, place, optional in sections]
    shown = [f"## {title.replace('{{', '')}\n{{{{{locator}}}}}" for title, locator, _ in located]
    optional = tuple(locator for _, locator, may_miss in located if may_miss)
    return JudgePrompt("\n\n".join((_INTRODUCTION, *shown)), optional)


def _locator(place: Sequence[str]) -> str:
    locator = locator_of(place)
    if locator is None:
        raise ValueError(f"{list(place)} is no data_loc: it begins with test_case_data, test_case_output or trace")
    return locator
