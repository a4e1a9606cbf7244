"""Values as text that BigQuery and DuckDB spell alike, and hashes of rows made of such texts.

A plain cast to text is not one: floats, decimals and points in time are printed differently by the two (see each form
below). That the forms agree is proven against GoogleSQL's reference evaluator, on random and edge values of each type.

A row's fields are written one after the other so that no two rows are written alike: text is preceded by its length in
bytes and a colon, an array by the number of its elements and a colon; whatever else is followed by a bar, which none
of these texts holds; null is `N|`, which nothing else begins like. The hash is the first 60 bits of MD5 (RFC 1321),
which both have and which fit a signed integer of 64 bits.
"""

from collections.abc import Callable, Sequence
from typing import Final, Literal

from core.contracts import DataType

Dialect = Literal["googlesql", "duckdb"]

HASH_BITS: Final = 60
_HASH_DIGITS: Final = HASH_BITS // 4
_NULL: Final = "'N|'"
_ARRAYS: Final[frozenset[DataType]] = frozenset({"array<string>", "array<int64>"})

_Form = Callable[[str], str]


def text_form(data_type: DataType, value: str, dialect: Dialect) -> str:
    """Return the SQL of a value's text.

    Args:
        data_type: type of the value; one that `has_form`.
        value: SQL of the value.
        dialect: which engine will read it.

    Returns:
        SQL of a text that is null when the value is; equal texts mean values that are equal by the default rules.
    """
    return _FORMS[data_type][dialect](value)


def has_form(data_type: DataType) -> bool:
    """Return whether values of a type have a text that both engines spell alike.

    Args:
        data_type: the type. JSON has none, for the engines differ in the order of members, spaces and numbers; a
            bignumeric has more digits than DuckDB's decimals.
    """
    return data_type in _FORMS


def field(data_type: DataType, value: str, dialect: Dialect) -> str:
    """Return the SQL of a value as it is written into a row: never null, and told apart from its neighbours.

    Args:
        data_type: type of the value.
        value: SQL of the value.
        dialect: which engine will read it.
    """
    text = text_form(data_type, value, dialect)
    if data_type in _ARRAYS:
        return f"coalesce({text}, {_NULL})"
    return f"coalesce({_counted(text, dialect) if data_type == 'string' else _ended(text)}, {_NULL})"


def row_text(fields: Sequence[tuple[DataType, str]], dialect: Dialect) -> str:
    """Return the SQL of several values written one after the other.

    Args:
        fields: type and SQL of each.
        dialect: which engine will read it.
    """
    # One call, for a chain of operators nests as deep as the table is wide.
    return f"concat({', '.join(field(data_type, value, dialect) for data_type, value in fields)})"


def row_hash(fields: Sequence[tuple[DataType, str]], dialect: Dialect, digits: int = _HASH_DIGITS) -> str:
    """Return the SQL of the hash of several values, as an integer from zero up.

    Args:
        fields: type and SQL of each.
        dialect: which engine will read it.
        digits: how many hexadecimal digits of the hash to take.
    """
    text = row_text(fields, dialect)
    if dialect == "duckdb":
        return f"cast('0x' || substr(md5({text}), 1, {digits}) as bigint)"
    return f"cast('0x' || substr(to_hex(md5({text})), 1, {digits}) as int64)"


def _ended(text: str) -> str:
    return f"{text} || '|'"


def _counted(text: str, dialect: Dialect) -> str:
    length = f"cast(byte_length({text}) as string)" if dialect == "googlesql" else f"cast(strlen({text}) as varchar)"
    return f"{length} || ':' || {text}"


def _as_is(value: str) -> str:
    return value


def _float(is_nan: str, spelled: str) -> _Form:
    # 17 digits tell every two doubles apart (IEEE 754-2019, 5.12.2); NaN and -0 are folded as by the default rules.
    return lambda value: (
        f"case when {is_nan.format(value)} then 'nan' when {value} = 0 then '0' else {spelled.format(value)} end"
    )


def _written(form: str) -> _Form:
    return form.format


def _array(data_type: DataType) -> dict[Dialect, _Form]:
    # Preceded by their number, as every element ends by itself. An empty array is null, since BigQuery stores no null
    # array; nor does it store null elements, but a snapshot may hold some.
    def googlesql(value: str) -> str:
        element = field(data_type, "e", "googlesql")
        elements = f"array(select {element} from unnest({value}) as e with offset as n order by n)"  # noqa: S608 - an expression of our own
        number = f"array_length({value})"
        return f"case when {number} > 0 then cast({number} as string) || ':' || array_to_string({elements}, '') end"

    def duckdb(value: str) -> str:
        elements = f"list_transform({value}, lambda e: {field(data_type, 'e', 'duckdb')})"
        number = f"len({value})"
        return f"case when {number} > 0 then cast({number} as varchar) || ':' || array_to_string({elements}, '') end"

    return {"googlesql": googlesql, "duckdb": duckdb}


_FORMS: Final[dict[DataType, dict[Dialect, _Form]]] = {
    "int64": {"googlesql": _written("cast({} as string)"), "duckdb": _written("cast({} as varchar)")},
    # A cast trims trailing zeros in BigQuery, and keeps them in DuckDB.
    "numeric": {
        "googlesql": _written("format('%.9f', {})"),
        "duckdb": _written("cast(cast({} as decimal(38, 9)) as varchar)"),
    },
    "float64": {
        "googlesql": _float("is_nan({})", "format('%.17g', {})"),
        "duckdb": _float("isnan({})", "format('{{:.17g}}', {})"),
    },
    "bool": {"googlesql": _written("cast({} as string)"), "duckdb": _written("cast({} as varchar)")},
    "string": {"googlesql": _as_is, "duckdb": _as_is},
    "bytes": {"googlesql": _written("to_hex({})"), "duckdb": _written("lower(hex({}))")},
    "date": {"googlesql": _written("cast({} as string)"), "duckdb": _written("cast({} as varchar)")},
    # Points in time as microseconds: BigQuery prints 0, 3 or 6 digits of a second, DuckDB only those that it needs.
    "datetime": {
        "googlesql": _written("cast(datetime_diff({}, datetime '1970-01-01', microsecond) as string)"),
        "duckdb": _written("cast(epoch_us({}) as varchar)"),
    },
    "time": {
        "googlesql": _written("cast(time_diff({}, time '00:00:00', microsecond) as string)"),
        "duckdb": _written("cast(epoch_us({}) as varchar)"),
    },
    "timestamp": {
        "googlesql": _written("cast(unix_micros({}) as string)"),
        "duckdb": _written("cast(epoch_us({}) as varchar)"),
    },
    "array<string>": _array("string"),
    "array<int64>": _array("int64"),
}
