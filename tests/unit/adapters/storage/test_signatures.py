"""Signatures of texts: no text that has a part is ever missed, and few that have not are found."""

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from assay.adapters.storage.signatures import signature_of_part, signatures

texts = st.text(st.sampled_from("abcd é😀\ud800") | st.characters(), max_size=12)


@given(st.lists(texts, max_size=6), texts, st.data())
def test_a_text_has_the_signature_of_each_of_its_parts(others: list[str], text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    part = text[start : data.draw(st.integers(start, len(text)))]
    found = signatures([*others, text, *others])
    assert len(found) == 2 * len(others) + 1
    wanted = signature_of_part(part)
    assert found[len(others)] & wanted == wanted
    assert len(part) >= 3 or wanted == 0


def test_most_texts_without_a_part_are_passed_over() -> None:
    rng = random.Random(1)
    names = [f"set {rng.randrange(40)} on vendor/model-{rng.randrange(12)} #{n}" for n in range(50_000)]
    found = signatures(names)
    wanted = signature_of_part("set 7 on vendor/model-3 #1")
    passed = np.flatnonzero(found & wanted == wanted)
    assert {n for n, name in enumerate(names) if "set 7 on vendor/model-3 #1" in name} <= set(passed.tolist())
    assert len(passed) < 1_000
