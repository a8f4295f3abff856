import xml.etree.ElementTree as ET
from pathlib import Path

from assay.cli.junit import write_junit
from assay.cli.thresholds import Threshold, Verdict


def _suite(path: Path) -> ET.Element:
    suite = ET.parse(path).getroot().find("testsuite")
    assert suite is not None
    return suite


def test_each_threshold_is_a_test_and_a_missed_one_fails(tmp_path: Path) -> None:
    path = tmp_path / "j.xml"
    met = Verdict(Threshold("f1", "mean", ">=", 0.4), 0.5, met=True)
    missed = Verdict(Threshold(None, "errors", "<=", 0), 2.0, met=False)
    write_junit(path, "run", [met, missed], {"f1": {"errored": 0}}, None)
    suite = _suite(path)
    assert [case.get("name") for case in suite] == ["f1 mean >= 0.4", "errors <= 0"]
    assert [case.get("classname") for case in suite] == ["run.f1", "run"]
    assert [len(case) for case in suite] == [0, 1]
    assert suite[1][0].get("message") == "errors <= 0: it is 2"
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "0")


def test_a_task_with_errors_is_shown_without_breaking_the_build(tmp_path: Path) -> None:
    path = tmp_path / "j.xml"
    write_junit(path, "run", [], {"f1": {"errored": 3}, "bleu": {"errored": 0}}, None)
    suite = _suite(path)
    assert [(case.get("name"), case[0].tag) for case in suite] == [("f1 errors", "skipped")]
    assert "3 items" in str(suite[0][0].get("message"))


def test_a_failed_evaluation_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "j.xml"
    write_junit(path, "run", [], {}, "cancelled")
    assert _suite(path)[0][0].tag == "error"


def test_characters_that_xml_cannot_carry_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "j.xml"
    write_junit(path, "a\x00b\ud800", [], {}, "bad \x1b")
    assert _suite(path).get("name") == "a\ufffdb?"
