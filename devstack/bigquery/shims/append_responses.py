"""The answers of AppendRows, in the words and codes of the real service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc
from bqemulator.grpc_api.write_servicer import _table_meta_to_proto_schema
from google.cloud.bigquery_storage_v1 import types
from google.protobuf import any_pb2
from google.rpc import status_pb2

from devstack.bigquery.shims.row_conversion import BadRow

_MOST_ROW_ERRORS = 1_000


def failed(stream: str, code: grpc.StatusCode, message: str, details: Sequence[any_pb2.Any] = ()) -> bytes:
    """Refuse a request without ending the connection.

    Args:
        stream: name of the stream.
        code: gRPC status.
        message: what is wrong.
        details: structured errors.

    Returns:
        A serialized `AppendRowsResponse`.
    """
    status = status_pb2.Status(code=code.value[0], message=message, details=details)
    return _serialized(types.AppendRowsResponse(write_stream=stream, error=status))


def too_large(stream: str, size: int, limit: int) -> bytes:
    """Refuse a request that is over the limit.

    Args:
        stream: name of the stream, empty when there is none yet.
        size: of the request, in bytes.
        limit: in bytes.

    Returns:
        A serialized `AppendRowsResponse`.
    """
    message = f"AppendRowsRequest is {size} bytes, over the limit of {limit}: split it into smaller batches"
    return failed(stream, grpc.StatusCode.RESOURCE_EXHAUSTED, message)


def unknown_fields(stream: str, names: Sequence[str]) -> bytes:
    """Refuse a writer schema that has more fields than the table.

    Args:
        stream: name of the stream.
        names: the extra fields.

    Returns:
        A serialized `AppendRowsResponse` with a `StorageError` in its details.
    """
    message = f"Input schema has more fields than BigQuery schema, extra fields: '{','.join(names)}'"
    error = types.StorageError(
        code=types.StorageError.StorageErrorCode.SCHEMA_MISMATCH_EXTRA_FIELDS, entity=stream, error_message=message
    )
    detail = any_pb2.Any()
    detail.Pack(types.StorageError.pb(error))
    return failed(stream, grpc.StatusCode.INVALID_ARGUMENT, f"{message} Entity: {stream}", [detail])


def bad_rows(stream: str, rows: Sequence[BadRow]) -> bytes:
    """Refuse a request because of some of its rows.

    Args:
        stream: name of the stream.
        rows: the bad ones.

    Returns:
        A serialized `AppendRowsResponse` with a row error for each, of the first thousand.
    """
    response = types.AppendRowsResponse(
        write_stream=stream,
        error=status_pb2.Status(
            code=grpc.StatusCode.INVALID_ARGUMENT.value[0],
            message="Errors found while processing rows. Please refer to the row_errors field for details. "
            f"The list may not be complete because of the size limitations. Entity: {stream}",
        ),
        row_errors=[
            types.RowError(index=row.index, code=types.RowError.RowErrorCode.FIELDS_ERROR, message=row.message)
            for row in rows[:_MOST_ROW_ERRORS]
        ],
    )
    return _serialized(response)


def with_schema(response: bytes, entry: Any) -> bytes:
    """Tell the writer that the table has grown.

    Args:
        response: a serialized `AppendRowsResponse`.
        entry: catalogue entry of the table.

    Returns:
        The same response, with `updated_schema`.
    """
    message = types.AppendRowsResponse.deserialize(response)
    message.updated_schema = _table_meta_to_proto_schema(entry)
    return _serialized(message)


def _serialized(response: types.AppendRowsResponse) -> bytes:
    return bytes(types.AppendRowsResponse.serialize(response))
