"""Working out what happened to a row, where its message does not say: INSERT, UPDATE, DELETE or no change."""

from ingest.detect.detector import CDCDetector
from ingest.detect.dumps import DumpEnds, DumpMarker, dump_marker
from ingest.detect.inlet import Inlet, open_inlet
from ingest.detect.outcome import Downstream, Outcomes, inferred_message
from ingest.detect.sets import KnownSets
from ingest.detect.stage import ChangeDetection
from ingest.detect.warehouse import RawTables

__all__ = [
    "CDCDetector",
    "ChangeDetection",
    "Downstream",
    "DumpEnds",
    "DumpMarker",
    "Inlet",
    "KnownSets",
    "Outcomes",
    "RawTables",
    "dump_marker",
    "inferred_message",
    "open_inlet",
]
