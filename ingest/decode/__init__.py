"""From a message's bytes to a raw row, one module per dialect of the wire.

A dialect is a function from a table's contract to a decoder; `DIALECTS` is the whole registry, keyed by the
contract's `wire_format`.
"""

from collections.abc import Callable, Mapping
from typing import Final

from core.contracts import TableContract
from ingest.decode import debezium
from ingest.message import Message
from ingest.row import RawRow

Decoder = Callable[[Message], RawRow | None]
"""Returns None for a control message; raises `DecodeError` for one that cannot be understood."""

Dialect = Callable[[TableContract, str], Decoder]
"""Takes a table's contract and the load id of the run."""

DIALECTS: Final[Mapping[str, Dialect]] = {
    "debezium": debezium.decoder,
}
