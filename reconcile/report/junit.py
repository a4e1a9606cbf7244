"""A run as JUnit XML, which CI systems show as tests: a comparison is a test case.

The form is that of the Apache Ant JUnit task as CI systems read it: `failure` for what differs beyond its thresholds,
`error` for what could not be read.
"""

import re
from typing import Final
from xml.etree import ElementTree as ET

from reconcile.report.words import sentence
from reconcile.result import ComparisonResult, RunResult

_UNFIT: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 (section 2.2, "Characters") cannot hold, even escaped."""


def junit(result: RunResult) -> bytes:
    """Return a run as JUnit XML.

    Args:
        result: the run.

    Returns:
        UTF-8 text. No value of any row is in it.
    """
    failed = [found for found in result.comparisons if found.outcome == "failed"]
    errors = [found for found in failed if found.verdict == "unreadable"]
    suite = ET.Element(
        "testsuite",
        name="reconcile",
        tests=str(len(result.comparisons) + len(result.not_run)),
        failures=str(len(failed) - len(errors)),
        errors=str(len(errors)),
        skipped=str(len(result.not_run)),
        time=f"{result.seconds:.3f}",
        timestamp=f"{result.started_at:%Y-%m-%dT%H:%M:%S}",
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in (
        ("run_id", result.run_id),
        ("snapshot", f"{result.snapshot.uri}/{result.snapshot.snapshot_id}"),
        ("millrace", result.versions.millrace),
    ):
        ET.SubElement(properties, "property", name=name, value=_fit(value))
    for found in result.comparisons:
        _case(suite, found)
    for name in result.not_run:
        ET.SubElement(_element(suite, name, 0.0), "skipped", message="an earlier comparison failed (--fail-fast)")
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _case(suite: ET.Element, found: ComparisonResult) -> None:
    case = _element(suite, found.name, found.timing.read_s + found.timing.compare_s)
    told = _fit(sentence(found))
    if found.outcome == "failed":
        kind = "error" if found.verdict == "unreadable" else "failure"
        ET.SubElement(case, kind, message=told, type=found.verdict).text = _fit("\n".join(_details(found)))
    else:
        ET.SubElement(case, "system-out").text = told


def _element(suite: ET.Element, name: str, seconds: float) -> ET.Element:
    return ET.SubElement(suite, "testcase", classname="reconcile", name=_fit(name), time=f"{seconds:.3f}")


def _details(found: ComparisonResult) -> list[str]:
    lines = [f"owner: {found.owner}"] if found.owner else []
    lines += [f"{cause.column or 'rows'}: {cause.name}: {cause.words}" for cause in found.causes]
    lines += [
        f"{decision.measure}: {decision.measured} found, {decision.limit} allowed"
        for decision in found.decisions
        if not decision.holds
    ]
    return lines


def _fit(text: str) -> str:
    return _UNFIT.sub("\ufffd", text)
