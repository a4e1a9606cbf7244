"""The forms that machines read: JUnit XML, the JSON schema, alerts, and progress."""

import json
import queue
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema  # type: ignore[import-untyped]  # it ships no types
import pytest
from structlog.testing import capture_logs

from core.errors import ConfigurationError, UnavailableError
from reconcile.alerts import tell
from reconcile.comparing import Progress
from reconcile.conclusions import Cause, PartitionResult
from reconcile.gates import decided
from reconcile.policy import Alert, Thresholds
from reconcile.report.files import to_json
from reconcile.report.junit import junit
from reconcile.report.page import render
from reconcile.report.progress import Narration, repeating
from reconcile.report.schema import report_schema, schema_text
from reconcile.report.words import share
from reconcile.result import (
    SCHEMA_VERSION,
    Change,
    ColumnResult,
    ComparisonResult,
    Counts,
    Difference,
    KeyValue,
    RunResult,
    SnapshotId,
    Timing,
    Versions,
)

ROOT = Path(__file__).parents[3]
AT = datetime(2026, 1, 5, 7, tzinfo=UTC)


def _comparison(name: str, **more: Any) -> ComparisonResult:
    fields: dict[str, Any] = {
        "name": name,
        "contract": None,
        "owner": "somebody",
        "verdict": "equal",
        "reason": None,
        "counts": Counts(warehouse_rows=10, snapshot_rows=10, matched=10),
        "columns": (ColumnResult("note", "note", "string", False, "exact", 0),),
        "not_compared": (),
        "sample": (),
        "differences_file": None,
        "inputs": None,
        "timing": Timing(0.5, 0.25),
    }
    return ComparisonResult(**(fields | more))


def _run() -> RunResult:
    secret = Difference(
        "changed", (KeyValue("id", "1", None),), (Change("note", "s3cret", "x", None, None),), 1, 1, None, None
    )
    different = {"verdict": "different", "counts": Counts(10, 10, 8, changed=2), "sample": (secret,)}
    cause = Cause("letter case", "note", "the same but for letter case", 3, 3)
    partition = PartitionResult("2026-01", 10, 10, 0, 0, 2, 0, 0.2)
    comparisons = (
        _comparison("fine"),
        _comparison("apart", causes=(cause,), partitions=(partition,), **different),
        _comparison("near", **different),
        _comparison("lost", verdict="unreadable", reason="gone \x01 <b>", counts=None, columns=()),
    )
    versions = Versions("0", "1", "2", "3")
    run = RunResult(
        SCHEMA_VERSION,
        "run-1",
        "unreadable",
        AT,
        1.5,
        "p",
        SnapshotId("s3://b", "a", AT),
        comparisons,
        ("later",),
        versions,
    )
    return decided(run, {"near": Thresholds.model_validate({"changed": "50%"}), "apart": Thresholds()})


def test_junit_tells_failures_errors_and_what_was_skipped() -> None:
    text = junit(_run())
    suite = ET.fromstring(text).find("testsuite")  # noqa: S314 - our own
    assert suite is not None
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "5",
        "failures": "1",
        "errors": "1",
        "skipped": "1",
    }
    found = {case.get("name"): [child.tag for child in case] for case in suite.iter("testcase")}
    assert found == {
        "fine": ["system-out"],
        "apart": ["failure"],
        "near": ["system-out"],
        "lost": ["error"],
        "later": ["skipped"],
    }
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert "letter case" in (failure.text or "")
    assert "changed: 2 found, 0 allowed" in (failure.text or "")
    assert b"s3cret" not in text


def test_the_published_schema_is_that_of_the_types_and_holds_reports_to_it() -> None:
    published = (ROOT / "docs/reference/reconcile-report.schema.json").read_text(encoding="utf-8")
    assert published == schema_text(), "write it anew with `reconcile report --schema`"
    validator = jsonschema.Draft202012Validator(report_schema())
    document = json.loads(to_json(_run()))
    assert list(validator.iter_errors(document)) == []
    wrongs: list[dict[str, Any]] = [
        {"verdict": "fine"},
        {"schema_version": 1},
        {"comparisons": [{}]},
        {"outcome": None},
    ]
    for wrong in wrongs:
        assert list(validator.iter_errors(document | wrong)), wrong


