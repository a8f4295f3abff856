"""Errors: what their messages repeat of a request."""

from assay.core.errors import MOST_OF_AN_ID, NotFound


def test_a_message_repeats_an_id_but_not_an_endless_one() -> None:
    assert NotFound("question", "a" * MOST_OF_AN_ID).message == f"question not found: {'a' * MOST_OF_AN_ID}"
    endless = NotFound("question", "a" * 300_000)
    assert endless.message == f"question not found: {'a' * MOST_OF_AN_ID}…"
    assert endless.identifier == "a" * 300_000
