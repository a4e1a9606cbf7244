# mypy: ignore-errors
# It runs where this project is not installed, and names what is not installed here.
"""Runs in the Data Validation Tool's own environment: `torture_dvt.py FOLDER` judges every pair of tables, as JSON.

A pair is a folder with `w.parquet` and `s.parquet`, whose rows have the key `id`. The tool reads databases and no
Parquet, so both sides become tables of a PostgreSQL that runs for as long; they are compared as
`data-validation validate row --hash '*' --primary-keys id` compares them.
"""

import contextlib
import io
import json
import logging
import os
import sys
import tempfile
import warnings
from pathlib import Path

import pgserver
import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq

TYPES = {
    pa.int64(): "bigint",
    pa.float64(): "double precision",
    pa.bool_(): "boolean",
    pa.string(): "text",
    pa.binary(): "bytea",
    pa.date32(): "date",
    pa.time64("us"): "time",
    pa.timestamp("us"): "timestamp",
    pa.timestamp("us", "UTC"): "timestamptz",
    pa.decimal128(38, 9): "numeric(38, 9)",
    pa.decimal256(76, 38): "numeric(76, 38)",
}


def sql_type(kind):
    """Return PostgreSQL's type of a column of Parquet."""
    return f"{sql_type(kind.value_type)}[]" if pa.types.is_list(kind) else TYPES[kind]


def load(connection, pair):
    """Make a pair's tables."""
    with connection, connection.cursor() as cursor:
        for side in ("w", "s"):
            table = pq.read_table(pair / f"{side}.parquet")
            columns = ", ".join(f"{field.name} {sql_type(field.type)}" for field in table.schema)
            cursor.execute(f"drop table if exists {side}; create table {side} ({columns})")
            for row in table.to_pylist():
                marks = ", ".join("%s" for _ in row)
                cursor.execute(f"insert into {side} values ({marks})", list(row.values()))  # noqa: S608


def judged(connection, tool, pair):
    """Return how a pair is judged: equal, different, or failed."""
    try:
        load(connection, pair)
        return "equal" if tool() else "different"
    except BaseException as error:  # noqa: BLE001 - whatever it ends by, it gave no answer
        return f"failed: {type(error).__name__}"


def validation():
    """Return what validates the tables of a pair: true when every row passes."""
    from data_validation import __main__ as commands
    from data_validation import cli_tools
    from data_validation.data_validation import DataValidation

    words = "validate row -sc pg -tc pg -tbls public.w=public.s --primary-keys id --hash *"

    def validate():
        arguments = cli_tools.configure_arg_parser().parse_args(words.split())
        found = []
        for manager in commands.build_config_managers_from_args(arguments):
            with DataValidation(manager.config) as validator:
                found.append(validator.execute())
        return all((result["validation_status"] == "success").all() for result in found)

    return validate


def main():
    """Judge, and print what was found as JSON."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(prefix="mr-dvt-") as home, pgserver.get_server(f"{home}/data") as server:
        os.environ["PSO_DV_CONN_HOME"] = home
        uri = server.get_uri()
        host = uri.partition("host=")[2]
        connection = {
            "source_type": "Postgres",
            "host": host,
            "port": 5432,
            "user": "postgres",
            "password": "none",
            "database": "postgres",
        }
        (Path(home) / "pg.connection.json").write_text(json.dumps(connection), encoding="utf-8")
        database = psycopg2.connect(uri)
        tool = validation()
        pairs = [pair for pair in sorted(Path(sys.argv[1]).iterdir()) if pair.is_dir()]
        with contextlib.redirect_stdout(io.StringIO()):
            found = {pair.name: judged(database, tool, pair) for pair in pairs}
        database.close()
    print(json.dumps(found))


main()
