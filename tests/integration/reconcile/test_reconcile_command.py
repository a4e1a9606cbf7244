"""The command: exit codes, output and the help that comes at once."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from reconcile_world import CHANGED, DATASET, EQUAL, ROOT, Estate
from typer.testing import CliRunner

from reconcile.cli import app, main
from reconcile.report.files import read_json


@pytest.fixture
def command(estate: Estate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command, in the environment and with the configuration of the test."""
    settings = estate.settings
    variables = {
        "BIGQUERY_EMULATOR_HOST": settings.bigquery_emulator_host,
        "BIGQUERY_STORAGE_EMULATOR_HOST": settings.bigquery_storage_emulator_host,
        "AWS_ENDPOINT_URL_S3": settings.s3_endpoint_url,
        "MILLRACE_SNAPSHOT_URI": settings.snapshot_uri,
        "MILLRACE_CONTRACTS_PATH": str(settings.contracts_path),
        "MILLRACE_AUDIT_DATASET": settings.audit_dataset,
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))
    text = (ROOT / "reconcile.yml").read_text(encoding="utf-8")
    (tmp_path / "reconcile.yml").write_text(text.replace("dataset: structure", f"dataset: {DATASET}"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


def test_the_command_exits_by_the_verdict_and_writes_the_reports(command: Any, tmp_path: Path) -> None:
    done = command("run", "--snapshot", EQUAL, "--output", "out")
    assert (done.exit_code, "Every row matches" in done.stdout) == (0, True)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "report.json",
        "report.html",
        "report.junit.xml",
        "differences",
    }
    done = command("run", "--snapshot", CHANGED, "--output", "out", "--no-audit", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout) == json.loads((tmp_path / "out/report.json").read_bytes())
    shown = command("show", "out")
    assert (shown.exit_code, "The warehouse differs from the snapshot" in shown.stdout) == (1, True)
    done = command("run", "--snapshot", CHANGED, "--output", "out", "--no-audit", "--fail-fast")
    result = read_json(tmp_path / "out")
    assert [found.verdict == "equal" for found in result.comparisons][:-1] == [True] * (len(result.comparisons) - 1)
    assert len(result.comparisons) + len(result.not_run) == 13
    assert result.not_run
    # What an earlier run left does not stand beside the new.
    assert {path.stem for path in (tmp_path / "out/differences").iterdir()} == {result.comparisons[-1].name}


def test_the_latest_snapshot_is_taken_when_none_is_named(command: Any) -> None:
    done = command("plan", "--table", "members", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["snapshot"]["snapshot_id"] == CHANGED


def test_wrong_use_exits_2_and_says_what_is_right(command: Any, tmp_path: Path) -> None:
    (tmp_path / "bad.yml").write_text("version: 1", encoding="utf-8")
    for arguments, told in [
        (("run", "--table", "nobody"), "no comparison is called nobody"),
        (("run", "--table", "members", "--all"), "not both"),
        (("run", "--config", "none.yml"), "none.yml: cannot be read"),
        (("plan", "--config", "bad.yml"), "comparisons: Field required"),
        (("run", "--output", "bad.yml"), "bad.yml"),
        (("run", "--nonsense"), "--nonsense"),
    ]:
        done = command(*arguments)
        assert done.exit_code == 2, arguments
        assert told in done.output, arguments


def test_a_plan_is_printed_for_people(command: Any) -> None:
    done = command("plan", "--table", "members", "--table", "member_cases", "--snapshot", EQUAL)
    assert done.exit_code == 0
    assert "members: 16 columns by member_id" in done.stdout
    assert "where is_deleted = false" in done.stdout
    assert command("plan", "--snapshot", "never").exit_code == 1


def test_the_installed_command_helps_at_once_without_loading_any_client() -> None:
    loaded = (
        "import sys; sys.argv = ['reconcile', 'run', '--help']\n"
        "from reconcile.cli import main\n"
        "try:\n    main()\n"
        "finally:\n    assert not {'google.cloud.bigquery', 'duckdb', 'pyarrow'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--snapshot" in done.stdout


def test_a_report_that_is_none_is_a_failure_with_its_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "old.json").write_text('{"schema_version": 0}', encoding="utf-8")
    (tmp_path / "broken.json").write_text("{", encoding="utf-8")
    for name, told in [("none.json", "reconcile run"), ("old.json", "version 0"), ("broken.json", "not a report")]:
        monkeypatch.setattr(sys, "argv", ["reconcile", "show", str(tmp_path / name)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 1
        assert told in capsys.readouterr().err
