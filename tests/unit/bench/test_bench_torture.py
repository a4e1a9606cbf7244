"""The page of who misses what: made of the pairs as they are, and of nothing that a peer's absence leaves out."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from bench import torture
from bench.environments import NoEnvironmentError
from bench.torture import PAGE, Case, Peer, Tool, cases, main, ours, page, write_cases

ROOT = Path(__file__).parents[3]
AT = datetime(2026, 1, 31, tzinfo=UTC)


@pytest.fixture(scope="module")
def few() -> tuple[Case, ...]:
    """The first cases of each group."""
    given = cases()
    return tuple(case for group in dict.fromkeys(c.group for c in given) for case in _of(given, group)[:3])


def _of(given: tuple[Case, ...], group: str) -> list[Case]:
    return [case for case in given if case.group == group]


@pytest.mark.parametrize("mode", ["typed", "checksum"])
def test_ours_is_right_about_tables_of_each_kind(few: tuple[Case, ...], mode: torture.Mode) -> None:
    assert ours(few, mode).cell(few) == "all right"


def test_the_page_that_is_committed_is_of_these_cases() -> None:
    written = (ROOT / PAGE).read_text(encoding="utf-8")
    given = cases()
    assert f"{len(given)} pairs of tables" in written
    for group in dict.fromkeys(case.group for case in given):
        assert f"| {group} ({len(_of(given, group))}) | all right | all right |" in written


def test_a_judgement_that_is_wrong_is_told_and_how(few: tuple[Case, ...]) -> None:
    right = {case.name: "equal" if case.is_equal else "different" for case in few}
    wrong = {"equal": "different", "different": "equal"}
    tool = Tool("blind 1.0", {name: wrong[said] for name, said in right.items()} | {few[0].name: "failed: KeyError"})
    written = page(few, [Tool("sharp", right), tool], AT, ["lost: no network"])
    equal = sum(case.is_equal for case in few[1:])
    assert (
        f"| **all ({len(few)})** | **all right** | **{len(few) - 1 - equal} missed, {equal} false, 1 failed**"
        in written
    )
    assert "## sharp" not in written
    assert f"* Failed: {few[0].group}, " in written
    assert "(KeyError)" in written
    assert "* lost: no network" in written


def test_what_is_written_is_what_the_peers_read(few: tuple[Case, ...], tmp_path: Path) -> None:
    write_cases(few, tmp_path)
    for case in few:
        table = pq.read_table(tmp_path / case.name / "w.parquet")
        assert (table.column_names, table.num_rows) == (list(case.types), len(case.warehouse))


def test_a_peer_is_asked_in_its_environment_and_left_out_without_one(
    few: tuple[Case, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = tmp_path / "python"
    said = ", ".join(f'"{case.name}": "equal"' for case in few)
    judge.write_text(f"#!/bin/sh\necho '{{{said}}}'\n")
    judge.chmod(0o755)

    def made(name: str, _: tuple[str, ...]) -> Path:
        if name == "absent":
            raise NoEnvironmentError("no network")
        return judge

    monkeypatch.setattr(torture, "environment", made)
    monkeypatch.setattr(torture, "cases", lambda: few[:2])
    monkeypatch.setattr(torture, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(torture, "PEERS", (Peer("yes", ("yes==2.0",), "any.py"), Peer("absent", ("a==1",), "any.py")))
    main()
    written = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert "| yes 2.0 |" in written
    assert "* absent: no network" in written
    judge.write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(subprocess.CalledProcessError):
        Peer("yes", ("yes==2.0",), "any.py").judge(few, tmp_path)
