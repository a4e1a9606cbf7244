"""The engine's functions for JSON: its own would read a number as a double and so lose digits."""

from functools import partial
from typing import get_args

import duckdb
import pyarrow as pa

from reconcile.read.convert import canonical_documents
from reconcile.rules import JsonNumbers, canonical_function


def register(connection: duckdb.DuckDBPyConnection) -> None:
    """Give a connection the functions that spell JSON canonically.

    Args:
        connection: the connection.
    """
    for numbers in get_args(JsonNumbers):
        connection.create_function(
            canonical_function(numbers), partial(_spelled, numbers), ["varchar"], "varchar", type="arrow"
        )


def _spelled(numbers: JsonNumbers, texts: pa.ChunkedArray) -> pa.Array:
    return canonical_documents(
        pa.concat_arrays(texts.chunks) if texts.num_chunks else pa.array([], pa.string()), numbers
    )
