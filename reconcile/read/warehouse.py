"""The warehouse's rows, through the BigQuery Storage Read API: Arrow, stream by stream, as of one instant.

See https://cloud.google.com/bigquery/docs/reference/storage. Columns and filter are pushed down, so what
is not compared is not read.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

import pyarrow as pa
from google.api_core.exceptions import Forbidden, GoogleAPICallError, InvalidArgument, NotFound, RetryError
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1 import BigQueryReadClient
from google.cloud.bigquery_storage_v1.types import ArrowSerializationOptions, DataFormat, ReadRowsResponse, ReadSession

from core.contracts import DataType
from core.errors import UnreadableError
from reconcile.read.budget import BudgetedReader, MessageBudget
from reconcile.read.text import ARROW

_TYPES: Final[dict[str, DataType]] = {
    "INTEGER": "int64",
    "INT64": "int64",
    "NUMERIC": "numeric",
    "BIGNUMERIC": "bignumeric",
    "FLOAT": "float64",
    "FLOAT64": "float64",
    "BOOLEAN": "bool",
    "BOOL": "bool",
    "STRING": "string",
    "BYTES": "bytes",
    "DATE": "date",
    "DATETIME": "datetime",
    "TIME": "time",
    "TIMESTAMP": "timestamp",
    "JSON": "json",
}
_ARRAYS: Final[dict[str, DataType]] = {
    "STRING": "array<string>",
    "INTEGER": "array<int64>",
    "INT64": "array<int64>",
}


@dataclass(frozen=True)
class WarehouseTable:
    """A table of the warehouse.

    Attributes:
        project: Google Cloud project.
        dataset: BigQuery dataset.
        table: BigQuery table.
    """

    project: str
    dataset: str
    table: str

    def __str__(self) -> str:
        return f"{self.project}.{self.dataset}.{self.table}"

    @property
    def resource(self) -> str:
        """The name the Storage API knows it by."""
        return f"projects/{self.project}/datasets/{self.dataset}/tables/{self.table}"


@dataclass(frozen=True)
class Session:
    """A read session: the streams that together hold the rows asked for.

    Attributes:
        name: name of the session.
        schema: Arrow schema of every stream.
        streams: names of the streams; none when no row is there.
        snapshot_time: instant the rows are read as of (UTC); None where the service cannot pin one.
    """

    name: str
    schema: pa.Schema
    streams: tuple[str, ...]
    snapshot_time: datetime | None


def table_schema(client: bigquery.Client, table: WarehouseTable) -> dict[str, DataType | None]:
    """Return the columns of a table.

    Args:
        client: where to ask.
        table: the table.

    Returns:
        The type of each column, in order; None for one that cannot be compared, such as a RECORD.

    Raises:
        UnreadableError: when the table is not there, or not ours to see.
    """
    with _told(table):
        fields = client.get_table(str(table)).schema
    return {field.name: _data_type(field) for field in fields}


def table_arrow_schema(client: bigquery.Client, table: WarehouseTable) -> pa.Schema:
    """Return the Arrow schema of a table's rows, as the Storage Read API hands them over, nested columns included.

    Args:
        client: where to ask.
        table: the table.

    Raises:
        UnreadableError: when the table is not there, or not ours to see.
    """
    with _told(table):
        fields = client.get_table(str(table)).schema
    return pa.schema([_arrow_field(field) for field in fields])


def _arrow_field(field: bigquery.SchemaField) -> pa.Field:
    known = _TYPES.get(field.field_type.upper())
    # What is no type of ours (a range, an interval) is handed over as text, or refused when its rows come.
    kind = pa.struct([_arrow_field(inner) for inner in field.fields]) if field.fields else ARROW[known or "string"]
    return pa.field(field.name, pa.list_(kind) if field.mode == "REPEATED" else kind)


def open_session(
    client: BigQueryReadClient,
    table: WarehouseTable,
    columns: tuple[str, ...],
    restriction: str,
    *,
    snapshot_time: datetime | None,
    streams: int,
) -> Session:
    """Open a read session.

    Args:
        client: where to ask.
        table: the table.
        columns: columns to read.
        restriction: GoogleSQL filter; empty for all rows.
        snapshot_time: instant to read as of; None for now, where the service cannot pin one.
        streams: most streams wanted.

    Returns:
        The session.

    Raises:
        UnreadableError: when the table cannot be read, with what to do about it.
    """
    compression = ArrowSerializationOptions(buffer_compression=ArrowSerializationOptions.CompressionCodec.LZ4_FRAME)
    wanted = ReadSession(
        table=table.resource,
        data_format=DataFormat.ARROW,
        read_options=ReadSession.TableReadOptions(
            selected_fields=list(columns), row_restriction=restriction, arrow_serialization_options=compression
        ),
    )
    if snapshot_time is not None:
        wanted.table_modifiers = ReadSession.TableModifiers(snapshot_time=snapshot_time)
    with _told(table):
        session = client.create_read_session(
            parent=f"projects/{table.project}", read_session=wanted, max_stream_count=streams
        )
        return Session(
            name=session.name,
            schema=pa.ipc.read_schema(pa.py_buffer(session.arrow_schema.serialized_schema)),
            streams=tuple(stream.name for stream in session.streams),
            snapshot_time=snapshot_time,
        )


def read_stream(
    client: BigQueryReadClient, table: WarehouseTable, session: Session, stream: str, *, budget: MessageBudget
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of one stream; a lost connection is taken up again where it broke.

    Args:
        client: where to ask.
        table: the table, for messages.
        session: the session of the stream.
        stream: name of the stream.
        budget: what messages may take; none is asked for before there is room for it. A message counts until the next
            batch is asked for, or the reading is given up.

    Yields:
        Batches of the session's schema.

    Raises:
        UnreadableError: when the stream breaks for good, or a batch is not what was announced.
    """
    with _told(table), budget.reader() as room:
        room.await_room()
        # The call fetches the first message already. A message of many MiB is let go of before the next one is awaited:
        # a loop's variable would hold on to it.
        batches = map(partial(_batch, table, session.schema, room), client.read_rows(stream))
        while (batch := next(batches, None)) is not None:
            yield batch
            del batch
            room.await_room()


