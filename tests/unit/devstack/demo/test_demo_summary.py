"""The demo's verdict is computed: whatever does not hold turns it, and the command's exit code, to failure."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from devstack import cli
from devstack.demo import run as demo_run
from devstack.demo.summary import Summary
from devstack.demo.view import show

GOOD = Summary(
    members=10,
    events_sent=100,
    control_messages=3,
    events_published_again=5,
    notifications_sent=4,
    sets_sent=2,
    set_rows=3,
    poison_sent=2,
    raw_rows=120,
    raw_distinct=98,
    dead_lettered=2,
    dead_letters_by_reason={"invalid_json": 2},
    ingester_kills=1,
    increments=3,
    truth_rows=50,
    tables_reconciled=13,
    tables_equal=13,
    differences_planted=32,
    differences_found=32,
    planted_exactly=True,
    tests_failed=0,
    zones={"raw.members": 120, "structure.members": 50, "structure.quarantine": 0, "structure.erasures": 0},
    seconds={"start": 1.0},
    events_per_second=1000,
    artifacts={"summary": "build/demo/summary.json"},
)

FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"raw_distinct": 97}, "landed or dead-lettered"),
    ({"events_sent": 0, "raw_distinct": 0}, "no event was sent"),
    ({"poison_sent": 1}, "1 poison messages were sent but 2 dead-lettered"),
    ({"set_rows": 0}, "2 changes of sets were told of but no row of a set landed"),
    ({"ingester_kills": 0}, "never killed"),
    ({"tables_equal": 12}, "12 of 13 structure tables"),
    ({"tables_reconciled": 0, "tables_equal": 0}, "0 of 0 structure tables"),
    ({"planted_exactly": False}, "32 differences were planted but 32 found, or others"),
    ({"differences_planted": 0, "differences_found": 0}, "0 differences were planted"),
    ({"tests_failed": 1}, "1 dbt tests failed"),
    ({"zones": {"raw.members": 1, "refined.member_contacts": 0}}, "nothing is in refined.member_contacts"),
    ({"zones": {}}, "nothing is in any zone"),
]


def test_all_well_is_ok() -> None:
    document = GOOD.to_json()
    assert document["ok"] is True
    assert document["faults"] == []
    assert document["structure_matches_truth"] is True
    # What readers of summary.json rely on.
    assert {
        "ok", "events_sent", "raw_rows", "raw_distinct", "dead_lettered", "ingester_kills", "structure_matches_truth",
        "differences_planted", "differences_found", "zones", "seconds",
    } <= document.keys()  # fmt: skip
    json.dumps(document)


@pytest.mark.parametrize(("change", "fault"), FAULTS, ids=[next(iter(change)) for change, _ in FAULTS])
def test_whatever_does_not_hold_is_named(change: dict[str, Any], fault: str) -> None:
    summary = replace(GOOD, **change)
    assert any(fault in found for found in summary.faults())
    assert summary.to_json()["ok"] is False


@pytest.mark.parametrize("summary", [GOOD, replace(GOOD, tables_equal=12)], ids=["good", "bad"])
@pytest.mark.parametrize("as_json", [False, True], ids=["table", "json"])
def test_the_exit_code_follows_the_verdict(
    summary: Summary, *, as_json: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo_run, "run_demo", lambda *_: summary)
    monkeypatch.setattr("sys.argv", ["devstack", "demo", *(["--json"] if as_json else [])])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert (caught.value.code or 0) == (1 if summary.faults() else 0)
    output = capsys.readouterr().out
    if as_json:
        assert json.loads(output) == summary.to_json()
    else:
        assert ("does not hold" in output) == bool(summary.faults())


def test_the_table_tells_the_figures(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as file:
        show(replace(GOOD, events_sent=1_234_567), Console(file=file, width=100))
    text = (tmp_path / "out").read_text()
    for expected in ("1,234,567", "13 of 13", "32 of 32", "build/demo/summary.json", "structure"):
        assert expected in text
