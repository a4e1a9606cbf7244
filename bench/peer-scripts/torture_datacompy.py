# mypy: ignore-errors
# It runs where this project is not installed, and names what is not installed here.
"""Runs in datacompy's own environment: `torture_datacompy.py FOLDER` judges every pair of tables in FOLDER, as JSON.

A pair is a folder with `w.parquet` and `s.parquet`, whose rows have the key `id`.
"""

import json
import sys
from pathlib import Path

import datacompy
import polars as pl


def judged(pair):
    """Return how a pair is judged: equal, different, or failed."""
    try:
        sides = [pl.read_parquet(pair / f"{side}.parquet") for side in ("w", "s")]
        found = datacompy.PolarsCompare(*sides, join_columns=["id"])
        return "equal" if found.matches() else "different"
    except BaseException as error:  # noqa: BLE001 - a panic of its engine is none of Exception's kind
        return f"failed: {type(error).__name__}"


print(json.dumps({pair.name: judged(pair) for pair in sorted(Path(sys.argv[1]).iterdir()) if pair.is_dir()}))
