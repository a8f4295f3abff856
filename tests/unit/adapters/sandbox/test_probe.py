"""Which sandbox is picked, and what is said when none works."""

import pytest

from assay.adapters.sandbox import layout, open_sandbox, seccomp
from assay.core.errors import NotConfigured
from assay.settings import Settings


async def opened(kind: str) -> str:
    sandbox = await open_sandbox(Settings(sandbox=kind))
    await sandbox.close()
    return sandbox.name


async def test_bubblewrap_is_preferred():
    assert await opened("auto") == "bubblewrap"


async def test_monty_can_be_asked_for():
    assert await opened("monty") == "monty"


async def test_monty_steps_in_where_there_is_no_bubblewrap(monkeypatch):
    monkeypatch.setattr(layout, "find_bwrap", lambda: None)
    assert await opened("auto") == "monty"


async def test_monty_steps_in_where_bubblewrap_cannot_make_namespaces(monkeypatch):
    monkeypatch.setattr(layout, "find_bwrap", lambda: "/bin/false")
    assert await opened("auto") == "monty"


async def test_monty_steps_in_where_there_is_no_filter_for_the_processor(monkeypatch):
    monkeypatch.setattr(seccomp, "filters", lambda: None)
    assert await opened("auto") == "monty"


async def test_a_sandbox_that_was_asked_for_and_does_not_work_is_not_replaced(monkeypatch):
    monkeypatch.setattr(layout, "find_bwrap", lambda: "/bin/false")
    with pytest.raises(NotConfigured, match=r"ASSAY_SANDBOX.*bubblewrap"):
        await opened("bubblewrap")


async def test_an_interpreter_that_cannot_be_laid_out_is_a_reason(monkeypatch):
    found = layout.find_layout
    monkeypatch.setattr(layout, "find_layout", lambda bwrap: found(bwrap, "/bin/true"))
    with pytest.raises(NotConfigured, match="cannot look at the interpreter"):
        await opened("bubblewrap")
