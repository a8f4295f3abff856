"""A process that writes to a storage for ever, one item's results and its progress a transaction, until it is killed.

Run as `python -m tests.contract.storage_writer URL EVALUATION_ID`; says `ready` once it writes.
"""

import asyncio
import sys

from assay.adapters.storage import open_storage
from tests.builders.evaluations import make_result

ALIASES = ("a", "b", "c")


async def main(url: str, evaluation_id: str) -> None:
    """Write until killed."""
    storage = open_storage(url)
    async with storage.read() as work:
        evaluation = await work.evaluations.get(None, evaluation_id)
    assert evaluation is not None
    item_seq = 0
    while True:
        item_seq += 1
        async with storage.write() as work:
            for alias in ALIASES:
                await work.results.add([make_result(evaluation, item_seq, alias, value="x" * 500)])
            await work.evaluations.add_progress(evaluation.seq, successful=1, failed=0, errors=0)
        if item_seq == 1:
            print("ready", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
