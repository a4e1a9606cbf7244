"""From a message's bytes to a raw row, one module per dialect of the wire.

A dialect is a function from a table's contract to a decoder; `DIALECTS` is the whole registry, keyed by the
contract's `wire_format`. Every one of them also takes its messages as CloudEvents.
"""

from collections.abc import Callable, Mapping
from typing import Final

from core.contracts import TableContract
from ingest.decode import cloudevents, datastream, debezium, dms, maxwell, plain, recognise
from ingest.message import Message
from ingest.row import RawRow

Decoder = Callable[[Message], RawRow | None]
"""Returns None for a control message; raises `DecodeError` for one that cannot be understood."""

Dialect = Callable[[TableContract, str], Decoder]
"""Takes a table's contract and the load id of the run."""


def _accepting_cloudevents(dialect: Dialect) -> Dialect:
    def decoder(contract: TableContract, load_id: str) -> Decoder:
        return cloudevents.accepting(dialect(contract, load_id))

    return decoder


_CHANGES: Final[Mapping[str, Dialect]] = {
    "debezium": debezium.decoder,
    "debezium_flat": debezium.flat_decoder,
    "datastream": datastream.decoder,
    "maxwell": maxwell.decoder,
    "dms": dms.decoder,
    "plain": plain.decoder,
}

DIALECTS: Final[Mapping[str, Dialect]] = {
    wire_format: _accepting_cloudevents(dialect)
    for wire_format, dialect in {**_CHANGES, "auto": recognise.dialect(_CHANGES)}.items()
}
