"""How much of each difficulty there is comes near what was asked for, and the ledger is exact."""

import json
from collections import Counter
from typing import Any

import pytest
from world_oracle import read_event
from world_stories import Told, live_through

from core.contracts import Contracts
from devstack.world import Message, Shares, World
from devstack.world.edges import EdgeColumns
from devstack.world.poison import EVENT_POISON, NOTIFICATION_POISON


def _told(contracts: Contracts, **shares: Any) -> Told:
    calm = {
        "duplicates": 0.0,
        "reordered": 0.0,
        "late": 0.0,
        "redelivery_runs": 0,
        "poison": 0.0,
        "heartbeat_every": 0,
        "transaction_markers": 0.0,
    }
    world = World(13, 400, contracts, shares=Shares(**{**calm, **shares}))
    return live_through(world, rounds=2, events=2_500)


def _share(part: int, whole: int) -> float:
    return part / whole


def test_duplicates_are_the_same_bytes_again(contracts: Contracts) -> None:
    told = _told(contracts, duplicates=0.2, api_members=0.0)
    counts = Counter((message.topic, message.data, message.ordering_key) for message in told.messages if message.data)
    again = [message for message in told.messages if message.is_duplicate]
    assert _share(len(again), len(told.messages) - len(again)) == pytest.approx(0.2, abs=0.02)
    for message in again:
        if message.data:
            assert counts[message.topic, message.data, message.ordering_key] > 1


def test_reordered_messages_fall_behind_no_further_than_told(contracts: Contracts) -> None:
    distance = 50
    told = _told(contracts, reordered=0.3, disorder_distance=distance, api_members=0.0, snapshot_members=0.0)
    fell_behind = 0
    overtaken_key = 0
    for messages in told.rounds:
        events = [message for message in messages if message.kind == "event"]
        in_order = sorted(range(len(events)), key=lambda place: (events[place].position or 0, place))
        for rank, place in enumerate(in_order):
            assert place - rank <= distance
            fell_behind += place > rank
        latest: dict[tuple[str, str], int] = {}
        for event in events:
            key = (event.topic, event.ordering_key)
            overtaken_key += (event.position or 0) < latest.get(key, 0)
            latest[key] = max(latest.get(key, 0), event.position or 0)
    assert _share(fell_behind, len(told.messages)) > 0.2
    assert overtaken_key > 0, "no key was ever told of out of order"


def test_late_messages_come_in_a_later_round(contracts: Contracts) -> None:
    world = World(13, 400, contracts, shares=Shares(late=0.1, duplicates=0))
    first = world.evolve(2_500)
    delivered = world.deliver()
    assert _share(world.held, len(delivered) + world.held) == pytest.approx(0.1, abs=0.02)
    held = world.held
    boundary = first[-1].event_time
    world.evolve(1_000)
    late = [
        message
        for message in world.deliver(final=True)
        if message.kind not in ("control", "poison") and not message.is_duplicate and message.event_time <= boundary
    ]
    assert len(late) == held


def test_a_restarted_capture_sends_runs_of_past_events_again(contracts: Contracts) -> None:
    told = _told(contracts, redelivery_runs=3, redelivery_length=40, api_members=0.0)
    again = [message for message in told.messages if message.is_duplicate]
    assert 10 < len(again) <= 2 * 3 * 40


