"""Watermarks: how far each table has come in event time."""

from ingest.watermarks.table import WATERMARK_TYPE, WATERMARKS
from ingest.watermarks.tracker import Pending, TableWatermark, Watermarks

__all__ = ["WATERMARKS", "WATERMARK_TYPE", "Pending", "TableWatermark", "Watermarks"]
