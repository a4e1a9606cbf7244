"""Notifications that a row, or a set of rows, changed; they carry no row: its present state is fetched from the API."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Annotated

import msgspec
from msgspec import Meta

from core.contracts import Contracts, TableContract
from core.errors import DecodeError
from ingest.decode.payload import explain
from ingest.keys import INT64_MAX, KeyEncoder, key_encoder
from ingest.message import Message

Version = Annotated[int, Meta(ge=0, le=INT64_MAX)]
"""A row's version at the API, in the same order domain as the database's log position."""


class Notification(msgspec.Struct, frozen=True):
    """A message that says which row to fetch, or which set of rows.

    Attributes:
        message: the message.
        contract: the row's table.
        key: the canonical key of the row, or canonical JSON of what the rows of the set share.
        key_values: the same columns as the message gave them.
        version: the row's version when it changed; an older answer is stale.
        is_set: whether it speaks of a set.
    """

    message: Message
    contract: TableContract
    key: bytes
    key_values: Mapping[str, object]
    version: int
    is_set: bool = False

    @property
    def identity(self) -> tuple[str, bytes]:
        """What tells its row or set from all others: table, and canonical JSON of columns that differ for the two."""
        return self.contract.name, self.key


class _Body(msgspec.Struct, gc=False):
    table: str
    version: Version
    key: dict[str, object] | None = None
    set: dict[str, object] | None = None


_decoder = msgspec.json.Decoder(_Body)


def decoder(contracts: Contracts, topic: str) -> Callable[[Message], Notification]:
    """Return the decoder of a notification topic.

    Args:
        contracts: all tables.
        topic: the notification topic; only tables whose contract names it are accepted.

    Returns:
        A function from a message to its notification. It raises `DecodeError` with a reason code for what
        cannot be understood.

    Raises:
        ContractError: when a table's key cannot be made canonical.
    """
    tables = {contract.name: contract for contract in contracts.values() if contract.notification_topic == topic}
    rows = {name: row_key_encoder(contract) for name, contract in tables.items() if contract.api_path is not None}
    sets = {name: set_key_encoder(contract) for name, contract in tables.items() if contract.api_set_path is not None}

    def decode(message: Message) -> Notification:
        body = _read(message.data)
        values = body.key if body.set is None else body.set
        if values is None or (body.key is not None and body.set is not None):
            raise DecodeError("invalid_notification", "not a notification: it must hold either `key` or `set`")
        is_set = body.set is not None
        encode = (sets if is_set else rows).get(body.table)
        if encode is None:
            what = "of sets " if is_set else ""
            raise DecodeError("wrong_table", f"table {body.table!r} has no notifications {what}on topic {topic!r}")
        return Notification(message, tables[body.table], encode(values), values, body.version, is_set)

    return decode


@lru_cache(maxsize=256)
def row_key_encoder(contract: TableContract) -> KeyEncoder:
    """Return `key_encoder(contract)`, made once.

    Args:
        contract: the table.

    Returns:
        A function from column values to canonical JSON.
    """
    return key_encoder(contract)


@lru_cache(maxsize=256)
def set_key_encoder(contract: TableContract) -> KeyEncoder:
    """Return what makes the canonical text of what all rows of a set share.

    Args:
        contract: the table; it must have an `api_set_path`.

    Returns:
        A function from column values to canonical JSON, as `key_encoder` writes it.
    """
    shared = tuple(replace(column, is_key=True) for column in contract.set_columns)
    return key_encoder(replace(contract, columns=shared))


def _read(data: bytes) -> _Body:
    try:
        return _decoder.decode(data)
    except msgspec.ValidationError as error:
        raise DecodeError("invalid_notification", f"not a notification: {error}") from error
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        raise explain(error, data) from error