def test_wrapped_traced_and_marked_shares(contracts: Contracts) -> None:
    told = _told(contracts, schema_wrapped=0.3, traced=0.25, transaction_markers=0.5, heartbeat_every=100)
    events = [message for message in told.messages if message.kind == "event"]
    wrapped = [message for message in events if message.data.startswith(b'{"schema":')]
    assert _share(len(wrapped), len(events)) == pytest.approx(0.3, abs=0.03)
    assert _share(sum("traceparent" in m.attributes for m in events), len(events)) == pytest.approx(0.25, abs=0.03)
    control = Counter(message.detail for message in told.messages if message.kind == "control")
    transactions = {change.transaction_id for change in told.changes if change.op != "r" and not change.by_notification}
    assert control["begin"] == control["end"]
    assert _share(control["begin"], len(transactions)) == pytest.approx(0.5, abs=0.05)
    rest = sum(len(messages) // 101 for messages in told.rounds)
    assert control["heartbeat"] == pytest.approx(rest, abs=2)


def test_members_told_of_by_notification_never_show_in_events(contracts: Contracts) -> None:
    told = _told(contracts, api_members=0.2)
    members = {change.key for change in told.changes if change.table == "members" and change.op in ("c", "r")}
    notified = {change.key[0] for change in told.changes if change.table == "members" and change.by_notification}
    assert _share(len(notified), len(members)) == pytest.approx(0.2, abs=0.06)
    for message in told.messages:
        if message.kind == "event":
            event = read_event(message)
            assert (event["after"] or event["before"])["member_id"] not in notified


def test_notifications_are_doubled_stale_and_of_rows_that_never_were(contracts: Contracts) -> None:
    told = _told(
        contracts,
        api_members=1.0,
        notification_duplicates=0.3,
        notification_stale=0.5,
        notification_never_there=0.1,
        notification_sets=0.0,
    )
    notes = [message for message in told.messages if message.kind == "notification"]
    changes = len(told.changes)
    again = [message for message in notes if message.is_duplicate]
    assert len(again) > 0.3 * changes
    newest: dict[str, int] = {}
    stale = 0
    for note in notes:
        stale += (note.position or 0) < newest.get(note.ordering_key, 0)
        newest[note.ordering_key] = max(newest.get(note.ordering_key, 0), note.position or 0)
    assert stale > 20
    known = {(change.table, change.key) for change in told.changes}
    never = [n for n in notes if (n.table, tuple(json.loads(n.data)["key"].values())) not in known]
    assert _share(len(never), changes) == pytest.approx(0.1, abs=0.02)
    assert {message.kind for message in told.messages} == {"notification"}


def test_changes_of_sets_are_told_of_without_naming_the_row(contracts: Contracts) -> None:
    told = _told(contracts, api_members=1.0, notification_sets=0.5, late=0.0)
    sets = [message for message in told.messages if message.kind == "set_notification" and not message.is_duplicate]
    in_sets = [change for change in told.changes if contracts[change.table].api_set_path]
    assert _share(len(sets), len(in_sets)) == pytest.approx(0.5, abs=0.06)
    changed = {
        (change.table, change.position, row["member_id"])
        for change in in_sets
        if (row := change.after or change.before) is not None
    }
    for message in sets:
        body = json.loads(message.data)
        assert (body["table"], body["version"], body["set"]["member_id"]) in changed
        assert (body["set"].keys(), "key" in body) == ({"member_id"}, False)


def test_edge_values_and_nulls_come_as_often_as_told(contracts: Contracts) -> None:
    def extremes(edge_rows: float, null_rows: float) -> tuple[float, float]:
        told = _told(contracts, edge_rows=edge_rows, null_rows=null_rows, api_members=0.0)
        rows = [change.after for change in told.changes if change.table == "member_profiles" and change.after]
        edges = dict(EdgeColumns(contracts["member_profiles"])._edges)
        edge = sum(any(row[name] in values for name, values in edges.items()) for row in rows)
        null = sum(row["occupation"] is None or row["income_band"] is None for row in rows)
        return edge / len(rows), null / len(rows)

    none, all_edges, all_nulls = extremes(0, 0), extremes(1, 0), extremes(0, 1)
    assert none[0] < 0.01
    assert none[1] == 0
    assert all_edges[0] > 0.95
    assert all_nulls[1] > 0.15


def test_the_ledger_counts_every_message_once(told: Told) -> None:
    by_topic: dict[str, list[Message]] = {}
    for message in told.messages:
        by_topic.setdefault(message.topic, []).append(message)
    assert set(told.ledger.topics) == set(by_topic)
    for topic, sent in told.ledger.topics.items():
        kinds = Counter(message.kind for message in by_topic[topic])
        assert sent.poison == kinds["poison"]
        assert sent.control == kinds["control"]
        assert sent.set_notifications == kinds["set_notification"]
        assert sent.sent == len(by_topic[topic]) - kinds["control"] - kinds["set_notification"]
        assert sent.landable == sent.sent - sent.poison
        again = sum(message.is_duplicate and message.kind != "set_notification" for message in by_topic[topic])
        assert sent.duplicates == again
        assert sent.events + sent.tombstones + sent.notifications == sent.landable - again
    total = sum(message.kind not in ("control", "set_notification") for message in told.messages)
    assert told.ledger.events_sent == total
    assert told.ledger.poison_sent == sum(told.ledger.poison_kinds.values())
    assert told.ledger.sets_sent > 0
    assert told.ledger.control_sent + told.ledger.sets_sent == len(told.messages) - total
    told_again = told.ledger.as_dict()
    assert json.loads(json.dumps(told_again)) == told_again
    assert told_again["events_sent"] == total


def test_events_first_sent_are_the_changes_told_by_event(told: Told) -> None:
    changes = Counter(change.table for change in told.changes if not change.by_notification)
    sent = {topic: count.events for topic, count in told.ledger.topics.items() if count.events}
    assert sent == {f"loyalty.member.{table}": count for table, count in changes.items()}
    deletes = sum(change.op == "d" and not change.by_notification for change in told.changes)
    assert sum(topic.tombstones for topic in told.ledger.topics.values()) == deletes


def test_every_kind_of_poison_is_there_and_counted(told: Told) -> None:
    assert set(told.ledger.poison_kinds) == {*EVENT_POISON, *NOTIFICATION_POISON}
    assert len(set(told.ledger.poison_kinds)) >= 20


def test_tombstones_are_empty_with_key_and_attribute(told: Told) -> None:
    tombstones = [message for message in told.messages if message.kind == "tombstone"]
    assert tombstones
    for message in tombstones:
        assert message.data == b""
        assert isinstance(json.loads(message.ordering_key), dict)
        assert message.attributes


def test_no_message_is_larger_than_pubsub_takes(told: Told) -> None:
    for message in told.messages:
        assert len(message.data) < 1_000_000
        assert len(message.ordering_key.encode()) <= 1_024
        assert message.data or message.attributes
