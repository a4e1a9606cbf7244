"""What PostgreSQL computes by itself: the texts, hashes and aggregates of `reconcile.pushdown` in its SQL."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from core.contracts import DataType
from reconcile.plans import PlannedColumn
from reconcile.pushdown.buckets import KeyBuckets
from reconcile.rules import EXACT, Rule
from reconcile.sources.adbc import Held

_HASH_DIGITS: Final = 15
_BUCKET_DIGITS: Final = 4
_MICROS: Final = "(extract(epoch from {0}) * 1000000)::bigint::text || '|'"
_BAR: Final = " || '|'"
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


def unpushable(column: PlannedColumn, held: Held) -> str | None:
    """Return why the database cannot hash the values of a column; None when it can.

    Args:
        column: the compared column.
        held: the same as the table holds it.
    """
    if column.rule != EXACT:
        return f"{column.name} has a rule that PostgreSQL does not follow"
    return uncounted(column, held) or (
        None if _has_form(held) else f"{column.name} is of a type that PostgreSQL spells differently"
    )


def uncounted(column: PlannedColumn, held: Held) -> str | None:
    """Return why the database cannot even count the values of a column; None when it can.

    Args:
        column: the compared column.
        held: the same as the table holds it.
    """
    if column.cast or column.origin or column.data_type != held.data_type:
        return f"{column.name} is converted after it is read"
    # Rules that measure change no value; all others do.
    rule = replace(column.rule, absolute=None, relative=None, nan=EXACT.nan, zero=EXACT.zero, numbers=EXACT.numbers)
    return None if rule == Rule() else f"{column.name} has a rule that PostgreSQL does not follow"


def checksum_sql(columns: tuple[PlannedColumn, ...], names: tuple[str, ...], buckets: KeyBuckets, source: str) -> str:
    """Return the query of bucket, rows, sum of row hashes, and whether some value is none of GoogleSQL's.

    Args:
        columns: the compared columns, the key first.
        names: SQL of each.
        buckets: how keys are put into buckets.
        source: what follows `from`.
    """
    fields = [(column.data_type, name) for column, name in zip(columns, names, strict=True)]
    return (
        f"select {_bucket(names, buckets)}::bigint, count(*), sum({_hash(fields, _HASH_DIGITS)}::numeric)::text, "  # noqa: S608 - quoted names
        f"{_is_odd(fields)} from {source} group by 1"
    )


def aggregate_sql(
    columns: tuple[PlannedColumn, ...], names: tuple[str, ...], measures: Iterable[tuple[int, str]], source: str
) -> str:
    """Return the query of the number of rows, some aggregates, and whether some value is none of GoogleSQL's; one row.

    Args:
        columns: the compared columns.
        names: SQL of each.
        measures: the place of a column and what is wanted of it: `count`, `min`, `max` or `checksum`.
        source: what follows `from`.
    """
    fields = [(column.data_type, name) for column, name in zip(columns, names, strict=True)]
    wanted = ", ".join(_aggregate(*fields[place], measure) for place, measure in measures)
    return f"select count(*), {wanted}, {_is_odd(fields)} from {source}"  # noqa: S608 - quoted names


def in_buckets(names: tuple[str, ...], buckets: KeyBuckets, found: Iterable[int]) -> str:
    """Return the condition that a row is in one of some buckets.

    Args:
        names: SQL of the key's columns.
        buckets: how keys are put into buckets.
        found: the buckets; one at least.
    """
    if buckets.shift is not None:
        return buckets.ranges(names[0], found)
    return f"{_bucket(names, buckets)} in ({', '.join(map(str, sorted(found)))})"


def in_sample(key: tuple[PlannedColumn, ...], names: tuple[str, ...], threshold: int) -> str:
    """Return the condition that a key's hash is below a threshold.

    Args:
        key: the columns of the key.
        names: SQL of each.
        threshold: a share of 2^60.
    """
    fields = [(column.data_type, name) for column, name in zip(key, names, strict=True)]
    return f"{_hash(fields, _HASH_DIGITS)} < {threshold}"


def _bucket(names: tuple[str, ...], buckets: KeyBuckets) -> str:
    if buckets.shift is None:
        key = [(column.data_type, name) for column, name in zip(buckets.key, names, strict=False)]
        return _hash(key, _BUCKET_DIGITS)
    # A shift of more bits than a small integer has would begin anew.
    return buckets.sql("duckdb", (f"{names[0]}::bigint",))


def _is_odd(fields: list[tuple[DataType, str]]) -> str:
    odd = [_ODD[kind].format(name) for kind, name in fields if kind in _ODD]
    return f"coalesce(bool_or({' or '.join(odd) or 'false'}), false)"


def _aggregate(kind: DataType, name: str, measure: str) -> str:
    if measure == "checksum":
        return f"sum({_hash([(kind, name)], _HASH_DIGITS)}::numeric)::text"
    if measure == "count":
        # An empty array is null.
        return f"count(case when cardinality({name}) > 0 then 1 end)" if kind in _ELEMENTS else f"count({name})"
    if kind == "string":
        return f'{measure}({name}::text collate "C")'
    # The text of a value, without the bar that ends it in a row.
    return _FORMS[kind].format(f"{measure}({name})").removesuffix(_BAR)


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
