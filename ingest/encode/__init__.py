"""From raw rows to the bytes that are appended: one module per wire format, and the registry of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from ingest.encode.arrow import encode_arrow
from ingest.encode.batch import EncodedRows, ProtoRows
from ingest.encode.proto import encode_proto
from ingest.row import RawRow

__all__ = ["ENCODERS", "EncodedRows", "Encoder", "ProtoRows"]

Encoder = Callable[[Sequence[RawRow], int], EncodedRows]
"""Takes rows and the instant of their append, in microseconds since 1970 UTC."""

ENCODERS: Final[Mapping[str, Encoder]] = {"proto": encode_proto, "arrow": encode_arrow}
"""By the value of `MILLRACE_INGEST_ENCODER`."""
