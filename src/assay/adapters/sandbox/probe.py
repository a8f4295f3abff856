"""Which sandbox this machine can have: each is tried by running a function in it, and the first that holds wins."""

import asyncio
from typing import Literal

import structlog

from assay.core.errors import NotConfigured
from assay.ports.sandbox import Sandbox
from assay.settings import Settings

log = structlog.get_logger()

PROBE_SOURCE = "def probe(a, b=2):\n    import math\n    return math.floor(a) * b\n"
PROBE_SECONDS = 10.0


async def open_sandbox(settings: Settings) -> Sandbox:
    """The sandbox that `settings.sandbox` asks for, tried and working; `auto` prefers bubblewrap.

    Raises NotConfigured, saying what was tried and why it failed. Its `name` says which one is in force.
    """
    reasons: list[str] = []
    for kind in _wanted(settings.sandbox):
        sandbox, reason = await _tried(kind, settings)
        if sandbox is not None:
            log.info("sandbox", in_force=sandbox.name, passed_over=reasons or None)
            return sandbox
        reasons.append(f"{kind}: {reason}")
    said = "; ".join(reasons)
    raise NotConfigured(f"no sandbox works here, so functions cannot be run (ASSAY_SANDBOX): {said}")


def _wanted(choice: Literal["auto", "bubblewrap", "monty"]) -> tuple[Literal["bubblewrap", "monty"], ...]:
    return ("bubblewrap", "monty") if choice == "auto" else (choice,)


async def _tried(kind: Literal["bubblewrap", "monty"], settings: Settings) -> tuple[Sandbox | None, str]:
    sandbox, reason = await asyncio.to_thread(_made, kind, settings)
    if sandbox is None:
        return None, reason
    answer = await sandbox.call(PROBE_SOURCE, {"a": 21.5}, timeout=PROBE_SECONDS)
    await sandbox.close()
    if answer.error is None and answer.value == 42:
        # A new one: the process that answered would stay for a minute, and a server often needs none.
        return await asyncio.to_thread(_made, kind, settings)
    return None, answer.error.message if answer.error is not None else f"gave {answer.value!r}"


def _made(kind: Literal["bubblewrap", "monty"], settings: Settings) -> tuple[Sandbox | None, str]:
    """The sandbox, untried; None and the reason where something it needs is missing."""
    if kind == "monty":
        from assay.adapters.sandbox.monty import MontySandbox

        try:
            import pydantic_monty  # noqa: F401
        except ImportError as error:
            return None, f"pydantic-monty cannot be imported: {error}"
        return MontySandbox(), ""
    from assay.adapters.sandbox.bubblewrap import BubblewrapSandbox
    from assay.adapters.sandbox.layout import LayoutUnknown, find_bwrap, find_layout
    from assay.adapters.sandbox.seccomp import filters
    from assay.adapters.sandbox.worker import Launch

    bwrap, walls = find_bwrap(), filters()
    if bwrap is None:
        return None, "there is no bwrap; install bubblewrap"
    if walls is None:
        return None, "there is no system-call filter for this processor"
    try:
        layout = find_layout(bwrap)
    except LayoutUnknown as error:
        return None, str(error)
    return BubblewrapSandbox(Launch(layout, walls), workers=settings.sandbox_workers), ""
