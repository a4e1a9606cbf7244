"""Appends rows the way the Storage Write API does.

The emulator's own handler decodes too slowly (see `proto_columns`), wants the stream's name on every request,
drops unknown fields and missing required ones in silence, ends the whole connection on a value that does not
fit, and never tells a writer that the table has grown. This one answers as the real service does: the first
request names the stream; extra fields are a schema mismatch; bad rows come back as row errors, with no row of
the request appended; and `updated_schema` appears once after a column was added.

Source: google.cloud.bigquery.storage.v1, `AppendRows`.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

import duckdb
import grpc
import pyarrow as pa
from bqemulator.domain.events import TableDataChanged
from bqemulator.grpc_api.write_servicer import BigQueryWriteHandler
from bqemulator.streaming.arrow_deserializer import deserialize_arrow_rows
from bqemulator.streaming.proto_deserializer import ProtoRowDecoder, proto_rows_to_arrow_table
from google.cloud.bigquery_storage_v1 import types

from devstack.bigquery.shims import append_responses as responses
from devstack.bigquery.shims.proto_columns import ColumnDecoder, MalformedRowError, UnsupportedRowsError
from devstack.bigquery.shims.row_conversion import BadRow, BadRowsError, arrow_schema, to_table
from devstack.bigquery.shims.tables import TableName

_ATTEMPTS = 20
_PAUSE_S = 0.01
_REQUEST = types.AppendRowsRequest.pb()


class UnknownFieldsError(Exception):
    """The writer schema has fields that the table has not.

    Attributes:
        names: those fields.
    """

    def __init__(self, names: list[str]) -> None:
        super().__init__(", ".join(names))
        self.names = names


class Connection:
    """What one AppendRows call remembers from request to request."""

    def __init__(self, stream: Any, entry: Any) -> None:
        self.stream = stream
        self.entry = entry
        self.schema = arrow_schema(entry)
        self._columns: ColumnDecoder | None = None
        self._rows: ProtoRowDecoder | None = None
        self._arrow_schema = b""

    def follow(self, entry: Any) -> Any:
        """Take note of the table as it is now.

        Args:
            entry: its catalogue entry.

        Returns:
            The entry when columns were added since the last request, otherwise None.
        """
        grown = {field.name for field in entry.schema_.fields} - {field.name for field in self.entry.schema_.fields}
        if entry.schema_ != self.entry.schema_:
            self.schema = arrow_schema(entry)
        self.entry = entry
        return entry if grown else None

    def read(self, request: Any) -> pa.Table:
        """Decode the rows of a request.

        Args:
            request: a raw `AppendRowsRequest`.

        Returns:
            The rows as the table holds them; none for a request without rows.

        Raises:
            UnknownFieldsError: when the writer schema does not fit the table.
            BadRowsError: when rows do not.
            ValueError: when the request itself makes no sense.
        """
        if request.HasField("proto_rows"):
            return self._read_proto(request.proto_rows)
        if request.HasField("arrow_rows"):
            return self._read_arrow(request.arrow_rows)
        return self.schema.empty_table()

    def _read_proto(self, data: Any) -> pa.Table:
        if data.HasField("writer_schema"):
            descriptor = data.writer_schema.proto_descriptor
            self._check_names([field.name for field in descriptor.field])
            try:
                self._columns, self._rows = ColumnDecoder(descriptor), None
            except UnsupportedRowsError:
                self._columns, self._rows = None, ProtoRowDecoder(descriptor)
        rows = data.rows.serialized_rows
        if self._rows is not None:
            return proto_rows_to_arrow_table(self._rows, list(rows), self.schema)
        if self._columns is None:
            raise ValueError("the first request of a connection must carry a writer schema")
        try:
            columns = self._columns.decode(rows)
        except MalformedRowError as error:
            raise BadRowsError([BadRow(error.index, str(error))]) from error
        return to_table({name.lower(): array for name, array in columns.items()}, len(rows), self.schema)

    def _read_arrow(self, data: Any) -> pa.Table:
        if data.HasField("writer_schema"):
            self._arrow_schema = data.writer_schema.serialized_schema
        if not self._arrow_schema:
            raise ValueError("the first request of a connection must carry a writer schema")
        sent = deserialize_arrow_rows(self._arrow_schema, data.rows.serialized_record_batch)
        self._check_names(sent.column_names)
        columns = {name.lower(): sent.column(name).combine_chunks() for name in sent.column_names}
        return to_table(columns, sent.num_rows, self.schema)

    def _check_names(self, names: list[str]) -> None:
        known = {field.name.lower() for field in self.entry.schema_.fields}
        unknown = [name for name in names if name.lower() not in known]
        if unknown:
            raise UnknownFieldsError(unknown)


def handle_append_rows(handler: Any, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
    """Serve one AppendRows call.

    Args:
        handler: the emulator's handler of the Storage Write API.
        requests: serialized `AppendRowsRequest` messages.
        context: of the call.

    Yields:
        One serialized `AppendRowsResponse` for each request.
    """
    connection: Connection | None = None
    largest = handler._ctx.settings.write_api_max_request_bytes  # noqa: SLF001
    for payload in requests:
        if len(payload) > largest:
            yield responses.too_large(connection.stream.name if connection else "", len(payload), largest)
            continue
        request = _REQUEST.FromString(payload)
        if connection is None or request.write_stream not in {"", connection.stream.name}:
            connection = _connect(handler, request.write_stream, context)
            if connection is None:
                return
        yield _answer(handler, connection, request)


def _connect(handler: Any, name: str, context: grpc.ServicerContext) -> Connection | None:
    stream = handler._resolve_append_stream(name, context)  # noqa: SLF001
    if stream is None:
        return None
    entry = _entry(handler, stream)
    if entry is None:
        context.set_code(grpc.StatusCode.NOT_FOUND)
        context.set_details(f"Requested entity was not found. Entity: {name}")
        return None
    return Connection(stream, entry)


def _entry(handler: Any, stream: Any) -> Any:
    return handler._ctx.catalog.get_table(  # noqa: SLF001
        stream.project_id, stream.dataset_id, stream.table_id
    )


def _answer(handler: Any, connection: Connection, request: Any) -> bytes:
    stream = connection.stream
    entry = _entry(handler, stream)
    if entry is None:
        return responses.failed(stream.name, grpc.StatusCode.NOT_FOUND, f"Table was deleted. Entity: {stream.name}")
    grown = connection.follow(entry)
    try:
        rows = connection.read(request)
    except UnknownFieldsError as error:
        return responses.unknown_fields(stream.name, error.names)
    except BadRowsError as error:
        return responses.bad_rows(stream.name, error.rows)
    except ValueError as error:
        return responses.failed(stream.name, grpc.StatusCode.INVALID_ARGUMENT, str(error))
    offset = request.offset.value if request.HasField("offset") else None
    limit = handler._ctx.settings.write_api_max_stream_rows  # noqa: SLF001
    response: bytes = handler._perform_append(stream, rows, offset, limit)  # noqa: SLF001
    return responses.with_schema(response, grown) if grown else response


def flush_to_target(handler: Any, stream: Any, rows: pa.Table) -> None:
    """Write rows into the table, columns matched by name.

    Args:
        handler: the emulator's handler of the Storage Write API.
        stream: the stream they came on.
        rows: in the table's own types.
    """
    context = handler._ctx  # noqa: SLF001
    name = TableName(stream.project_id, stream.dataset_id, stream.table_id)
    columns = ", ".join(f'"{column}"' for column in rows.column_names)
    view = f"appended_{uuid.uuid4().hex}"
    cursor = context.engine.connection
    cursor.register(view, rows)
    try:
        _execute(cursor, f"insert into {name.storage} ({columns}) select {columns} from {view}")  # noqa: S608
    finally:
        cursor.unregister(view)
    context.events.publish(TableDataChanged(stream.project_id, stream.dataset_id, stream.table_id))


def _execute(cursor: Any, sql: str) -> None:
    # A statement that alters the same table at the same moment makes DuckDB refuse one of the two.
    for attempt in range(_ATTEMPTS):
        try:
            cursor.execute(sql)
        except duckdb.TransactionException:
            if attempt == _ATTEMPTS - 1:
                raise
            time.sleep(_PAUSE_S)
        else:
            return


def apply() -> None:
    """Replace the handler's two steps: reading requests, and writing rows."""
    BigQueryWriteHandler._handle_append_rows = handle_append_rows  # noqa: SLF001
    BigQueryWriteHandler._flush_to_target = flush_to_target  # noqa: SLF001
