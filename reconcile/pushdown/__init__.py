"""Counts, aggregates and checksums computed by the warehouse itself, so that only the rows that differ are read."""
