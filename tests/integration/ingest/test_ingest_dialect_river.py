"""A table's history in each dialect, through Pub/Sub and the ingester into the raw table, over the real protocols."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from dialect_encoders import history, ways
from ingest_river import River, new_river

from core.contracts import load_contracts
from core.settings import Settings

EMAILS = Path("dbt_project/models/raw/member/member_emails.yml")
TOPIC = "loyalty.member.member_emails"
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


@pytest.fixture(params=TOLD)
def told(request: pytest.FixtureRequest, stand_ins: Settings, tmp_path: Path) -> Iterator[tuple[str, River]]:
    """A river whose only table is told in one way, as its contract says."""
    way: str = request.param
    document = yaml.safe_load(EMAILS.read_text())
    meta = document["sources"][0]["tables"][0]["config"]["meta"]
    meta |= {"wire_format": WAYS[way].contract.wire_format, "encoding": WAYS[way].contract.encoding}
    (tmp_path / "member_emails.yml").write_text(yaml.safe_dump(document, sort_keys=False))
    river = new_river(stand_ins.model_copy(update={"contracts_path": tmp_path}), load_contracts(tmp_path))
    yield way, river
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
    rows = sorted(river.rows("member_emails"), key=order_key)
    state: dict[int, Any] = {}
    for row in rows:
        state[json.loads(row["_key"])["email_id"]] = json.loads(row["payload"]) if row["payload"] else None
    assert {key: row for key, row in state.items() if row} == truth
    control = {*ids} - {row["_event_id"] for row in rows}
    assert summary.control == len(control) <= 1
    river.assert_nothing_lost(control)
