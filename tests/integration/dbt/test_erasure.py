"""A member who was erased is nowhere: not in raw, not in quarantine, not in any zone, and not after all lands again."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import count

import pytest
from structure_events import Event, Key, Row
from structure_histories import BEGINNING
from structure_oracle import state
from structure_warehouse import Warehouse, comparable

from devstack.live.rows import random_row

CANARY = "canary-b4c1"
ERASED, OTHER = 2, 3
NOBODY = 987_654_321  # whom no other test knows either, whose rows may lie in the same warehouse
TABLES = ("members", "member_emails", "member_transactions")
SHARED = ("str_erasures", "str_truncates", "str_quarantined_values", "str_quarantine")
STRUCTURE = (*SHARED, *(f"str_{table}" for table in TABLES))
BUILT = (*STRUCTURE, "snp_members", "exchange_rates", "ref_fx_rates", "dim_members", "fct_transactions")
MOVED, MOVED_SINCE, REUSED_SINCE = (99,), (29,), (28,)
OF_OTHERS = {MOVED, MOVED_SINCE, REUSED_SINCE}
LOGGED = ("--log-level-file", "debug")


@dataclass(frozen=True)
class Erasure:
    """What was there before, and what came after.

    Attributes:
        events: all that ever landed before the erasures were enforced.
        since: those that landed first after the erasure, and are about other members.
        seen: tables that held the canary before the erasure.
        erased: tables that held it right after.
        unbuilt: tables that held it after everything had landed again, before anything was built.
        replayed: tables that held it when that was built, first in part, then in full.
        enforced: tables that held it once the erasures were enforced.
        held: structure after the replay, by table, built in part and in full.
        landed: messages that raw held once the erasures were enforced.
        deleted_since: the row that had moved to another, deleted after that by its key alone; None when it is lost.
        audited: rows of audit.erasures of each operation.
    """

    events: list[Event]
    since: list[Event]
    seen: set[str]
    erased: set[str]
    unbuilt: set[str]
    replayed: tuple[set[str], set[str]]
    enforced: set[str]
    held: tuple[dict[str, dict[Key, Row]], dict[str, dict[Key, Row]]]
    landed: set[str]
    deleted_since: Row | None
    audited: tuple[list[Row], list[Row]]


@pytest.fixture(scope="module")
def erasure(structure_warehouse: Warehouse) -> Iterator[Erasure]:
    warehouse = structure_warehouse
    for table in TABLES:
        warehouse.empty(table)
    source = Source(warehouse)
    events, since = list(_events(source)), list(_events_since(source))
    warehouse.land(events)
    _build(warehouse)
    seen = _with_canary(warehouse)
    arguments, known = f"{{member_id: {ERASED}, request: DSR-1}}", _audited(warehouse)
    warehouse.dbt("run-operation", "erase_member", "--args", arguments, *LOGGED)
    first, erased = _audited(warehouse, known), _with_canary(warehouse)
    # the key of a row of a table, noted for another table
    warehouse.client.query_and_wait(
        "insert into structure.erasures (member_id, table_name, _key, erased_at) "
        f"""values ({NOBODY}, 'member_emails', '{{"transaction_id":10}}', current_timestamp())"""
    )
    warehouse.land(replace(event, landed_at=event.landed_at + timedelta(hours=1)) for event in (*events, *since))
    unbuilt = _with_canary(warehouse)
    _build(warehouse)
    in_part, held_in_part = _with_canary(warehouse), _held(warehouse)
    _build(warehouse, "--full-refresh")
    in_full, held_in_full = _with_canary(warehouse), _held(warehouse)
    warehouse.dbt("run-operation", "enforce_erasures")
    second = _audited(warehouse, [*known, *first])
    enforced = _with_canary(warehouse)
    landed = {row["_event_id"] for table in TABLES for row in warehouse.rows(f"raw.{table}")}
    warehouse.land([source.event("member_emails", MOVED_SINCE, OTHER, "DELETE", after=None)])
    warehouse.build(["str_truncates", "str_member_emails"])
    yield Erasure(
        events=[*events, *since],
        since=since,
        seen=seen,
        erased=erased,
        unbuilt=unbuilt,
        replayed=(in_part, in_full),
        enforced=enforced,
        held=(held_in_part, held_in_full),
        landed=landed,
        deleted_since=warehouse.structure("member_emails").get(MOVED_SINCE),
        audited=(first, second),
    )
    warehouse.client.query_and_wait("delete from structure.erasures where true")
    for table in TABLES:
        warehouse.empty(table)


def test_the_canary_was_everywhere_before(erasure: Erasure) -> None:
    assert {f"raw.{table}" for table in TABLES} <= erasure.seen
    assert {"structure.members", "structure.member_emails"} <= erasure.seen
    assert {"structure.quarantine", "structure.quarantined_values"} <= erasure.seen
    assert {"snapshots.snp_members", "analytics.fct_transactions"} <= erasure.seen


def test_an_erased_member_is_nowhere(erasure: Erasure) -> None:
    assert erasure.erased == set()


def test_an_erased_member_stays_erased_when_all_of_raw_lands_again(erasure: Erasure) -> None:
    in_part, in_full = erasure.replayed
    # quarantine is a view, and leaves out who was erased after it was built
    assert erasure.unbuilt == {f"raw.{table}" for table in TABLES}
    # raw keeps what landed until the erasures are enforced, and nothing is made of it
    assert in_part == in_full == {f"raw.{table}" for table in TABLES}
    assert erasure.enforced == set()


def test_the_others_are_what_the_oracle_says(erasure: Erasure, structure_warehouse: Warehouse) -> None:
    for table in TABLES:
        contract = structure_warehouse.contracts[table]
        # what stated the erased member is as if it had never been, and so is what is about rows that were theirs
        theirs = {event.key for event in erasure.events if _states_erased(event)} - OF_OTHERS
        kept = [e for e in erasure.events if e.table == table and e.key not in theirs and not _states_erased(e)]
        expected = {key: comparable(contract, row) for key, row in state(contract, kept).items()}
        assert expected
        for found in (held[table] for held in erasure.held):
            assert expected.keys() == found.keys()
            assert all(found[key][name] == value for key, row in expected.items() for name, value in row.items())


def test_what_the_source_gave_to_another_member_since_is_theirs(erasure: Erasure) -> None:
    for held in erasure.held:
        assert {held["member_emails"][key]["member_id"] for key in (MOVED_SINCE, REUSED_SINCE)} == {OTHER}
    assert {event.event_id for event in erasure.since} <= erasure.landed
    assert erasure.deleted_since is not None
    assert erasure.deleted_since["is_deleted"]


def test_a_key_that_is_noted_for_one_table_is_no_other_tables(erasure: Erasure) -> None:
    assert [held["member_transactions"][(10,)]["is_deleted"] for held in erasure.held] == [True, True]


def test_every_deletion_is_audited_without_personal_data(erasure: Erasure) -> None:
    first, second = erasure.audited
    assert {row["request"] for row in first} == {"DSR-1"}
    deleted = {row["table_name"]: row["rows_deleted"] for row in first}
    assert all(deleted[table] > 0 for table in erasure.seen - {"structure.quarantine"})
    assert {row["request"] for row in second} == {None}
    again = {row["table_name"] for row in second if row["rows_deleted"]}
    assert again == {f"raw.{table}" for table in TABLES}


def test_no_log_and_no_artifact_of_dbt_holds_personal_data(erasure: Erasure, structure_warehouse: Warehouse) -> None:
    assert erasure.seen
    written = [path for path in structure_warehouse.folder.rglob("*") if path.is_file()]
    assert any(path.name == "dbt.log" for path in written)
    assert not [path for path in written if CANARY.encode() in path.read_bytes()]


@pytest.mark.parametrize("wrong", ["{member_id: 1 or 1, request: A}", "{member_id: 1, request: 'a b'}"])
def test_what_is_no_member_or_no_reference_is_refused(structure_warehouse: Warehouse, wrong: str) -> None:
    with pytest.raises(AssertionError, match="give the"):
        structure_warehouse.dbt("run-operation", "erase_member", "--args", wrong)


def _build(warehouse: Warehouse, *arguments: str) -> None:
    warehouse.dbt("build", "--exclude-resource-type", "test", "unit_test", "--select", *BUILT, *arguments, *LOGGED)


def _with_canary(warehouse: Warehouse) -> set[str]:
    client = warehouse.client
    names = {
        f"{dataset.dataset_id}.{table.table_id}"
        for dataset in client.list_datasets()
        for table in client.list_tables(dataset.reference)
    }
    return {name for name in names if CANARY in repr(warehouse.rows(name))}


def _audited(warehouse: Warehouse, known: Sequence[Row] = ()) -> list[Row]:
    """Return what audit.erasures tells, but for what is known: other tests may have erased before."""
    there = any(table.table_id == "erasures" for table in warehouse.client.list_tables("audit"))
    return [row for row in warehouse.rows("audit.erasures") if row not in known] if there else []


def _held(warehouse: Warehouse) -> dict[str, dict[Key, Row]]:
    return {table: warehouse.structure(table) for table in TABLES}


def _states_erased(event: Event) -> bool:
    image = event.before if event.op == "DELETE" else event.after
    return (image or {}).get("member_id") == ERASED


@dataclass(frozen=True)
class Source:
    """Writes a log, of rows of three members; the erased one's hold the canary.

    Attributes:
        warehouse: knows the tables.
        chooser: of values.
        numbers: of changes.
    """

    warehouse: Warehouse
    chooser: random.Random = field(default_factory=lambda: random.Random(4))
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def event(self, table: str, key: Key, member: int, op: str = "INSERT", **facts: object) -> Event:
        """Return the next change, with the columns of Event that are given."""
        number = next(self.numbers)
        row = random_row(self.warehouse.contracts[table], key, self.chooser) | {"member_id": member}
        texts = {"members": "first_name", "member_emails": "email", "member_transactions": "payment_method"}
        row[texts[table]] = CANARY if member == ERASED else "theirs"
        if table == "member_transactions":
            row |= {"currency_code": "EUR", "status": "completed"}
        if table == "members":
            row |= {"is_test": False, "referrer_member_id": None}
        when = BEGINNING + timedelta(seconds=number)
        made = Event(table=table, op=op, event_id=str(number), landed_at=when, key=key, position=number,  # type: ignore[arg-type]  # a literal of Operation
                     happened_at=when, after=row)  # fmt: skip
        return replace(made, **facts)  # type: ignore[arg-type]  # columns of Event


def _events(source: Source) -> Iterator[Event]:
    """Rows of three members; the erased one's hold the canary, in what can be read and in what cannot."""
    event = source.event
    for member in (1, ERASED, OTHER):
        for table in TABLES:
            key = (member,) if table == "members" else (member * 10,)
            yield event(table, key, member)
            yield event(table, key, member, "UPDATE")
        spoilt = f'{{"member_id": {member}, "email": "{CANARY if member == ERASED else "theirs"}'
        yield event("member_emails", (member * 10 + 1,), member, broken=spoilt)
    # a value that does not cast, of a row that states its member, and of one that does not any more
    wrong = {"is_primary": CANARY}
    yield event("member_emails", (27,), ERASED, uncast=wrong)
    yield event("member_emails", (27,), ERASED, "DELETE", before={"email_id": 27} | wrong, after=None)
    gone = event("member_emails", (28,), ERASED)
    yield gone
    yield replace(event("member_emails", (28,), ERASED, "DELETE", after=None), before=gone.after)
    # a row that moved from the erased member to another is the other's
    yield event("member_emails", MOVED, ERASED)
    yield event("member_emails", MOVED, OTHER, "UPDATE")
    yield event("member_emails", MOVED_SINCE, ERASED)


def _events_since(source: Source) -> Iterator[Event]:
    """What the source does once a member is erased: it gives rows of theirs to another, and deletes one of a third."""
    theirs = source.event("member_emails", MOVED_SINCE, ERASED).after
    yield source.event("member_emails", MOVED_SINCE, OTHER, "UPDATE", before=theirs)
    yield source.event("member_emails", REUSED_SINCE, OTHER)
    yield source.event("member_transactions", (10,), 1, "DELETE", after=None)
