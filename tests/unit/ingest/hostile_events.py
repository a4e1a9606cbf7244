"""Debezium messages of every sort: usual, unusual, damaged, and made to do harm."""

import json
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from core.contracts import Column, DataType, TableContract
from ingest.message import Message

TYPES: tuple[DataType, ...] = (
    "int64", "numeric", "bignumeric", "float64", "bool", "string", "bytes",
    "date", "datetime", "time", "timestamp", "json", "array<string>", "array<int64>",
)  # fmt: skip
MARKER = "__debezium_unavailable_value"


def column(name: str, data_type: DataType, *, key: bool = False, **fields: Any) -> Column:
    return Column(name, data_type, name, key, not key, None, (), **fields)


def table(key: Sequence[DataType], types: Sequence[DataType] = TYPES, **fields: Any) -> TableContract:
    columns = [column(f"id{place}", data_type, key=True) for place, data_type in enumerate(key)]
    columns += [column(f"c_{data_type.replace('<', '_').strip('>')}", data_type) for data_type in types]
    base = TableContract(
        "t", "s", "raw", "t", "o", "debezium", "shop.public.t", None, None, tuple(columns)
    )  # fmt: skip
    return replace(base, **fields)


SCALARS: tuple[DataType, ...] = ("int64", "numeric", "string", "bool", "timestamp", "date")
TABLES = (
    table(["int64"]),
    table(["int64"], SCALARS),
    table(["string"], [*SCALARS, "json"]),
    table(["int64", "string"], SCALARS),
    table(["date"], SCALARS),
    table(["numeric", "timestamp"], ["string"]),
)

USUAL: dict[str, list[Any]] = {
    "int64": [0, -1, 2**63 - 1, "12", None],
    "numeric": ["12.50", 12, 1.5, "NaN", None],
    "bignumeric": ["-1E+9", 0],
    "float64": [1.5, 2, "NaN", "-Infinity", "1e5"],
    "bool": [True, False, 0, 1, "t"],
    "string": ["", 'ä\n"', "x" * 300, None],
    "bytes": ["aGk=", ""],
    "date": [19_000, "2026-01-02", "2026-01-02Z"],
    "datetime": [1_767_323_045_678_901, "2026-01-02T03:04:05"],
    "time": [5, "03:04:05.5"],
    "timestamp": [1_767_323_045_678_901, "2026-01-02T03:04:05.678901Z", "2026-01-02 03:04:05.1234567+01"],
    "json": ['{"a":1}', {"a": [1]}, [1], 5],
    "array<string>": [["a", None], [], '["a"]', None],
    "array<int64>": [[1, "2", None], "[1]"],
}
ODD: list[Any] = [
    None, True, -5, 2**63, 2**64, 10**30, 1.25, 1e300, "", "x", "BOI=", "2026-13-45", "\U0001f600", "\u0000",
    [1, [2]], {"deep": {"er": None}}, {"scale": 2, "value": "BOI="},
    MARKER, [MARKER], {MARKER: MARKER}, list(MARKER.encode()), MARKER.encode().hex(),
    b64encode(MARKER.encode()).decode(),
]  # fmt: skip
RAW_VALUES = [
    b"1e999", b"-1e400", b"NaN", b"Infinity", b'"\xff"', b'"\\ud800"', b"01", b"1.", b'"a', b"9" * 5_000, b"1.0", b"-0",
    b"[" * 3_000, b'"\\u0041"', b"{}{}", b"1],[2", b'1},{"a":1',
]  # fmt: skip
POSTGRESQL = {
    "connector": "postgresql", "name": "shop", "db": "shop", "schema": "public", "table": "t", "lsn": 42, "ts_us": 5
}  # fmt: skip
SOURCES: list[dict[str, Any]] = [
    POSTGRESQL,
    POSTGRESQL | {"schema": "other", "lsn": 2**63 - 1, "ts_us": None, "ts_ms": 5},
    POSTGRESQL | {"lsn": None, "snapshot": "true", "ts_us": 10**18},
    POSTGRESQL | {"lsn": None},
    POSTGRESQL | {"table": "u"},
    POSTGRESQL | {"connector": "nobody"},
    POSTGRESQL | {"file": 5},
    POSTGRESQL | {"name": None},
    {"connector": "mysql", "name": "m", "db": "s", "table": "t", "file": "bin.03", "pos": 154, "row": 2, "ts_ns": 9},
    {"connector": "oracle", "name": "o", "table": "T", "scn": "5", "commit_scn": "6", "rs_id": None, "ssn": 0},
    {"connector": "sqlserver", "name": "s", "db": "d", "schema": "dbo", "table": "T", "event_serial_no": 1,
     "commit_lsn": "00000025:00000d98:00a2", "change_lsn": "00000025:00000d98:0003"},
]  # fmt: skip
REWRITING = [
    {"type": "int64", "field": "c_timestamp", "name": "io.debezium.time.Timestamp"},
    {"type": "bytes", "field": "c_numeric", "name": "org.apache.kafka.connect.data.Decimal",
     "parameters": {"scale": "2"}},
]  # fmt: skip
SCHEMAS: list[Any] = [
    *(
        {"type": "struct", "fields": [{"type": "struct", "field": name, "fields": row} for name in ("before", "after")]}
        for row in ([], REWRITING)
    ),
    None,
    {"fields": 5},
]


