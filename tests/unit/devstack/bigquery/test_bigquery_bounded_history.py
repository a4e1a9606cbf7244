"""The stores of results forget the oldest, never the newest."""

import datetime as dt

from bqemulator.api.routes import jobs as job_routes
from bqemulator.catalog.memory_repository import MemoryCatalogRepository
from bqemulator.catalog.models import JobMeta
from bqemulator.jobs import executor
from bqemulator.streaming import read_session
from hypothesis import given
from hypothesis import strategies as st

from devstack.bigquery.shims import apply_shims
from devstack.bigquery.shims.bounded_history import Recent

LIMIT, LIMIT_BYTES = 4, 100


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 150)), max_size=40))
def test_it_keeps_the_newest_within_both_limits(writes: list[tuple[str, int]]) -> None:
    store = Recent(LIMIT, LIMIT_BYTES, int)
    order: list[str] = []
    for key, size in writes:
        store[key] = size
        order = [each for each in order if each != key] + [key]
        assert list(store) == order[-len(store) :]
        assert len(store) <= LIMIT
        assert len(store) == 1 or sum(store.values()) <= LIMIT_BYTES


@given(st.lists(st.integers(0, 30), min_size=1, max_size=20))
def test_it_drops_no_more_than_it_must(sizes: list[int]) -> None:
    store = Recent(LIMIT, LIMIT_BYTES, int)
    for index, size in enumerate(sizes):
        store[str(index)] = size
    fitting = 0
    for count in range(1, min(LIMIT, len(sizes)) + 1):
        if count == 1 or sum(sizes[-count:]) <= LIMIT_BYTES:
            fitting = count
    assert len(store) >= fitting


def test_what_is_taken_out_no_longer_counts() -> None:
    store = Recent(LIMIT, LIMIT_BYTES, int)
    store["a"] = 90
    assert store.pop("a") == 90
    assert store.pop("a", None) is None
    store["b"] = 60
    store["c"] = 40
    assert list(store) == ["b", "c"]


def test_the_emulator_uses_them_for_results_sessions_and_jobs() -> None:
    apply_shims()
    assert isinstance(executor.JOB_RESULTS, Recent)
    assert executor.JOB_RESULTS is job_routes.JOB_RESULTS
    assert executor.JOB_SCHEMAS is job_routes.JOB_SCHEMAS
    assert isinstance(read_session._SESSIONS, Recent)
    catalog = MemoryCatalogRepository()
    for number in range(1_010):
        moment = dt.datetime(2024, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=number)
        job = {"project_id": "p", "job_id": f"j{number}", "job_type": "QUERY", "state": "DONE", "configuration": {}}
        catalog.upsert_job(JobMeta(**job, creation_time=moment, etag="e"))
    assert catalog.get_job("p", "j0") is None
    assert catalog.get_job("p", "j1009") is not None
    assert len(catalog.list_jobs("p", max_results=5_000)) == 1_000


def test_the_newest_entries_stay_however_large_they_are_together() -> None:
    store = Recent(LIMIT, LIMIT_BYTES, int, least=2)
    for key in "abc":
        store[key] = 90
    assert list(store) == ["b", "c"]
