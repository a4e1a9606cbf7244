"""Rows that footers tell: for the choice of a mode, for the estimate, and for the time that is left."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

from core.settings import Settings
from reconcile import ReconcileConfig, run
from reconcile.comparing import Progress
from reconcile.result import RunResult

ROWS = 600


@pytest.fixture
def config(tmp_path: Path) -> ReconcileConfig:
    """A table in Parquet on both sides, in no order of its key, and nobody who says how many rows it has."""
    rows = _rows([n * 7 % ROWS for n in range(ROWS)])
    for side in ("w", "s"):
        (tmp_path / side).mkdir()
        for number in range(3):
            pq.write_table(rows.slice(number * 200, 200), tmp_path / side / f"{number}.parquet")
    return _config(_files(tmp_path / "w"), (tmp_path / "s").as_uri())


def _rows(keys: Sequence[int]) -> pa.Table:
    return pa.table({"id": keys, "v": [f"value {key}" for key in keys]})


def _files(folder: Path) -> dict[str, Any]:
    return {"type": "files", "uri": folder.as_uri()}


def _config(warehouse: dict[str, Any], uri: str, **more: Any) -> ReconcileConfig:
    comparison = {"name": "t", "key": ["id"], "warehouse": warehouse, "snapshot": {"type": "files", "uri": uri, **more}}
    return ReconcileConfig.model_validate({"version": 1, "comparisons": [comparison]})


def _run(config: ReconcileConfig, state: Path | None = None) -> tuple[RunResult, int]:
    told: list[Progress] = []
    result = run(config, Settings(), audit=False, state=state, on_progress=told.append)
    return result, next(each.rows for each in told if each.phase == "planned")


def test_auto_and_the_time_left_go_by_what_footers_tell(
    config: ReconcileConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, expected = _run(config, tmp_path / "state")
    assert (result.comparisons[0].mode, expected) == ("typed", 2 * ROWS)
    assert result.comparisons[0].why.startswith("600 rows are few")
    monkeypatch.setattr("reconcile.modes._SMALL_ROWS", 500)
    result, _ = _run(config, tmp_path / "state")
    assert (result.verdict, result.comparisons[0].mode) == ("equal", "checksum"), result.comparisons[0].why
    for side in ("w", "s"):
        for number in range(3):
            pq.write_table(_rows(range(ROWS)).slice(number * 200, 200), tmp_path / side / f"{number}.parquet")
    result, _ = _run(config, tmp_path / "state")
    assert result.comparisons[0].mode == "typed"
    assert result.comparisons[0].why.startswith("both sides follow the order of the key")


def test_the_other_side_tells_where_one_does_not(config: ReconcileConfig, tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    pc.write_csv(pa.table({"id": [1, 2], "v": ["value 1", "value 2"]}), tmp_path / "c" / "a.csv")
    result, expected = _run(_config(_files(tmp_path / "w"), (tmp_path / "c").as_uri()))
    assert expected == 2 * ROWS
    assert result.comparisons[0].counts is not None, result.comparisons[0].reason
    assert result.comparisons[0].counts.snapshot_rows == 2
    nobody = _config(_files(tmp_path / "c"), (tmp_path / "c").as_uri(), format="csv")
    assert _run(nobody)[1] == 0


def test_a_footer_that_cannot_be_read_is_left_to_the_comparison(config: ReconcileConfig, tmp_path: Path) -> None:
    (tmp_path / "s" / "1.parquet").write_bytes(b"PAR1")
    result, _ = _run(config)
    assert result.verdict == "unreadable"
    assert "1.parquet: is not a whole Parquet file" in str(result.comparisons[0].reason)


def test_what_is_stated_is_held_against_the_files(config: ReconcileConfig, tmp_path: Path) -> None:
    stated = _config(_files(tmp_path / "w"), (tmp_path / "s").as_uri(), rows=ROWS + 1)
    result, expected = _run(stated)
    assert (result.verdict, expected) == ("unreadable", 2 * (ROWS + 1))
