"""Inferring operations: equal to a naive oracle whatever the cache forgets, and never a wrong NO_CHANGE."""

import json
from collections import Counter
from dataclasses import dataclass, field

import pytest
from detect_table import EMAILS, UPSERTS, Oracle, Table, label, landing
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import UnavailableError
from ingest.detect import CDCDetector
from ingest.detect.detector import _MARKED_BYTES
from ingest.detect.state import NO_CHANGE
from ingest.progress import Progress
from ingest.row import Landing
from ingest.settings import IngestSettings

KEYS = range(3)
POSITIONS = range(1, 9)


class Eager(CDCDetector):
    """The mutant: takes what it sends for landed."""

    async def resolve(self, landings: list[Landing]) -> list[Landing]:
        resolved = await super().resolve(landings)
        self.landed(resolved)
        return resolved


@dataclass
class History:
    """A detector with a tiny cache, its table, and batches in flight."""

    table: Table = field(default_factory=Table)
    flying: list[list[Landing]] = field(default_factory=list)
    now: float = 0.0
    kind: type[CDCDetector] = CDCDetector
    cache_rows: int = 2

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        limits = IngestSettings(detect_cache_rows=self.cache_rows, detect_cache_ttl_s=10)
        self.progress = Progress("run")
        self.detector = self.kind(UPSERTS, self.table, limits, self.progress, lambda: self.now)

    async def send(self, batch: list[Landing]) -> list[Landing]:
        resolved = await self.detector.resolve(batch)
        self.flying.append(resolved)
        return resolved

    def land(self, place: int) -> list[Landing]:
        batch = self.flying.pop(place % len(self.flying))
        self.table.append(batch)
        self.detector.landed(batch)
        return batch

    def kill(self, number: int) -> list[tuple[list[Landing], bool]]:
        """Start anew; of what was in flight some has landed, and some has not."""
        fates = [(batch, (place + number) % 2 == 0) for place, batch in enumerate(self.flying)]
        for batch, has_landed in fates:
            self.table.append(batch if has_landed else [])
        self.flying.clear()
        self.start()
        return fates

    def lose(self, place: int, *, has_landed: bool) -> None:
        batch = self.flying.pop(place % len(self.flying))
        if has_landed:
            self.table.append(batch)
        self.detector.lost(batch)


ROWS = st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(POSITIONS)), min_size=1, max_size=6)
SENDS = st.tuples(st.just("send"), ROWS)
LANDS = st.tuples(st.sampled_from(["land", "land", "forget"]), st.integers(0, 5))
RESTARTS = st.tuples(st.just("restart"), st.integers(0, 3))
LOSSES = st.tuples(st.sampled_from(["lose", "lose_in_vain"]), st.integers(0, 5))
# Of every key, what it holds at each position: few contents, so that rows repeat; None is a deletion.
CONTENTS = st.lists(
    st.sampled_from(["a", "a", "b", None]), min_size=len(KEYS) * len(POSITIONS), max_size=len(KEYS) * len(POSITIONS)
)


def change(contents: list[str | None], key: int, position: int) -> Landing:
    content = contents[key * len(POSITIONS) + position - 1]
    return landing(key, position, content, op="DELETE" if content is None else "UPSERT")


@settings(max_examples=200)
@given(CONTENTS, st.lists(st.one_of(SENDS, SENDS, LANDS, RESTARTS), max_size=25))
async def test_what_is_inferred_equals_a_naive_oracle(
    contents: list[str | None], steps: list[tuple[str, object]]
) -> None:
    """Duplicates, disorder, rows in flight, a cache of two rows, expiry, and restarts with rows in flight."""
    history, oracle = History(), Oracle()
    for step, value in steps:
        if step == "send" and isinstance(value, list):
            resolved = await history.send([change(contents, *row) for row in value])
            expected = oracle.expect([one.row for one in resolved])
            assert {one.row.event_id: label(one.row) for one in resolved} == expected
        elif step == "land" and history.flying:
            oracle.see(history.land(int(str(value))), has_landed=True)
        elif step == "forget":
            history.now += 100
        elif step == "restart":
            for batch, has_landed in history.kill(int(str(value))):
                oracle.see(batch, has_landed=has_landed)
    while history.flying:
        history.land(0)
    assert history.detector.rows_in_flight == 0


