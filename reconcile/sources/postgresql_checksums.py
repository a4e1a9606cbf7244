"""Checksums computed by PostgreSQL itself: the texts and hashes of `reconcile.pushdown.forms` in its SQL."""

from typing import Final

from core.contracts import DataType
from reconcile.plans import PlannedColumn
from reconcile.pushdown.buckets import KeyBuckets
from reconcile.rules import EXACT
from reconcile.sources.adbc import Held

_HASH_DIGITS: Final = 15
_BUCKET_DIGITS: Final = 4
_MICROS: Final = "(extract(epoch from {0}) * 1000000)::bigint::text || '|'"
_FORMS: Final[dict[DataType, str]] = {
    "int64": "{0}::text || '|'",
    "numeric": "{0}::numeric(38, 9)::text || '|'",
    "bool": "{0}::text || '|'",
    "string": "octet_length(convert_to({0}::text, 'UTF8'))::text || ':' || {0}::text",
    "bytes": "encode({0}, 'hex') || '|'",
    "date": "to_char({0}, 'YYYY-MM-DD') || '|'",
    "datetime": _MICROS,
    "time": _MICROS,
    "timestamp": _MICROS,
}
"""Floats are not among them: PostgreSQL prints the shortest text of a double, and no engine else need find the same."""
_ELEMENTS: Final[dict[DataType, DataType]] = {"array<string>": "string", "array<int64>": "int64"}
_ODD: Final[dict[DataType, str]] = {
    "numeric": "{0} = 'NaN'",
    "date": "{0} not between '0001-01-01' and '9999-12-31'",
    "datetime": "{0} not between '0001-01-01' and '9999-12-31 23:59:59.999999'",
    "timestamp": "{0} not between '0001-01-01 00:00:00+00' and '9999-12-31 23:59:59.999999+00'",
    "time": "{0} = '24:00'",
    "array<string>": "array_ndims({0}) > 1",
    "array<int64>": "array_ndims({0}) > 1",
}
"""Values that GoogleSQL has not; where there are some, the rows are read, which tells of the first."""


def is_pushable(columns: tuple[PlannedColumn, ...], held: tuple[Held, ...]) -> bool:
    """Return whether the database can compute checksums of columns.

    Args:
        columns: the compared columns.
        held: the same as the table holds them.
    """
    return all(
        column.rule == EXACT and not column.cast and column.data_type == found.data_type and _has_form(found)
        for column, found in zip(columns, held, strict=True)
    )


def checksum_sql(columns: tuple[PlannedColumn, ...], names: tuple[str, ...], buckets: KeyBuckets, source: str) -> str:
    """Return the query of bucket, rows, sum of row hashes, and whether some value is none of GoogleSQL's.

    Args:
        columns: the compared columns, the key first.
        names: SQL of each.
        buckets: how keys are put into buckets.
        source: what follows `from`.
    """
    key = [(column.data_type, name) for column, name in zip(buckets.key, names, strict=False)]
    bucket = _hash(key, _BUCKET_DIGITS) if buckets.shift is None else buckets.sql("duckdb", names[: len(key)])
    fields = [(column.data_type, name) for column, name in zip(columns, names, strict=True)]
    odd = [_ODD[kind].format(name) for kind, name in fields if kind in _ODD]
    return (
        f"select {bucket}::bigint, count(*), sum({_hash(fields, _HASH_DIGITS)}::numeric)::text, "  # noqa: S608 - quoted names
        f"coalesce(bool_or({' or '.join(odd) or 'false'}), false) from {source} group by 1"
    )


def _has_form(held: Held) -> bool:
    # Decimals that may have more digits would be rounded.
    return (held.data_type in _FORMS or held.data_type in _ELEMENTS) and held.is_bounded


def _hash(fields: list[tuple[DataType, str]], digits: int) -> str:
    text = " || ".join(_field(kind, name) for kind, name in fields)
    return f"('x' || lpad(substr(md5(convert_to({text}, 'UTF8')), 1, {digits}), 16, '0'))::bit(64)::bigint"


def _field(kind: DataType, name: str) -> str:
    if kind not in _ELEMENTS:
        return f"coalesce({_FORMS[kind].format(name)}, 'N|')"
    element = _field(_ELEMENTS[kind], "e.v")
    elements = f"(select string_agg({element}, '' order by e.n) from unnest({name}) with ordinality as e (v, n))"  # noqa: S608 - a quoted name
    return f"coalesce(case when cardinality({name}) > 0 then cardinality({name})::text || ':' || {elements} end, 'N|')"
