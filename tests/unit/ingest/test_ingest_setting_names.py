"""A misspelt setting is told with the name that was meant; what other commands read is left to them."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from core.errors import ConfigurationError, UsageError
from ingest.cli import app
from ingest.setting_names import check_names, known_names

ROOT = Path(__file__).parents[3]
CANARY = "canary-5f1c"
KNOWN = sorted(known_names())


@pytest.mark.parametrize("command", ["run", "doctor", "setup", "drift", "watermarks", "dead-letters list"])
@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("MILLRACE_INGEST_BATCH_ROWZ", "MILLRACE_INGEST_BATCH_ROWS"),
        ("millrace_ingest_ack_batches", "MILLRACE_INGEST_ACK_BATCH"),
        ("MILLRACE_INGEST_KAFKA_BOOTSTRAP_SERVER", "MILLRACE_INGEST_KAFKA_BOOTSTRAP_SERVERS"),
        ("MILLRACE_INGEST_FILE_URI", "MILLRACE_INGEST_FILES_URI"),
        ("MILLRACE_INGST_DRAIN_S", "MILLRACE_INGEST_DRAIN_S"),
        ("MILLRACE_PROJEKT", "MILLRACE_PROJECT"),
        ("MILLRACE_API_TOKENS", "MILLRACE_API_TOKEN"),
    ],
)
def test_a_misspelt_setting_is_wrong_use_and_the_nearest_is_named(
    command: str, name: str, meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, CANARY)
    result = CliRunner().invoke(app, command.split())
    assert isinstance(result.exception, UsageError), result.output
    assert f"{name}: did you mean {meant}?" in str(result.exception)
    assert CANARY not in str(result.exception)


@given(st.sampled_from(KNOWN), st.booleans())
def test_every_setting_is_a_name_in_any_case(name: str, is_lower: bool) -> None:
    check_names([name.lower() if is_lower else name])


@given(st.from_regex(r"[A-Z0-9_]{1,20}", fullmatch=True))
def test_nothing_else_below_the_ingesters_prefix_is_one(ending: str) -> None:
    name = f"MILLRACE_INGEST_{ending}"
    if name in KNOWN:
        check_names([name])
    else:
        with pytest.raises(ConfigurationError, match=f"{name}: (did you mean|unset it)"):
            check_names([name])


def test_what_others_read_is_theirs() -> None:
    check_names(["PATH", "MILLRACE_PIPELINE_STATE", "MILLRACE_RECONCILE_WEBHOOK_2", "MILLRACE_SHOP_URI", "DBT_TARGET"])


def test_every_fault_is_told() -> None:
    with pytest.raises(ConfigurationError, match=r"(?s)BATCH_ROWZ.*DRAIN_SS.*NO_SUCH_THING: unset it"):
        check_names([f"MILLRACE_INGEST_{ending}" for ending in ("NO_SUCH_THING", "DRAIN_SS", "BATCH_ROWZ")])


def test_what_the_repository_sets_and_tells_to_set_is_a_name() -> None:
    """Terraform, the containers, dbt's profiles and macros, and the documents."""
    written = re.compile(r"\bMILLRACE_[A-Z][A-Z0-9_]*[A-Z0-9]\b(?![_*<])")
    files = [
        path
        for folder, suffixes in {
            "terraform": ("*.tf", "*.hcl"), "containers": ("*Dockerfile",), "profiles": ("*.yml",),
            "macros": ("*.sql",), "docs": ("*.md",),
        }.items()
        for suffix in suffixes
        for path in (ROOT / folder).rglob(suffix)
    ]  # fmt: skip
    named = {name for path in files for name in written.findall(path.read_text(encoding="utf-8"))}
    assert "MILLRACE_PROJECT" in named
    check_names(named)
