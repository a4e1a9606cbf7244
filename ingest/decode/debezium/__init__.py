"""Debezium's change events, from whichever connector and in whichever form they were written.

| module | knows |
| --- | --- |
| `event` | the change event as connectors write it |
| `envelope` | its structs |
| `body`, `connect` | the schema wrapper, and Kafka Connect's schemas |
| `positions` | each connector's place in its log, as text |
| `images`, `values`, `markers` | row images, and the values that are rewritten |
| `control` | what shares the stream and is no change |
| `record_keys` | the key of a record, for what holds nothing else |
"""

from ingest.decode.debezium.event import decoder

__all__ = ["decoder"]
