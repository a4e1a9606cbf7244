"""Whatever the delivery, replaying the messages in the order of the log gives the truth."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from world_oracle import read_event, read_row, replay, without
from world_stories import Told, live_through

from core.contracts import Contracts, TableContract
from core.errors import ContractError
from devstack.member_api.store import StoreReader, canonical_key
from devstack.world import ORDERLY, Shares, World
from devstack.world.api_rows import store_changes
from devstack.world.changes import key_of
from devstack.world.postgres_types import UNAVAILABLE


def _notified(told: Told) -> set[Any]:
    rows = [row for change in told.changes if change.by_notification for row in (change.before, change.after) if row]
    return {row["member_id"] for row in rows}


def test_a_naive_replay_gives_the_truth(told: Told, contracts: Contracts) -> None:
    notified = _notified(told)
    assert notified
    assert replay(contracts, told.messages) == without(told.truth, notified)


SHARES = st.builds(
    Shares,
    snapshot_members=st.sampled_from((0.0, 0.5, 1.0)),
    api_members=st.sampled_from((0.0, 0.3)),
    edge_rows=st.floats(0, 1),
    null_rows=st.floats(0, 0.5),
    duplicates=st.floats(0, 0.5),
    reordered=st.floats(0, 1),
    disorder_distance=st.integers(1, 500),
    late=st.floats(0, 0.5),
    redelivery_runs=st.integers(0, 3),
    schema_wrapped=st.floats(0, 1),
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), shares=SHARES, members=st.integers(1, 60))
def test_disorder_duplicates_and_lateness_never_change_what_a_replay_gives(
    contracts: Contracts, seed: int, shares: Shares, members: int
) -> None:
    told = live_through(World(seed, members, contracts, shares=shares), rounds=2, events=250)
    assert replay(contracts, told.messages) == without(told.truth, _notified(told))
    assert told.world.held == 0


def test_before_the_final_delivery_something_is_still_missing(contracts: Contracts) -> None:
    world = World(1, 200, contracts, shares=Shares(late=0.3, api_members=0))
    world.evolve(1_000)
    first = world.deliver()
    assert world.held > 100
    assert replay(contracts, first) != without(world.truth(), set())
    assert replay(contracts, [*first, *world.deliver(final=True)]) == without(world.truth(), set())


def test_truncates_are_replayed(contracts: Contracts) -> None:
    world = World(2, 150, contracts, shares=Shares(api_members=0))
    world.evolve(800)
    messages = list(world.deliver())
    world.evolve(800, truncate=("member_emails",))
    messages += world.deliver(final=True)
    truncates = [message for message in messages if message.kind == "event" and read_event(message)["op"] == "t"]
    assert {message.ordering_key for message in truncates} == {"default"}
    assert replay(contracts, messages) == without(world.truth(), set())


def test_in_an_orderly_world_the_order_of_delivery_is_the_order_of_the_log(contracts: Contracts) -> None:
    told = live_through(World(3, 100, contracts, shares=ORDERLY), rounds=2, events=400)
    positions = [message.position for message in told.messages if message.position is not None]
    assert positions == sorted(positions)
    assert not any(message.is_duplicate for message in told.messages)


def test_the_store_holds_what_the_notifications_speak_of(told: Told, contracts: Contracts, tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    store_changes(path, contracts, told.world.notified_changes())
    store = StoreReader(path)
    fetched: dict[str, dict[Any, Any]] = {table: {} for table in contracts}
    seen = {"there": 0, "gone": 0, "never": 0}
    for message in told.messages:
        if message.kind not in ("notification", "set_notification"):
            continue
        note = json.loads(message.data)
        contract = contracts[note["table"]]
        if message.kind == "set_notification":
            found = store.get_set(contract.name, note["set"], "", 100)
            assert found.version >= note["version"]
            rows = [read_row(contract, json.loads(row.data or "")) for row in found.rows]
            fetched[contract.name] |= {key_of(contract, row): row for row in rows}
            continue
        key = tuple(note["key"].values())
        row = store.get(contract.name, canonical_key(contract, key))
        if row is None:
            seen["never"] += 1
        elif row.data is None:
            seen["gone"] += 1
            assert row.version >= note["version"]
        else:
            seen["there"] += 1
            assert row.version >= note["version"]
            fetched[contract.name][key] = read_row(contract, json.loads(row.data))
    store.close()
    assert min(seen.values()) > 0
    notified = _notified(told)
    expected = {
        table: {
            key: _with_documents(contracts[table], row) for key, row in rows.items() if row["member_id"] in notified
        }
        for table, rows in told.truth.items()
    }
    assert fetched == expected


def _with_documents(contract: TableContract, row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with its JSON columns parsed, for their spelling is free."""
    documents = {column.name for column in contract.columns if column.data_type == "json"}
    return {
        name: json.loads(value) if name in documents and isinstance(value, str) else value
        for name, value in row.items()
    }