def wrong(resolved: list[Landing], table: Table) -> list[str]:
    """NO_CHANGE of rows that do not repeat what has landed."""
    found = []
    for one in resolved:
        if label(one.row) == NO_CHANGE:
            before = table.newest(one.row.key)
            if before is None or json.loads(before.payload or b"0") != json.loads(one.row.payload or b"0"):
                found.append(one.row.event_id)
    return found


async def replay(history: History, contents: list[str | None], steps: list[tuple[str, object]]) -> list[str]:
    found = []
    for step, value in steps:
        if step == "send" and isinstance(value, list):
            resolved = await history.send([change(contents, *row) for row in value])
            found += wrong(resolved, history.table)
        elif history.flying and step == "land":
            history.land(int(str(value)))
        elif history.flying and step in ("lose", "lose_in_vain"):
            history.lose(int(str(value)), has_landed=step == "lose_in_vain")
        elif step == "forget":
            history.now += 100
    return found


@settings(max_examples=200)
@given(CONTENTS, st.lists(st.one_of(SENDS, SENDS, LANDS, LOSSES), max_size=25))
async def test_no_change_is_said_only_of_what_has_landed(
    contents: list[str | None], steps: list[tuple[str, object]]
) -> None:
    """Appends fail, some after BigQuery had taken the rows; whatever is flagged can be skipped without loss."""
    assert await replay(History(cache_rows=10), contents, steps) == []


LOST: list[tuple[str, object]] = [("send", [(0, 1)]), ("lose", 0), ("send", [(0, 2)])]


async def test_after_a_lost_append_nothing_is_taken_for_known() -> None:
    contents: list[str | None] = ["a"] * len(KEYS) * len(POSITIONS)
    history = History()
    assert await replay(history, contents, LOST) == []
    assert [label(one.row) for one in history.flying[0]] == ["INSERT"]


async def test_a_detector_that_learns_too_early_is_found_out() -> None:
    """The control of the two tests above."""
    contents: list[str | None] = ["a"] * len(KEYS) * len(POSITIONS)
    assert len(await replay(History(kind=Eager), contents, LOST)) == 1


async def test_rows_may_land_in_any_order() -> None:
    history = History()
    await history.send([landing(1, 1, "a")])
    await history.send([landing(1, 2, "b")])
    history.land(1)
    history.land(0)
    [third] = await history.send([landing(1, 3, "a")])
    assert label(third.row) == "UPDATE"


async def test_a_row_that_is_given_back_unheard_and_comes_again_is_counted_once() -> None:
    history = History()
    [first] = await history.send([landing(1, 1, "a")])
    again = Landing(first.message, landing(1, 1, "a", event_id=first.row.event_id).row)
    assert [label(one.row) for one in await history.send([again])] == ["INSERT"]
    history.land(1)
    assert history.detector.rows_in_flight == 0
    [second] = await history.send([landing(1, 2, "a")])
    assert label(second.row) == NO_CHANGE


async def test_an_update_in_flight_that_is_lost_leaves_no_trace() -> None:
    history = History()
    await history.send([landing(1, 1, "a")])
    history.land(0)
    await history.send([landing(1, 2, "b")])
    [third] = await history.send([landing(1, 3, "b")])
    assert label(third.row) == "UPDATE"
    history.lose(0, has_landed=False)
    history.lose(0, has_landed=False)
    [again, other] = await history.send([landing(1, 4, "a"), landing(2, 1)])  # in the order of the source
    assert [label(one.row) for one in (again, other)] == ["INSERT", NO_CHANGE]
    assert history.table.questions[-1] == [b'{"email_id":1}', b'{"email_id":2}']


