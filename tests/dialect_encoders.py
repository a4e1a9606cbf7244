"""Histories of a table told in every dialect, by encoders that know the specifications and nothing of the decoders.

A history is a list of changes of `member_emails`; an encoder tells it as messages, and the truth is what remains when
the changes are made one after the other in a dict.
"""

import base64
import dataclasses
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import fastavro

from core.contracts import TableContract

Row = dict[str, Any]

START = datetime(2026, 3, 1, 12, 0, 0, 123_000, tzinfo=UTC)


@dataclass(frozen=True)
class Step:
    """A change: `before` and `after` are the row's images; both None stands for nothing."""

    op: str
    key: int
    before: Row | None
    after: Row | None
    transaction: int
    order: int
    is_last: bool


@dataclass(frozen=True)
class Sent:
    """A message before it is published."""

    data: bytes
    attributes: Mapping[str, str] = field(default_factory=dict)
    ordering_key: str = ""


Encoder = Callable[[Sequence[Step]], Iterator[Sent]]


@dataclass(frozen=True)
class Told:
    """One way of telling a history: the contract it needs and the encoder."""

    contract: TableContract
    encode: Encoder


def history(plan: Sequence[tuple[int, bool, Any]], transactions: Sequence[int]) -> tuple[list[Step], dict[int, Row]]:
    """Make a history of a plan: of each change the key, whether it deletes, and a value for the row."""
    return moving_history([(key, None if deletes else key, value) for key, deletes, value in plan], transactions)


def moving_history(
    plan: Sequence[tuple[int, int | None, Any]], transactions: Sequence[int]
) -> tuple[list[Step], dict[int, Row]]:
    """Make a history of a plan: of each change the key, the key after it (None deletes), and a value for the row."""
    truth: dict[int, Row] = {}
    steps: list[Step] = []
    lengths = iter(transactions)
    left, number, order = next(lengths, 1), 1, 0
    for index, (key, moves_to, value) in enumerate(plan):
        before = truth.get(key)
        if moves_to is None and before is None:
            continue
        # Nothing moves to where something is.
        new = key if moves_to is not None and (before is None or moves_to in truth) else moves_to
        row = {"email_id": new, "email": value, "is_primary": index % 2 == 0, "version": index}
        after = None if new is None else row
        op = "delete" if after is None else "insert" if before is None else "update"
        left -= 1
        steps.append(Step(op, key, before, after, number, order, left <= 0))
        order += 1
        if left <= 0:
            left, number, order = next(lengths, 1), number + 1, 0
        truth.pop(key, None)
        if after is not None:
            truth[after["email_id"]] = after
    return steps, truth


def text(document: object) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode()


def at(step: Step) -> datetime:
    return START + timedelta(seconds=step.transaction)


def lsn(number: int) -> str:
    place = 0x2_FFFF_FF00 + number * 24
    return f"{place >> 32:X}/{place & 0xFFFF_FFFF:08X}"


# Datastream --------------------------------------------------------------------------------------------------------


def _datastream(step: Step, method: str, place: Mapping[str, object]) -> Iterator[Row]:
    """The events of a change; an update is told as two, the row before it and the row after it."""
    kinds = {"insert": [("INSERT", step.after)], "delete": [("DELETE", step.before)]}.get(
        step.op, [("UPDATE-DELETE", step.before), ("UPDATE-INSERT", step.after)]
    )
    for change_type, payload in kinds:
        yield {
            "uuid": f"{step.transaction}-{step.order}-{change_type}",
            "read_timestamp": at(step).isoformat(),
            "source_timestamp": at(step).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3],
            "object": "member_member_emails",
            "read_method": method,
            "stream_name": "projects/1/locations/europe-west1/streams/loyalty",
            "schema_key": "c0ffee",
            "sort_keys": [1, "x", 2],
            "source_metadata": {
                "table": "member_emails",
                "schema": "member",
                "is_deleted": change_type in ("DELETE", "UPDATE-DELETE"),
                "change_type": change_type,
                "primary_keys": ["email_id"],
                **place,
            },
            "payload": payload,
        }