def _batch(
    table: WarehouseTable, schema: pa.Schema, room: BudgetedReader, response: ReadRowsResponse
) -> pa.RecordBatch:
    batch = pa.ipc.read_record_batch(pa.py_buffer(response.arrow_record_batch.serialized_record_batch), schema)
    if batch.num_rows != response.row_count:
        raise UnreadableError(f"{table}: a batch of {response.row_count} rows arrived with {batch.num_rows}; run again")
    room.came(len(response.arrow_record_batch.serialized_record_batch), batch.nbytes)
    return batch


def _data_type(field: bigquery.SchemaField) -> DataType | None:
    known = _ARRAYS if field.mode == "REPEATED" else _TYPES
    return known.get(field.field_type.upper())


@contextmanager
def _told(table: WarehouseTable) -> Iterator[None]:
    """Turn the client's errors into ours, with what to do about them."""
    try:
        yield
    except NotFound as error:
        raise UnreadableError(f"{table}: is not there; build it, or name another as `warehouse`") from error
    except Forbidden as error:
        raise UnreadableError(
            f"{table}: access denied; the account needs bigquery.readSessionUser and bigquery.dataViewer: {error}"
        ) from error
    except InvalidArgument as error:
        raise UnreadableError(
            f"{table}: the Storage Read API refuses it (a view cannot be read, and a filter must be valid): {error}"
        ) from error
    except (GoogleAPICallError, RetryError, GoogleAuthError, ConnectionError) as error:
        raise UnreadableError(f"{table}: BigQuery cannot be read: {error}") from error
    except pa.ArrowException as error:
        raise UnreadableError(f"{table}: a batch is not valid Arrow: {error}") from error
