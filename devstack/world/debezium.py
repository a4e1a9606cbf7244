"""Changes as Debezium's PostgreSQL connector tells of them: pure functions from a change to bytes.

The shape is that of "Change event values" in the Debezium 3 documentation of the PostgreSQL connector, as
Debezium Server's Pub/Sub sink sends it: one topic a table, the record key as ordering key.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import msgspec

from core.clock import to_micros
from core.contracts import Column, TableContract
from devstack.world.changes import Change, Key, Row
from devstack.world.connect_schema import envelope_schema
from devstack.world.postgres_types import UNAVAILABLE, WireType, wire_type

TRUNCATE_ORDERING_KEY: Final = "default"
"""What the Pub/Sub sink puts for a record without key: its setting `null.key`."""

_MICROS_PER_MILLI: Final = 1_000
_NANOS_PER_MICRO: Final = 1_000
_json: Final = msgspec.json.Encoder()


@dataclass(frozen=True)
class Connector:
    """The connector's settings as far as they show in its messages.

    Attributes:
        version: Debezium's version.
        database: name of the captured database.
        zoneless_columns: columns of the type `timestamp without time zone`; they travel as microseconds,
            all other timestamps are `timestamptz` and travel as text.
        transaction_metadata: whether events carry the `transaction` block
            (`provide.transaction.metadata`).
        default_identity: tables with REPLICA IDENTITY DEFAULT, whose events hold no row before but its key;
            all others are FULL.
        lag_ms: how long after the commit the connector saw the change, in milliseconds.
    """

    version: str = "3.6.3.Final"
    database: str = "loyalty"
    zoneless_columns: frozenset[str] = frozenset({"created_at", "updated_at"})
    transaction_metadata: bool = True
    default_identity: frozenset[str] = frozenset()
    lag_ms: int = 180


DEFAULT_CONNECTOR: Final = Connector()


@dataclass(frozen=True)
class SourceTable:
    """The names a topic is made of: `<logical name>.<schema>.<table>`.

    Attributes:
        system: the connector's logical name (`topic.prefix`).
        schema: the table's schema at the source.
        table: the table's name at the source.
    """

    system: str
    schema: str
    table: str


def source_table(contract: TableContract) -> SourceTable:
    """Read the source's names off a contract's topic.

    Args:
        contract: the table.

    Returns:
        The three names; schema and system are the contract's source where the topic has fewer parts.
    """
    match contract.topic.rsplit(".", 2):
        case [system, schema, table]:
            return SourceTable(system, schema, table)
        case _:
            return SourceTable(contract.source, contract.source, contract.name)


@dataclass
class DebeziumEncoder:
    """Encodes the changes of one table.

    Attributes:
        contract: the table.
        connector: the connector's settings.
    """

    contract: TableContract
    connector: Connector = DEFAULT_CONNECTOR
    _columns: tuple[tuple[Column, WireType], ...] = field(init=False, repr=False)
    _source: SourceTable = field(init=False, repr=False)
    _schema: bytes | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        zoneless = self.connector.zoneless_columns
        self._columns = tuple((column, wire_type(column, column.name in zoneless)) for column in self.contract.columns)
        self._source = source_table(self.contract)

    def value(self, change: Change, *, with_schema: bool = False, unavailable: frozenset[str] = frozenset()) -> bytes:
        """Return the record's value.

        Args:
            change: a change of this encoder's table.
            with_schema: whether to wrap it in `{"schema", "payload"}`.
            unavailable: columns whose value in `after` gives way to Debezium's marker.

        Returns:
            JSON in UTF-8.
        """
        after = None if change.after is None else self.image(change.after)
        if after is not None:
            after |= dict.fromkeys(unavailable, UNAVAILABLE)
        payload = _json.encode(self._envelope(change, self._before(change), after))
        return b"".join((b'{"schema":', self.schema(), b',"payload":', payload, b"}")) if with_schema else payload

    def key(self, key: Key) -> str:
        """Return the record's key, which is the message's ordering key.

        Args:
            key: a primary key of this table; an empty one stands for a record without key.

        Returns:
            JSON text.
        """
        if not key:
            return TRUNCATE_ORDERING_KEY
        names = (column.name for column in self.contract.key)
        return _json.encode(dict(zip(names, key, strict=True))).decode()

    def image(self, row: Row) -> dict[str, Any]:
        """Return a row as `before` and `after` hold it.

        Args:
            row: a row with every column of the contract.

        Returns:
            What JSON can hold, by column name.
        """
        return {
            column.name: None if (value := row[column.name]) is None else wire.write(value)
            for column, wire in self._columns
        }

    def schema(self) -> bytes:
        """Return the Kafka Connect schema of the record's value, as JSON."""
        if self._schema is None:
            source = self._source
            prefix = f"{source.system}.{source.schema}.{source.table}"
            row = [wire.schema(column) for column, wire in self._columns]
            self._schema = _json.encode(envelope_schema(prefix, row))
        return self._schema

    def _before(self, change: Change) -> dict[str, Any] | None:
        if change.before is None:
            return None
        if change.table not in self.connector.default_identity:
            return self.image(change.before)
        if change.op != "d":
            return None
        before: dict[str, Any] = {}
        for column, wire in self._columns:
            if column.is_key:
                before[column.name] = wire.write(change.before[column.name])
            else:
                before[column.name] = None if column.is_nullable else wire.default
        return before

    def _envelope(self, change: Change, before: dict[str, Any] | None, after: dict[str, Any] | None) -> dict[str, Any]:
        committed_us = to_micros(change.event_time)
        seen_us = committed_us + self.connector.lag_ms * _MICROS_PER_MILLI
        return {
            "before": before,
            "after": after,
            "source": self._source_block(change, committed_us),
            "transaction": self._transaction_block(change),
            "op": change.op,
            "ts_ms": seen_us // _MICROS_PER_MILLI,
            "ts_us": seen_us,
            "ts_ns": seen_us * _NANOS_PER_MICRO,
        }

    def _source_block(self, change: Change, committed_us: int) -> dict[str, Any]:
        source = self._source
        return {
            "version": self.connector.version,
            "connector": "postgresql",
            "name": source.system,
            "ts_ms": committed_us // _MICROS_PER_MILLI,
            "snapshot": change.snapshot,
            "db": self.connector.database,
            # The LSN of the last commit, and that of this event.
            "sequence": f'["{change.position - change.sequence}","{change.position}"]',
            "ts_us": committed_us,
            "ts_ns": committed_us * _NANOS_PER_MICRO,
            "schema": source.schema,
            "table": source.table,
            "txId": change.transaction_id,
            "lsn": change.position,
            "xmin": None,
        }

    def _transaction_block(self, change: Change) -> dict[str, Any] | None:
        if not self.connector.transaction_metadata or change.sequence == 0:
            return None
        return {
            # Only what stands before the colon is the transaction's: the LSN differs from event to event.
            "id": f"{change.transaction_id}:{change.position}",
            "total_order": change.sequence,
            "data_collection_order": change.table_sequence,
        }


