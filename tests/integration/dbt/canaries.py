"""Canaries: a value of its own in every column of personal data of every raw table, and where each of them shows up."""

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

from google.cloud import bigquery
from structure_events import Event

from core.contracts import Column, Contracts

MEMBERS = (1, 2, 3)
_BEGINNING = datetime(2026, 1, 2, tzinfo=UTC)
# What takes a row to analytics: nothing is deleted, undisclosed, a test, or still to come.
_PLAIN: Mapping[str, Any] = {
    "int64": 7, "numeric": Decimal("12.50"), "float64": 1.5, "bool": False, "string": "plain", "bytes": b"plain",
    "date": date(2020, 2, 29), "timestamp": datetime(2025, 12, 3, tzinfo=UTC), "json": {}, "array<string>": ["plain"],
}  # fmt: skip
_CHOSEN: Mapping[str, Any] = {
    "referrer_member_id": None, "country_code": "DE", "source_code": "crm", "currency_code": "EUR", "is_primary": True,
    "is_current": True, "valid_to": None, "closed_at": None, "deleted_at": None, "bounced_at": None, "expires_at": None,
}  # fmt: skip


@dataclass(frozen=True)
class Canary:
    """A value that stands nowhere but in one column.

    Attributes:
        table: the raw table.
        column: the column.
        value: what is planted.
        songs: texts that give it away, in lower case; any of them does.
        digests: hashes of it without a key, in lower case, which anybody can try values against.
    """

    table: str
    column: str
    value: Any
    songs: frozenset[str]
    digests: frozenset[str]

    @property
    def name(self) -> str:
        """Table and column."""
        return f"{self.table}.{self.column}"


def canaries(contracts: Contracts) -> list[Canary]:
    """Return a canary for every column that a contract gives a class of personal data."""
    numbers = count(11)
    return [
        _canary(table, column, next(numbers))
        for table, contract in sorted(contracts.items())
        for column in contract.columns
        if column.pii
    ]


def _canary(table: str, column: Column, number: int) -> Canary:
    value: Any
    match column.data_type:
        case "date":
            value = date(1951, 7, 1) + timedelta(days=number)
            songs = {value.isoformat()}
        case "numeric":
            value = Decimal(f"471{number}.35")
            songs = {f"471{number}.35"}
        case "float64":
            value = float(f"{number}.73{number}51")
            songs = {f"{number}.73{number}51"}
        case "bytes":
            value = f"canary{number}q".encode()
            songs = {f"canary{number}q", base64.b64encode(value).decode().lower(), value.hex()}
        case _:
            value, songs = _text(column, number)
    return Canary(table, column.name, value, frozenset(song.lower() for song in songs), frozenset(_digests(value)))


def _digests(value: Any) -> Iterator[str]:
    """Yield hashes of a value as it is and as it is often normalised, in hexadecimal digits and in base64."""
    text = value.decode() if isinstance(value, bytes) else str(value)
    for form in {text, text.lower(), text.upper(), text.replace(" ", "")}:
        for algorithm in ("md5", "sha1", "sha256", "sha512"):
            digest = hashlib.new(algorithm, form.encode(), usedforsecurity=False).digest()
            yield digest.hex()
            yield base64.b64encode(digest).decode().lower()


def _text(column: Column, number: int) -> tuple[str, set[str]]:
    if column.pii == "phone":
        return f"+49 170 907{number}88 11", {f"170907{number}88", f"170 907{number}88"}
    song = f"canary{number}q"
    return (f"{song}@example.com" if column.pii == "email" else song), {song}


def events(contracts: Contracts, planted: Iterable[Canary]) -> Iterator[Event]:
    """Yield changes of a row of every member in every table, once of values that do not cast, and an unreadable row."""
    by_table: dict[str, list[Canary]] = {}
    for canary in planted:
        by_table.setdefault(canary.table, []).append(canary)
    numbers = count(1)
    for table, contract in contracts.items():
        canaries_of = by_table.get(table, [])
        for member in MEMBERS:
            key = (member, "email", "offers") if table == "member_preferences" else (member,)
            row = {column.name: _value(column) for column in contract.columns} | {"member_id": member}
            row |= dict(zip((column.name for column in contract.key), key, strict=True))
            row |= {canary.column: canary.value for canary in canaries_of}
            number = next(numbers)
            when = _BEGINNING + timedelta(seconds=number)
            insert = Event(table=table, op="INSERT", event_id=f"canary-{number}", key=key, position=number, after=row,
                           landed_at=when, happened_at=when)  # fmt: skip
            yield insert
            update = replace(insert, op="UPDATE", event_id=f"canary-{number}-u", position=10_000 + number, before=row)
            yield replace(update, event_id=f"canary-{number}-w", position=5_000 + number, uncast=_wrong(canaries_of))
            yield update
        unreadable = json.dumps({canary.column: str(canary.value) for canary in canaries_of})[:-1]
        yield replace(insert, event_id=f"canary-{number}-b", position=20_000 + number, broken=unreadable)


def _wrong(planted: Iterable[Canary]) -> dict[str, Any]:
    """Return values that do not cast by column, and sing: of text, which takes all others, an object."""
    return {canary.column: {"is": min(canary.songs)} for canary in planted}


def _value(column: Column) -> Any:
    if column.name in _CHOSEN:
        return _CHOSEN[column.name]
    return column.allowed_values[0] if column.allowed_values else _PLAIN[column.data_type]


def heard(text: str, planted: Iterable[Canary]) -> set[str]:
    """Return the names of the canaries that a text gives away."""
    low = text.lower()
    return {canary.name for canary in planted if any(song in low for song in canary.songs | canary.digests)}


def heard_in_table(client: bigquery.Client, table: str, planted: Iterable[Canary]) -> set[str]:
    """Return the names of the canaries that stand in a table or view."""
    rows = client.query_and_wait(f"select * from {table}")
    return heard("\n".join(str(value) for row in rows for value in row.values()), planted)


def heard_in_files(folder: Path, planted: Iterable[Canary]) -> dict[str, set[str]]:
    """Return the canaries that each file below a folder gives away; files that give nothing away are left out."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    found = {
        str(path.relative_to(folder)): heard(path.read_bytes().decode("utf-8", "replace"), planted) for path in files
    }
    return {name: names for name, names in found.items() if names}
