"""Writes a run as JUnit XML, which most CI servers can show."""

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from assay.cli.thresholds import Verdict

_FORBIDDEN = {code: "\ufffd" for code in range(32) if code not in (9, 10, 13)} | {0xFFFE: "\ufffd", 0xFFFF: "\ufffd"}


def write_junit(
    path: Path, name: str, verdicts: Sequence[Verdict], tasks: Mapping[str, Mapping[str, Any]], failure: str | None
) -> None:
    """Write a test suite: one test a threshold; one, marked skipped, for each task that errored on some items
    (whether errors break the build is for a threshold to say); and one in error when the evaluation failed."""
    suite = ET.Element("testsuite", name=_clean(name))
    for verdict in verdicts:
        case = _case(suite, name, verdict.threshold.alias, verdict.threshold.text)
        if not verdict.met:
            value = "no value" if verdict.value is None else f"{verdict.value:.6g}"
            ET.SubElement(case, "failure", message=_clean(f"{verdict.threshold.text}: it is {value}"))
    for alias, one in tasks.items():
        if one.get("errored"):
            case = _case(suite, name, alias, f"{alias} errors")
            ET.SubElement(case, "skipped", message=f"{one['errored']} items have an error instead of a value")
    if failure is not None:
        ET.SubElement(_case(suite, name, None, "evaluation"), "error", message=_clean(failure))
    for attribute, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(len(list(suite.iter(tag)))))
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    path.write_bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n")


def _case(suite: ET.Element, name: str, alias: str | None, title: str) -> ET.Element:
    classname = f"{name}.{alias}" if alias is not None else name
    return ET.SubElement(suite, "testcase", classname=_clean(classname), name=_clean(title))


def _clean(text: str) -> str:
    """Text without the characters that XML cannot carry."""
    return text.translate(_FORBIDDEN).encode("utf-8", "replace").decode()
