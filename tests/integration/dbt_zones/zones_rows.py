"""Small structure tables with a bit of everything that the zones above them have to get right."""

from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

Row = dict[str, Any]
Tables = dict[str, list[Row]]

AS_OF = datetime(2026, 3, 1, 12, tzinfo=UTC)
"""The instant every model is built for; some rows lie after it."""

NAMES = ("Canary-Ada", "Canary-Bob", "Canary-Eve")
"""First names; the prefix is looked for where no name may be."""

_YEARS = timedelta(days=600)
_OCCURRED = ("occurred_at", "posted_at", "opened_at")


class StructureRows:
    """Rows of the structure zone, drawn at random from a seed.

    Attributes:
        tables: rows by table, as Python values.
    """

    def __init__(self, seed: int, members: int) -> None:
        self._rng = Random(seed)
        self._position = 0
        self._last_interaction = AS_OF - _YEARS
        self.tables: Tables = {}
        for member_id in range(1, members + 1):
            self._member(member_id)
        # the allowed lateness of the last windows is not over yet
        alive = next(row["member_id"] for row in self.tables["members"] if not row["is_deleted"])
        self._event("member_interactions", alive, self._interaction() | {"occurred_at": AS_OF - timedelta(minutes=1)})

    def add(self, table: str, **columns: Any) -> Row:
        """Add a row with the metadata of its latest change."""
        row = columns | {"is_deleted": columns.get("is_deleted", self._chance(0.05))}
        self.tables.setdefault(table, []).append(row)
        self.touch(row)
        return row

    def touch(self, row: Row, **columns: Any) -> None:
        """Change a row as a newer event would."""
        self._position += 1
        row |= columns | {
            "_source_position": f"{self._position:020d}",
            "_event_id": f"event-{self._position}",
            "_source_ts": AS_OF,
            "_ingestion_ts": AS_OF,
            "_op": "DELETE" if (row | columns)["is_deleted"] else "UPDATE",
        }

    def copy(self) -> "StructureRows":
        """Return rows that can change without these changing."""
        return deepcopy(self)

    def _member(self, member_id: int) -> None:
        rng = self._rng
        self.add(
            "members",
            member_id=member_id,
            member_number=f"canary-card-{member_id}",
            status=rng.choice(["active", "active", "active", "suspended", "closed"]),
            first_name=rng.choice([*NAMES, " ", None]),
            last_name=rng.choice(["Canary-Lovelace", None]),
            birth_date=rng.choice([date(1980, 3, 1), date(2001, 3, 2), date(1899, 12, 31), None]),
            country_code=rng.choice(["DE", "AT", "GB"]),
            is_test=self._chance(0.1),
            joined_at=min(self._instant(), AS_OF),
            closed_at=rng.choice([None, AS_OF, AS_OF + timedelta(days=1)]),
            updated_at=self._instant(),
        )
        for table, most, make in self._makers():
            for _ in range(rng.randint(0, most)):
                self._event(table, member_id, make())
        for channel in rng.sample(["email", "sms", "push", "post"], k=2):
            wish = {"topic": "offers", "is_enabled": self._chance(0.6), "updated_at": AS_OF - timedelta(days=1)}
            self.add("member_preferences", member_id=member_id, channel=channel, **wish)

    def _event(self, table: str, member_id: int, columns: Row) -> None:
        """Add a row; one of something that happened is ingested at once or up to half an hour later."""
        row = self.add(table, member_id=member_id, **columns)
        for name in _OCCURRED:
            if name in columns:
                row["_ingestion_ts"] = columns[name] + timedelta(minutes=self._rng.choice([0, 4, 8, 30]))

    def _makers(self) -> tuple[tuple[str, int, Callable[[], Row]], ...]:
        return (
            ("member_profiles", 4, self._profile),
            ("member_emails", 2, self._email),
            ("member_phones", 2, self._phone),
            ("member_addresses", 2, self._address),
            ("member_consents", 6, self._consent),
            ("member_tiers", 2, self._tier),
            ("member_points", 8, self._points),
            ("member_transactions", 8, self.transaction),
            ("member_interactions", 20, self._interaction),
            ("member_cases", 1, lambda: {"case_id": self._key(), "opened_at": self._instant()}),
        )

    def transaction(self) -> Row:
        """Return the columns of a transaction, but for its member."""
        kind = self._rng.choice(["purchase", "purchase", "refund"])
        return {
            "transaction_id": self._key(),
            "store_id": self._rng.choice([None, 7]),
            "transaction_type": kind,
            "status": self._rng.choice(["completed", "completed", "completed", "pending", "voided"]),
            "amount": Decimal(self._rng.randint(1, 20_000)) / 100 * (-1 if kind == "refund" else 1),
            "discount_amount": self._rng.choice([None, Decimal("1.50")]),
            "currency_code": self._rng.choice(["EUR", "CHF", "GBP", "JPY"]),
            "occurred_at": self._instant(),
        }

    def _profile(self) -> Row:
        return {
            "profile_id": self._key(),
            "source_code": self._rng.choice(["crm", "web", "store", "partner"]),
            "first_name": self._rng.choice([*NAMES, "", None]),
            "last_name": self._rng.choice(["Canary-King", "Canary-Byron", None]),
            "birth_date": self._rng.choice([date(1975, 1, 1), date(2027, 1, 1), None]),
            "income_band": self._rng.choice(["low", "high", "undisclosed", None]),
            "updated_at": self._instant(),
        }

    def _email(self) -> Row:
        return {
            "email_id": self._key(),
            "email": f"canary{self._position}@example.com",
            "is_primary": self._chance(0.5),
            "is_verified": self._chance(0.7),
            "verified_at": self._rng.choice([None, self._instant(), AS_OF + timedelta(days=1)]),
            "bounced_at": self._rng.choice([None, None, self._instant(), AS_OF + timedelta(hours=1)]),
            "updated_at": self._instant(),
        }

    def _phone(self) -> Row:
        return {
            "phone_id": self._key(),
            "phone_number": f"0170 {self._rng.randint(10**6, 10**7)}",
            "phone_type": self._rng.choice(["mobile", "home"]),
            "is_primary": self._chance(0.5),
            "is_verified": self._chance(0.5),
            "is_reachable": self._rng.choice([None, True, False]),
            "updated_at": self._instant(),
        }

    def _address(self) -> Row:
        return {
            "address_id": self._key(),
            "address_type": self._rng.choice(["home", "billing"]),
            "line_1": "Canary-Street 1",
            "city": "Canary-City",
            "postal_code": self._rng.choice(["10115", "D-10117", "13 055", "SW1A 1AA", "BA1 1AA", None]),
            "country_code": self._rng.choice(["DE", "GB", "XX"]),
            "latitude": (at := self._rng.choice([None, None, self._rng.uniform(-90, 90)])),
            "longitude": None if at is None else self._rng.uniform(-180, 180),
            "is_primary": self._chance(0.5),
            "valid_from": self._rng.choice([None, None, date(2026, 4, 1)]),
            "valid_to": self._rng.choice([None, None, date(2026, 2, 1)]),
            "updated_at": self._instant(),
        }

    def _consent(self) -> Row:
        return {
            "consent_id": self._key(),
            "purpose": self._rng.choice(["marketing", "profiling"]),
            "channel": self._rng.choice(["email", "sms", "push", "post", "any"]),
            "state": self._rng.choice(["granted", "granted", "withdrawn"]),
            # few days, so that statements tie
            "captured_at": AS_OF + timedelta(days=self._rng.randint(-6, 1)),
            "expires_at": self._rng.choice([None, AS_OF, AS_OF + timedelta(days=1)]),
        }

    def _tier(self) -> Row:
        return {
            "tier_id": self._key(),
            "tier": self._rng.choice(["bronze", "silver", "gold", "platinum"]),
            "started_on": AS_OF.date() - timedelta(days=self._rng.randint(-2, 400)),
            "ends_on": self._rng.choice([None, AS_OF.date()]),
        }

    def _points(self) -> Row:
        kind, sign = self._rng.choice([("earn", 1), ("earn", 1), ("redeem", -1), ("expire", -1), ("adjust", 1)])
        return {
            "entry_id": self._key(),
            "entry_type": kind,
            "points": sign * Decimal(self._rng.randint(1, 900)) / 2,
            "transaction_id": self._rng.choice([None, 1]),
            "posted_at": self._instant(),
            "expires_on": self._rng.choice([None, date(2026, 2, 1), date(2026, 4, 1)]) if kind == "earn" else None,
        }

    def _interaction(self) -> Row:
        # every other one follows the one before it, in the same session or just not
        pause = self._rng.choice([60, 299, 1799, 1800, 2000])
        followed = self._last_interaction + timedelta(seconds=pause)
        self._last_interaction = followed if self._chance(0.5) else self._instant()
        return {
            "interaction_id": self._key(),
            "interaction_type": self._rng.choice(["email_open", "login", "app_open", "store_visit", "call"]),
            "occurred_at": self._last_interaction,
        }

    def _instant(self) -> datetime:
        # Now and then after AS_OF, and to the microsecond, so that hardly any two are equal.
        return AS_OF - _YEARS * self._rng.random() ** 2 + timedelta(days=self._rng.choice([0] * 19 + [5]))

    def _chance(self, share: float) -> bool:
        return self._rng.random() < share

    def _key(self) -> int:
        self._position += 1
        return self._position