async def test_a_row_that_repeats_what_landed_still_lands_as_an_update_with_its_own_place() -> None:
    history = History()
    await history.send([landing(1, 1, "a")])
    history.land(0)
    [again] = await history.send([landing(1, 5, "a")])
    row = again.row
    assert (row.op, row.op_inferred, row.before == row.payload, row.source_position) == (
        "UPDATE", True, True, f"{5:020d}",
    )  # fmt: skip
    [late] = await history.send([landing(1, 3, "b")])
    assert (label(late.row), history.progress.anomalies) == ("UPDATE", {"position_back": 1})
    # So the merge, which goes by position, ends with "a".
    history.land(0)
    history.land(0)
    newest = history.table.newest(row.key)
    assert newest is not None
    assert newest.payload == row.payload
    assert history.progress.inferred == {"INSERT": 1, NO_CHANGE: 1, "UPDATE": 1}


async def test_a_large_row_is_not_doubled_for_the_sake_of_a_flag() -> None:
    history = History()
    large = "x" * _MARKED_BYTES
    await history.send([landing(1, 1, large)])
    history.land(0)
    [again] = await history.send([landing(1, 2, large)])
    assert (again.row.op, again.row.before) == ("UPDATE", None)
    assert history.progress.inferred[NO_CHANGE] == 1


async def test_a_batch_asks_one_question_and_a_known_row_none() -> None:
    history = History(cache_rows=100)
    batch = [landing(key, 1) for key in range(50)]
    await history.send(batch)
    history.land(0)
    await history.send([landing(key, 2, "b") for key in range(60)])
    assert [len(keys) for keys in history.table.questions] == [50, 10]
    assert (history.progress.cache_hits, history.progress.cache_misses) == (50, 60)
    history.land(0)
    history.now += 11
    await history.send([landing(1, 3)])
    assert history.table.questions[-1] == [b'{"email_id":1}']


async def test_the_cache_forgets_the_row_used_longest_ago() -> None:
    history = History(cache_rows=2)
    for key in (1, 2, 1, 3):
        await history.send([landing(key, len(history.table.rows) + 1)])
        history.land(0)
    history.table.questions.clear()
    await history.send([landing(1, 9), landing(3, 9)])
    assert history.table.questions == []
    await history.send([landing(2, 9)])
    assert history.table.questions == [[b'{"email_id":2}']]


@pytest.mark.parametrize(
    ("former", "op", "anomaly"),
    [
        ([("UPSERT", "a")], "INSERT", "insert_of_existing"),
        ([], "UPDATE", "update_of_absent"),
        ([], "DELETE", "delete_of_absent"),
        ([("UPSERT", "a"), ("DELETE", None)], "UPDATE", "update_of_deleted"),
        ([("UPSERT", "a"), ("DELETE", None)], "DELETE", "delete_of_deleted"),
        ([], "INSERT", None),
        ([("UPSERT", "a")], "UPDATE", None),
        ([("UPSERT", "a")], "DELETE", None),
        ([("UPSERT", "a")], "SNAPSHOT", None),
        ([("UPSERT", "a"), ("DELETE", None)], "INSERT", None),
    ],
)
@pytest.mark.parametrize("remembers", [True, False])
async def test_what_cannot_be_is_counted_and_kept(
    former: list[tuple[str, str | None]], op: str, anomaly: str | None, remembers: bool
) -> None:
    history = History(cache_rows=10)
    for position, (stated, content) in enumerate(former, start=1):
        await history.send([landing(1, position, content, stated)])
        history.land(0)
    if not remembers:
        history.start()
    history.progress.anomalies.clear()
    [kept] = await history.send([landing(1, 9, "b", op)])
    assert (kept.row.op, kept.row.op_inferred) == (op, False)
    assert history.progress.anomalies == Counter([anomaly] if anomaly else [])


