"""Strict JSON: what cannot be kept exactly is refused with its place, and nothing else is."""

import pytest

from assay.api.shared.bodies import parse_json
from assay.core.errors import InvalidInput


@pytest.mark.parametrize(
    ("body", "kind", "loc"),
    [
        (b"", "missing", ("body",)),
        (b" \n", "missing", ("body",)),
        (b'{"a":"\xff"}', "invalid_utf8", ("body",)),
        (b'{"a":1,}', "json_invalid", ("body",)),
        (b'{"a":NaN}', "not_finite", ("body",)),
        (b'{"a":-Infinity}', "not_finite", ("body",)),
        (b'{"a":1e999}', "not_finite", ("body",)),
        (b'{"a":"\\ud800"}', "json_invalid", ("body",)),
        (b'{"a":["x\\u0000"]}', "nul_character", ("body", "a", 0)),
        (b'{"a\\u0000":1}', "nul_character", ("body", "a\\u0000")),
        (b'{"a":{"b":[1,18446744073709551616]}}', "integer_too_large", ("body", "a", "b", 1)),
        (b'{"a":-9223372036854775809}', "integer_too_large", ("body", "a")),
        (b'{"a":' + b"9" * 300 + b"}", "integer_too_large", ("body", "a")),
        (b"[" * 101 + b"]" * 101, "too_deep", ("body",)),
        (b"[" * 10_000 + b"]" * 10_000, "too_deep", ("body",)),
        (b'{"a":' * 101 + b"1" + b"}" * 101, "too_deep", ("body",)),
    ],
)
def test_what_cannot_be_kept_exactly_is_refused_with_its_place(body, kind, loc):
    with pytest.raises(InvalidInput) as refused:
        parse_json(body, 100)
    (problem,) = refused.value.problems
    assert (problem.type, problem.loc) == (kind, loc)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"[" * 100 + b"]" * 100, None),
        (b'{"a":18446744073709551615,"b":-9223372036854775808}', {"a": 2**64 - 1, "b": -(2**63)}),
        (b'{"a":"123456789012345678901234567890"}', {"a": "123456789012345678901234567890"}),
        (b'{"a":"x, 123456789012345678901234567890,"}', {"a": "x, 123456789012345678901234567890,"}),
        (b'{"a":0.12345678901234567890123}', {"a": 0.12345678901234567890123}),
        (b'{"a":"\\\\u0000 is written so"}', {"a": "\\u0000 is written so"}),
        (b'{"a":"\\ud83d\\ude00"}', {"a": "😀"}),
        (bytearray(b"[]"), []),
    ],
)
def test_good_json_at_the_edges_is_read_as_it_is(body, value):
    read = parse_json(body, 100)
    assert value is None or read == value
