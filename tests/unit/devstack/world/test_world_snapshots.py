"""Snapshots hold the truth, byte for byte the same each time, and planted differences are exactly those listed."""

import gzip
import io
import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from world_oracle import read_row
from world_stories import Told

from core.clients import s3_client
from core.contracts import Contracts, TableContract
from core.errors import ConfigurationError
from core.settings import Settings
from devstack.s3 import running_s3
from devstack.world import Truth
from devstack.world.planted import ALTERATIONS, EXTRA_ROW, KINDS, MISSING_ROW, plant
from devstack.world.snapshots import NDJSON_TABLES, SnapshotFile, snapshot_files, write_snapshot


def _read(contract: TableContract, file: SnapshotFile) -> dict[Any, dict[str, Any]]:
    if file.format == "parquet":
        table = pq.read_table(io.BytesIO(file.data), page_checksum_verification=True)
        rows = [{n: tuple(v) if isinstance(v, list) else v for n, v in row.items()} for row in table.to_pylist()]
    else:
        lines = gzip.decompress(file.data).decode().removesuffix("\n").split("\n")
        rows = [read_row(contract, json.loads(line)) for line in lines]
    return {tuple(row[column.name] for column in contract.key): row for row in rows}


def _comparable(contract: TableContract, rows: Mapping[Any, Any]) -> dict[Any, dict[str, Any]]:
    documents = {column.name for column in contract.columns if column.data_type == "json"}
    return {
        key: {n: json.loads(v) if n in documents and isinstance(v, str) else v for n, v in row.items()}
        for key, row in rows.items()
    }


def test_the_files_hold_the_truth(told: Told, contracts: Contracts) -> None:
    files = list(snapshot_files(contracts, told.truth))
    assert {file.table for file in files} == set(told.truth)
    for file in files:
        contract = contracts[file.table]
        assert (file.format == "ndjson") == (file.table in NDJSON_TABLES)
        assert file.rows == len(told.truth[file.table]) > 0
        assert _comparable(contract, _read(contract, file)) == _comparable(contract, told.truth[file.table])


def test_the_files_have_the_agreed_types(told: Told, contracts: Contracts) -> None:
    files = {file.table: file for file in snapshot_files(contracts, told.truth)}
    schemas = {t: pq.read_schema(io.BytesIO(f.data)) for t, f in files.items() if f.format == "parquet"}
    types = {f"{table}.{field.name}": str(field.type) for table, schema in schemas.items() for field in schema}
    assert types["member_transactions.amount"] == "decimal128(38, 9)"
    assert types["member_transactions.basket"] == "string"
    assert types["members.created_at"] == "timestamp[us, tz=UTC]"
    assert types["members.birth_date"] == "date32[day]"
    assert types["member_identities.document_digest"] == "binary"
    assert types["member_addresses.latitude"] == "double"
    assert struct.unpack("<I", files["member_cases"].data[4:8]) == (0,), "the gzip header holds a time"


@pytest.fixture
def s3_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    for name, value in (("ACCESS_KEY_ID", "x"), ("SECRET_ACCESS_KEY", "x"), ("DEFAULT_REGION", "eu-central-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    with running_s3() as address:
        yield Settings(s3_endpoint_url=address.url)


def test_a_snapshot_on_s3_is_named_by_its_manifest(told: Told, contracts: Contracts, s3_settings: Settings) -> None:
    client = s3_client(s3_settings)
    for snapshot_id in ("first", "second"):
        write_snapshot(
            client, "s3://truth/daily", snapshot_id, told.truth, contracts=contracts, taken_at=told.world.now
        )
    listed = {item["Key"]: item["Size"] for item in client.list_objects_v2(Bucket="truth")["Contents"]}
    manifest = json.loads(client.get_object(Bucket="truth", Key="daily/second/manifest.json")["Body"].read())
    assert manifest["snapshot_id"] == "second"
    assert manifest["taken_at"] == "2026-01-05T06:30:00.000000Z"
    assert {t: table["rows"] for t, table in manifest["tables"].items()} == {t: len(r) for t, r in told.truth.items()}
    named = {f"daily/second/{path}" for table in manifest["tables"].values() for path in table["files"]}
    assert named == {key for key in listed if key.startswith("daily/second/") and not key.endswith("manifest.json")}
    assert len(listed) == 2 * (len(told.truth) + 1)
    body = client.get_object(Bucket="truth", Key="daily/first/members/part-00000.parquet")["Body"].read()
    assert body == next(file.data for file in snapshot_files(contracts, told.truth) if file.table == "members")


@pytest.mark.parametrize("uri", ["gs://bucket", "s3://", "/folder"])
def test_only_s3_is_written_to(told: Told, contracts: Contracts, s3_settings: Settings, uri: str) -> None:
    with pytest.raises(ConfigurationError, match="not an S3 URI"):
        write_snapshot(s3_client(s3_settings), uri, "x", {}, contracts=contracts, taken_at=told.world.now)


def _differences(truth: Truth, other: Truth) -> set[tuple[str, Any, str | None]]:
    """Find all differences the slow and certain way."""
    found: set[tuple[str, Any, str | None]] = set()
    for table in {*truth, *other}:
        ours, theirs = truth[table], other[table]
        found |= {(table, key, None) for key in set(ours) ^ set(theirs)}
        for key in set(ours) & set(theirs):
            pairs = ((name, ours[key][name], theirs[key][name]) for name in ours[key])
            found |= {(table, key, name) for name, a, b in pairs if repr(a) != repr(b)}
    return found


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(), each=st.integers(1, 5))
def test_planted_differences_are_exactly_those_listed(told: Told, contracts: Contracts, seed: int, each: int) -> None:
    copy, planted = plant(contracts, told.truth, seed, each=each)
    assert {(d.table, d.key, d.column) for d in planted} == _differences(told.truth, copy)
    assert len(planted) == len({(d.table, d.key) for d in planted})
    counts = {kind: sum(d.kind == kind for d in planted) for kind in KINDS}
    assert counts == dict.fromkeys(KINDS, each)


def test_the_same_seed_plants_the_same_and_the_truth_stays_as_it_is(told: Told, contracts: Contracts) -> None:
    before = {table: dict(rows) for table, rows in told.truth.items()}
    first, second, other = (plant(contracts, told.truth, seed, each=3)[1] for seed in (1, 1, 2))
    assert first == second != other
    assert told.truth == before


def test_planted_values_are_the_smallest_steps_and_can_be_written(told: Told, contracts: Contracts) -> None:
    copy, planted = plant(contracts, told.truth, 5, each=4)
    for difference in planted:
        if difference.kind == MISSING_ROW:
            assert difference.key not in copy[difference.table]
        elif difference.kind == EXTRA_ROW:
            assert difference.key not in told.truth[difference.table]
        else:
            column = contracts[difference.table].column(difference.column or "")
            assert column.data_type == ALTERATIONS[difference.kind].data_type
            assert not column.is_key
    written = {file.table: file for file in snapshot_files(contracts, copy)}
    members = contracts["members"]
    assert _read(members, written["members"]) == copy["members"]


def test_nothing_is_planted_in_nothing(contracts: Contracts) -> None:
    empty: Truth = {table: {} for table in contracts}
    assert plant(contracts, empty, 1) == (empty, ())


def test_planting_gives_up_where_no_value_suits(told: Told, contracts: Contracts) -> None:
    only = {"members": {key: {**row, "first_name": "x"} for key, row in list(told.truth["members"].items())[:1]}}
    _, planted = plant(Contracts({"members": contracts["members"]}), only, 1, each=2)
    assert 1 <= len(planted) <= 2
