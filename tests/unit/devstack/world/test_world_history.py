"""What happens makes sense: rows fit their contract, refer to each other, and every change continues the last."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from world_stories import Told

from core.contracts import Column, Contracts, DataType
from core.errors import ConfigurationError, ContractError
from devstack.world import ORDERLY, Change, Key, Row, Shares, World
from devstack.world.database import Database
from devstack.world.rows.loyalty import TIERS
from devstack.world.world import TABLES

FITS: dict[str, Callable[[Any], bool]] = {
    "int64": lambda v: type(v) is int and -(2**63) <= v < 2**63,
    "numeric": lambda v: (
        type(v) is Decimal and -(Decimal(10) ** 29) < v < Decimal(10) ** 29 and int(v.as_tuple().exponent) >= -9
    ),
    "float64": lambda v: type(v) is float and v - v == 0,
    "bool": lambda v: type(v) is bool,
    "string": lambda v: type(v) is str and "\0" not in v and bool(v.encode() or True),
    "bytes": lambda v: type(v) is bytes,
    "date": lambda v: type(v) is date,
    "timestamp": lambda v: type(v) is datetime and v.tzinfo is UTC,
    "json": lambda v: type(v) is str,
    "array<string>": lambda v: type(v) is tuple and all(type(item) is str for item in v),
}


def _fault(column: Column, value: Any) -> str | None:
    if value is None:
        return None if column.is_nullable else f"{column.name} is null"
    if not FITS[column.data_type](value):
        return f"{column.name} holds {value!r}"
    if column.allowed_values and value not in column.allowed_values:
        return f"{column.name} may not be {value!r}"
    return None


def test_every_row_fits_its_contract(told: Told, contracts: Contracts) -> None:
    for change in told.changes:
        for row in filter(None, (change.before, change.after)):
            columns = contracts[change.table].columns
            assert list(row) == [column.name for column in columns]
            faults = [fault for column in columns if (fault := _fault(column, row[column.name]))]
            assert faults == [], change.table


def test_a_world_tells_of_every_table_in_every_way(told: Told) -> None:
    for table in TABLES:
        ops = {change.op for change in told.changes if change.table == table}
        assert {"r", "c"} <= ops, table
    assert {change.op for change in told.changes} == {"r", "c", "u", "d"}


def _follow(changes: tuple[Change, ...]) -> dict[str, dict[Key, Row]]:
    """Replay changes, and check that each is possible after those before it."""
    tables: dict[str, dict[Key, Row]] = {table: {} for table in TABLES}
    for change in changes:
        rows = tables[change.table]
        if change.op == "t":
            rows.clear()
            continue
        assert rows.get(change.key) == change.before
        if change.after is None:
            del rows[change.key]
        else:
            rows[change.key] = change.after
    return tables


def test_every_change_continues_the_one_before_it(told: Told) -> None:
    assert _follow(told.changes) == told.truth


def test_positions_and_times_never_go_back(told: Told) -> None:
    live = [change for change in told.changes if change.op != "r"]
    order = [(change.position, change.sequence) for change in live]
    assert order == sorted(order)
    assert len(set(order)) == len(order)
    times = [change.event_time for change in live]
    assert times == sorted(times)
    reads = {change.position for change in told.changes if change.op == "r"}
    assert len(reads) == 1
    assert max(reads) < order[0][0]


def test_sequences_count_within_a_transaction(told: Told) -> None:
    counts: dict[int, int] = {}
    for change in told.changes:
        if change.op != "r":
            counts[change.transaction_id] = counts.get(change.transaction_id, 0) + 1
            assert change.sequence == counts[change.transaction_id]


def test_children_belong_to_members_that_exist(told: Told) -> None:
    members = {key[0] for key in told.truth["members"]}
    for table, rows in told.truth.items():
        assert {row["member_id"] for row in rows.values()} <= members, table


def test_points_follow_completed_transactions(told: Told) -> None:
    earned = {row["transaction_id"]: row for row in told.truth["member_points"].values() if row["transaction_id"]}
    assert len(earned) > 50
    for number, entry in earned.items():
        assert isinstance(number, int)
        paid = told.truth["member_transactions"][number,]
        assert paid["status"] == "completed"
        assert paid["member_id"] == entry["member_id"]
        assert entry["points"] == paid["amount"]
        assert (entry["entry_type"] == "adjust") == (paid["transaction_type"] == "refund")


def test_tiers_follow_points_and_only_one_is_open(told: Told) -> None:
    needed = dict(TIERS)
    open_tiers: dict[Any, int] = {}
    for row in told.truth["member_tiers"].values():
        points = row["qualifying_points"]
        assert isinstance(points, Decimal)
        assert points >= needed[str(row["tier"])] or row["tier"] == "bronze"
        if row["ends_on"] is None:
            open_tiers[row["member_id"]] = open_tiers.get(row["member_id"], 0) + 1
    assert set(open_tiers.values()) == {1}


def test_closing_a_membership_withdraws_its_consents(told: Told) -> None:
    closings = {
        (change.transaction_id, change.key[0])
        for change in told.changes
        if change.table == "members" and change.op == "u" and change.after and change.before
        if change.after["status"] == "closed" != change.before["status"]
    }
    assert closings
    closed = [row for row in told.truth["members"].values() if row["status"] == "closed"]
    assert all(row["closed_at"] is not None for row in closed)
    withdrawals = [
        change
        for change in told.changes
        if change.table == "member_consents" and change.op == "u" and change.after
        if (change.transaction_id, change.after["member_id"]) in closings
    ]
    assert withdrawals
    assert all(change.after and change.after["state"] == "withdrawn" for change in withdrawals)


def test_rows_come_back_under_their_old_key(told: Told) -> None:
    deleted: set[tuple[str, Key]] = set()
    restored = 0
    for change in told.changes:
        place = (change.table, change.key)
        if change.op == "d":
            deleted.add(place)
        restored += change.op == "c" and place in deleted
    assert restored >= 5


def test_a_changed_key_is_a_delete_and_a_create_at_one_position(told: Told) -> None:
    pairs = [
        (first, second)
        for first, second in zip(told.changes, told.changes[1:], strict=False)
        if first.position == second.position and first.op != "r"
    ]
    assert pairs
    for first, second in pairs:
        assert (first.op, second.op) == ("d", "c")
        assert first.key != second.key


def test_an_erased_member_leaves_nothing_behind(told: Told) -> None:
    erased = {change.key[0] for change in told.changes if change.table == "members" and change.op == "d"}
    assert erased
    for rows in told.truth.values():
        assert not erased & {row["member_id"] for row in rows.values()}


def test_some_keys_are_larger_than_a_double_can_tell_apart(told: Told) -> None:
    keys = [key[0] for key in told.truth["member_interactions"]]
    assert all(isinstance(key, int) and key > 2**53 for key in keys)
    assert len({float(key) for key in keys}) < len(keys)


def test_a_round_makes_as_many_changes_as_asked_and_takes_as_long(contracts: Contracts) -> None:
    world = World(1, 100, contracts)
    start = world.now
    for _ in range(2):
        changes = world.evolve(500, span=timedelta(minutes=3))
        assert 500 <= len(changes) < 560
        assert all(start <= change.event_time <= world.now for change in changes)
    assert world.now == start + timedelta(minutes=6)


def test_the_snapshot_takes_at_most_half_of_the_first_round(contracts: Contracts) -> None:
    changes = World(1, 100_000, contracts).evolve(600)
    assert 0 < sum(1 for change in changes if change.op == "r") <= 310


def test_all_members_join_and_not_one_more(contracts: Contracts) -> None:
    world = World(1, 40, contracts)
    changes = [*world.evolve(1_500), *world.evolve(1_500)]
    joined = {change.key for change in changes if change.table == "members" and change.op in ("c", "r")}
    assert len(joined) == 40


def test_a_single_member_lives_on(contracts: Contracts) -> None:
    world = World(1, 1, contracts)
    world.evolve(400)
    world.evolve(400)
    assert len(world.truth()["members"]) == 1


def test_truncating_empties_a_table_halfway(contracts: Contracts) -> None:
    world = World(1, 200, contracts, shares=ORDERLY)
    first = world.evolve(1_500)
    second = world.evolve(1_500, truncate=("member_interactions", "member_consents"))
    truncates = [place for place, change in enumerate(second) if change.op == "t"]
    assert [second[place].table for place in truncates] == ["member_consents", "member_interactions"]
    assert all(600 < place < 900 for place in truncates)
    assert _follow(first + second) == world.truth()


def test_a_truncate_happens_even_in_a_round_without_events(contracts: Contracts) -> None:
    world = World(1, 50, contracts)
    world.evolve(300)
    assert [change.op for change in world.evolve(0, truncate=("member_cases",))] == ["t"]
    assert world.truth()["member_cases"] == {}


def test_a_world_without_snapshot_begins_with_joins(contracts: Contracts) -> None:
    changes = World(1, 50, contracts, shares=Shares(snapshot_members=0)).evolve(200)
    assert "r" not in {change.op for change in changes}
    assert changes[0].table == "members"


def test_a_column_the_contract_adds_is_filled_without_a_line_of_python(contracts: Contracts) -> None:
    members = contracts["members"]
    types: tuple[DataType, ...] = (
        "int64",
        "numeric",
        "float64",
        "bool",
        "string",
        "bytes",
        "date",
        "timestamp",
        "json",
        "array<string>",
    )
    added = tuple(Column(f"new_{place}", kind, "new", False, False, None, ()) for place, kind in enumerate(types))
    chosen = Column("new_choice", "string", "new", False, True, None, ("a", "b"))
    wider = replace(members, columns=(*members.columns, *added, chosen))
    world = World(1, 60, Contracts({**contracts, "members": wider}))
    world.evolve(400)
    rows = list(world.truth()["members"].values())
    assert {row["new_choice"] for row in rows} == {None, "a", "b"}
    for row in rows:
        assert [fault for column in wider.columns if (fault := _fault(column, row[column.name]))] == []
    assert any(b'"new_0":' in message.data for message in world.deliver())


def test_a_column_of_a_type_nobody_makes_is_refused(contracts: Contracts) -> None:
    members = contracts["members"]
    strange = Column("opening", "time", "new", False, False, None, ())
    wider = Contracts({**contracts, "members": replace(members, columns=(*members.columns, strange))})
    with pytest.raises(ContractError, match="opening"):
        World(1, 1, wider).evolve(10)


def test_a_column_the_contract_drops_is_told_no_more(contracts: Contracts) -> None:
    members = contracts["members"]
    narrower = replace(members, columns=tuple(column for column in members.columns if column.name != "home_store_id"))
    world = World(1, 60, Contracts({**contracts, "members": narrower}))
    world.evolve(400)
    assert all("home_store_id" not in row for row in world.truth()["members"].values())


def test_a_database_keeps_its_keys_apart(contracts: Contracts) -> None:
    database = Database(contracts, Random(1))
    tx = database.begin(datetime(2026, 1, 1, tzinfo=UTC))
    row: Row = {"member_id": 1, "channel": "email", "topic": "news", "updated_at": tx.at}
    other: Row = {**row, "topic": "offers"}
    tx.insert("member_preferences", row)
    tx.insert("member_preferences", other)
    with pytest.raises(KeyError, match="already has a row"):
        tx.insert("member_preferences", row)
    with pytest.raises(KeyError, match="already has a row"):
        tx.change_key("member_preferences", (1, "email", "news"), {"topic": "offers"})
    with pytest.raises(TypeError, match="neither an integer nor text"):
        tx.insert("members", {"member_id": None})
    assert len(database.truth()["member_preferences"]) == 2


def test_wrong_arguments_are_refused(contracts: Contracts) -> None:
    with pytest.raises(ConfigurationError, match="at least 1"):
        World(1, 0, contracts)
    with pytest.raises(ConfigurationError, match="contract for member_cases"):
        World(1, 1, Contracts({name: contracts[name] for name in contracts if name != "member_cases"}))
    with pytest.raises(ConfigurationError, match="no_such_table"):
        World(1, 1, contracts).evolve(1, truncate=("no_such_table",))
    with pytest.raises(ConfigurationError, match="late"):
        Shares(late=1.5)
    with pytest.raises(ConfigurationError, match="at least 1 message"):
        Shares(disorder_distance=0)
