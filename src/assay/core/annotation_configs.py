"""Annotation configs: how a result is laid out for a person and told to a judge. Every form that a request may
have becomes the one normal form: `{annotation_config_type, components, direction, llm_prompt}`."""

from collections.abc import Iterator, Mapping
from typing import Any

from assay.core.errors import InvalidInput, Problem

Loc = tuple[str | int, ...]
Place = list[str]

TYPES = ("generation", "flexible", "summarization", "multiturn", "translation")
_INPUT, _EXPECTED = ["test_case_data", "input"], ["test_case_data", "expected_output"]
_OUTPUT = ["test_case_output", "output"]
_FORMS: Mapping[str, tuple[str, tuple[tuple[str, ...], ...]]] = {
    "multiturn": ("messages_loc", (("messages_loc",),)),
    "summarization": ("document_loc", (("document_loc",), ("summary_loc", "expected_summary_loc"))),
    "translation": (
        "original_text_loc",
        (("original_text_loc", "language_loc"), ("translation_loc", "expected_translation_loc")),
    ),
}
"""By type: the key that gives it away, and the rows of its layout by the keys of their places."""
_NEEDED = frozenset(
    {"messages_loc", "document_loc", "summary_loc", "original_text_loc", "translation_loc"},
)

_NOT_NEEDED = frozenset({"expected_summary_loc", "expected_translation_loc", "language_loc"})


def normal_form(config: Mapping[str, Any], loc: Loc) -> dict[str, Any]:
    """The normal form of an annotation config as it came in a request.

    Components that are not given come from the type's places; without any, input and outputs are laid out.
    Raises InvalidInput with places under `loc`. Unknown keys are dropped.
    """
    problems = list(_problems(config, loc))
    if problems:
        raise InvalidInput(problems)
    kind = config.get("annotation_config_type") or _recognised(config)
    prompt = _with_places(kind, config, config.get("llm_prompt")) or _generation_prompt(config)
    return {
        "annotation_config_type": kind,
        "components": config.get("components") or _components(kind, config),
        "direction": config.get("direction") or "row",
        **({} if prompt is None else {"llm_prompt": prompt}),
    }


def _recognised(config: Mapping[str, Any]) -> str:
    if "llm_prompt_template" in config:
        return "generation"
    return next((kind for kind, (key, _) in _FORMS.items() if key in config), "flexible")


def _components(kind: str, config: Mapping[str, Any]) -> list[list[dict[str, Any]]]:
    if kind in _FORMS and _FORMS[kind][0] in config:
        rows = [[config[key] for key in row if config.get(key)] for row in _FORMS[kind][1]]
    else:
        rows = [[_INPUT], [_OUTPUT, _EXPECTED]]
    components = [[{"data_loc": list(place)} for place in row] for row in rows]
    if rows[-1][-1] is _EXPECTED:
        components[-1][-1]["optional"] = True  # type: ignore[assignment]
    return components


def places_given(config: Mapping[str, Any]) -> set[tuple[str, ...]]:
    """The places that a form may name and a test case need not have: what is expected, and the language."""
    return {tuple(config[key]) for key in _NOT_NEEDED if config.get(key)}


def _with_places(kind: str, config: Mapping[str, Any], prompt: Any) -> dict[str, Any] | None:
    """The prompt, with the form's own places among its variables where the template may mean them."""
    if not prompt or kind not in _FORMS:
        return prompt or None
    declared = {variable["name"] for variable in prompt["variables"]}
    places = [
        {"name": name, "data_loc": config[key], **({"optional": True} if key in _NOT_NEEDED else {})}
        for row in _FORMS[kind][1]
        for key in row
        if config.get(key) and (name := key.removesuffix("_loc")) not in declared and name in prompt["template"]
    ]
    return {**prompt, "variables": [*prompt["variables"], *places]}


def _generation_prompt(config: Mapping[str, Any]) -> dict[str, Any] | None:
    template = config.get("llm_prompt_template")
    if template is None:
        return None
    return {
        "template": template,
        "variables": [
            {"name": "input", "data_loc": _INPUT},
            {"name": "expected_output", "data_loc": _EXPECTED, "optional": True},
            {"name": "output", "data_loc": _OUTPUT},
            {"name": "expected_extra_info", "data_loc": ["test_case_data", "expected_extra_info"], "optional": True},
            {"name": "extra_info", "data_loc": ["test_case_output", "extra_info"], "optional": True},
        ],
    }


def _problems(config: Mapping[str, Any], loc: Loc) -> Iterator[Problem]:
    kind = config.get("annotation_config_type")
    if kind is not None and kind not in TYPES:
        yield Problem((*loc, "annotation_config_type"), f"must be one of {', '.join(TYPES)}", "enum", kind)
    if config.get("direction") not in (None, "row", "col"):
        yield Problem((*loc, "direction"), "must be row or col", "enum", config["direction"])
    if not isinstance(config.get("llm_prompt_template", ""), str):
        yield Problem((*loc, "llm_prompt_template"), "must be text", "string_type")
    for form, (giveaway, rows) in _FORMS.items():
        for key in (key for row in rows for key in row):
            if key in config and config[key] is not None and not _is_place(config[key]):
                yield Problem((*loc, key), "must be a list of texts", "list_type")
            if key in _NEEDED and config.get(key) is None and (giveaway in config):
                yield Problem((*loc, key), f"is needed in the {form} form", "missing")
    yield from _component_problems(config.get("components"), (*loc, "components"))
    yield from _prompt_problems(config.get("llm_prompt"), (*loc, "llm_prompt"))


def _component_problems(components: Any, loc: Loc) -> Iterator[Problem]:
    if components is None:
        return
    if not isinstance(components, list) or not all(isinstance(row, list) for row in components):
        yield Problem(loc, "must be a list of lists of components", "list_type")
        return
    for number, row in enumerate(components):
        for index, component in enumerate(row):
            place = (*loc, number, index)
            if not isinstance(component, dict) or not _is_place(component.get("data_loc")):
                yield Problem((*place, "data_loc"), "must be a list of texts", "list_type")
            elif not _fits(component, label=str, optional=bool):
                yield Problem(place, "label must be text and optional true or false", "type")


def _prompt_problems(prompt: Any, loc: Loc) -> Iterator[Problem]:
    if prompt is None:
        return
    if not isinstance(prompt, dict) or not isinstance(prompt.get("template"), str):
        yield Problem((*loc, "template"), "must be text", "string_type")
        return
    variables = prompt.get("variables")
    if not isinstance(variables, list):
        yield Problem((*loc, "variables"), "must be a list", "list_type")
        return
    for index, variable in enumerate(variables):
        named = isinstance(variable, dict) and isinstance(variable.get("name"), str)
        if not named or not _is_place(variable.get("data_loc")) or not _fits(variable, optional=bool):
            yield Problem((*loc, "variables", index), "needs a name and a data_loc, a list of texts", "type")


def _fits(given: Mapping[str, Any], **kinds: type) -> bool:
    return all(given.get(name) is None or isinstance(given[name], kind) for name, kind in kinds.items())


def _is_place(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(part, str) for part in value)
