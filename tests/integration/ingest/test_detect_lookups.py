"""What change detection asks the raw tables, on the BigQuery stand-in, held against the same questions in Python."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.cloud import bigquery
from ingest_river import River

from core.clients import bigquery_client
from core.contracts import TableContract
from core.errors import ConfigurationError, UnavailableError
from ingest.detect import RawTables
from ingest.detect.state import NO_CHANGE, Known, fingerprint_of
from ingest.settings import IngestSettings

QUICK = {"retry_first_wait_s": 0.001, "retry_longest_wait_s": 0.01, "append_attempts": 2, "detect_timeout_s": 20}
DAY = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def tables(river: River) -> RawTables:
    return raw_tables(river)


def raw_tables(river: River, **tunables: object) -> RawTables:
    limits = IngestSettings.model_validate(QUICK | tunables)
    return RawTables(river.bigquery, river.settings, limits, lambda: DAY + timedelta(days=1))


def row(number: int, key: int | None, position: object, content: str | None, **fields: Any) -> dict[str, Any]:
    payload = None if content is None else f'{{"email_id": {key}, "member_id": {number % 3}, "email": "{content}"}}'
    position = f"{position:020d}" if isinstance(position, int) else position
    return {
        "payload": payload,
        "_op": "UPDATE" if content is not None else "DELETE",
        "_op_inferred": True,
        "_key": None if key is None else f'{{"email_id":{key}}}',
        "_source_system": "s",
        "_source_table": "member_emails",
        "_source_position": position,
        "_event_id": f"e{number}",
        "_ingestion_ts": (DAY + timedelta(seconds=number)).isoformat(),
    } | fields


def insert(river: River, rows: Sequence[dict[str, Any]]) -> None:
    name = f"{river.settings.project}.raw.member_emails"
    assert river.bigquery.insert_rows_json(name, list(rows)) == []


def emails(river: River) -> TableContract:
    return river.contracts["member_emails"]


def keyed(*numbers: int) -> list[bytes]:
    return [f'{{"email_id":{number}}}'.encode() for number in numbers]


def order(one: dict[str, Any]) -> tuple[object, ...]:
    """The order of the merge, and of two deliveries of one change the first."""
    micros = int(datetime.fromisoformat(one.get("_source_ts", "1970-01-01T00:00:00+00:00")).timestamp() * 1e6)
    is_deleted = one["_op"] == "DELETE"
    first = -datetime.fromisoformat(one["_ingestion_ts"]).timestamp()
    return one["_source_position"], one.get("_source_sequence", 0), micros, is_deleted, first


async def test_the_newest_change_is_that_of_the_merge(river: River, tables: RawTables) -> None:
    rng = random.Random(5)
    rows = []
    for number in range(400):
        fields: dict[str, Any] = {"_source_sequence": rng.randrange(3)} if rng.random() < 0.5 else {}
        if rng.random() < 0.5:
            fields["_source_ts"] = (DAY + timedelta(seconds=rng.randrange(3))).isoformat()
        rows.append(row(number, rng.randrange(40), rng.randrange(1, 12), rng.choice(["a", "b", None]), **fields))
    rows.append(row(400, 5, None, None))  # a tombstone's null: evidence, without a place in the order
    insert(river, rows)
    asked = keyed(*range(45))
    found = await tables.latest(emails(river), asked)
    for number, key in enumerate(asked):
        former = [one for one in rows if one["_key"] == key.decode() and one["_source_position"] is not None]
        if not former:
            assert key not in found
            continue
        newest = max(former, key=order)
        payload = newest["payload"]
        expected = (newest["_op"], fingerprint_of(None if payload is None else payload.encode()))
        assert (found[key].op, found[key].fingerprint) == expected, number
        assert found[key].order.startswith(newest["_source_position"])
    assert len(found) == 40


async def test_a_row_that_was_flagged_is_known_as_such(river: River, tables: RawTables) -> None:
    plain, flagged = row(1, 1, 1, "a"), row(2, 2, 1, "a")
    insert(river, [plain, flagged | {"before": flagged["payload"]}])
    found = await tables.latest(emails(river), keyed(1, 2))
    assert [found[key].op for key in keyed(1, 2)] == ["UPDATE", NO_CHANGE]


async def test_a_truncate_deletes_what_is_older(river: River, tables: RawTables) -> None:
    insert(river, [row(1, 1, 1, "a"), row(2, 2, 9, "a"), row(3, None, 5, None, _op="TRUNCATE")])
    found = await tables.latest(emails(river), keyed(1, 2))
    assert [found[key].fingerprint is None for key in keyed(1, 2)] == [True, False]
    assert found[keyed(1)[0]] == Known(f"{5:020d} {0:020d} {0:020d} 0", "DELETE", None)


async def test_keys_are_bound_and_may_hold_anything(river: River, tables: RawTables) -> None:
    nasty = """{"email_id":"') or true -- `@keys` \\\\ ü"}"""
    insert(river, [row(1, 1, 1, "a", _key=nasty), row(2, 2, 1, "a")])
    assert list(await tables.latest(emails(river), [nasty.encode()])) == [nasty.encode()]
    assert await tables.latest(emails(river), []) == {}


async def test_one_may_look_back_so_far_and_no_further(river: River) -> None:
    insert(river, [row(1, 1, 1, "a"), row(2, 2, 1, "a", _ingestion_ts=(DAY - timedelta(days=9)).isoformat())])
    assert list(await raw_tables(river, detect_lookback_days=3).latest(emails(river), keyed(1, 2))) == keyed(1)
    assert len(await raw_tables(river).latest(emails(river), keyed(1, 2))) == 2


async def test_the_members_of_sets(river: River, tables: RawTables) -> None:
    def of(member: int, key: int, position: int, **fields: Any) -> dict[str, Any]:
        payload = f'{{"email_id":{key},"member_id":{member}}}'
        return row(key * 100 + position, key, position, "x", payload=payload) | fields

    insert(
        river,
        [
            of(7, 1, 1), of(7, 1, 5), of(7, 2, 1), of(7, 2, 3, _op="DELETE", payload=None),
            of(7, 3, 1), of(8, 3, 2),  # moved to another member
            of(8, 4, 1), of(9, 5, 1),
        ],
    )  # fmt: skip
    found = await tables.members(emails(river), [("7",), ("8",), ("6",)])
    assert found == {
        ("7",): {keyed(1)[0]: f"{5:020d}"},
        ("8",): {keyed(3)[0]: f"{2:020d}", keyed(4)[0]: f"{1:020d}"},
        ("6",): {},
    }


async def test_what_is_absent_from_a_dump_keeps_its_number(river: River, tables: RawTables) -> None:
    insert(river, [row(number, number, "d1", "a") for number in range(6)])
    insert(river, [row(10, 5, "d1a", None), row(11, 1, "d2", "a"), row(12, 1, "d2", "a"), row(13, 9, "d3", "a")])
    assert await tables.dump_rows(emails(river), "d2") == 1
    absent = await tables.absent(emails(river), "d2")
    assert absent == [(1, keyed(0)[0]), (2, keyed(2)[0]), (3, keyed(3)[0]), (4, keyed(4)[0])]
    insert(river, [row(20, 2, "d2", None)])
    assert await tables.absent(emails(river), "d2") == [absent[0], *absent[2:]]
    assert await tables.dump_rows(emails(river), "d2") == 1
    assert await tables.dump_rows(emails(river), "' or true") == 0


async def test_a_table_that_is_not_there_is_told(river: River, tables: RawTables) -> None:
    with pytest.raises(ConfigurationError, match="look up"):
        await tables.latest(replace(emails(river), name="no_such_table"), keyed(1))


@pytest.fixture
def nobody(river: River) -> Iterator[bigquery.Client]:
    client = bigquery_client(river.settings.model_copy(update={"bigquery_emulator_host": "http://127.0.0.1:9"}))
    yield client
    client.close()


async def test_a_service_that_is_not_there_is_unavailable(river: River, nobody: bigquery.Client) -> None:
    limits = IngestSettings.model_validate(QUICK | {"detect_timeout_s": 0.3})
    with pytest.raises(UnavailableError, match="did not answer"):
        await RawTables(nobody, river.settings, limits).latest(emails(river), keyed(1))
