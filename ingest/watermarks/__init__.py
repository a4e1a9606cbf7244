"""Watermarks: how far each table has come in event time."""

from ingest.watermarks.table import WATERMARK_TYPE, WATERMARKS

__all__ = ["WATERMARKS", "WATERMARK_TYPE"]
