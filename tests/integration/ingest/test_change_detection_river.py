"""Tables whose messages do not say what happened, through the whole river: upserts, full dumps, sets from the API."""

import asyncio
import json
import random
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from ingest_river import NOTIFICATIONS, QUICK, River, topic_of
from pydantic import SecretStr

from core.contracts import load_contracts
from devstack.member_api.app import ApiOptions, create_app
from devstack.member_api.faults import FaultPlan
from devstack.member_api.server import running_member_api
from devstack.member_api.store import StoredRow, StoreReader, write_store
from ingest.detect import DumpEnds, DumpMarker
from ingest.peek import Peek
from ingest.settings import IngestSettings

TABLE = "member_emails"
Patterned = Callable[..., River]


@pytest.fixture
def patterned(river: River, tmp_path: Path) -> Patterned:
    """The river with a table of plain JSON rows in another pattern."""

    def make(**meta: object) -> River:
        document = yaml.safe_load((river.settings.contracts_path / f"{TABLE}.yml").read_text())
        [table] = document["sources"][0]["tables"]
        kept = {name: table["config"]["meta"][name] for name in ("owner", "topic")}
        table["config"]["meta"] = kept | {"wire_format": "plain"} | meta
        folder = tmp_path / "contracts"
        folder.mkdir()
        (folder / f"{TABLE}.yml").write_text(yaml.safe_dump(document))
        settings = river.settings.model_copy(update={"contracts_path": folder})
        return River(settings, load_contracts(folder), river.sent)

    return make


def message(email_id: int, content: str | None, **attributes: str) -> dict[str, Any]:
    key = json.dumps({"email_id": email_id})
    if content is None:
        return {"data": b"", "ordering_key": key, "attributes": {"op": "delete", **attributes}}
    row = {"email_id": email_id, "member_id": email_id % 3, "email": content}
    return {"data": json.dumps(row).encode(), "ordering_key": key, "attributes": attributes}


def label(row: Mapping[str, Any]) -> str:
    is_mark = row["_op"] == "UPDATE" and row["_op_inferred"] and row["before"] == row["payload"]
    return "NO_CHANGE" if is_mark else str(row["_op"])


def state(river: River) -> dict[int, str]:
    """The table as the merge leaves it: of each key the newest change."""

    def order(row: Mapping[str, Any]) -> tuple[object, ...]:
        micros = row["_source_ts"].timestamp() if row["_source_ts"] else 0
        return row["_source_position"], row["_source_sequence"] or 0, micros, row["_op"] == "DELETE"

    newest: dict[str, Mapping[str, Any]] = {}
    for row in sorted(river.rows(TABLE), key=order):
        newest[row["_key"]] = row
    return {
        json.loads(key)["email_id"]: json.loads(row["payload"])["email"]
        for key, row in newest.items()
        if row["_op"] != "DELETE"
    }


def assert_nothing_lost(river: River, control: Iterable[str] = ()) -> None:
    """The invariant; rows that no message brought come on top, and say whose they are."""
    landed = set(river.landed_ids())
    inferred = {one for one in landed if ":" in one}
    assert {one.partition(":")[0] for one in inferred} <= set(control)
    dead = {row["event_id"] for row in river.dead_letters()}
    assert river.sent - set(control) == (landed - inferred) | dead
    assert not landed & dead


async def test_upserts_become_changes_run_after_run(patterned: Patterned) -> None:
    """Every run knows nothing and asks the raw table; each key comes once a run, so what it becomes is certain."""
    river = patterned(pattern="upsert")
    rng = random.Random(11)
    truth: dict[int, str] = {}
    for number in range(4):
        batch, expected = [], []
        for key in rng.sample(range(30), 20):
            content = rng.choice(["a", "b", None]) if key in truth else rng.choice(["a", "b"])
            former = truth.get(key)
            if content is None:
                truth.pop(key)
                expected.append("DELETE")
            else:
                truth[key] = content
                expected.append("INSERT" if former is None else "NO_CHANGE" if former == content else "UPDATE")
            batch.append(message(key, content))
        sent = river.publish(topic_of(TABLE), batch)
        summary = await river.run()
        rows = {row["_event_id"]: row for row in river.rows(TABLE)}
        assert [label(rows[one]) for one in sent] == expected, number
        inferred = Counter(expected)
        del inferred["DELETE"]  # stated by the message
        assert summary.inferred == dict(sorted(inferred.items()))
        assert summary.anomalies == {}
    assert state(river) == truth
    assert_nothing_lost(river)


