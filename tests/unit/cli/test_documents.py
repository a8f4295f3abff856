from pathlib import Path

import pytest

from assay.cli.documents import UnreadableFile, load


def _file(tmp_path: Path, text: str, name: str = "run.yaml") -> Path:
    path = tmp_path / name
    path.write_text(text, "utf-8")
    return path


def test_words_that_yaml_1_1_would_turn_into_something_else_stay_text(tmp_path: Path) -> None:
    document = load(_file(tmp_path, "- no\n- on\n- 2026-01-01\n- 12:30\n- '7'\n"))
    assert document.value == ["no", "on", "2026-01-01", "12:30", "7"]


def test_plain_scalars_become_json_values(tmp_path: Path) -> None:
    document = load(_file(tmp_path, "- 7\n- -1.5e3\n- true\n- null\n-\n- 010\n- word\n"))
    assert document.value == [7, -1500.0, True, None, None, 10, "word"]
    assert [type(value) for value in document.value[:3]] == [int, float, bool]


def test_every_key_and_element_knows_its_line(tmp_path: Path) -> None:
    document = load(_file(tmp_path, "name: x\ntasks:\n  - task_type: metric\n    configuration:\n      type: f1\n"))
    assert document.line(("tasks", 0, "configuration", "type")) == 5
    assert document.line(("tasks", 0, "configuration", "candidate", "x")) == 4


@pytest.mark.parametrize("name", ["run.yaml", "run.json"])
def test_a_key_given_twice_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnreadableFile, match="the key 'a' is given twice"):
        load(_file(tmp_path, '{"a": 1,\n"a": 2}', name))


@pytest.mark.parametrize(
    ("name", "text"),
    [("run.yaml", "a: .nan"), ("run.yaml", "a: 1e999"), ("run.json", '{"a": NaN}'), ("run.json", '{"a": 1e999}')],
)
def test_numbers_that_json_has_not_are_refused(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(UnreadableFile, match=r"run\.\w+:1: "):
        load(_file(tmp_path, text, name))


def test_broken_yaml_names_its_line(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match=r"run\.yaml:3: not YAML"):
        load(_file(tmp_path, "a: 1\nb: [1, 2\nc: 3\n"))


def test_broken_json_names_its_line(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match=r"run\.json:3: not JSON"):
        load(_file(tmp_path, '{\n"a": 1,\n}', "run.json"))


def test_json_with_tabs_is_read_although_it_is_no_yaml(tmp_path: Path) -> None:
    assert load(_file(tmp_path, '{\n\t"a": 1\n}', "run.json")).value == {"a": 1}


def test_a_key_that_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match=r"run\.yaml:1: a key must be text"):
        load(_file(tmp_path, "1: x\n"))


@pytest.mark.parametrize(("name", "open_", "close"), [("run.yaml", "[", "]"), ("run.json", "[", "]")])
def test_a_file_nested_too_deep_is_refused(tmp_path: Path, name: str, open_: str, close: str) -> None:
    with pytest.raises(UnreadableFile):
        load(_file(tmp_path, open_ * 100_000 + close * 100_000, name))


def test_an_anchor_that_holds_itself_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="before the end of its anchor"):
        load(_file(tmp_path, "a: &x [*x]\n"))


def test_an_anchor_can_be_used_again(tmp_path: Path) -> None:
    assert load(_file(tmp_path, "a: &x {b: 1}\nc: *x\n")).value == {"a": {"b": 1}, "c": {"b": 1}}


@pytest.mark.parametrize("text", ["", "# nothing\n"])
def test_an_empty_file_is_null(tmp_path: Path, text: str) -> None:
    assert load(_file(tmp_path, text)).value is None


def test_a_second_document_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match=r"run\.yaml:3: there is a second document"):
        load(_file(tmp_path, "a: 1\n\n---\nb: 1\n"))


def test_bytes_that_are_no_utf8_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_bytes(b"name: \xff\n")
    with pytest.raises(UnreadableFile, match=r"not UTF-8 text \(byte 6\)"):
        load(path)


def test_tags_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="tags such as"):
        load(_file(tmp_path, "a: !!python/object/apply:os.getcwd []\n"))
