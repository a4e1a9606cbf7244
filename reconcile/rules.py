"""When two values count as equal: one rule per column, as data, and its meaning in DuckDB's SQL.

Every rule is exact unless it says otherwise. The defaults decide what SQL leaves open: null equals null and
nothing else; NaN equals NaN; -0 equals 0; text is compared code point by code point; an array is ordered,
and an empty one equals null, since BigQuery stores no null array (see "NULLs and the ARRAY type" in its
reference); JSON numbers are compared by value, not by spelling.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from decimal import ROUND_DOWN, Decimal, localcontext
from typing import Final, Literal

from core.contracts import DataType

Precision = Literal["millisecond", "second", "minute", "hour", "day"]
JsonNumbers = Literal["value", "double", "text"]

_NUMBERS: Final = frozenset({"int64", "numeric", "float64"})
_TEXTS: Final = frozenset({"string"})
_INSTANTS: Final = frozenset({"timestamp", "datetime", "time"})
_ARRAYS: Final = frozenset({"array<string>", "array<int64>"})
_FINEST: Final = Decimal("1e-9")
_MOST_NUMERIC: Final = Decimal((0, (9,) * 38, -9))
SPACE: Final = r"[\s\x0b\x{85}\p{Z}]+"
r"""White_Space of Unicode, for RE2: its `\s` leaves out U+000B and U+0085, its `\p{Z}` all control characters."""


@dataclass(frozen=True)
class Rule:
    """When two values of a column count as equal.

    Attributes:
        absolute: numbers may differ by this much.
        relative: numbers may differ by this share of the greater magnitude.
        nan: whether NaN equals NaN.
        zero: whether -0 equals 0.
        precision: points in time are cut to this unit first.
        case: whether letter case counts.
        space: `trim` drops white space at both ends; `collapse` also makes every run of it one space.
        unicode: `nfc` brings text to normalization form C first (Unicode Standard Annex #15).
        order: whether the order of an array's elements counts; `set` says that how often one stands there does not
            count either.
        null_array: whether an empty array equals null.
        numbers: how numbers inside JSON compare: by exact value, by nearest double (as BigQuery stores them
            when asked to round), or by their text.
        null_equivalents: values, as text, that count as null.
    """

    absolute: Decimal | None = None
    relative: float | None = None
    nan: Literal["equal", "distinct"] = "equal"
    zero: Literal["equal", "signed"] = "equal"
    precision: Precision | None = None
    case: Literal["exact", "ignore"] = "exact"
    space: Literal["exact", "trim", "collapse"] = "exact"
    unicode: Literal["exact", "nfc"] = "exact"
    order: Literal["exact", "ignore", "set"] = "exact"
    null_array: Literal["empty", "distinct"] = "empty"
    numbers: JsonNumbers = "value"
    null_equivalents: tuple[str, ...] = ()


EXACT: Final = Rule()

_FITS: Final[dict[str, frozenset[str]]] = {
    "absolute": _NUMBERS,
    "relative": _NUMBERS,
    "nan": frozenset({"float64"}),
    "zero": frozenset({"float64"}),
    "precision": _INSTANTS,
    "case": _TEXTS,
    "space": _TEXTS,
    "unicode": _TEXTS,
    "order": _ARRAYS,
    "null_array": _ARRAYS,
    "numbers": frozenset({"json"}),
    "null_equivalents": _NUMBERS | _TEXTS | _INSTANTS | {"bignumeric", "bool", "date", "json"},
}
_DUCKDB_TYPES: Final[dict[str, str]] = {
    "int64": "bigint",
    "numeric": "decimal(38, 9)",
    "bignumeric": "varchar",
    "float64": "double",
    "bool": "boolean",
    "string": "varchar",
    "date": "date",
    "datetime": "timestamp",
    "time": "time",
    "timestamp": "timestamp",
    "json": "varchar",
}


def misfits(rule: Rule, data_type: DataType, *, is_key: bool) -> Iterator[tuple[str, str]]:
    """Yield the settings of a rule that have no meaning for its column.

    Args:
        rule: the rule.
        data_type: type of the column.
        is_key: whether the column belongs to the key, which must be matched exactly once normalised.

    Yields:
        The setting, and what is wrong with it.
    """
    for name in _stated(rule):
        if data_type not in _FITS[name]:
            yield name, f"{name} does not apply to {data_type}; it serves {', '.join(sorted(_FITS[name]))}"
        elif is_key and name in ("absolute", "relative", "nan", "zero"):
            yield name, f"{name} cannot apply to a key column: keys are matched, not measured"


def describe(rule: Rule) -> str:
    """Return a rule in words for people, such as `absolute 0.01`.

    Args:
        rule: the rule.

    Returns:
        `exact` when nothing but the defaults holds.
    """
    return ", ".join(f"{name.replace('_', ' ')} {_words(getattr(rule, name))}" for name in _stated(rule)) or "exact"


def normalised(rule: Rule, data_type: DataType, column: str) -> str:
    """Return the SQL of a value brought to the form in which it is compared.

    Args:
        rule: the column's rule.
        data_type: the column's type.
        column: an SQL expression, already safe.

    Returns:
        A DuckDB expression. Null equivalents are looked up last, both they and the value in the normalised form.
    """
    form = _TEXT_FORMS.get(data_type, _as_is)
    value = form(rule, column)
    if not rule.null_equivalents:
        return value
    alike = ", ".join(form(rule, cast_of_text(text, data_type)) for text in rule.null_equivalents)
    return f"case when {value} in ({alike}) then null else {value} end"


def cast_of_text(text: str, data_type: DataType) -> str:
    """Return the SQL of a constant that is stated as text.

    Args:
        text: the constant.
        data_type: its type, one that null equivalents serve.
    """
    return f"cast({literal(text)} as {_DUCKDB_TYPES[data_type]})"


def differs(rule: Rule, data_type: DataType, left: str, right: str) -> str:
    """Return the SQL that is true when two normalised values differ; never null.

    Args:
        rule: the column's rule.
        data_type: the column's type.
        left: SQL of the warehouse's normalised value.
        right: SQL of the snapshot's normalised value.

    Returns:
        A DuckDB boolean expression.
    """
    distinct = f"{left} is distinct from {right}"
    if data_type == "float64":
        distinct = _float_differs(rule, left, right)
    if data_type == "json":
        # Parsing a document costs a hundred times what comparing its text does, and most texts are alike.
        spell = canonical_function(rule.numbers)
        return f"case when {distinct} then {spell}({left}) is distinct from {spell}({right}) else false end"
    if rule.absolute is None and rule.relative is None:
        return distinct
    return f"({distinct} and not {_within(rule, data_type, left, right)})"


def canonical_function(numbers: JsonNumbers) -> str:
    """Return the name of the engine's function that spells a JSON document canonically.

    Args:
        numbers: how numbers in it compare.

    Returns:
        A function of our own, which every connection registers; see `reconcile.compare.documents`.
    """
    return f"canonical_json_{numbers}"


def quoted(name: str) -> str:
    """Return a name as a quoted SQL identifier of DuckDB.

    Args:
        name: any name.

    Returns:
        The identifier.
    """
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return text as an SQL string literal of DuckDB, where a doubled quote is the only escape.

    Args:
        text: any text.

    Returns:
        The literal.
    """
    return "'" + text.replace("'", "''") + "'"


def _stated(rule: Rule) -> list[str]:
    return [field.name for field in fields(rule) if getattr(rule, field.name) != field.default]


def _words(value: object) -> str:
    return "/".join(repr(item) for item in value) if isinstance(value, tuple) else str(value)


def _as_is(_: Rule, column: str) -> str:
    return column


def _string_form(rule: Rule, column: str) -> str:
    value = f"nfc_normalize({column})" if rule.unicode == "nfc" else column
    if rule.space == "collapse":
        value = f"regexp_replace({value}, {literal(SPACE)}, ' ', 'g')"
    if rule.space != "exact":
        value = f"regexp_replace({value}, {literal(f'^{SPACE}|{SPACE}$')}, '', 'g')"
    return f"lower({value})" if rule.case == "ignore" else value


def _instant_form(rule: Rule, column: str) -> str:
    return f"date_trunc({literal(rule.precision)}, {column})" if rule.precision else column


def _time_form(rule: Rule, column: str) -> str:
    # date_trunc of a time of day is an interval in DuckDB, so the time borrows a date.
    if rule.precision is None:
        return column
    return f"cast(date_trunc({literal(rule.precision)}, date '2000-01-01' + {column}) as time)"


def _array_form(rule: Rule, column: str) -> str:
    value = f"list_sort({column})" if rule.order == "ignore" else column
    if rule.order == "set":
        # Null elements are no elements to `list_distinct`.
        elements = f"list_sort(list_distinct({column}))"
        value = f"case when len({column}) > list_count({column}) then list_append({elements}, null) else {elements} end"
    return f"case when len({value}) = 0 then null else {value} end" if rule.null_array == "empty" else value


_TEXT_FORMS: Final = {
    "string": _string_form,
    "timestamp": _instant_form,
    "datetime": _instant_form,
    "time": _time_form,
    "array<string>": _array_form,
    "array<int64>": _array_form,
}


def _float_differs(rule: Rule, left: str, right: str) -> str:
    # DuckDB orders doubles totally: NaN equals NaN and -0 equals 0, which are our defaults.
    parts = [f"{left} is distinct from {right}"]
    if rule.nan == "distinct":
        parts.append(f"coalesce(isnan({left}) and isnan({right}), false)")
    if rule.zero == "signed":
        parts.append(f"coalesce({left} = 0 and {right} = 0 and signbit({left}) <> signbit({right}), false)")
    return parts[0] if len(parts) == 1 else f"({' or '.join(parts)})"


def _within(rule: Rule, data_type: DataType, left: str, right: str) -> str:
    # An overflowing difference is certainly out of tolerance, and so is one that involves infinity or NaN.
    if data_type == "int64":
        left, right = f"cast({left} as hugeint)", f"cast({right} as hugeint)"
    gap = f"try(abs({left} - {right}))"
    tests = []
    if rule.absolute is not None:
        most = str(rule.absolute) if data_type == "float64" else _exact(rule.absolute)
        kind = "double" if data_type == "float64" else "decimal(38, 9)"
        tests.append(f"{gap} <= cast({literal(most)} as {kind})")
    if rule.relative is not None:
        tests.append(f"{gap} <= {rule.relative!r}::double * greatest(abs({left}), abs({right}))")
    within = f"({' or '.join(tests)})"
    if data_type == "float64":
        within = f"(isfinite({left}) and isfinite({right}) and {within})"
    return f"coalesce({within}, false)"


def _exact(absolute: Decimal) -> str:
    # Integers and numerics differ by whole billionths, so that what is finer changes nothing; a cast would round it up.
    with localcontext(prec=100):
        return f"{min(absolute, _MOST_NUMERIC).quantize(_FINEST, ROUND_DOWN):f}"
