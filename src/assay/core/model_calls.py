"""What a call of a model is worth: when two calls are the same, what one costs, and how an evaluation may call."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class CacheMode(StrEnum):
    """Whether an evaluation's calls may be answered by what the same call was answered before, in the account.

    `auto`: read and kept where the request asks for a repeatable answer; `on`: read and kept always; `read`: read
    always, nothing is kept; `off`: neither.
    """

    AUTO = "auto"
    ON = "on"
    READ = "read"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class CallPolicy:
    """How an evaluation may call models. `max_cost`: US dollars that its calls may cost in all; None: no bound."""

    cache: CacheMode = CacheMode.AUTO
    max_cost: float | None = None


@dataclass(frozen=True, slots=True)
class Price:
    """What a model's tokens cost, in US dollars for a million of each kind."""

    prompt: float
    completion: float

    def of(self, prompt_tokens: float, completion_tokens: float) -> float:
        """The price of so many tokens, in US dollars."""
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1_000_000


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One call as a task makes it: `kind` is `chat`, `ask` or `inference`, `request` the body without the model.
    An `ask` is a chat that has the shape of its answer as `answer_shape` (see `ports.models.AnswerShape`)."""

    model: str
    request: Mapping[str, Any]
    kind: str = "chat"

    @property
    def asks_for_one_answer(self) -> bool:
        """Whether the request says that its answer is to be the same each time: temperature 0, or a seed."""
        temperature = self.request.get("temperature")
        is_zero = isinstance(temperature, int | float) and not isinstance(temperature, bool) and temperature == 0
        return is_zero or self.request.get("seed") is not None

    def key(self, endpoint: str) -> str:
        """What equal calls share: SHA-256 of the endpoint, the kind, the model and every parameter, in hexadecimal.
        The order of an object's members does not matter. Raises TypeError or ValueError for what is not JSON."""
        said = [endpoint, self.kind, self.model, self.request]
        text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def most_completion_tokens(self) -> int | None:
        """How many tokens the request allows the answer, for all of its choices; None when it does not say."""
        for name in ("max_completion_tokens", "max_tokens"):
            most = self.request.get(name)
            if isinstance(most, int) and not isinstance(most, bool):
                choices = self.request.get("n")
                return most * (choices if isinstance(choices, int) and choices > 1 else 1)
        return None

    @property
    def prompt_characters(self) -> int:
        """The characters of text in the request: what prompts, messages and inputs hold, wherever in them."""
        said = [self.request[name] for name in ("messages", "prompt", "input", "system") if name in self.request]
        return _characters(said)


def _characters(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(_characters(inner) for name, inner in value.items() if name not in ("role", "type"))
    if isinstance(value, list | tuple):
        return sum(map(_characters, value))
    return 0


@dataclass(frozen=True, slots=True)
class CallSums:
    """Sums over calls of one model that were answered and said their tokens. `squares` are the completion tokens'."""

    calls: int = 0
    prompt_characters: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    squares: int = 0

    def __add__(self, other: "CallSums") -> "CallSums":
        return CallSums(
            self.calls + other.calls,
            self.prompt_characters + other.prompt_characters,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.squares + other.squares,
        )


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What a call was answered: the endpoint's body and the tokens that it said."""

    body: Any
    prompt_tokens: int | None
    completion_tokens: int | None
