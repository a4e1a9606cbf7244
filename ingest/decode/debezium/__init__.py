"""Debezium's change events, from whichever connector and in whichever form they were written.

`event` decodes the change event of the JSON converter; `envelope` holds its structs, `positions` what makes a
connector's place in its log into text, `control` what is no row, and `tombstones` the null after a delete.
"""

from ingest.decode.debezium.event import decoder

__all__ = ["decoder"]
