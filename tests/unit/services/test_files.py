"""Files as a service: names are made safe, and a download notices that its file went."""

import pytest

from assay.adapters.clock import SystemClock
from assay.core.errors import NotFound, Unavailable
from assay.core.files import PIECE_BYTES
from assay.services.files import Files
from tests.builders.stored import caller_of, sqlite_storage

ANNA = caller_of("default")


@pytest.fixture
async def files(tmp_path):
    async with sqlite_storage(tmp_path) as storage:
        yield Files(storage, SystemClock())


async def test_a_file_that_goes_while_it_is_read_ends_the_reading_with_an_error(files):
    made = await files.create(ANNA, "../big.bin", bytes(PIECE_BYTES + 1))
    assert (made.filename, made.size) == ("big.bin", PIECE_BYTES + 1)
    _, pieces = await files.content(ANNA, made.id)
    assert len(await anext(pieces)) == PIECE_BYTES
    await files.delete(ANNA, made.id)
    with pytest.raises(Unavailable, match="deleted"):
        await anext(pieces)
    with pytest.raises(NotFound):
        await files.content(ANNA, made.id)


async def test_equal_bytes_of_which_one_file_goes_are_still_read_to_the_end(files):
    content = bytes(n % 7 for n in range(2 * PIECE_BYTES))
    first, second = [await files.create(ANNA, "x", content) for _ in range(2)]
    _, pieces = await files.content(ANNA, second.id)
    read = await anext(pieces)
    await files.delete(ANNA, first.id)
    assert read + b"".join([piece async for piece in pieces]) == content