async def test_a_row_sent_twice_is_known_from_memory(patterned: Patterned) -> None:
    river = patterned(pattern="incremental", cursor="updated_at")

    def at(second: int, content: str) -> dict[str, Any]:
        row = {"email_id": 1, "email": content, "updated_at": f"2026-01-02T03:04:{second:02d}Z"}
        return {"data": json.dumps(row).encode(), "ordering_key": "1"}

    async with asyncio.TaskGroup() as group:
        run = river.begin(group, until_idle_s=20)
        for second, content in ((5, "a"), (7, "a"), (9, "b"), (3, "c")):
            landed = run.progress.tables.total()
            river.publish(topic_of(TABLE), [at(second, content)])
            while run.progress.tables.total() == landed:  # noqa: ASYNC110 - counters have no event to wait for
                await asyncio.sleep(0.01)
        run.stop()
    rows = sorted(river.rows(TABLE), key=lambda row: row["_publish_ts"])
    # "a" again at another time is another row: its cursor is a column like any other.
    assert [label(row) for row in rows] == ["INSERT", "UPDATE", "UPDATE", "UPDATE"]
    assert (run.progress.cache_misses, run.progress.cache_hits) == (1, 3)
    assert run.progress.anomalies == {"position_back": 1}
    assert state(river) == {1: "b"}


@pytest.mark.parametrize("boundary", ["before_append", "after_append"])
async def test_an_append_that_was_lost_or_not_heard_of_makes_no_wrong_no_change(
    patterned: Patterned, boundary: str
) -> None:
    """Killed around the append: the rows come again, and are what they were the first time."""
    river = patterned(pattern="upsert")
    sent = river.publish(topic_of(TABLE), [message(key, "a") for key in range(20)])
    with river.start("run", MILLRACE_FAILPOINT=f"{boundary}:crash_after=20") as process:
        assert process.wait(60) == -signal.SIGKILL
    river.seek_to_beginning(topic_of(TABLE))
    await river.run()
    rows = river.rows(TABLE)
    assert {row["_event_id"] for row in rows} == set(sent)
    assert (len(rows) > len(sent)) == (boundary == "after_append")
    assert {label(row) for row in rows} == {"INSERT"}
    again = river.publish(topic_of(TABLE), [message(key, "a") for key in range(20)])
    await river.run()
    assert {label(row) for row in river.rows(TABLE) if row["_event_id"] in set(again)} == {"NO_CHANGE"}
    assert_nothing_lost(river)


# Full dumps


def dump(number: int, rows: Mapping[int, str], announced: int | None = None) -> list[dict[str, Any]]:
    """The messages of a dump: its beginning, its rows, its end."""
    attributes = {"millrace_dump_id": str(number)}
    count = len(rows) if announced is None else announced
    return [
        {"data": b"", "attributes": {**attributes, "millrace_dump": "begin"}},
        *(message(key, content, **attributes) for key, content in rows.items()),
        {"data": b"{}", "attributes": {**attributes, "millrace_dump": "end", "millrace_dump_rows": str(count)}},
    ]


async def dumped(river: River, *, patience_s: float = 0.0) -> tuple[dict[int, str], set[str], Any]:
    """Random dumps through the river, each shuffled, partly repeated, some incomplete; returns what must be left."""
    rng = random.Random(7)
    truth: dict[int, str] = {}
    markers: set[str] = set()
    summary = None
    for number in range(1, 7):
        rows = {key: rng.choice("abc") for key in rng.sample(range(25), rng.randrange(8, 20))}
        is_complete = number not in (3, 5)
        messages = dump(number, rows, None if is_complete else len(rows) + 1)
        order = [*range(len(messages)), *rng.sample(range(1, len(messages) - 1), 5)]
        rng.shuffle(order)
        ids = river.publish(topic_of(TABLE), [messages[place] for place in order])
        markers |= {ids[place] for place, which in enumerate(order) if which in (0, len(messages) - 1)}
        truth = rows if is_complete else truth | rows
        summary = await river.run(dump_patience_s=patience_s or (20 if is_complete else 0.2))
        if state(river) != truth:
            break
    return truth, markers, summary


