"""What the demo evaluates: countries' capitals, as one small model named them in two variants of the prompt."""

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

ROW_IDENTIFIER = "iso"
ROWS_FROM = "GeoNames' countries (geonames.org, CC BY 4.0)"
ANSWERS_FROM = "SmolLM2-135M-Instruct, recorded once by scripts/record_demo.py"

NAMES = '''def names(answer, expected):
    """1 when the answer holds the expected words, whatever their case and accents; else 0."""
    accented, bare = "áàâãäåçéèêëíìîïñóòôõöúùûüý", "aaaaaaceeeeiiiinooooouuuuy"
    found, wanted = answer.lower(), expected.lower()
    for letter, plain in zip(accented, bare):
        found, wanted = found.replace(letter, plain), wanted.replace(letter, plain)
    return int(wanted in found)
'''
_CONTINENT = "On which continent is {}? Answer with the continent's name only."
_EXAMPLES = (("Japan", "Asia"), ("Kenya", "Africa"))


@dataclass(frozen=True, slots=True)
class Variant:
    """One variant of the job: how it is called and which column holds its recorded answers."""

    letter: str
    name: str
    answers: str
    worked_examples: bool


VARIANTS = (
    Variant("A", "capitals: plain question", "answer_plain", worked_examples=False),
    Variant("B", "capitals: two worked examples first", "answer_examples", worked_examples=True),
)


def rows(variant: Variant) -> list[dict[str, Any]]:
    """The rows of a variant: what is known of each country, and the model's answer."""
    text = (files("assay.cli") / "data" / "capitals.jsonl").read_text("utf-8")
    recorded = [json.loads(line) for line in text.splitlines()]
    answers = {each.answers for each in VARIANTS}
    return [
        {
            "question": f"What is the capital of {row['country']}?",
            "answer": row[variant.answers],
            **{column: value for column, value in row.items() if column not in answers},
        }
        for row in recorded
    ]


def evaluation(variant: Variant, model: str) -> dict[str, Any]:
    """The body that creates the variant's evaluation."""
    return {
        "name": variant.name,
        "description": f"Rows: {ROWS_FROM}. Answers: {ANSWERS_FROM}.",
        "tags": ["demo"],
        "metadata": {"variant": variant.letter, "answers_by": "SmolLM2-135M-Instruct", "continents_by": model},
        "data": rows(variant),
        "tasks": [
            *(_metric(name, alias) for name, alias in _METRICS),
            _names("has_capital", "item.answer", "item.capital"),
            _chat(variant, model),
            _names("guess_right", "item.guess", "item.continent"),
        ],
    }


_METRICS = (("exact_match", "exact_match"), ("f1", "f1"), ("rougeL", "rougeL"), ("cosine_similarity", "cosine"))


def _metric(name: str, alias: str) -> dict[str, Any]:
    configuration = {"type": name, "candidate": "item.answer", "reference": "item.capital"}
    return {"task_type": "metric", "alias": alias, "configuration": configuration}


def _names(alias: str, answer: str, expected: str) -> dict[str, Any]:
    mapping = {"answer": answer, "expected": expected}
    return {
        "task_type": "custom_function",
        "alias": alias,
        "configuration": {"function_source": NAMES, "arg_mapping": mapping},
    }


def _chat(variant: Variant, model: str) -> dict[str, Any]:
    messages: list[dict[str, str]] = []
    for country, continent in _EXAMPLES if variant.worked_examples else ():
        messages.append({"role": "user", "content": _CONTINENT.format(country)})
        messages.append({"role": "assistant", "content": continent})
    messages.append({"role": "user", "content": _CONTINENT.format("{{item.country}}")})
    return {
        "task_type": "chat_completion",
        "alias": "guess",
        "configuration": {"model": model, "messages": messages, "temperature": 0, "max_tokens": 40},
    }