CONTROL = [
    b'{"ts_ms":1}',
    b'{"schema":{},"payload":{"ts_ms":1}}',
    b'{"status":"BEGIN","id":"7:8"}',
    b'{"op":"m","message":{"prefix":"app"},"source":{"name":"shop","table":""}}',
]
NOISE = [
    b"", b"null", b"{}", b"[]", b"1],[2", b"{},{}", b'{"op":"c"', b'"', b"\xff", b" ", b"{", b"}",
    b'{"schema":{},"payload":null}',
]  # fmt: skip
ATTRIBUTES: list[dict[str, str]] = [
    {},
    {},
    {"origin": "x"},
    {"traceparent": f"00-{'4b' * 16}-00f067aa0ba902b7-01"},
    {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/x", "ce-type": "y"},
    {"content-type": "application/cloudevents+json"},
    {"content-type": "application/json"},
]


def json_object(fields: Iterable[tuple[str, bytes]]) -> bytes:
    return b"{" + b",".join(json.dumps(name).encode() + b":" + value for name, value in fields) + b"}"


@st.composite
def images(draw: st.DrawFn, contract: TableContract) -> bytes | None:
    """A row as JSON text: as declared, most of the time."""
    names = [one.name for one in contract.columns]
    kind = draw(st.sampled_from(["whole", "whole", "whole", "partial", "new", "shuffled", "null", "no object"]))
    if kind == "null":
        return None
    if kind == "no object":
        return draw(st.sampled_from([b"5", b"[]", b'"x"', b"{", b'{"a":1}{']))
    if kind == "partial":
        names = draw(st.lists(st.sampled_from(names), unique=True))
    if kind == "new":
        names += draw(
            st.lists(st.sampled_from(["new", "grö\u00dfe", 'q"uote', "", "back\\slash"]), unique=True, min_size=1)
        )
    if kind == "shuffled":
        names = draw(st.permutations(names))
    types = {one.name: one.data_type for one in contract.columns}
    parts = []
    for name in names:
        odd = draw(st.integers(0, 60))
        if odd == 0:
            value = draw(st.sampled_from(RAW_VALUES))
        else:
            known = USUAL.get(types.get(name, ""), ODD) if odd > 2 else ODD
            value = json.dumps(
                draw(st.sampled_from(known)), separators=(",", ":"), ensure_ascii=draw(st.booleans())
            ).encode()
        parts.append((name, value))
    return json_object(parts)


@st.composite
def events(draw: st.DrawFn, contract: TableContract) -> bytes:
    """An event of the table, or of something close to it."""
    op = draw(st.sampled_from(["c", "c", "u", "u", "d", "r", "t", "x"]))
    likely = draw(st.sampled_from(["insert", "update", "delete", "any"]))
    after = None if likely == "delete" else draw(images(contract))
    before = None if likely == "insert" else draw(images(contract))
    op = {"insert": "c", "update": "u", "delete": "d", "any": op}[likely]
    source = draw(st.sampled_from([SOURCES[0], SOURCES[0], *SOURCES]))
    fields: list[tuple[str, bytes]] = [
        ("before", before or b"null"),
        ("after", after or b"null"),
        ("source", json.dumps(source).encode()),
        ("transaction", draw(st.sampled_from([b"null", b'{"id":"1","total_order":3}', b'{"total_order":-1}', b"5"]))),
        ("op", json.dumps(op).encode()),
        ("ts_ms", b"5"),
    ]
    if draw(st.integers(0, 9)) == 0:
        extra = ("payload", "schema", "status", "patch", "filter", "updateDescription", "op", "after", "source", "new")
        value = draw(st.sampled_from([b"null", b"5", b'"x"', b"{}", b"1e999", b'{"\xff":1}']))
        fields.insert(draw(st.integers(0, len(fields))), (draw(st.sampled_from(extra)), value))
    if draw(st.integers(0, 9)) == 0:
        fields.pop(draw(st.integers(0, len(fields) - 1)))
    text = json_object(fields)
    if draw(st.integers(0, 3)) == 0:
        schema = json.dumps(draw(st.sampled_from([SCHEMAS[0], SCHEMAS[0], *SCHEMAS])), separators=(",", ":")).encode()
        text = json_object([("schema", schema), ("payload", text)])
    if draw(st.integers(0, 9)) == 0:
        cut = draw(st.integers(0, len(text)))
        text = (
            text[:cut]
            + draw(st.sampled_from([b"", b"\xff", b"},{", b"1],[2", b",", b'"', b"\n"]))
            + text[cut + draw(st.integers(0, 2)) :]
        )
    return text


@st.composite
def messages(draw: st.DrawFn, contract: TableContract) -> list[list[Message]]:
    """Batches of a topic."""
    bodies = st.one_of(
        events(contract),
        events(contract),
        events(contract),
        st.sampled_from([*CONTROL, *NOISE]),
        st.binary(max_size=20),
    )
    sizes = draw(st.lists(st.integers(0, 6), min_size=1, max_size=3))
    number = iter(range(10_000))
    return [
        [
            Message(
                "sub",
                contract.topic,
                str(next(number)),
                draw(bodies),
                draw(st.sampled_from(ATTRIBUTES)),
                draw(st.sampled_from(['{"id0":7}', '{"id0":"k","id1":"v"}', "default", "\ud800"])),
                5,
            )
            for _ in range(size)
        ]
        for size in sizes
    ]