async def test_of_two_contents_at_one_position_the_first_stands_as_in_the_merge() -> None:
    history = History()
    [first] = await history.send([landing(1, 5, "a")])
    history.land(0)
    [second] = await history.send([landing(1, 5, "b")])
    history.land(0)
    [third] = await history.send([landing(1, 6, "a")])
    assert [label(one.row) for one in (first, second, third)] == ["INSERT", "UPDATE", NO_CHANGE]
    assert history.progress.anomalies == {"position_back": 1}


async def test_after_a_truncate_rows_are_new_even_while_it_is_in_flight() -> None:
    history = History(cache_rows=10)
    await history.send([landing(1, 1), landing(2, 9)])
    history.land(0)
    truncate = landing(0, 5, None, "TRUNCATE")
    truncate.row.key = None
    resolved = await history.send([truncate, landing(1, 6), landing(2, 10)])
    assert [label(one.row) for one in resolved] == ["TRUNCATE", "INSERT", NO_CHANGE]


async def test_with_events_that_say_what_happened_there_is_nothing_to_do() -> None:
    table = Table()
    detector = CDCDetector(EMAILS, table, IngestSettings(), Progress("run"))
    batch = [landing(1, 2, op="INSERT"), landing(1, 1, op="INSERT")]
    assert await detector.resolve(batch) == batch
    assert table.questions == []
    detector.landed(batch)
    assert detector.rows_in_flight == 0


async def test_rows_come_out_in_the_order_of_the_source() -> None:
    history = History()
    batch = [landing(1, 3, "c"), landing(1, 1), landing(1, 2, "b", source_ts=9), landing(1, 2, "b", source_ts=5)]
    resolved = await history.send(batch)
    assert [batch.index(one) for one in resolved] == [1, 3, 2, 0]
    assert [label(one.row) for one in resolved] == ["INSERT", "UPDATE", "UPDATE", "UPDATE"]


async def test_a_table_that_cannot_be_asked_is_an_error_and_nothing_is_in_flight() -> None:
    class Down(Table):
        async def latest(self, *_: object) -> dict[bytes, object]:  # type: ignore[override]
            raise UnavailableError("down")

    history = History(table=Down())
    with pytest.raises(UnavailableError):
        await history.send([landing(1, 1)])
    assert history.detector.rows_in_flight == 0


@pytest.mark.parametrize("first", [0, 1], ids=["deletion_first", "insertion_first"])
@pytest.mark.parametrize("lost", [None, 0, 1], ids=["both_land", "deletion_lost", "insertion_lost"])
async def test_the_two_rows_of_a_moved_key_are_two_though_one_message_brought_them(
    first: int, lost: int | None
) -> None:
    """Maxwell and DMS tell of the move in one message: its rows share an event id and nothing else."""
    history = History(cache_rows=10)
    await history.send([landing(1, 1, "a")])
    history.land(0)
    come = landing(2, 2, "a", op="INSERT")
    gone = Landing(come.message, landing(1, 2, op="DELETE", event_id=come.row.event_id).row)
    await history.detector.resolve([gone, come])
    assert history.detector.rows_in_flight == 2
    for place in (first, 1 - first):
        one = [(gone, come)[place]]
        history.table.append([] if place == lost else one)
        (history.detector.lost if place == lost else history.detector.landed)(one)
    assert history.detector.rows_in_flight == 0
    history.table.questions.clear()
    again = await history.send([landing(1, 3, "a"), landing(2, 3, "a")])
    # A deletion that never landed leaves the table with what the row repeats; an insertion leaves it with nothing.
    assert [label(one.row) for one in again] == [
        NO_CHANGE if lost == 0 else "INSERT", "INSERT" if lost == 1 else NO_CHANGE
    ]  # fmt: skip
    # What landed is known without asking; of what was lost the table itself is asked.
    assert history.table.questions == ([] if lost is None else [[f'{{"email_id":{lost + 1}}}'.encode()]])
