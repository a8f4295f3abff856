"""Taking jobs up again when evaluations get more to do: soon, and once for all that comes at a time."""

import asyncio

from assay.ports.engine import Engine

PAUSE = 0.3


class Resumption:
    """Tells the engine, a moment after the first thing to do came, that an evaluation has more of it. Belongs to one
    event loop. What it has not told when the process ends is found by the engine: the evaluation is unfinished."""

    def __init__(self, engine: Engine, *, pause: float = PAUSE) -> None:
        self._engine = engine
        self._pause = pause
        self._soon: dict[str, asyncio.Task[None]] = {}

    def soon(self, evaluation_id: str) -> None:
        """Take its job up again soon; nothing more when that is on the way. The work is stored by now."""
        if evaluation_id not in self._soon:
            telling = asyncio.get_running_loop().create_task(self._tell(evaluation_id), name="resumption")
            self._soon[evaluation_id] = telling

    async def _tell(self, evaluation_id: str) -> None:
        await asyncio.sleep(self._pause)
        # What comes from here on is told anew: the engine may look before it is stored.
        del self._soon[evaluation_id]
        await self._engine.resume(evaluation_id)
