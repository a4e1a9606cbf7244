"""A member who was erased is nowhere: not in raw, not in quarantine, not in any zone, and not after all lands again."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
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
TABLES = ("members", "member_emails", "member_transactions")
SHARED = ("str_erasures", "str_truncates", "str_quarantined_values", "str_quarantine")
STRUCTURE = (*SHARED, *(f"str_{table}" for table in TABLES))
BUILT = (*STRUCTURE, "snp_members", "exchange_rates", "ref_fx_rates", "dim_members", "fct_transactions")
MOVED = (99,)
LOGGED = ("--log-level-file", "debug")


@dataclass(frozen=True)
class Erasure:
    """What was there before, and what came after.

    Attributes:
        events: all that ever landed.
        seen: tables that held the canary before the erasure.
        erased: tables that held it right after.
        unbuilt: tables that held it after everything had landed again, before anything was built.
        replayed: tables that held it when that was built, first in part, then in full.
        enforced: tables that held it once the erasures were enforced.
        held: structure after the replay, by table.
        audited: rows of audit.erasures of each operation.
    """

    events: list[Event]
    seen: set[str]
    erased: set[str]
    unbuilt: set[str]
    replayed: tuple[set[str], set[str]]
    enforced: set[str]
    held: dict[str, dict[Key, Row]]
    audited: tuple[list[Row], list[Row]]


@pytest.fixture(scope="module")
def erasure(structure_warehouse: Warehouse) -> Iterator[Erasure]:
    warehouse = structure_warehouse
    for table in TABLES:
        warehouse.empty(table)
    events = list(_events(warehouse))
    warehouse.land(events)
    _build(warehouse)
    seen = _with_canary(warehouse)
    arguments = f"{{member_id: {ERASED}, request: DSR-1}}"
    warehouse.dbt("run-operation", "erase_member", "--args", arguments, *LOGGED)
    first, erased = warehouse.rows("audit.erasures"), _with_canary(warehouse)
    warehouse.land(replace(event, landed_at=event.landed_at + timedelta(hours=1)) for event in events)
    unbuilt = _with_canary(warehouse)
    _build(warehouse)
    in_part = _with_canary(warehouse)
    _build(warehouse, "--full-refresh")
    in_full = _with_canary(warehouse)
    held = {table: warehouse.structure(table) for table in TABLES}
    warehouse.dbt("run-operation", "enforce_erasures")
    second = [row for row in warehouse.rows("audit.erasures") if row not in first]
    yield Erasure(events, seen, erased, unbuilt, (in_part, in_full), _with_canary(warehouse), held, (first, second))
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
        theirs = {event.key for event in erasure.events if _states_erased(event)} - {MOVED}
        kept = [e for e in erasure.events if e.table == table and e.key not in theirs and not _states_erased(e)]
        expected = {key: comparable(contract, row) for key, row in state(contract, kept).items()}
        found = erasure.held[table]
        assert expected.keys() == found.keys()
        assert all(found[key][name] == value for key, row in expected.items() for name, value in row.items())
        assert expected


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


def _states_erased(event: Event) -> bool:
    return any((image or {}).get("member_id") == ERASED for image in (event.after, event.before))


def _events(warehouse: Warehouse) -> Iterator[Event]:
    """Rows of three members; the erased one's hold the canary, in what can be read and in what cannot."""
    chooser, numbers = random.Random(4), count(1)

    def event(table: str, key: Key, member: int, op: str = "INSERT", **facts: object) -> Event:
        number = next(numbers)
        row = random_row(warehouse.contracts[table], key, chooser) | {"member_id": member}
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
