"""The store, the faults and the token bucket, each for itself."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from core.errors import ConfigurationError
from devstack.member_api.faults import FAULTS, FaultInjector, FaultPlan
from devstack.member_api.rate_limit import TokenBucket
from devstack.member_api.store import StoredRow, StoreReader, write_store


def _row(key: str, version: int, data: str | None = "{}") -> StoredRow:
    return StoredRow("t", key, version, data, "2026-01-01T00:00:00.000000Z")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StoreReader]:
    write_store(tmp_path / "store.sqlite", [_row("1", 1), _row("2", 2, None)])
    reader = StoreReader(tmp_path / "store.sqlite")
    yield reader
    reader.close()


def test_rows_there_gone_and_never_there_are_told_apart(store: StoreReader) -> None:
    assert store.get("t", "1") == _row("1", 1)
    assert store.get("t", "2") == _row("2", 2, None)
    assert store.get("t", "3") is None
    assert store.get("other", "1") is None


def test_a_reader_sees_a_later_write_at_once_although_it_remembers(store: StoreReader) -> None:
    assert store.get("t", "1") == _row("1", 1)
    assert store.get("t", "3") is None
    write_store(store.path, [_row("1", 9), _row("3", 4)])
    assert store.get("t", "1") == _row("1", 9)
    assert store.get("t", "3") == _row("3", 4)


def test_a_write_that_is_not_committed_yet_cannot_be_seen(store: StoreReader) -> None:
    writer = sqlite3.connect(store.path, isolation_level=None)
    writer.execute("begin immediate")
    writer.execute("update stored_rows set version = 100")
    assert store.get("t", "1") == _row("1", 1)
    writer.execute("commit")
    writer.close()
    assert store.get("t", "1") == _row("1", 100)


def test_what_is_remembered_is_not_read_again(store: StoreReader, monkeypatch: pytest.MonkeyPatch) -> None:
    statements: list[str] = []
    store._connection.set_trace_callback(statements.append)
    for _ in range(5):
        store.get("t", "1")
    assert sum(statement.startswith("select") for statement in statements) == 1


def test_a_store_that_is_not_there_is_a_plain_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such store"):
        StoreReader(tmp_path / "missing.sqlite")


def test_a_plan_is_followed_whatever_the_order_of_requests() -> None:
    plan = FaultPlan(seed=4, error_share=0.3, throttle_share=0.2)
    paths = [f"/v1/members/{number}" for number in range(50)]
    forwards, backwards = FaultInjector(plan), FaultInjector(plan)
    first = {path: [forwards.next_fault(path) for _ in range(4)] for path in paths}
    second = {path: [backwards.next_fault(path) for _ in range(4)] for path in reversed(paths)}
    assert first == second
    assert forwards.shown == backwards.shown


def test_faults_come_as_often_as_planned() -> None:
    plan = FaultPlan(error_share=0.1, throttle_share=0.1, drop_share=0.1, slow_body_share=0.1, malformed_share=0.1)
    chosen = Counter(plan.choose(f"/v1/members/{number}", 0) for number in range(5_000))
    assert set(chosen) == {None, *FAULTS}
    assert all(count == pytest.approx(500, rel=0.25) for fault, count in chosen.items() if fault)


def test_another_seed_fails_other_requests_and_a_new_plan_begins_anew() -> None:
    paths = [f"/v1/members/{number}" for number in range(60)]

    def failing(seed: int) -> list[object]:
        return [FaultPlan(seed=seed, error_share=0.5).choose(path, 0) for path in paths]

    assert failing(1) == failing(1) != failing(2)
    injector = FaultInjector(FaultPlan(error_share=1))
    injector.next_fault("/v1/x")
    injector.follow(FaultPlan(error_share=0.5))
    assert injector.shown == {}
    assert injector.next_fault(paths[0]) == FaultPlan(error_share=0.5).choose(paths[0], 0)


@pytest.mark.parametrize(
    "plan", [{"error_share": 1.2}, {"error_share": 0.6, "drop_share": 0.6}, {"error_status": 200}, {"unknown": 1}]
)
def test_impossible_plans_are_refused(plan: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        FaultPlan.model_validate(plan)


@given(
    rate=st.floats(0.5, 50),
    burst=st.integers(1, 20),
    gaps=st.lists(st.floats(0, 3), min_size=1, max_size=60),
)
def test_a_bucket_never_lets_more_pass_than_burst_and_rate_allow(rate: float, burst: int, gaps: list[float]) -> None:
    clock = [0.0]
    bucket = TokenBucket(rate, burst, lambda: clock[0])
    passed = 0
    for gap in gaps:
        clock[0] += gap
        wait_s = bucket.take()
        if wait_s == 0:
            passed += 1
        else:
            assert wait_s >= 1
        assert passed <= burst + rate * clock[0] + 1e-6


def test_after_the_time_it_named_a_bucket_lets_pass() -> None:
    clock = [0.0]
    bucket = TokenBucket(0.25, 2, lambda: clock[0])
    assert [bucket.take(), bucket.take()] == [0, 0]
    wait_s = bucket.take()
    assert wait_s == 4
    clock[0] += wait_s
    assert bucket.take() == 0
