"""What the Storage Write API is given: rows in one of its wire formats."""

from collections.abc import Sequence
from typing import Any, Protocol

from ingest.proto import RowType


class EncodedRows(Protocol):
    """Rows of one table, encoded, in order."""

    def __len__(self) -> int:
        """Return how many rows they are."""

    @property
    def size(self) -> int:
        """Their bytes in a request, or a little more."""

    def row_sizes(self) -> Sequence[int]:
        """Return the bytes of each row, or a little more; together they are no less than `size`."""

    def take(self, places: Sequence[int]) -> "EncodedRows":
        """Return some of the rows.

        Args:
            places: which ones, in ascending order.
        """

    def fill(self, request: Any) -> None:
        """Put the rows into a request.

        Args:
            request: an `AppendRowsRequest`.
        """

    def describe(self, request: Any) -> None:
        """Put the description of the rows into a request, which the first of a connection must have.

        Args:
            request: an `AppendRowsRequest`.
        """


class ProtoRows:
    """Rows as protocol buffers."""

    # A repeated field costs a tag and a length of up to four bytes a row.
    _OVERHEAD = 8

    def __init__(self, rows: Sequence[bytes], row_type: RowType) -> None:
        """Wrap serialised rows.

        Args:
            rows: a serialised message each.
            row_type: their type.
        """
        self._rows = rows
        self._row_type = row_type
        self.size = sum(map(len, rows)) + self._OVERHEAD * len(rows)

    def __len__(self) -> int:
        """See `EncodedRows.__len__`."""
        return len(self._rows)

    def row_sizes(self) -> Sequence[int]:
        """See `EncodedRows.row_sizes`."""
        return [len(row) + self._OVERHEAD for row in self._rows]

    def take(self, places: Sequence[int]) -> "ProtoRows":
        """See `EncodedRows.take`."""
        return ProtoRows([self._rows[place] for place in places], self._row_type)

    def fill(self, request: Any) -> None:
        """See `EncodedRows.fill`."""
        request.proto_rows.rows.serialized_rows.extend(self._rows)

    def describe(self, request: Any) -> None:
        """See `EncodedRows.describe`."""
        request.proto_rows.writer_schema.proto_descriptor.CopyFrom(self._row_type.descriptor)
