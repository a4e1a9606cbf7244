"""Notifications that a row changed, which carry no row: its present state is fetched from the API."""

from collections.abc import Callable, Mapping
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
    """A message that says which row to fetch.

    Attributes:
        message: the message.
        contract: the row's table.
        key: the canonical key.
        key_values: the key columns as the message gave them.
        version: the row's version when it changed; an older answer is stale.
    """

    message: Message
    contract: TableContract
    key: bytes
    key_values: Mapping[str, object]
    version: int

    @property
    def identity(self) -> tuple[str, bytes]:
        """What tells its row from all others: table and canonical key."""
        return self.contract.name, self.key


class _Body(msgspec.Struct, gc=False):
    table: str
    key: dict[str, object]
    version: Version


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
    tables: dict[str, tuple[TableContract, KeyEncoder]] = {
        contract.name: (contract, key_encoder(contract))
        for contract in contracts.values()
        if contract.notification_topic == topic and contract.api_path is not None
    }

    def decode(message: Message) -> Notification:
        body = _read(message.data)
        known = tables.get(body.table)
        if known is None:
            raise DecodeError("wrong_table", f"table {body.table!r} has no notifications on topic {topic!r}")
        contract, encode_key = known
        return Notification(message, contract, encode_key(body.key), body.key, body.version)

    return decode


def _read(data: bytes) -> _Body:
    try:
        return _decoder.decode(data)
    except msgspec.ValidationError as error:
        raise DecodeError("invalid_notification", f"not a notification: {error}") from error
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        raise explain(error, data) from error
