"""The pairs of values that tools get wrong, judged by the sums that PostgreSQL makes itself, and by those of files."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import adbc_driver_postgresql.dbapi as postgresql
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from postgres_server import execute, running_server

from bench.torture_pairs import PAIRS
from core.contracts import DataType
from core.settings import Settings
from reconcile import ReconcileConfig, run
from reconcile.comparing import Progress
from reconcile.read.text import ARROW

READ_FROM_TEXT: Final[dict[DataType, tuple[str, str]]] = {
    "string": ("text", "{}"),
    "bytes": ("bytea", "decode({}, 'hex')"),
    "numeric": ("numeric(38, 9)", "{}::numeric(38, 9)"),
    "int64": ("bigint", "{}::bigint"),
    "bool": ("boolean", "{}::boolean"),
    "date": ("date", "{}::date"),
    "time": ("time", "{}::time"),
    "timestamp": ("timestamptz", "{}::timestamptz"),
    "datetime": ("timestamp", "{}::timestamp"),
    "array<string>": ("text[]", "case when {0} <> '' then array(select json_array_elements_text({0}::json)) end"),
    "array<int64>": (
        "bigint[]",
        "case when {0} <> '' then array(select json_array_elements_text({0}::json))::bigint[] end",
    ),
}
"""Types that PostgreSQL sums up itself: as it calls them, and how it reads them from a text."""
JUDGED: Final = [
    (kind, left, right, is_equal)
    for kind in READ_FROM_TEXT
    for left, right, is_equal in PAIRS[kind]
    # PostgreSQL holds no text with a NUL.
    if "\0" not in str(left)
]
ROWS: Final = 3 * len(JUDGED)
"""With rows of nulls, so many that those of pairs are too few to have all rows read."""
DIFFERENT: Final = {str(number) for number, (*_, is_equal) in enumerate(JUDGED) if not is_equal}


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.hex()
    return json.dumps(value) if isinstance(value, list) else str(value)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A database with a table of each side: a row a pair, its value in the column of its type."""
    names = {kind: f"v{number}" for number, kind in enumerate(READ_FROM_TEXT)}
    columns = ", ".join(f"{names[kind]} {held}" for kind, (held, _) in READ_FROM_TEXT.items())
    with running_server() as uri:
        for side, table in enumerate(("one", "other")):
            execute(uri, f"create table {table} (id bigint, {columns})")
            execute(uri, f"insert into {table} (id) select generate_series({len(JUDGED)}, {ROWS - 1})")
            with postgresql.connect(uri, autocommit=True) as connection, connection.cursor() as cursor:
                for number, (kind, *values) in enumerate(JUDGED):
                    read = READ_FROM_TEXT[kind][1].format("$1::text")
                    statement = f"insert into {table} (id, {names[kind]}) select {number}, {read}"
                    cursor.execute(statement, (_text(values[side]),))
        yield uri


def _judged(warehouse: Any, snapshot: Any) -> tuple[set[str | None], Counter[str], str]:
    comparison = {"name": "pairs", "key": ["id"], "warehouse": warehouse, "snapshot": snapshot}
    document = {"version": 1, "limits": {"sample": 1_000}, "comparisons": [comparison]}
    read: Counter[str] = Counter()

    def on_progress(told: Progress) -> None:
        read[told.phase] += told.rows

    config = ReconcileConfig.model_validate(document)
    [found] = run(config, Settings(), audit=False, mode="checksum", on_progress=on_progress).comparisons
    assert found.evidence is not None, found.reason
    assert {difference.kind for difference in found.sample} == {"changed"}
    return {difference.key[0].value for difference in found.sample}, read, found.evidence.words


def test_sums_of_the_database_and_of_files_tell_exactly_the_pairs_that_differ(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_URI", server)
    one, other = (
        {"type": "postgresql", "connection": "SHOP_URI", "table": f"public.{name}"} for name in ("one", "other")
    )
    changed, read, words = _judged(one, other)
    assert changed == DIFFERENT
    # Each key is a bucket: no pair was read but those that differ, so that the sums alone judged them.
    assert read["warehouse"] == read["snapshot"] == len(DIFFERENT)
    assert words.startswith("the warehouse and the snapshot summed up their sides themselves")
    nulls = [None] * (ROWS - len(JUDGED))
    values = [
        pa.array([right if of == kind else None for of, _, right, _ in JUDGED] + nulls, ARROW[kind])
        for kind in READ_FROM_TEXT
    ]
    names = ["id", *(f"v{number}" for number, _ in enumerate(READ_FROM_TEXT))]
    table = pa.Table.from_arrays([pa.array(range(ROWS), pa.int64()), *values], names)
    pq.write_table(table, tmp_path / "a.parquet")
    changed, read, words = _judged(one, {"type": "files", "uri": tmp_path.as_uri()})
    assert changed == DIFFERENT
    assert read["warehouse"] == len(DIFFERENT)
    assert words.startswith("the warehouse summed up its side itself")
