"""A table's history in each dialect, through Pub/Sub and the ingester into the raw table, over the real protocols."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from dialect_encoders import history, moving_history, ways
from ingest_river import River, new_river, topic_of

from core.contracts import load_contracts
from core.settings import Settings
from ingest.failpoints import Failpoint

EMAILS = Path("dbt_project/models/raw/member/member_emails.yml")
TOPIC = topic_of("member_emails")
WAYS = ways(load_contracts(EMAILS.parent)["member_emails"])
TOLD = (
    "datastream mysql", "datastream avro", "maxwell", "maxwell structured", "dms with transactions", "dms rows",
    "plain by field binary", "debezium cloudevents", "auto maxwell",
)  # fmt: skip
PLAN = [
    (1, False, "a"),
    (2, False, "b"),
    (1, False, "ä"),
    (2, True, None),
    (3, False, None),
    (2, False, "c"),
    (3, True, 0),
]


def river_told(way: str, stand_ins: Settings, tmp_path: Path) -> River:
    """A river whose only table is told in one way, as its contract says."""
    document = yaml.safe_load(EMAILS.read_text())
    meta = document["sources"][0]["tables"][0]["config"]["meta"]
    meta |= {"wire_format": WAYS[way].contract.wire_format, "encoding": WAYS[way].contract.encoding}
    (tmp_path / "member_emails.yml").write_text(yaml.safe_dump(document, sort_keys=False))
    return new_river(stand_ins.model_copy(update={"contracts_path": tmp_path}), load_contracts(tmp_path))


@pytest.fixture(params=TOLD)
def told(request: pytest.FixtureRequest, stand_ins: Settings, tmp_path: Path) -> Iterator[tuple[str, River]]:
    river = river_told(request.param, stand_ins, tmp_path)
    yield request.param, river
    river.close()


def order_key(row: dict[str, Any]) -> str:
    """As the macro `cdc_order_key` builds it, but for the instant, which no way of telling needs here."""
    return f"{row['_source_position']} {row['_source_sequence']:020d} {int(row['_op'] == 'DELETE')}"


async def test_a_history_lands_and_ends_in_the_truth(told: tuple[str, River]) -> None:
    way, river = told
    steps, truth = history(PLAN, [2, 3])
    sent = [
        {"data": each.data, "attributes": dict(each.attributes), "ordering_key": each.ordering_key}
        for each in WAYS[way].encode(steps)
    ]
    if not way.startswith("plain"):
        # Its order is that of publication; the others know theirs whatever happens on the way.
        random.Random(7).shuffle(sent)
    ids = [one for message in sent for one in river.publish(TOPIC, [message])]
    [poison] = river.publish(TOPIC, [{"data": b'{"what":"is this"}'}])
    summary = await river.run()
    assert (summary.received, summary.dead_lettered) == (len(sent) + 1, 1)
    assert {row["event_id"] for row in river.dead_letters()} == {poison}
    rows = river.rows("member_emails")
    assert state_of(rows) == truth
    control = {*ids} - {row["_event_id"] for row in rows}
    assert summary.control == len(control) <= 1
    river.assert_nothing_lost(control)


def state_of(rows: list[dict[str, Any]]) -> dict[int, Any]:
    """What the rows leave of each key."""
    state: dict[int, Any] = {}
    for row in sorted(rows, key=order_key):
        state[json.loads(row["_key"])["email_id"]] = json.loads(row["payload"]) if row["payload"] else None
    return {key: row for key, row in state.items() if row}


@pytest.fixture
def moving(stand_ins: Settings, tmp_path: Path) -> Iterator[River]:
    river = river_told("maxwell", stand_ins, tmp_path)
    yield river
    river.close()


class CutError(Exception): ...


class Cut(Failpoint):
    """Fails the append that holds the second row of the first message that has two."""

    def hit(self, boundary: str, messages: int = 1) -> None:
        self.passed += messages if boundary == "before_append" else 0
        if self.passed == 3:
            raise CutError


async def test_a_message_of_two_rows_is_acknowledged_with_the_second(moving: River) -> None:
    steps, truth = moving_history([(1, 1, "a"), (1, 2, "b"), (2, 3, "c"), (3, 4, "d")], [])
    schema, _, move, *_ = moving.publish(TOPIC, [{"data": each.data} for each in WAYS["maxwell"].encode(steps)])
    with pytest.raises(CutError):
        await moving.run(failpoint=Cut(), batch_rows=1, batch_rows_max=1, append_concurrency=1)
    assert [row["_op"] for row in moving.rows("member_emails") if row["_event_id"] == move] == ["DELETE"]
    await moving.run()
    rows = moving.rows("member_emails")
    # What had landed alone came again with its other half.
    assert sorted(row["_op"] for row in rows if row["_event_id"] == move) == ["DELETE", "DELETE", "INSERT"]
    assert state_of(rows) == truth
    moving.assert_nothing_lost({schema})