def datastream_mysql(steps: Sequence[Step]) -> Iterator[Sent]:
    for number, step in enumerate(steps):
        # The file grows over, the position starts again.
        place = {"log_file": f"mysql-bin.{999_998 + number // 3}", "log_position": 100 + 900 * (number % 3)}
        for event in _datastream(step, "mysql-cdc-binlog", place):
            yield Sent(text(event))


def datastream_postgresql(steps: Sequence[Step]) -> Iterator[Sent]:
    for number, step in enumerate(steps):
        for event in _datastream(step, "postgres-cdc-wal", {"lsn": lsn(number), "tx_id": step.transaction}):
            yield Sent(text(event))


def datastream_sql_server(steps: Sequence[Step]) -> Iterator[Sent]:
    for number, step in enumerate(steps):
        place = {"lsn": f"0000000A:{0xFF8 + number:08X}:0005", "tx_id": "0000:1", "physical_location": [1, 2, 3]}
        for event in _datastream(step, "sqlserver-cdc", place):
            yield Sent(text(event))


def datastream_oracle(steps: Sequence[Step]) -> Iterator[Sent]:
    for step in steps:
        place = {
            "scn": 9_999_990 + step.transaction,
            "rs_id": f" 0x{step.transaction:06x}.0000a1c0.0010 ",
            "ssn": step.order,
            "row_id": "AAAEARAAEAAAAC9AAS",
            "tx_id": None,
            "log_file": "",
        }
        for event in _datastream(step, "oracle-cdc-logminer", place):
            yield Sent(text(event))


_AVRO_SCHEMA = fastavro.parse_schema(
    {
        "type": "record",
        "name": "event",
        "fields": [
            {"name": "stream_name", "type": "string"},
            {"name": "read_method", "type": "string"},
            {"name": "object", "type": "string"},
            {"name": "schema_key", "type": "string"},
            {"name": "uuid", "type": "string"},
            {"name": "read_timestamp", "type": {"type": "long", "logicalType": "timestamp-millis"}},
            {"name": "source_timestamp", "type": {"type": "long", "logicalType": "timestamp-millis"}},
            {"name": "sort_keys", "type": {"type": "array", "items": ["string", "long"]}},
            {
                "name": "source_metadata",
                "type": {
                    "type": "record",
                    "name": "source_metadata",
                    "fields": [
                        {"name": "table", "type": "string"},
                        {"name": "schema", "type": "string"},
                        {"name": "is_deleted", "type": "boolean"},
                        {"name": "change_type", "type": ["null", "string"]},
                        {"name": "lsn", "type": ["null", "string"]},
                        {"name": "primary_keys", "type": ["null", {"type": "array", "items": "string"}]},
                    ],
                },
            },
            {
                "name": "payload",
                "type": {
                    "type": "record",
                    "name": "payload",
                    "fields": [
                        {"name": "email_id", "type": "long"},
                        {"name": "email", "type": ["null", {"type": "string", "logicalType": "varchar", "length": 99}]},
                        {"name": "is_primary", "type": "boolean"},
                        {"name": "version", "type": "long"},
                    ],
                },
            },
        ],
    }
)


def container(schema: Any, records: Sequence[Mapping[str, object]]) -> bytes:
    """An Avro object container file."""
    file = io.BytesIO()
    fastavro.writer(file, schema, records, codec="deflate")
    return file.getvalue()


def datastream_avro(steps: Sequence[Step]) -> Iterator[Sent]:
    for number, step in enumerate(steps):
        for event in _datastream(step, "postgres-cdc-wal", {"lsn": lsn(number)}):
            yield Sent(container(_AVRO_SCHEMA, [event | {"read_timestamp": at(step), "source_timestamp": at(step)}]))


# Maxwell -----------------------------------------------------------------------------------------------------------


def maxwell(steps: Sequence[Step]) -> Iterator[Sent]:
    """The rows of a transaction share its position: they are rows of one statement."""
    yield Sent(text({"database": "member", "table": "member_emails", "type": "bootstrap-start", "ts": 1, "data": {}}))
    for step in steps:
        event: Row = {
            "database": "member",
            "table": "member_emails",
            "type": step.op,
            "ts": int(at(step).timestamp()),
            "xid": 10_000 - step.transaction,
        }
        event["commit" if step.is_last else "xoffset"] = True if step.is_last else step.order
        event["position"] = f"mysql-bin.{9 + step.transaction // 3:06d}:{4 + 990 * (step.transaction % 3)}"
        event["data"] = step.before if step.after is None else step.after
        if step.op == "update" and step.before and step.after:
            event["old"] = {name: value for name, value in step.before.items() if step.after[name] != value}
        yield Sent(text(event))


