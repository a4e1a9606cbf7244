"""Appending rows through the Storage Write API (https://cloud.google.com/bigquery/docs/write-api).

`default` and `committed` are the two kinds of stream, `writer` appends whole batches to either, and `answers` reads
what BigQuery says.
"""

from ingest.append.answers import RefusedError
from ingest.append.committed import CommittedStream
from ingest.append.default import DefaultStream
from ingest.append.writer import MAX_ROW_BYTES, AppendStream, BatchWriter, TableWriter, WriteStream

__all__ = [
    "MAX_ROW_BYTES",
    "AppendStream",
    "BatchWriter",
    "CommittedStream",
    "DefaultStream",
    "RefusedError",
    "TableWriter",
    "WriteStream",
]
