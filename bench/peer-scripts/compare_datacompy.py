# mypy: ignore-errors
# It runs where this project is not installed, and names what is not installed here.
"""Runs in datacompy's own environment: `compare_datacompy.py FOLDER` compares FOLDER/w with FOLDER/s by `id`."""

import json
import sys
import time

import datacompy
import polars as pl


def main():
    """Compare, and print what it took as JSON."""
    folder = sys.argv[1]
    wall_s, cpu_s = time.monotonic(), time.process_time()
    warehouse, snapshot = (pl.read_parquet(f"{folder}/{side}/*.parquet") for side in ("w", "s"))
    found = datacompy.PolarsCompare(warehouse, snapshot, join_columns=["id"])
    result = {
        "extra": len(found.df1_unq_rows),
        "missing": len(found.df2_unq_rows),
        "changed": len(found.all_mismatch()),
    }
    result |= {"cpu_s": time.process_time() - cpu_s, "wall_s": time.monotonic() - wall_s}
    print(json.dumps(result))


main()
