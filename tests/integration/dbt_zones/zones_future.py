"""What comes after the instant a model describes, and how to make a model see it all the same."""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal

from zones_rows import AS_OF, Row, StructureRows

_CUT = re.compile(r"(<=\s+(?:date\()?)timestamp '2026-03-01 12:00:00\+00:00'")
_LATER = AS_OF + timedelta(seconds=1)


def add_future(given: StructureRows) -> None:
    """Add a row of everything to every member, all of them from after `AS_OF`, and members who join after it."""
    members = [row["member_id"] for row in given.tables["members"]]
    for number, member_id in enumerate([*members, *range(100_001, 100_004)]):
        if member_id not in members:
            given.add(
                "members", member_id=member_id, status="active", is_deleted=False, is_test=False, joined_at=_LATER
            )
            # what a visitor did counts once they are members
            visit = {"interaction_id": 10**7 + member_id, "interaction_type": "login", "occurred_at": AS_OF}
            given.add("member_interactions", member_id=member_id, is_deleted=False, **visit)
        for table, columns in _future(10**6 + 100 * number):
            given.add(table, member_id=member_id, is_deleted=False, created_at=_LATER, updated_at=_LATER, **columns)


def mutants(sql: str, *, of_macros: bool = False) -> Iterator[tuple[str, str]]:
    """Make a model forget, in one place at a time, that it must not look beyond its instant.

    Args:
        sql: the model as it was built.
        of_macros: whether to forget the cuts that `as_of_rows` makes, or those of the model itself.

    Yields:
        What comes next to the cut, and the model without it.
    """
    for cut in _CUT.finditer(sql):
        place = " ".join(sql[cut.end() : cut.end() + 60].split())
        if place.startswith((", false)", "), changes as")) == of_macros:
            yield place, f"{sql[: cut.start()]}{cut[1]}timestamp '2100-01-01 00:00:00+00:00'{sql[cut.end() :]}"


def _future(key: int) -> Iterator[tuple[str, Row]]:
    happened = {"occurred_at": _LATER}
    yield "member_transactions", {
        "transaction_id": key, "transaction_type": "purchase", "status": "completed", "amount": Decimal("77.70"),
        "currency_code": "EUR", **happened,
    }  # fmt: skip
    yield "member_points", {"entry_id": key, "entry_type": "earn", "points": Decimal(5_000), "posted_at": _LATER}
    yield "member_interactions", {"interaction_id": key, "interaction_type": "login", **happened}
    yield "member_cases", {"case_id": key, "opened_at": _LATER}
    yield "member_tiers", {"tier_id": key, "tier": "platinum", "started_on": AS_OF.date()}
    for number, channel in enumerate(("any", "email", "sms", "push", "post")):
        yield "member_consents", {
            "consent_id": key + number, "purpose": "marketing", "channel": channel, "captured_at": _LATER,
            "state": ("granted", "withdrawn")[key // 100 % 2],
        }  # fmt: skip
    yield "member_preferences", {"channel": "email", "topic": "news", "is_enabled": True}
    yield "member_profiles", {
        "profile_id": key, "source_code": "crm", "last_name": "Canary-Later", "birth_date": date(1990, 1, 1),
        "income_band": "high", "first_name": "Canary-Later",
    }  # fmt: skip
    yield "member_emails", {
        "email_id": key, "email": "later@example.com", "is_primary": True, "is_verified": True, "verified_at": AS_OF,
    }  # fmt: skip
    yield "member_phones", {
        "phone_id": key, "phone_number": "+43 664 1234567", "phone_type": "mobile", "is_primary": True,
        "is_verified": True, "is_reachable": True,
    }  # fmt: skip
    yield "member_addresses", {
        "address_id": key, "address_type": "home", "line_1": "Canary-Later 1", "country_code": "DE",
        "postal_code": "10115", "is_primary": True,
    }  # fmt: skip
