"""Raw rows as an Arrow record batch, column by column.

The Storage Write API takes record batches in the IPC format; see
https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc and, for the types,
https://cloud.google.com/bigquery/docs/write-api#arrow-format.
"""

from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import astuple

from core.raw_row import RAW_COLUMNS
from ingest.encode.batch import EncodedRows
from ingest.row import RawRow

_TYPES: Final = {
    "STRING": pa.string(),
    "BOOL": pa.bool_(),
    "INT64": pa.int64(),
    "TIMESTAMP": pa.timestamp("us", tz="UTC"),
}
RAW_SCHEMA: Final = pa.schema([pa.field(column.name, _TYPES[column.data_type]) for column in RAW_COLUMNS])
_SERIALISED_SCHEMA: Final[bytes] = RAW_SCHEMA.serialize().to_pybytes()
_TEXTS: Final = tuple(column.name for column in RAW_COLUMNS if column.data_type == "STRING")
_UTF_8: Final = frozenset({"payload", "before", "_key"})
"""The texts that a row holds as bytes."""

_ATTRIBUTES: Final = RawRow.__struct_fields__
_SCALARS: Final = len(RAW_COLUMNS) * 16
"""Bytes of a row beside its texts, offsets and validity included."""


class ArrowRows:
    """Rows as a record batch: `ingest.encode.batch.EncodedRows`."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        """Wrap a record batch.

        Args:
            batch: rows of `RAW_SCHEMA`.
        """
        self._batch = batch
        self.size = batch.get_total_buffer_size() + _SCALARS * batch.num_rows

    def __len__(self) -> int:
        """See `EncodedRows.__len__`."""
        return int(self._batch.num_rows)

    def row_sizes(self) -> Sequence[int]:
        """See `EncodedRows.row_sizes`."""
        sizes = [_SCALARS + 2 * len(_TEXTS)] * len(self)
        for name in _TEXTS:
            lengths = pc.fill_null(pc.binary_length(self._batch.column(name)), 0).to_pylist()
            sizes = [size + length for size, length in zip(sizes, lengths, strict=True)]
        return sizes

    def take(self, places: Sequence[int]) -> "EncodedRows":
        """See `EncodedRows.take`."""
        return ArrowRows(self._batch.take(pa.array(places, pa.int64())))

    def fill(self, request: Any) -> None:
        """See `EncodedRows.fill`."""
        request.arrow_rows.rows.serialized_record_batch = self._batch.serialize().to_pybytes()

    def describe(self, request: Any) -> None:
        """See `EncodedRows.describe`."""
        request.arrow_rows.writer_schema.serialized_schema = _SERIALISED_SCHEMA


def encode_arrow(rows: Sequence[RawRow], ingestion_ts: int) -> ArrowRows:
    """Encode rows; what a reader finds is what `ingest.row.encode_rows` would have written.

    Args:
        rows: what to append, one at least; their texts are valid UTF-8.
        ingestion_ts: the instant of the append, in microseconds since 1970 UTC.

    Returns:
        The rows.
    """
    columns = dict(zip(_ATTRIBUTES, zip(*map(astuple, rows), strict=True), strict=True))
    columns["ingestion_ts"] = (ingestion_ts,) * len(rows)
    arrays = [_array(columns[field.name.lstrip("_")], field) for field in RAW_SCHEMA]
    return ArrowRows(pa.RecordBatch.from_arrays(arrays, schema=RAW_SCHEMA))


def _array(values: tuple[Any, ...], field: pa.Field) -> pa.Array:
    first, count = values[0], len(values)
    # A column of which all values are one and the same, as most are, need not be converted value by value.
    if values[-1] == first and values.count(first) == count:
        return pa.nulls(count, field.type) if first is None else pa.repeat(pa.scalar(first, field.type), count)
    if field.name in _UTF_8:
        # As text they would be validated once more.
        return pa.array(values, pa.binary()).view(field.type)
    return pa.array(values, field.type)
