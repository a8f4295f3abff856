"""What the fake endpoint answers as a judge: the texts in `[[...]]` of the user's first message, one for each turn of
the conversation, the last of them from then on.

`[[!length text]]` is cut off, `[[!filter text]]` filtered, `[[!refuse text]]` declined, and `[[!shapeless text]]` is
refused with status 400 while the request wants a shape.
"""

import re
from dataclasses import dataclass
from typing import Any

import orjson

_DIRECTIVE = re.compile(r"\[\[(.*?)\]\](?!\])", re.DOTALL)
_KIND = re.compile(r"!(length|filter|refuse|shapeless) ?(.*)", re.DOTALL)
_FINISH = {"length": "length", "filter": "content_filter"}


@dataclass(frozen=True)
class Directed:
    """An answer as it was ordered."""

    text: str | None
    finish: str = "stop"
    refusal: str | None = None
    shapeless: bool = False

    @property
    def value(self) -> Any:
        """The text as a tool's input."""
        try:
            value = orjson.loads(self.text or "")
        except orjson.JSONDecodeError:
            value = None
        return value if isinstance(value, dict) else {"text": self.text}


def directed(request: Any) -> Directed | None:
    """The answer that the conversation orders, if it orders one."""
    messages = request.get("messages") if isinstance(request, dict) else None
    if not isinstance(messages, list):
        return None
    first = next((each["content"] for each in messages if each.get("role") == "user"), "")
    found = _DIRECTIVE.findall(first) if isinstance(first, str) and "[[" in first else []
    if not found:
        return None
    turn = sum(each.get("role") == "assistant" for each in messages)
    text = found[min(turn, len(found) - 1)]
    special = _KIND.fullmatch(text)
    if special is None:
        return Directed(text)
    kind, text = special.groups()
    if kind == "refuse":
        return Directed(None, refusal=text)
    return Directed(text, _FINISH.get(kind, "stop"), shapeless=kind == "shapeless")


def refuses_shape(wanted: Directed, request: Any) -> bool:
    """Whether the request is refused for wanting a shape."""
    return wanted.shapeless and ("response_format" in request or "tools" in request)
