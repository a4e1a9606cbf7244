"""Holding every landed payload against its contract, whatever the dialect."""

from collections.abc import Callable

from core.contracts import TableContract
from core.errors import DecodeError
from ingest.decode import Decoder
from ingest.decode.payload import fingerprint, read_row
from ingest.decode.shapes import UNREADABLE, Shapes
from ingest.drift.watch import DriftWatch
from ingest.message import Message
from ingest.row import RawRow

RowCheck = Callable[[RawRow], None]
"""Raises `DecodeError` for a row that is not to be landed."""


def checked(contract: TableContract, decode: Decoder, watch: DriftWatch) -> Decoder:
    """Return a decoder that also holds payloads against the contract.

    Args:
        contract: the table.
        decode: the dialect's decoder.
        watch: told of what does not fit.

    Returns:
        A decoder; in `strict` mode it raises `DecodeError` with the reason `schema_drift` for rows that do not fit.
    """
    if contract.drift == "ignore":
        return decode
    check = row_check(contract, watch)

    def decode_checked(message: Message) -> RawRow | None:
        row = decode(message)
        if row is not None:
            check(row)
        return row

    return decode_checked


def row_check(contract: TableContract, watch: DriftWatch) -> RowCheck:
    """Return what holds rows against the contract; an image is parsed once, by the parser of its shape.

    Args:
        contract: the table.
        watch: told of what does not fit.

    Returns:
        The check; in `strict` mode it raises `DecodeError` with the reason `schema_drift`, in `ignore` mode nothing.
    """
    shapes = Shapes(contract, with_keys=False)

    def check(row: RawRow) -> None:
        payload = row.payload
        if payload is None or row.op == "DELETE":
            return
        try:
            shape, _ = shapes.read(payload)
        except (*UNREADABLE, LookupError):
            pass
        else:
            if shape.is_declared or watch.is_settled(row.op, shape.fingerprint):
                return
        fields = read_row(payload)
        refusal: DecodeError | None = watch.examine(row.op, row.event_id, fields, fingerprint(fields))
        if refusal is not None:
            raise refusal

    return check