def encode(
    contract: TableContract,
    change: Change,
    connector: Connector = DEFAULT_CONNECTOR,
    *,
    with_schema: bool = False,
    unavailable: frozenset[str] = frozenset(),
) -> bytes:
    """Encode one change; for many of one table, keep a `DebeziumEncoder`.

    Args:
        contract: the change's table.
        change: the change.
        connector: the connector's settings.
        with_schema: whether to wrap the value in `{"schema", "payload"}`.
        unavailable: columns whose value in `after` gives way to Debezium's marker.

    Returns:
        The record's value: JSON in UTF-8.
    """
    return DebeziumEncoder(contract, connector).value(change, with_schema=with_schema, unavailable=unavailable)


def encode_key(contract: TableContract, key: Key) -> str:
    """Return a record's key, which is the message's ordering key.

    Args:
        contract: the table.
        key: a primary key; an empty one stands for a record without key, as of a truncate.

    Returns:
        JSON text.
    """
    return DebeziumEncoder(contract).key(key)


def heartbeat(at: datetime) -> bytes:
    """Return the value of a heartbeat message.

    Args:
        at: when the heart beat.

    Returns:
        JSON in UTF-8.
    """
    return _json.encode({"ts_ms": to_micros(at) // _MICROS_PER_MILLI})


def transaction_begin(changes: Sequence[Change]) -> bytes:
    """Return the message that opens a transaction.

    Args:
        changes: the transaction's changes, in order; at least one.

    Returns:
        JSON in UTF-8.
    """
    first = changes[0]
    return _boundary("BEGIN", first, first.position, None, None)


def transaction_end(changes: Sequence[Change], collections: Mapping[str, str]) -> bytes:
    """Return the message that closes a transaction.

    Args:
        changes: the transaction's changes, in order; at least one.
        collections: the source's `schema.table` by table name.

    Returns:
        JSON in UTF-8.
    """
    counts: dict[str, int] = {}
    for change in changes:
        name = collections[change.table]
        counts[name] = counts.get(name, 0) + 1
    counted = [{"data_collection": name, "event_count": count} for name, count in counts.items()]
    return _boundary("END", changes[-1], changes[-1].position + 1, len(changes), counted)


def _boundary(
    status: str, change: Change, position: int, count: int | None, collections: list[dict[str, Any]] | None
) -> bytes:
    return _json.encode(
        {
            "status": status,
            "id": f"{change.transaction_id}:{position}",
            "event_count": count,
            "data_collections": collections,
            "ts_ms": to_micros(change.event_time) // _MICROS_PER_MILLI,
        }
    )
