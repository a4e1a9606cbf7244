"""Debezium's change events, from whichever connector and in whichever form they were written.

| module | knows |
| --- | --- |
| `event` | the change event as connectors write it |
| `flat` | the same, flattened to its row |
| `envelope` | its structs |
| `body` | the schema wrapper |
| `positions` | each connector's place in its log, as text |
| `images`, `values`, `markers` | row images, and the values that are rewritten |
| `mongodb`, `bson_values` | documents, and their values |
| `control` | what shares the stream and is no change |
| `record_keys` | the key of a record, for what holds nothing else |
"""

from ingest.decode.debezium.event import decoder
from ingest.decode.debezium.flat import decoder as flat_decoder

__all__ = ["decoder", "flat_decoder"]
