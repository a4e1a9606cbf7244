"""Rows on their way from a file: JSON texts, gathered into batches of bounded size."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any, Final

import msgspec

RowBatch = list[tuple[int, bytes]]
"""Rows with their numbers in the file, from 1; the numbers have gaps where lines are empty."""

_ROWS: Final = 1_000
_BYTES: Final = 1_000_000


def batched(rows: Iterable[tuple[int, bytes]]) -> Iterator[RowBatch]:
    """Gather rows into batches.

    Args:
        rows: numbers and texts.

    Yields:
        At most 1,000 rows, and no more once a megabyte is reached.
    """
    batch: RowBatch = []
    size = 0
    for row in rows:
        batch.append(row)
        size += len(row[1])
        if len(batch) >= _ROWS or size >= _BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def json_text(row: Any) -> bytes:
    """Return a row of Python values as JSON, in the form of the API's rows.

    Decimals and timestamps are texts that keep every digit, and bytes are base64.

    Args:
        row: a mapping of values.
    """
    return _encoder.encode(row)


def without_non_finite(value: Any) -> Any:
    """Return a value with NaN and infinities as the texts GoogleSQL knows them by.

    Args:
        value: a value of a row, or what it is made of.
    """
    if isinstance(value, float):
        return value if _LEAST < value < _MOST else _NAMES.get(value, "NaN")
    if isinstance(value, dict):
        return {key: without_non_finite(one) for key, one in value.items()}
    if isinstance(value, list):
        return [without_non_finite(one) for one in value]
    return value


def _other(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value.total_seconds()
    return str(value)


_MOST: Final = float("inf")
_LEAST: Final = -_MOST
_NAMES: Final = {_MOST: "Infinity", _LEAST: "-Infinity"}
_encoder = msgspec.json.Encoder(enc_hook=_other, decimal_format="string")
