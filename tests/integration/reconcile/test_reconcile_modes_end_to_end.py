"""The modes through the whole way: warehouse, S3, report, what is kept for the next run."""

import re
from pathlib import Path

import pytest
from reconcile_world import CHANGED, DATASET, EQUAL, ROOT, Estate
from typer.testing import CliRunner

from reconcile import ReconcileConfig, RunResult, load_config, run
from reconcile.cli import app
from reconcile.report.words import sentence
from reconcile.result import Mode


@pytest.fixture
def config() -> ReconcileConfig:
    config = load_config(ROOT / "reconcile.yml")
    return config.model_copy(update={"defaults": config.defaults.model_copy(update={"dataset": DATASET})})


def _run(estate: Estate, config: ReconcileConfig, snapshot: str, mode: Mode, state: Path | None = None) -> RunResult:
    return run(config, estate.settings, snapshot_id=snapshot, audit=False, mode=mode, state=state)


@pytest.mark.parametrize("mode", ["count", "aggregate", "sample", "checksum", "typed"])
def test_every_mode_finds_the_truth_equal(estate: Estate, config: ReconcileConfig, mode: Mode) -> None:
    result = _run(estate, config, EQUAL, mode)
    assert result.verdict == "equal"
    assert {found.mode for found in result.comparisons} == {mode}
    assert {found.why for found in result.comparisons} == {"asked for"}
    assert all((found.evidence is None) == (mode == "typed") for found in result.comparisons)
    assert all(sentence(found) for found in result.comparisons)


def test_checksums_find_what_was_planted_and_are_kept(estate: Estate, config: ReconcileConfig, tmp_path: Path) -> None:
    by_value = _run(estate, config, CHANGED, "typed")
    for again in (False, True):
        found = _run(estate, config, CHANGED, "checksum", tmp_path)
        assert [one.sample for one in found.comparisons] == [one.sample for one in by_value.comparisons]
        assert [one.counts for one in found.comparisons] == [one.counts for one in by_value.comparisons]
        words = [one.evidence.words for one in found.comparisons if one.evidence is not None]
        kept = [told for told in words if "were kept from the last run" in told]
        assert bool(kept) == again
    assert (tmp_path / "members.last.json").exists()


def test_aggregates_and_counts_tell_which_tables_differ(estate: Estate, config: ReconcileConfig) -> None:
    planted = {difference.table for difference in estate.planted if difference.column is None}
    found = {one.name: one for one in _run(estate, config, CHANGED, "aggregate").comparisons}
    assert planted <= {name for name, one in found.items() if one.verdict == "different"}
    assert "No row was compared by itself" in sentence(found["members"])


def test_explain_prints_the_modes_and_reads_nothing(
    estate: Estate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = estate.settings
    for name, value in {
        "BIGQUERY_EMULATOR_HOST": settings.bigquery_emulator_host,
        "BIGQUERY_STORAGE_EMULATOR_HOST": settings.bigquery_storage_emulator_host,
        "AWS_ENDPOINT_URL_S3": settings.s3_endpoint_url,
        "MILLRACE_SNAPSHOT_URI": settings.snapshot_uri,
        "MILLRACE_CONTRACTS_PATH": str(settings.contracts_path),
    }.items():
        monkeypatch.setenv(name, str(value))
    text = (ROOT / "reconcile.yml").read_text(encoding="utf-8")
    (tmp_path / "reconcile.yml").write_text(text.replace("dataset: structure", f"dataset: {DATASET}"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["run", "--explain", "--table", "members", "--mode", "checksum"])
    assert done.exit_code == 0
    assert "mode      checksum: asked for" in done.stdout
    # A dry run where the service knows sizes, and an estimate that says so where it does not.
    assert re.search(r"reads     warehouse (about )?[\d,]+ bytes by an? (dry run|estimate), snapshot", done.stdout)
    done = CliRunner().invoke(app, ["run", "--explain", "--table", "members"])
    assert "rows are few" in done.stdout
    assert list(tmp_path.iterdir()) == [tmp_path / "reconcile.yml"]
