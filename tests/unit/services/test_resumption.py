"""Jobs are taken up again soon, and once for all that comes at a time."""

import asyncio

from assay.services.resumption import Resumption
from tests.builders.stored import RecordingEngine


async def test_many_calls_at_a_time_are_one_and_later_ones_another():
    engine = RecordingEngine()
    resumption = Resumption(engine, pause=0.02)
    for _ in range(50):
        resumption.soon("one")
    resumption.soon("two")
    assert engine.resumed == []
    await asyncio.sleep(0.06)
    assert sorted(engine.resumed) == ["one", "two"]
    resumption.soon("one")
    await asyncio.sleep(0.06)
    assert sorted(engine.resumed) == ["one", "one", "two"]


async def test_what_comes_while_the_engine_is_told_is_told_anew():
    class Slow(RecordingEngine):
        async def resume(self, evaluation_id: str) -> None:
            if not self.resumed:
                resumption.soon(evaluation_id)
            await super().resume(evaluation_id)

    engine = Slow()
    resumption = Resumption(engine, pause=0.01)
    resumption.soon("one")
    await asyncio.sleep(0.08)
    assert engine.resumed == ["one", "one"]