# DMS ---------------------------------------------------------------------------------------------------------------


def _dms(step: Step, written: datetime, details: Mapping[str, object]) -> Row:
    record: Row = {
        "data": step.before if step.after is None else step.after,
        "metadata": {
            "timestamp": written.isoformat().replace("+00:00", "Z"),
            "record-type": "data",
            "operation": step.op,
            "partition-key-type": "schema-table",
            "schema-name": "member",
            "table-name": "member_emails",
            "transaction-id": step.transaction,
            **details,
        },
    }
    if step.op == "update" and step.before:
        record["before-image"] = {name: step.before[name] for name in ("email_id", "email")}
    return record


def dms_with_transactions(steps: Sequence[Step]) -> Iterator[Sent]:
    control = {"record-type": "control", "operation": "create-table", "table-name": "member_emails"}
    yield Sent(text({"control": {"table-def": {}}, "metadata": control}))
    for step in steps:
        place = lsn(step.transaction)
        details = {
            "transaction-record-id": step.order + 1,
            "stream-position": f"{place}.3.{place}",
            "commit-timestamp": at(step).isoformat(),
        }
        # Written at one and the same instant: only the details can tell the order.
        yield Sent(text(_dms(step, START, details)))


def dms_by_time(steps: Sequence[Step]) -> Iterator[Sent]:
    for number, step in enumerate(steps):
        yield Sent(text(_dms(step, START + timedelta(microseconds=number), {})))


def dms_rows(steps: Sequence[Step]) -> Iterator[Sent]:
    for number, step in enumerate(steps):
        row = step.before if step.after is None else step.after
        sequence = f"{20260301120000000000000000000000000 + number}"
        yield Sent(
            text({"Op": step.op[0].upper(), "transact_id": sequence, "timestamp": "2026-03-01 12:00:00", **(row or {})})
        )


# Plain -------------------------------------------------------------------------------------------------------------


def plain_by_attribute(steps: Sequence[Step]) -> Iterator[Sent]:
    for step in steps:
        yield Sent(text(step.after or step.before), {"operation": step.op.upper()})


def plain_by_field(steps: Sequence[Step]) -> Iterator[Sent]:
    for step in steps:
        yield Sent(text({"_op": step.op[0]} | (step.after or step.before or {})))


def plain_upserts(steps: Sequence[Step]) -> Iterator[Sent]:
    for step in steps:
        if step.after is None:
            yield Sent(b"", {"kind": "deletion"}, json.dumps({"email_id": step.key}))
        else:
            yield Sent(text(step.after))


def plain_with_flag(steps: Sequence[Step]) -> Iterator[Sent]:
    for step in steps:
        yield Sent(text((step.after or step.before or {}) | {"_deleted": step.after is None}))


def plain_by_cursor(steps: Sequence[Step]) -> Iterator[Sent]:
    for number, step in enumerate(steps):
        changed = (START + timedelta(milliseconds=number)).isoformat()
        row = (step.after or step.before or {}) | {"updated_at": changed}
        yield Sent(text(row | ({"_deleted": True} if step.after is None else {})))


# Debezium, for what wraps and recognises -----------------------------------------------------------------------------


def debezium(steps: Sequence[Step]) -> Iterator[Sent]:
    for number, step in enumerate(steps):
        source = {"name": "loyalty", "connector": "postgresql", "schema": "member", "table": "member_emails"}
        event = {
            "before": step.before,
            "after": step.after,
            "source": source | {"lsn": 1_000 + number, "ts_us": int(at(step).timestamp()) * 1_000_000},
            "op": {"insert": "c", "update": "u", "delete": "d"}[step.op],
        }
        yield Sent(text(event if number % 2 else {"schema": {"type": "struct"}, "payload": event}))


