"""Holding every landed payload against its contract, whatever the dialect."""

from core.contracts import TableContract
from core.errors import DecodeError
from ingest.decode import Decoder
from ingest.decode.payload import fingerprint, read_row
from ingest.decode.shapes import UNREADABLE, Shapes
from ingest.drift.watch import DriftWatch
from ingest.message import Message
from ingest.row import RawRow


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
    shapes = Shapes(contract, with_keys=False)

    def decode_checked(message: Message) -> RawRow | None:
        row = decode(message)
        if row is not None and row.payload is not None and row.op != "DELETE":
            refusal = _examine(row, row.payload, shapes, watch)
            if refusal is not None:
                raise refusal
        return row

    return decode_checked


def _examine(row: RawRow, payload: bytes, shapes: Shapes, watch: DriftWatch) -> DecodeError | None:
    try:
        shape, _ = shapes.read(payload)
    except (*UNREADABLE, LookupError):
        pass
    else:
        if shape.is_declared or watch.is_settled(row.op, shape.fingerprint):
            return None
    fields = read_row(payload)
    return watch.examine(row.op, row.event_id, fields, fingerprint(fields))