def test_the_page_tells_causes_thresholds_and_partitions() -> None:
    page = render(_run())
    for told in ("letter case", "Likely causes", "2026-01", "1 partition of 1 differs", "passed", "50%", 'id="kind"'):
        assert told in page


@pytest.mark.parametrize(
    ("rate", "expected"),
    [(0, "0 %"), (1, "100 %"), (0.5, "50 %"), (1e-9, "< 0.0001 %"), (0.9999999, "99.9999 %"), (0.000023, "0.0023 %")],
)
def test_a_share_is_never_rounded_to_nothing_or_to_all(rate: float, expected: str) -> None:
    assert share(rate) == expected


class _Hook:
    """A webhook that answers as told, and remembers what was posted."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.posted: list[Any] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(hook.answers.pop(0) if hook.answers else 200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/token-s3cret"


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Hook]:
    made = _Hook()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    monkeypatch.setenv("MILLRACE_RECONCILE_WEBHOOK", made.url)
    try:
        yield made
    finally:
        made.server.shutdown()
        thread.join()
        made.server.server_close()


def test_a_failed_run_is_told_once_without_any_value(hook: _Hook) -> None:
    hook.answers = [503]
    with capture_logs() as logs:
        tell(Alert(), _run())
    assert [line["log_level"] for line in logs if line["event"] == "reconciliation failed"] == ["error"]
    first, second = hook.posted
    assert first == second
    assert (second["failed"], second["owners"], second["outcome"]) == (["apart", "lost"], ["somebody"], "failed")
    assert "s3cret" not in json.dumps(second)


def test_a_run_that_passes_is_told_only_when_that_is_asked_for(hook: _Hook) -> None:
    passed = replace(_run(), outcome="passed", comparisons=(replace(_comparison("fine"), outcome="passed"),))
    tell(Alert(), passed)
    tell(None, _run())
    assert hook.posted == []
    tell(Alert(when="always"), passed)
    assert [post["outcome"] for post in hook.posted] == ["passed"]


def test_an_alert_that_cannot_be_sent_is_a_failure_that_keeps_its_secret(
    hook: _Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconcile.alerts._LONGEST_WAIT_S", 0.01)
    hook.answers = [500] * 9
    with pytest.raises(UnavailableError, match="status 500") as told:
        tell(Alert(), _run())
    assert "s3cret" not in str(told.value)
    monkeypatch.delenv("MILLRACE_RECONCILE_WEBHOOK")
    with pytest.raises(ConfigurationError, match="MILLRACE_RECONCILE_WEBHOOK is not set"):
        tell(Alert(), _run())


def test_progress_tells_rate_and_time_left() -> None:
    now = [0.0]
    shown: list[str] = []
    narration = Narration(shown.append, lambda: shown.append("done"), clock=lambda: now[0])
    with capture_logs() as logs:
        narration.log()
        narration.on_progress(Progress("", "planned", 4_000))
        narration.on_progress(Progress("members", "begun"))
        # S3 may have to be asked again and again before the first row comes: even then it is told what is at work.
        narration.log()
        now[0] = 2.0
        narration.on_progress(Progress("members", "warehouse", 1_000))
        now[0] = 6.0
        narration.on_progress(Progress("members", "snapshot", 2_000))
        narration.log()
        narration.on_progress(Progress("members", "compare"))
        narration.on_progress(Progress("members", "done"))
    assert shown == [
        "members opening",
        "members warehouse 1,000, 500 rows/s, 6 s left",
        "members warehouse 1,000, snapshot 2,000, 500 rows/s, 2 s left",
        "members comparing",
        "done",
    ]
    told = [(line["comparison"], line["doing"], line["rows"], line["rows_per_s"], line["left_s"]) for line in logs]
    assert told == [
        (None, "planning", 0, 0, None),
        ("members", "opening", 0, 0, None),
        ("members", "reading", 3_000, 500, 2),
    ]


def test_a_line_is_logged_now_and_then_though_nothing_moves() -> None:
    lines: queue.SimpleQueue[None] = queue.SimpleQueue()
    with repeating(lambda: lines.put(None), every_s=0.001):
        for _ in range(3):
            lines.get(timeout=10)
    assert not any(thread.name == "progress" for thread in threading.enumerate())