def debezium_cloudevents(steps: Sequence[Step]) -> Iterator[Sent]:
    """As Debezium's own converter writes them, without a content type among the attributes."""
    for number, step in enumerate(steps):
        event = {
            "id": f"name:loyalty;lsn:{number}",
            "source": "/debezium/postgresql/loyalty",
            "specversion": "1.0",
            "type": "io.debezium.connector.postgresql.DataChangeEvent",
            "time": at(step).isoformat(),
            "datacontenttype": "application/json",
            "iodebeziumop": {"insert": "c", "update": "u", "delete": "d"}[step.op],
            "iodebeziumversion": "3.0.0.Final",
            "iodebeziumconnector": "postgresql",
            "iodebeziumname": "loyalty",
            "iodebeziumtsms": str(int(at(step).timestamp()) * 1_000),
            "iodebeziumschema": "member",
            "iodebeziumtable": "member_emails",
            "iodebeziumlsn": str(1_000 + step.transaction),
            "iodebeziumxmin": None,
            "iodebeziumtxtotalorder": str(step.order + 1),
            "data": {"before": step.before, "after": step.after},
        }
        if number % 2:
            event["data"] = {"schema": {"type": "struct"}, "payload": event["data"]}
        yield Sent(text(event))


# CloudEvents around any of them ------------------------------------------------------------------------------------


def _context(number: int) -> dict[str, str]:
    return {"specversion": "1.0", "id": f"e-{number % 2}", "source": "/members", "type": "org.example.changed"}


def structured(encode: Encoder) -> Encoder:
    def wrapped(steps: Sequence[Step]) -> Iterator[Sent]:
        for number, sent in enumerate(encode(steps)):
            event: Row = {**_context(number), "datacontenttype": "application/json"}
            if number % 2:
                event["data_base64"] = base64.b64encode(sent.data).decode()
            elif sent.data:
                event["data"] = json.loads(sent.data)
            attributes = {**sent.attributes, "content-type": "application/cloudevents+json; charset=utf-8"}
            yield dataclasses.replace(sent, data=text(event), attributes=attributes)

    return wrapped


def binary(encode: Encoder) -> Encoder:
    def wrapped(steps: Sequence[Step]) -> Iterator[Sent]:
        for number, sent in enumerate(encode(steps)):
            context = {f"ce-{name}": value for name, value in _context(number).items()}
            yield dataclasses.replace(sent, attributes={**sent.attributes, **context})

    return wrapped


def ways(contract: TableContract) -> dict[str, Told]:
    """Every way of telling a history of `member_emails`, by name."""
    change = dataclasses.replace

    def in_format(wire_format: str, **fields: Any) -> TableContract:
        return change(contract, wire_format=wire_format, **fields)

    incremental = {"pattern": "incremental", "cursor": "updated_at"}
    plain = {
        "datastream mysql": Told(in_format("datastream"), datastream_mysql),
        "datastream postgresql": Told(in_format("datastream"), datastream_postgresql),
        "datastream sql server": Told(in_format("datastream"), datastream_sql_server),
        "datastream oracle": Told(in_format("datastream"), datastream_oracle),
        "maxwell": Told(in_format("maxwell"), maxwell),
        "dms with transactions": Told(in_format("dms"), dms_with_transactions),
        "dms by time": Told(in_format("dms"), dms_by_time),
        "dms rows": Told(in_format("dms"), dms_rows),
        "plain by attribute": Told(in_format("plain"), plain_by_attribute),
        "plain by field": Told(in_format("plain"), plain_by_field),
        "plain upserts": Told(in_format("plain", pattern="upsert"), plain_upserts),
        "plain with flag": Told(in_format("plain", pattern="upsert"), plain_with_flag),
        "plain by cursor": Told(in_format("plain", **incremental), plain_by_cursor),
        "debezium": Told(in_format("debezium"), debezium),
        "debezium cloudevents": Told(in_format("debezium"), debezium_cloudevents),
    }
    wrapped = {
        f"{name} {wrap.__name__}": Told(told.contract, wrap(told.encode))
        for name, told in plain.items()
        if told.encode is not debezium_cloudevents
        for wrap in (structured, binary)
    }
    avro = Told(in_format("datastream", encoding="avro"), datastream_avro)
    recognised = {
        f"auto {name}": Told(change(told.contract, wire_format="auto"), told.encode)
        for name, told in (plain | wrapped).items()
    }
    return {
        **plain,
        **wrapped,
        **recognised,
        "datastream avro": avro,
        "datastream avro binary": Told(avro.contract, binary(avro.encode)),
    }
