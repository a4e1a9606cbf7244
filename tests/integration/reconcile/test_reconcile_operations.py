"""What is done with runs: many tasks, history, repair."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from bigquery_json import schema_field
from reconcile_world import CHANGED, DATASET, EQUAL, ROOT, Estate, load
from typer.testing import CliRunner

from core.clients import s3_client
from reconcile.cli import app
from reconcile.report.files import read_json

_DEADLINE_S = 90.0


@pytest.fixture
def command(estate: Estate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command, in the environment and with the configuration of the test."""
    for name, value in _variables(estate).items():
        monkeypatch.setenv(name, value)
    text = (ROOT / "reconcile.yml").read_text(encoding="utf-8")
    (tmp_path / "reconcile.yml").write_text(text.replace("dataset: structure", f"dataset: {DATASET}"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


def _variables(estate: Estate) -> dict[str, str]:
    settings = estate.settings
    return {
        "BIGQUERY_EMULATOR_HOST": str(settings.bigquery_emulator_host),
        "BIGQUERY_STORAGE_EMULATOR_HOST": str(settings.bigquery_storage_emulator_host),
        "AWS_ENDPOINT_URL_S3": str(settings.s3_endpoint_url),
        "MILLRACE_SNAPSHOT_URI": settings.snapshot_uri,
        "MILLRACE_CONTRACTS_PATH": str(settings.contracts_path),
        "MILLRACE_AUDIT_DATASET": settings.audit_dataset,
    }


SHARED = "s3://reconcile-tasks/runs"
"""What tasks on several machines share; those of one machine share a folder."""


def _task(index: int, count: int, run_id: str, *more: str, shards: str = "tasks") -> list[str]:
    numbers = ["--task-index", str(index), "--task-count", str(count)]
    return ["run", "--snapshot", CHANGED, "--shards", shards, "--run-id", run_id, *numbers, *more]


_FEW = [part for name in ("members", "member_points", "member_cases") for part in ("--table", name)]


def test_tasks_find_together_what_one_run_finds_and_the_last_one_keeps_it(command: Any, estate: Estate) -> None:
    s3 = s3_client(estate.settings)
    s3.create_bucket(Bucket="reconcile-tasks")
    assert command("run", "--all", "--snapshot", CHANGED, "--output", "alone", "--no-audit").exit_code == 1
    first = command(*_task(0, 2, "of-two", "--output", "first", shards=SHARED))
    assert (first.exit_code, "left to other tasks" in first.output) == (0, True)
    early = command("merge", "--shards", SHARED, "--run-id", "of-two")
    assert (early.exit_code, "are not done" in str(early.exception)) == (1, True)
    last = command(*_task(1, 2, "of-two", "--output", "together", shards=SHARED))
    assert last.exit_code == 1
    alone, together = read_json(Path("alone")), read_json(Path("together"))
    assert together.run_id == "of-two"
    assert [(f.name, f.counts, f.columns, f.sample) for f in together.comparisons] == [
        (f.name, f.counts, f.columns, f.sample) for f in alone.comparisons
    ]
    assert {path.name for path in Path("together/differences").iterdir()} == {
        path.name for path in Path("alone/differences").iterdir()
    }
    for page in ("report.html", "differences/members.parquet"):
        kept = s3.get_object(Bucket="reconcile-tasks", Key=f"runs/of-two/report/{page}")["Body"].read()
        assert kept == (Path("together") / page).read_bytes()
    # Merged again, by whoever, it is the same run, and the audit trail keeps it once.
    assert command("merge", "--shards", SHARED, "--run-id", "of-two", "--output", "again").exit_code == 1
    found = json.loads(command("history", "--json", "--limit", "10000").stdout)
    told = command("history", "--table", "members").output
    assert ("members" in told, "member_points" in told) == (True, False), told
    refused = command("history", "--table", "members", "--table", "nobody")
    assert (refused.exit_code, "no run that is kept compared nobody" in refused.output) == (2, True)
    mine = [past for past in found if past["run_id"] == "of-two"]
    assert sorted(past["comparison"] for past in mine) == sorted(f.name for f in together.comparisons)
    assert {past["outcome"] for past in mine} == {"passed", "failed"} or {past["outcome"] for past in mine} == {
        "failed"
    }
    rows = estate.client.query(
        f"select kind, count(*) as found from {estate.settings.audit_dataset}.reconciliation_differences "
        "where run_id = 'of-two' group by kind"
    ).result()
    kinds: dict[str, int] = {}
    for difference in (d for f in together.comparisons for d in f.sample):
        kinds[difference.kind] = kinds.get(difference.kind, 0) + 1
    assert {row["kind"]: row["found"] for row in rows} == kinds
    other = command(*_task(0, 2, "of-two", "--table", "members")[:2], "--table", "members")
    assert other.exit_code == 2


def test_a_task_that_is_killed_does_only_the_rest_when_it_is_started_again(
    command: Any, estate: Estate, tmp_path: Path
) -> None:
    results = tmp_path / "tasks/killed/results"
    arguments = _task(0, 1, "killed", "--no-audit", "--output", "out", *_FEW)
    program = "from reconcile.cli import main; main()"
    environment = os.environ | _variables(estate)
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments], cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + _DEADLINE_S
        while not list(results.glob("[!.]*.json")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    kept = {path: path.stat().st_mtime_ns for path in results.glob("[!.]*.json")}
    assert 0 < len(kept) < 3
    again = command(*arguments)
    assert again.exit_code == 1
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert len(list(results.glob("[!.]*.json"))) == 3
    assert len(read_json(tmp_path / "out").comparisons) == 3
    # Another request under the same name is no rest of this one.
    assert "another --run-id" in command(*_task(0, 1, "killed", "--mode", "count", *_FEW)).output


def test_wrong_use_of_tasks_and_reports_is_told(command: Any) -> None:
    assert command("run", "--snapshot", EQUAL, "--output", "out", "--no-audit", "--table", "members").exit_code == 0
    for arguments, told in [
        (("run", "--task-count", "2"), "--shards"),
        (("run", "--shards", "tasks"), "--run-id"),
        (("run", "--shards", "tasks", "--run-id", "a", "--fail-fast"), "exclude each other"),
        (("run", "--shards", "tasks", "--run-id", "a", "--task-index", "1"), "counted from 0"),
        (("merge",), "--run-id"),
        (("merge", "--shards", "tasks", "--run-id", "never"), "holds no run"),
        (("show", "out", "--table", "nobody"), "no comparison nobody"),
        (("repair", "out", "--table", "nobody"), "no comparison nobody"),
        (("report", "out", "--format", "pdf"), "pdf"),
    ]:
        done = command(*arguments)
        assert (done.exit_code, told in done.output) == (2, True), (arguments, done.output)
    assert "nothing differs" in command("repair", "out").output


def test_a_report_is_made_again_in_every_form(command: Any, tmp_path: Path) -> None:
    command("run", "--snapshot", CHANGED, "--output", "out", "--no-audit", "--table", "members")
    for form, name in (("html", "report.html"), ("junit", "report.junit.xml"), ("json", "report.json")):
        assert command("report", "out", "--format", form, "--to", f"made.{form}").exit_code == 0
        assert (tmp_path / f"made.{form}").read_bytes() == (tmp_path / "out" / name).read_bytes()
    assert json.loads(command("report", "--schema").stdout)["$ref"] == "#/$defs/RunResult"
    shown = command("show", "out", "--table", "members", "--json")
    assert (shown.exit_code, json.loads(shown.stdout)["outcome"]) == (1, "failed")


_CONFIG = """
version: 1
defaults: {{dataset: {dataset}, where: {{is_deleted: false}}}}
comparisons:
  - name: gadgets
    key: [id]
    warehouse: {dataset}.gadgets
    columns: {{is_deleted: {{ignore: true}}}}
snapshot: {{uri: "{uri}", manifest: null}}
"""


def test_rows_that_cannot_be_inserted_are_told_beforehand_and_keep_no_other_table_from_being_mended(
    command: Any, estate: Estate, tmp_path: Path
) -> None:
    """A table of the zone structure requires the columns of its changes, which no snapshot holds."""
    comparisons = []
    for name in ("boxes", "crates"):
        full = f"{estate.client.project}.{DATASET}.{name}"
        estate.client.query(
            f"create table `{full}` (id int64 not null, note string, _source_position string not null, is_deleted bool)"
        ).result()
        estate.client.query(f"insert `{full}` values (1, 'old', 'a', false), (2, 'gone', 'b', true)").result()
        folder = tmp_path / "snapshots/2026-01-05" / name
        folder.mkdir(parents=True)
        ids = [1, 2, 3] if name == "boxes" else [1]
        pa.parquet.write_table(pa.table({"id": ids, "note": ["new"] * len(ids)}), folder / "part-0.parquet")
        left_out = {column: {"ignore": True} for column in ("_source_position", "is_deleted")}
        comparisons.append({"name": name, "key": ["id"], "columns": left_out})
    document = {
        "version": 1,
        "snapshot": {"uri": (tmp_path / "snapshots").as_uri(), "manifest": None},
        "defaults": {"dataset": DATASET, "where": {"is_deleted": False}},
        "comparisons": comparisons,
    }
    (tmp_path / "boxes.yml").write_text(json.dumps(document), encoding="utf-8")
    made = command("run", "--config", "boxes.yml", "--output", "out", "--no-audit", "--values")
    assert "unreadable" not in made.output, made.output
    mend = ("repair", "out", "--config", "boxes.yml")
    dry = command(*mend)
    assert "2 missing rows no statement can insert, for the table requires _source_position" in dry.output
    assert (dry.exit_code, "--republish" in dry.output) == (0, True)
    done = command(*mend, "--apply")
    assert done.exit_code == 1, done.output
    for name, kept in (("boxes", "new"), ("crates", "gone")):
        rows = estate.client.query(f"select id, note, is_deleted from {DATASET}.{name} order by id").result()
        assert [tuple(row.values()) for row in rows] == [(1, "new", False), (2, kept, name == "crates")]


def test_what_could_not_be_compared_is_no_table_that_needs_no_repair(command: Any, tmp_path: Path) -> None:
    command("run", "--snapshot", EQUAL, "--output", "out", "--no-audit", "--table", "members")
    report = tmp_path / "out/report.json"
    result = json.loads(report.read_text(encoding="utf-8"))
    result["comparisons"][0] |= {"verdict": "unreadable", "counts": None, "reason": "no files are there"}
    report.write_text(json.dumps(result), encoding="utf-8")
    told = command("repair", "out")
    assert (told.exit_code, "members: could not be compared" in told.output) == (1, True), told.output
    assert "nothing differs" not in told.output


def test_repair_mends_what_differs_and_leaves_what_changed_since(command: Any, estate: Estate, tmp_path: Path) -> None:
    schema = [
        schema_field(n, t)
        for n, t in (("id", "int64"), ("note", "string"), ("size", "float64"), ("tags", "array<string>"))
    ]
    schema.append(schema_field("is_deleted", "bool"))
    warehouse = [(1, "same", 1.0, ["a"]), (2, "old'\n", None, []), (3, "extra", 2.0, ["b"]), (5, "late", 3.0, [])]
    snapshot = [(1, "same", 1.0, ["a"]), (2, "new'\\", -0.5, ["x", "y"]), (4, None, 4.5, ["c"]), (5, "new", 3.0, [])]
    types = (pa.int64(), pa.string(), pa.float64(), pa.list_(pa.string()))
    names = ("id", "note", "size", "tags")

    def table(rows: list[tuple[Any, ...]]) -> pa.Table:
        return pa.table({n: pa.array([row[i] for row in rows], types[i]) for i, n in enumerate(names)})

    full = f"{estate.client.project}.{DATASET}.gadgets"
    load(estate.client, full, schema, table(warehouse).append_column("is_deleted", pa.array([False] * 4)))
    folder = tmp_path / "snapshots/2026-01-05/gadgets"
    folder.mkdir(parents=True)
    pa.parquet.write_table(table(snapshot), folder / "part-0.parquet")
    config = _CONFIG.format(dataset=DATASET, uri=(tmp_path / "snapshots").as_uri())
    (tmp_path / "gadgets.yml").write_text(config, encoding="utf-8")
    run = ("run", "--config", "gadgets.yml", "--output", "out", "--no-audit")
    mend = ("repair", "out", "--config", "gadgets.yml")
    assert command(*run).exit_code == 1
    refused = command(*mend)
    assert (refused.exit_code, "--values" in refused.output) == (2, True), (
        refused.output,
        command("show", "out").output,
    )
    assert command(*run, "--values").exit_code == 1
    dry = command(*mend)
    assert (dry.exit_code, "dry run: nothing was changed" in dry.output) == (0, True), dry.output
    statements = (tmp_path / "out/repair/gadgets.sql").read_text(encoding="utf-8")
    assert (tmp_path / "out/repair/gadgets.sql").stat().st_mode & 0o077 == 0
    assert statements.count("merge `") == 4  # two sets of changed columns, missing, extra
    # The row changes between the comparison and the repair: it is left alone.
    estate.client.query(f"update `{full}` set note = 'newer' where id = 5").result()
    done = command(*mend, "--apply", "--json")
    assert done.exit_code == 0, done.output
    [told] = json.loads(done.stdout)
    assert (told["comparison"], told["rows"], told["statements"], told["left"]) == ("gadgets", 4, 4, 0)
    rows = estate.client.query(f"select id, note, size, tags, is_deleted from `{full}` order by id").result()
    assert [tuple(row.values()) for row in rows] == [
        (1, "same", 1.0, ["a"], False),
        (2, "new'\\", -0.5, ["x", "y"], False),
        (3, "extra", 2.0, ["b"], True),
        (4, None, 4.5, ["c"], False),
        (5, "newer", 3.0, [], False),
    ]
    ledger = estate.client.query(
        f"select method, changed_rows, length(digest) as digits from {estate.settings.audit_dataset}"
        ".reconciliation_repairs where comparison = 'gadgets'"
    ).result()
    assert sorted(tuple(row.values()) for row in ledger) == [("merge", n, 64) for n in (0, 1, 1, 1)]
    events = command(*mend, "--republish")
    assert (events.exit_code, "has no contract" in events.output) == (2, True)
    again = command(*run)
    assert again.exit_code == 1
    assert "1 row differs" in again.output
