# mypy: ignore-errors
# It runs where this project is not installed, and names what is not installed here.
"""Runs in the own environment of reladiff or data-diff: `torture_differ.py FOLDER PACKAGE ALGORITHM`.

Judges every pair of tables in FOLDER, as JSON. A pair is a folder with `w.parquet` and `s.parquet`, whose rows have the
key `id`; each side becomes a table in a DuckDB file of its own, as these tools want it.
"""

import importlib
import json
import logging
import sys
from pathlib import Path

import duckdb


def judged(package, algorithm, pair):
    """Return how a pair is judged: equal, different, or failed."""
    try:
        columns = []
        for side in ("w", "s"):
            with duckdb.connect(str(pair / f"{side}.duckdb")) as connection:
                connection.execute("set timezone = 'UTC'")
                connection.execute(f"create table {side} as select * from '{pair}/{side}.parquet'")  # noqa: S608
                described = connection.execute(f"describe {side}").fetchall()
                columns = [name for name, *_ in described if name != "id"]
        sides = [
            package.connect_to_table(
                f"duckdb://main:@{pair}/{side}.duckdb", side, "id", extra_columns=tuple(columns), thread_count=1
            )
            for side in ("w", "s")
        ]
        return "different" if list(package.diff_tables(*sides, algorithm=algorithm)) else "equal"
    except BaseException as error:  # noqa: BLE001 - whatever it ends by, it gave no answer
        return f"failed: {type(error).__name__}"


def main():
    """Judge, and print what was found as JSON."""
    logging.disable(logging.CRITICAL)
    package = importlib.import_module(sys.argv[2])
    algorithm = package.Algorithm(sys.argv[3])
    pairs = [pair for pair in sorted(Path(sys.argv[1]).iterdir()) if pair.is_dir()]
    print(json.dumps({pair.name: judged(package, algorithm, pair) for pair in pairs}))


main()
