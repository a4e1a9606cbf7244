"""The page of rows in flight: every example comes out as it says."""

import json
import re
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from core.settings import Settings
from reconcile import ReconcileConfig, load_config, run

PAGE = Path(__file__).parents[3] / "docs/guides/reconcile-rule-in-flight.md"
TEXT = PAGE.read_text(encoding="utf-8")
KINDS = {"in flight": "in_flight"}


def test_every_example_of_the_page_comes_out_as_it_says(tmp_path: Path) -> None:
    [taken_at] = re.findall(r"taken at `(.*)`:", TEXT)
    examples = re.findall(r"\| (`gold`|absent|deleted) \| `(.*)` \| (`\w+`|absent) \| ([a-z ]+) \|", TEXT)
    assert len(examples) == TEXT.count("\n| ") - 2
    rows = [
        (number, left.strip("`"), None if at == "null" else datetime.fromisoformat(at), left == "deleted")
        for number, (left, at, _, _) in enumerate(examples)
        if left != "absent"
    ]
    columns = zip(("id", "tier", "_ingestion_ts", "is_deleted"), zip(*rows, strict=True), strict=True)
    (tmp_path / "warehouse").mkdir()
    pq.write_table(pa.table({name: list(values) for name, values in columns}), tmp_path / "warehouse/a.parquet")
    there = [(number, value.strip("`")) for number, (_, _, value, _) in enumerate(examples) if value != "absent"]
    folder = tmp_path / "snapshots/s1/tiers"
    folder.mkdir(parents=True)
    pq.write_table(pa.table({"id": [n for n, _ in there], "tier": [v for _, v in there]}), folder / "a.parquet")
    tables = {"tiers": {"format": "parquet", "rows": len(there), "files": ["a.parquet"]}}
    manifest = {"snapshot_id": "s1", "taken_at": taken_at, "tables": tables}
    (folder.parent / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    comparison = {
        "name": "tiers", "key": ["id"], "warehouse": {"type": "files", "uri": (tmp_path / "warehouse").as_uri()},
        "snapshot": "tiers", "where": {"is_deleted": False}, "in_flight": {"column": "_ingestion_ts"},
        "columns": {"_ingestion_ts": {"ignore": True}, "is_deleted": {"ignore": True}},
    }  # fmt: skip
    document = {"version": 1, "snapshot": {"uri": folder.parents[1].as_uri()}, "comparisons": [comparison]}
    [found] = run(ReconcileConfig.model_validate(document), Settings(), audit=False).comparisons
    assert found.counts is not None, found.reason
    told = {int(one.key[0].value or -1): one.kind for one in found.sample}
    expected = {n: KINDS.get(kind, kind) for n, (*_, kind) in enumerate(examples)}
    assert told == {number: kind for number, kind in expected.items() if kind != "equal"}
    assert found.counts.matched == list(expected.values()).count("equal")


def test_the_configuration_of_the_page_is_valid(tmp_path: Path) -> None:
    shown = TEXT.split("```yaml")[1].split("```")[0]
    (tmp_path / "reconcile.yml").write_text(f"version: 1\n{shown}", encoding="utf-8")
    [comparison] = load_config(tmp_path / "reconcile.yml").comparisons
    assert comparison.in_flight is not None
