"""What the Storage Write API answers, read as errors that say whether to try again.

Codes are those of https://cloud.google.com/bigquery/docs/write-api#error_handling.
"""

from collections.abc import Mapping
from typing import Any, Final

import grpc
from google.cloud.bigquery_storage_v1 import types as storage_types

from core.errors import ConfigurationError, MillraceError
from ingest.rpc import status_error, translate

_STORAGE_ERROR: Final[Any] = storage_types.StorageError.pb()
_Code = storage_types.StorageError.StorageErrorCode
_LOST: Final = frozenset(
    {_Code.STREAM_NOT_FOUND, _Code.STREAM_FINALIZED, _Code.INVALID_STREAM_STATE, _Code.STREAM_ALREADY_COMMITTED}
)
_LOST_CODES: Final = frozenset({grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION})
_CODES: Final[Mapping[int, grpc.StatusCode]] = {code.value[0]: code for code in grpc.StatusCode}


class RefusedError(MillraceError):
    """BigQuery refuses rows of a request, and has therefore taken none of it.

    Attributes:
        rows: the refused rows' places in the request with BigQuery's words; empty when it did not say which.
    """

    def __init__(self, message: str, rows: Mapping[int, str]) -> None:
        super().__init__(message)
        self.rows = rows


class AlreadyThereError(MillraceError):
    """Rows stand at this offset already: an earlier attempt was taken, only its answer was lost."""


class OffsetError(MillraceError):
    """The offset is past the end of the stream: a request before this one was not taken."""


class StreamLostError(MillraceError):
    """The write stream is gone, or takes no more rows: a new one is needed."""

    retryable = True


def answer_error(response: Any, stream: str, *, own: bool = False) -> MillraceError | None:
    """Read an answer.

    Args:
        response: an `AppendRowsResponse`.
        stream: full name of the write stream.
        own: whether it is a stream of one's own, which may be lost; the default stream cannot be.

    Returns:
        What went wrong; None when the rows are safe.
    """
    what = f"append to {stream}"
    if response.row_errors:
        refused = {row.index: row.message for row in response.row_errors}
        return RefusedError(f"{what}: {response.error.message}", refused)
    if not response.HasField("error"):
        return None
    code = _CODES.get(response.error.code, grpc.StatusCode.UNKNOWN)
    for detail in response.error.details:
        if detail.type_url.endswith("google.cloud.bigquery.storage.v1.StorageError"):
            storage_error = _STORAGE_ERROR.FromString(detail.value)
            if storage_error.code == _Code.SCHEMA_MISMATCH_EXTRA_FIELDS:
                return ConfigurationError(f"{what}: {response.error.message}; bring the table's columns up to date")
            if storage_error.code in _LOST:
                return StreamLostError(f"{what}: {response.error.message}")
    return _coded(code, response.error.message, what, own=own) or status_error(code, response.error.message, what)


def stream_error(error: grpc.aio.AioRpcError, stream: str, *, own: bool = False) -> MillraceError:
    """Read the status with which a connection ended.

    Args:
        error: the failed call.
        stream: full name of the write stream.
        own: whether it is a stream of one's own, which may be lost; the default stream cannot be.

    Returns:
        What went wrong.
    """
    what = f"append to {stream}"
    return _coded(error.code(), error.details() or "", what, own=own) or translate(error, what)


def _coded(code: grpc.StatusCode, words: str, what: str, *, own: bool) -> MillraceError | None:
    if code is grpc.StatusCode.INVALID_ARGUMENT:
        return RefusedError(f"{what}: {words}", {})
    if code is grpc.StatusCode.ALREADY_EXISTS:
        return AlreadyThereError(f"{what}: {words}")
    if code is grpc.StatusCode.OUT_OF_RANGE:
        return OffsetError(f"{what}: {words}")
    if own and code in _LOST_CODES:
        return StreamLostError(f"{what}: {words}")
    return None
