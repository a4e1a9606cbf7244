"""Values at the edge of what a type holds, and where a row may take one.

A value stands here because some consumer somewhere gets it wrong: text that looks like null or like SQL,
combining and invisible characters, numbers that no double holds, the first and last day BigQuery knows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Final

from core.contracts import Column, DataType, TableContract
from devstack.world.changes import Row, Value
from devstack.world.jsonb import jsonb_text
from devstack.world.sampler import Sampler
from devstack.world.shares import Shares

TEXTS: Final = (
    "",
    " ",
    "  padded  ",
    "null",
    "<null>",
    "NULL",
    "None",
    "\\N",
    "NaN",
    "0",
    "1e5",
    "007",
    "true",
    "O'Brien",
    "''",
    'say "hi"',
    "back\\slash",
    "trailing\\",
    "a|b",
    "a,b;c\td",
    "line one\nline two\r\nline three",
    "\u2028line separator\u2029",
    "\x01\x1f\x7f",
    "'; drop table members; --",
    "{{ config(enabled=false) }}",
    "${jndi:ldap://example.invalid}",
    "%s %d %00",
    '{"json": "inside"}',
    "[1, 2",
    "😀",
    "👩‍👩‍👧‍👦🏳️‍🌈",
    "\U0001d518\U0001d52b\U0001d526",
    "مرحبا بالعالم",
    "שלום עולם",
    "\u202eright to left\u202c",
    "zero\u200bwidth\u200d\ufeff",
    "\ufeffbyte order mark",
    "caf\u00e9",
    "cafe\u0301",
    "\ufb01ne \u017f \u00df \u1e9e",
    "\u0130stanbul \u0131",
    "\u4e2d\u6587\u5b57\u7b26",
    "\u00a0non-breaking\u00a0",
    "\U0010fffd",
    "x" * 4_000,
    "é" * 2_000,
)
"""No NUL: PostgreSQL refuses it in text."""

LARGE_INTEGERS: Final = (0, -1, 2**31, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), 2**63 - 2)
WIDE_NUMERICS: Final = tuple(
    map(
        Decimal,
        (
            "0",
            "0.000000001",
            "-0.000000001",
            "0.1",
            "12345678901234567890.123456789",
            "99999999999999999999999999999.999999999",
            "-99999999999999999999999999999.999999999",
            "10000000000000000000000000000",
            "9007199254740993",
        ),
    )
)
"""BigQuery's NUMERIC: 29 digits before the point and 9 after it."""

FINE_NUMERICS: Final = tuple(map(Decimal, ("0", "0.000000001", "-0.01", "0.10", "1234567.123456789", "0.333333333")))
FLOATS: Final = (-0.0, 0.0, 5e-324, -5e-324, 2.2250738585072014e-308, 0.1 + 0.2, 1e-7, 1 / 3)
HUGE_FLOATS: Final = (*FLOATS, 1.7976931348623157e308, -1.7976931348623157e308, 1e22, 123456789.12345679)
DATES: Final = (
    date(1, 1, 1),
    date(9999, 12, 31),
    date(1582, 10, 4),
    date(1582, 10, 15),
    date(1900, 2, 28),
    date(1969, 12, 31),
    date(1970, 1, 1),
    date(2000, 2, 29),
    date(2038, 1, 19),
)
TIMESTAMPS: Final = (
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC),
    datetime(2024, 3, 31, 1, 30, tzinfo=UTC),
    datetime(2024, 2, 29, 23, 59, 59, 1, tzinfo=UTC),
    datetime(2016, 12, 31, 23, 59, 59, 900_000, tzinfo=UTC),
)
BYTES: Final = (b"", b"\x00", b"\xff\xfe\x80", bytes(32), bytes(range(256)), b"text")
ARRAYS: Final[tuple[tuple[str, ...], ...]] = (
    (),
    ("",),
    ("a", "a"),
    ("null",),
    ("a,b", '"c"', "{d}"),
    ("😀", "e\u0301"),
)
JSON_TEXTS: Final = tuple(
    map(
        jsonb_text,
        (
            {},
            [],
            {"": ""},
            {"deep": {"er": {"still": [[], [{}]]}}},
            {"quote": '"', "newline": "\n", "emoji": "😀", "rtl": "שלום"},
            {"big": 9007199254740993, "small": -0.5, "none": None, "yes": True},
            [1, "1", None, False],
        ),
    )
)
"""No bare JSON null: the API cannot tell it from SQL NULL."""

# Columns that the domain's own arithmetic rests on: a sum over such values would overflow, a month of the
# year 1 would be a row of its own, and a test of those models would test nothing else.
_PLAIN_COLUMNS: Final = frozenset(
    {
        "created_at",
        "updated_at",
        "occurred_at",
        "posted_at",
        "started_on",
        "ends_on",
        "joined_at",
        "captured_at",
        "opened_at",
        "closed_at",
        "member_id",
        "member_number",
        "referrer_member_id",
        "transaction_id",
        "country_code",
        "currency_code",
        "language_code",
        "amount",
        "points",
        "qualifying_points",
        "item_count",
        "duration_ms",
        "satisfaction",
        "email",
        "phone_number",
    }
)
_FINE_COLUMNS: Final = frozenset({"discount_amount"})
_BOUNDED_FLOATS: Final = frozenset({"sentiment_score"})
_EDGES: Final[Mapping[DataType, tuple[Value, ...]]] = {
    "string": TEXTS,
    "int64": LARGE_INTEGERS,
    "numeric": WIDE_NUMERICS,
    "float64": HUGE_FLOATS,
    "bytes": BYTES,
    "date": DATES,
    "timestamp": TIMESTAMPS,
    "array<string>": ARRAYS,
    "json": JSON_TEXTS,
}


@dataclass
class EdgeColumns:
    """Which columns of a table may take an edge value or be emptied.

    Attributes:
        contract: the table.
    """

    contract: TableContract
    _edges: tuple[tuple[str, tuple[Value, ...]], ...] = field(init=False, repr=False)
    _nullable: tuple[str, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        free = [c for c in self.contract.columns if not c.is_key and c.name not in _PLAIN_COLUMNS]
        chosen = [(c.name, _edges_of(c)) for c in free if not c.allowed_values]
        self._edges = tuple((name, values) for name, values in chosen if values)
        # BigQuery stores a null array as an empty one, so it could never be told apart again.
        self._nullable = tuple(c.name for c in free if c.is_nullable and not c.data_type.startswith("array"))

    def season(self, row: Row, sampler: Sampler, shares: Shares) -> Row:
        """Return the row, now and then with one value at the edge or one value gone.

        Args:
            row: a row that makes sense.
            sampler: the source of randomness.
            shares: how often.

        Returns:
            The same row, or a new one.
        """
        draw = sampler.rng.random()
        if draw < shares.edge_rows and self._edges:
            name, values = sampler.pick(self._edges)
            return {**row, name: sampler.pick(values)}
        if draw > 1 - shares.null_rows and self._nullable:
            return {**row, sampler.pick(self._nullable): None}
        return row


def _edges_of(column: Column) -> tuple[Value, ...]:
    if column.name in _FINE_COLUMNS:
        return FINE_NUMERICS
    if column.name in _BOUNDED_FLOATS:
        return FLOATS
    return _EDGES.get(column.data_type, ())
