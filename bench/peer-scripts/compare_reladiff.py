# mypy: ignore-errors
# It runs where this project is not installed, and names what is not installed here.
"""Runs in reladiff's own environment: `compare_reladiff.py FOLDER` compares FOLDER/w with FOLDER/s by `id`.

Each side is a table in a DuckDB file of its own, as reladiff wants it; making the files is not charged to it.
"""

import json
import sys
import time
from pathlib import Path

import duckdb
from reladiff import connect_to_table, diff_tables


def main():
    """Compare, and print what it took as JSON."""
    folder = Path(sys.argv[1])
    for side in ("w", "s"):
        file = folder / f"{side}.duckdb"
        if not file.exists():
            with duckdb.connect(str(file)) as connection:
                connection.execute(f"create table {side} as select * from '{folder}/{side}/*.parquet' order by id")  # noqa: S608
    columns = sys.argv[2].split(",")
    wall_s, cpu_s = time.monotonic(), time.process_time()
    sides = [
        connect_to_table(f"duckdb://main:@{folder}/{side}.duckdb", side, "id", extra_columns=tuple(columns))
        for side in ("w", "s")
    ]
    keys = {"-": set(), "+": set()}
    for sign, row in diff_tables(*sides):
        keys[sign].add(row[0])
    both = keys["-"] & keys["+"]
    result = {"extra": len(keys["-"] - both), "missing": len(keys["+"] - both), "changed": len(both)}
    result |= {"cpu_s": time.process_time() - cpu_s, "wall_s": time.monotonic() - wall_s}
    print(json.dumps(result))


main()
