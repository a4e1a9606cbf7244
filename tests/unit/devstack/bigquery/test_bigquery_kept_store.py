"""What was worked out for a statement outlives the process, and nothing that is wrong with its file does harm."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devstack.bigquery.shims import kept_store
from devstack.bigquery.shims.kept_store import KeptStore
from devstack.bigquery.shims.kept_texts import kept_answer, kept_text

LONG = "select 1 -- " + "a long statement " * 30


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., KeptStore]]:
    """Open a store as a process would."""
    stores: list[KeptStore] = []

    def open_store(folder: Path = tmp_path) -> KeptStore:
        stores.append(KeptStore())
        stores[-1].open(folder)
        return stores[-1]

    yield open_store
    for store in stores:
        store.close()


def file_of(folder: Path) -> Path:
    [path] = folder.glob("*.sqlite")
    return path


def test_what_one_process_kept_another_finds(opened: Callable[..., KeptStore]) -> None:
    opened().keep("rewrite", (LONG, ()), ["text\0000\0", None, 7], worked_out_from=LONG)
    for store in (opened(), opened()):
        assert store.get("rewrite", (LONG, ())) == ["text\0000\0", None, 7]
        assert store.get("rewrite", (LONG, ("other",))) is None
        assert store.get("classify", (LONG, ())) is None


def test_short_texts_are_worked_out_anew(opened: Callable[..., KeptStore]) -> None:
    store = opened()
    store.keep("rewrite", "select 1", ["select 1"], worked_out_from="select 1")
    assert store.get("rewrite", "select 1") is None


def test_another_version_starts_anew_and_removes_the_file_of_the_former(
    opened: Callable[..., KeptStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened().keep("rewrite", LONG, ["old"], worked_out_from=LONG)
    former = file_of(tmp_path)
    stranger = tmp_path / "notes.txt"
    stranger.write_text("not ours")
    monkeypatch.setattr(kept_store, "version", lambda package: f"another {package}")
    assert opened().get("rewrite", LONG) is None
    assert file_of(tmp_path) != former
    assert stranger.exists()


def test_a_file_that_is_no_database_is_replaced(opened: Callable[..., KeptStore], tmp_path: Path) -> None:
    opened().close()
    file_of(tmp_path).write_bytes(b"garbage " * 1_000)
    store = opened()
    store.keep("rewrite", LONG, ["new"], worked_out_from=LONG)
    assert store.get("rewrite", LONG) == ["new"]


def test_a_value_that_is_no_json_ends_the_keeping(opened: Callable[..., KeptStore], tmp_path: Path) -> None:
    store = opened()
    store.keep("rewrite", LONG, ["new"], worked_out_from=LONG)
    with sqlite3.connect(file_of(tmp_path)) as file:
        file.execute("update kept set value = '[\"ne'")
    assert store.get("rewrite", LONG) is None
    store.keep("rewrite", LONG, ["new"], worked_out_from=LONG)
    assert store.get("rewrite", LONG) is None


def test_a_folder_that_cannot_be_made_keeps_nothing(opened: Callable[..., KeptStore], tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    store = opened(in_the_way / "folder")
    store.keep("rewrite", LONG, ["new"], worked_out_from=LONG)
    assert store.get("rewrite", LONG) is None


def test_a_full_disk_ends_the_keeping_and_not_the_work(opened: Callable[..., KeptStore]) -> None:
    store = opened()
    assert store._file is not None
    store._file.execute("pragma max_page_count = 4")
    store.keep("rewrite", LONG, ["x" * 1_000_000], worked_out_from=LONG)
    assert store.get("rewrite", LONG) is None


def test_the_oldest_go_when_there_are_too_many(
    opened: Callable[..., KeptStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_store, "_KEPT_ROWS", 3)
    store = opened()
    for number in range(5):
        store.keep("rewrite", number, [number], worked_out_from=LONG)
    later = opened()
    assert [later.get("rewrite", number) for number in range(5)] == [None, None, [2], [3], [4]]


def test_rewrites_and_answers_are_taken_up_by_the_next_process(
    opened: Callable[..., KeptStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each decorated function stands for a process: it remembers nothing of the other."""
    calls: list[str] = []

    def upper(text: str) -> str | None:
        calls.append(text)
        return text.replace("select", "SELECT") if "nothing" not in text else None

    def is_long(sql: str) -> bool:
        calls.append(sql)
        return len(sql) > 100

    texts = (f"{LONG} '2026-01-05 06:00:00.00000{{}}+00:00'", f"{LONG} nothing {{}}")
    for number in (1, 2):
        monkeypatch.setattr("devstack.bigquery.shims.kept_texts.kept_store", opened)
        rewrite, check = kept_text(upper), kept_answer(is_long)
        some = texts[0].format(number)
        assert rewrite(some) == some.replace("select", "SELECT")
        assert rewrite(texts[1].format("")) is None
        assert check(some) is True
        assert len(calls) == 3
