"""Server-sent events: what is a record, however its bytes are cut into pieces and its lines end."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.adapters.models.sse import Records, RecordTooLarge

STREAM = (
    b": hello\n\nevent: x\ndata: one\n\nid: 3\ndata:two\ndata:  lines\n\n"
    b"retry: 5\n\ndata\n\ndata:\n\ndata: \xc3\xbc\n\ndata: cut"
)
WANTED = [b"one", b"two\n lines", "ü".encode()]


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
@given(cuts=st.lists(st.integers(0, len(STREAM) + 12), max_size=12))
def test_a_stream_gives_the_same_records_however_it_is_cut(ending: bytes, cuts: list[int]) -> None:
    stream = STREAM.replace(b"\n", ending)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    records = Records(1000)
    assert [data for start, end in pairwise(edges) for data in records.feed(stream[start:end])] == WANTED


def test_a_mark_at_the_beginning_is_passed_over() -> None:
    assert Records(100).feed(b"\xef\xbb\xbfdata: x\n\n") == [b"x"]


@pytest.mark.parametrize("pieces", [[b"data: " + b"x" * 200], [b"data: 123456\n"] * 40, [b"y" * 60] * 4])
def test_a_record_is_bounded_however_it_grows(pieces: list[bytes]) -> None:
    records = Records(100)
    with pytest.raises(RecordTooLarge):
        [records.feed(piece) for piece in pieces]


def test_many_small_records_have_no_bound_together() -> None:
    records = Records(100)
    assert sum(len(records.feed(b"data: 0123456789\n\n")) for _ in range(1000)) == 1000