async def test_after_complete_dumps_the_table_is_the_last_one(patterned: Patterned) -> None:
    """Markers and rows in any order, repetitions, a restart between dumps; incomplete ones delete nothing."""
    river = patterned(pattern="full_dump")
    truth, markers, summary = await dumped(river)
    assert state(river) == truth
    letters = river.dead_letters()
    assert Counter(row["reason"] for row in letters) == {"dump_incomplete": 2}
    assert all("nothing was deleted" in row["error"] for row in letters)
    control = markers - {row["event_id"] for row in letters}
    assert_nothing_lost(river, control)
    deletions = [row for row in river.rows(TABLE) if row["_op"] == "DELETE"]
    assert deletions
    assert all(row["_event_id"].partition(":")[0] in control and row["_op_inferred"] for row in deletions)
    assert len({row["_event_id"] for row in deletions}) == len(deletions)
    assert summary.inferred["NO_CHANGE"] > 0


async def test_who_trusts_an_incomplete_dump_is_found_out(
    patterned: Patterned, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: a mutant that does not count the rows."""

    async def trust(_: DumpEnds, marker: DumpMarker) -> int | None:
        return marker.rows

    monkeypatch.setattr(DumpEnds, "_wait_for_rows", trust)
    river = patterned(pattern="full_dump")
    truth, _, _ = await dumped(river)
    assert state(river) != truth


async def test_a_dump_is_completed_later_by_sending_its_end_again(patterned: Patterned) -> None:
    river = patterned(pattern="full_dump")
    river.publish(topic_of(TABLE), dump(1, {1: "a", 2: "a", 3: "a"}))
    await river.run(dump_patience_s=10)
    [begin, first, second, end] = dump(2, {1: "a", 2: "b"})
    river.publish(topic_of(TABLE), [begin, first, end])
    summary = await river.run(dump_patience_s=0)
    assert (summary.reasons, state(river)) == ({"dump_incomplete": 1}, {1: "a", 2: "a", 3: "a"})
    river.publish(topic_of(TABLE), [second, end])
    summary = await river.run(dump_patience_s=10)
    assert state(river) == {1: "a", 2: "b"}
    assert (summary.inferred, summary.control) == ({"DELETE": 1, "UPDATE": 1}, 1)
    # The end once more, as after a crash before its acknowledgement: nothing is left to delete.
    rows = len(river.rows(TABLE))
    river.publish(topic_of(TABLE), [end])
    summary = await river.run(dump_patience_s=10)
    assert (summary.control, len(river.rows(TABLE))) == (1, rows)


async def test_what_belongs_to_no_dump_is_dead_lettered(patterned: Patterned) -> None:
    river = patterned(pattern="full_dump")
    river.publish(
        topic_of(TABLE),
        [
            message(1, "a"),
            message(2, "a", millrace_dump_id="no id"),
            {"data": b"", "attributes": {"millrace_dump": "end", "millrace_dump_id": "1"}},
            {"data": b"", "attributes": {"millrace_dump": "end", "millrace_dump_rows": "1"}},
        ],
    )
    summary = await river.run()
    assert summary.reasons == {"invalid_dump_id": 1, "invalid_dump_marker": 1, "missing_dump_id": 2}
    assert_nothing_lost(river)


@pytest.mark.parametrize("pattern", ["full_dump", "upsert"])
async def test_a_dry_run_says_of_each_message_what_a_run_makes_of_it(patterned: Patterned, pattern: str) -> None:
    river = patterned(pattern=pattern)
    marker = {"millrace_dump": "end", "millrace_dump_id": "1"}
    river.publish(
        topic_of(TABLE),
        [
            *dump(1, {1: "a", 2: "a"}),
            message(3, "a"),
            message(4, "a", millrace_dump_id="no id"),
            {"data": b"{", "attributes": {"millrace_dump_id": "1"}},
            {"data": b"", "attributes": marker},
        ],
    )
    tunables = IngestSettings.model_validate(QUICK)
    subscriptions = {TABLE: river._subscription(topic_of(TABLE))}
    peek = Peek(river.settings, tunables, lambda _: None, keep=True)
    told = await peek.run(river.contracts, subscriptions, 0.3)
    summary = await river.run(dump_patience_s=10)
    landed = {TABLE: sum(not row["_op_inferred"] or row["_op"] != "DELETE" for row in river.rows(TABLE))}
    assert told.rows == landed
    assert (told.control, told.refused) == (summary.control, summary.reasons)


# Sets from the API

TOKEN = "local-token"


@pytest.fixture
def connected(river: River, tmp_path: Path) -> Iterator[tuple[River, Path]]:
    path = tmp_path / "store.sqlite"
    write_store(path, [])
    store = StoreReader(path)
    plan = FaultPlan(seed=2, error_share=0.1, drop_share=0.1, malformed_share=0.1)
    app = create_app(ApiOptions(store, TOKEN, river.contracts, page_rows=2, faults=plan))
    with running_member_api(app) as url:
        update = {"api_base_url": url, "api_token": SecretStr(TOKEN)}
        yield River(river.settings.model_copy(update=update), river.contracts, river.sent), path
    store.close()


def stored(email_id: int, member_id: int, version: int, *, is_gone: bool = False) -> StoredRow:
    data = None if is_gone else json.dumps({"email_id": email_id, "member_id": member_id, "email": f"v{version}"})
    return StoredRow(TABLE, f'{{"email_id":{email_id}}}', version, data, "2026-01-02T03:04:05.678901Z")


def set_changed(member_id: int, version: int) -> dict[str, Any]:
    body = {"table": TABLE, "set": {"member_id": member_id}, "event": "changed", "version": version}
    return {"data": json.dumps(body).encode(), "ordering_key": str(member_id)}


async def test_a_set_is_brought_up_to_date_whole(connected: tuple[River, Path]) -> None:
    """Through an API that fails often: what a set holds no more is deleted, and other sets are not touched."""
    river, path = connected
    write_store(path, [*(stored(key, 7, key) for key in range(1, 6)), *(stored(key, 8, key) for key in (11, 12))])
    first = river.publish(NOTIFICATIONS, [set_changed(7, 5), set_changed(8, 12), set_changed(9, 1)])
    summary = await river.run(fetch_attempts=20)
    assert state(river) == {key: f"v{key}" for key in (1, 2, 3, 4, 5, 11, 12)}
    assert (summary.control, summary.acked, summary.landed) == (3, 3, 7)

    write_store(path, [stored(2, 7, 20, is_gone=True), stored(3, 7, 21), stored(6, 7, 22), stored(4, 8, 23)])
    second = river.publish(NOTIFICATIONS, [set_changed(7, 20), set_changed(7, 22), set_changed(7, 21)])
    summary = await river.run(fetch_attempts=20, notification_window_ms=100)
    # Row 4 has moved to member 8, of whom nothing was told yet: it is in no set that was asked for.
    assert state(river) == {1: "v1", 3: "v21", 5: "v5", 6: "v22", 11: "v11", 12: "v12"}
    assert (summary.control, summary.acked, summary.fetched) == (3, 3, 1)
    assert summary.inferred == {"DELETE": 2}
    # Only what changed has landed: two rows and two deletions, named after the newest notification.
    changed = [row["_event_id"] for row in river.rows(TABLE) if row["_source_position"] > f"{12:020d}"]
    assert sorted(changed) == [f"{second[1]}:{number}" for number in range(1, 5)]

    third = river.publish(NOTIFICATIONS, [set_changed(8, 23), set_changed(7, 22)])
    summary = await river.run(fetch_attempts=20)
    assert (summary.control, summary.landed) == (2, 1)
    assert state(river)[4] == "v23"
    assert_nothing_lost(river, {*first, *second, *third})