def test_a_truncate_empties_the_store_too(contracts: Contracts, tmp_path: Path) -> None:
    world = World(4, 40, contracts, shares=Shares(api_members=1))
    world.evolve(400)
    world.evolve(400, truncate=("member_emails",))
    path = tmp_path / "store.sqlite"
    store_changes(path, contracts, world.notified_changes())
    store = StoreReader(path)
    emails = {change.key for change in world.notified_changes() if change.table == "member_emails" and change.key}
    found = {key: store.get("member_emails", canonical_key(contracts["member_emails"], key)) for key in emails}
    store.close()
    there = {key for key, row in found.items() if row is not None and row.data is not None}
    assert there == set(world.truth()["member_emails"]) < emails
    assert None not in found.values()


def test_a_table_without_notifications_cannot_be_told_of_by_them(contracts: Contracts) -> None:
    silent = replace(contracts["members"], notification_topic=None)
    world = World(4, 5, Contracts({**contracts, "members": silent}), shares=Shares(api_members=1))
    world.evolve(50)
    with pytest.raises(ContractError, match="notification_topic"):
        world.deliver()


def test_markers_for_unchanged_long_text_refer_to_the_row_before(contracts: Contracts) -> None:
    shares = Shares(unavailable=0.6, long_texts=0.9, api_members=0, edge_rows=0, null_rows=0)
    told = live_through(World(9, 150, contracts, shares=shares), rounds=2, events=1_500)
    by_topic = contracts.by_topic()
    latest: dict[tuple[str, str], tuple[int, dict[str, Any]]] = {}
    resolved = 0
    for message in told.messages:
        if message.kind != "event":
            continue
        event = read_event(message)
        place = (message.topic, message.ordering_key)
        order = event["source"]["lsn"]
        if event["op"] in ("d", "t") or (place in latest and latest[place][0] >= order):
            continue
        after = event["after"]
        for name, value in after.items():
            if value == UNAVAILABLE:
                assert by_topic[message.topic].column(name).data_type == "string"
                after[name] = latest[place][1][name]
                resolved += 1
        latest[place] = (order, after)
    assert resolved > 20
    for table in ("member_profiles", "member_cases"):
        contract = contracts[table]
        for key, row in told.truth[table].items():
            place = (contract.topic, canonical_key(contract, key))
            assert read_row(contract, latest[place][1]) == row


def test_markers_come_with_the_default_replica_identity_only(contracts: Contracts) -> None:
    shares = Shares(unavailable=1, long_texts=0.5, api_members=0)
    told = live_through(World(9, 100, contracts, shares=shares), rounds=1, events=900)
    befores = {
        (message.table, event["op"]): event["before"]
        for message in told.messages
        if message.kind == "event"
        for event in [read_event(message)]
    }
    assert befores["member_profiles", "u"] is None
    assert befores["member_emails", "u"] is not None
