from pathlib import Path

import pytest

from assay.cli.documents import UnreadableFile
from assay.cli.rows import read_rows


def _file(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode())
    return path


def test_jsonl_rows_keep_their_lines_past_empty_ones(tmp_path: Path) -> None:
    rows, lines = read_rows(_file(tmp_path, "r.jsonl", '{"a": 1}\n\n{"a": "x\u2028y"}\n'))
    assert rows == [{"a": 1}, {"a": "x\u2028y"}]
    assert lines == [1, 3]


def test_csv_values_are_text_and_rows_know_where_they_begin(tmp_path: Path) -> None:
    rows, lines = read_rows(_file(tmp_path, "r.csv", '\ufeffid,text\n1,"two\nlines"\n007,no\n'))
    assert rows == [{"id": "1", "text": "two\nlines"}, {"id": "007", "text": "no"}]
    assert lines == [2, 4]


def test_json_rows_are_a_list(tmp_path: Path) -> None:
    rows, lines = read_rows(_file(tmp_path, "r.json", '[\n{"a": 1},\n{"a": 2}\n]'))
    assert rows == [{"a": 1}, {"a": 2}]
    assert lines == [2, 3]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("r.jsonl", '{"a": 1}\n[1]\n', r"r\.jsonl:2: a row must be an object, not list"),
        ("r.jsonl", '{"a": 1}\n{"a": \n', r"r\.jsonl:2: not JSON"),
        ("r.jsonl", '{"a": NaN}\n', r"r\.jsonl:1: NaN is not a JSON number"),
        ("r.jsonl", "\n", r"there are no rows"),
        ("r.csv", "a,b\n1,2\n3\n", r"r\.csv:3: 1 values for 2 columns"),
        ("r.csv", "a,a\n1,2\n", r"r\.csv:1: two columns are called 'a'"),
        ("r.csv", "a,\n1,2\n", r"r\.csv:1: column 2 has no name"),
        ("r.csv", 'a\n"x', r"r\.csv:2: not CSV"),
        ("r.json", '{"a": 1}', r"r\.json:1: must be a list"),
        ("r.json", '[{"a": 1},\n 2]', r"r\.json:2: a row must be an object"),
        ("r.txt", "a", r"rows are read from \.jsonl"),
    ],
)
def test_a_bad_file_names_its_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(UnreadableFile, match=message):
        read_rows(_file(tmp_path, name, text))
