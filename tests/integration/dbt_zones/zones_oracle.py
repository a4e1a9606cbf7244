"""What the zones should hold, worked out in plain Python from the same structure rows."""

import csv
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

from zones_rows import AS_OF, Row, Tables

SEEDS = Path(__file__).parents[3] / "dbt_project/seeds"
CHANNELS = ("email", "sms", "push", "post", "any")
_CENT = Decimal("0.01")


def live(tables: Tables, table: str) -> list[Row]:
    """Return the rows that are not deleted, of members who are not."""
    members = {row["member_id"] for row in tables["members"] if not row["is_deleted"]}
    return [row for row in tables.get(table, []) if not row["is_deleted"] and row["member_id"] in members]


def customers(tables: Tables) -> set[int]:
    """Return the members that analytics tell of."""
    return {row["member_id"] for row in live(tables, "members") if not row["is_test"]}


def golden(tables: Tables, attribute: str) -> dict[int, tuple[Any, str | None]]:
    """Return value and source of an attribute by member: most trusted source first, then the latest statement."""
    trust = {row["source_code"]: int(row["trust_rank"]) for row in _seed("profile_sources")}
    statements = defaultdict(list)
    for row in live(tables, "members"):
        statements[row["member_id"]].append(("member", row["updated_at"], row.get(attribute)))
    for row in live(tables, "member_profiles"):
        statements[row["member_id"]].append((row["source_code"], row["updated_at"], row.get(attribute)))
    found: dict[int, tuple[Any, str | None]] = {}
    for member_id, said in statements.items():
        by_trust = sorted(sorted(said, key=lambda s: s[1], reverse=True), key=lambda s: trust[s[0]])
        found[member_id] = next(
            ((value, source) for source, _, value in by_trust if _says_something(value)), (None, None)
        )
    return found


def balances(tables: Tables) -> dict[int, Decimal]:
    """Return the points balance of every member."""
    found = {row["member_id"]: Decimal(0) for row in live(tables, "members")}
    for row in live(tables, "member_points"):
        if row["posted_at"] <= AS_OF:
            found[row["member_id"]] += row["points"]
    return found


def lowest_balances(tables: Tables) -> dict[int, Decimal]:
    """Return the lowest balance every member ever had after an instant, 0 at most."""
    found = {row["member_id"]: Decimal(0) for row in live(tables, "members")}
    entries = [row for row in live(tables, "member_points") if row["posted_at"] <= AS_OF]
    for last in entries:
        so_far = [row for row in entries if row["member_id"] == last["member_id"]]
        then = sum(row["points"] for row in so_far if row["posted_at"] <= last["posted_at"])
        found[last["member_id"]] = min(found[last["member_id"]], Decimal(then))
    return found


def expiring(tables: Tables, days: int) -> dict[int, Decimal]:
    """Return the points that lapse within so many days."""
    found = {row["member_id"]: Decimal(0) for row in live(tables, "members")}
    entries = [row for row in live(tables, "member_points") if row["posted_at"] <= AS_OF]
    for member_id in found:
        own = [row for row in entries if row["member_id"] == member_id]
        for expires_on, left in _left_of_credits(own):
            if AS_OF.date() <= expires_on <= AS_OF.date() + timedelta(days=days):
                found[member_id] += left
    return found


def overdue(tables: Tables) -> dict[int, Decimal]:
    """Return the points that should have lapsed and are still in the balance."""
    found = {row["member_id"]: Decimal(0) for row in live(tables, "members")}
    entries = [row for row in live(tables, "member_points") if row["posted_at"] <= AS_OF]
    for member_id in found:
        own = [row for row in entries if row["member_id"] == member_id]
        lefts = _left_of_credits(own)
        found[member_id] = sum((left for day, left in lefts if day < AS_OF.date()), Decimal(0))
    return found


def consents(tables: Tables, at: datetime = AS_OF) -> dict[tuple[int, str, str], str]:
    """Return the state of every member, purpose and channel with a statement at an instant."""
    latest: dict[tuple[int, str, str], Row] = {}
    for row in live(tables, "member_consents"):
        for channel in CHANNELS if row["channel"] == "any" else (row["channel"],):
            key = (row["member_id"], row["purpose"], channel)
            if None in key:
                continue
            if row["captured_at"] <= at and (key not in latest or _decides(row) > _decides(latest[key])):
                latest[key] = row
    return {key: _state(row, at) for key, row in latest.items()}


def transactions(tables: Tables) -> dict[int, Decimal]:
    """Return the amount in euros of every transaction that is not a test account's."""
    tests = {row["member_id"] for row in tables["members"] if row["is_test"]}
    rows = [row for row in tables["member_transactions"] if not row["is_deleted"] and row["member_id"] not in tests]
    return {row["transaction_id"]: euros(row) for row in rows}


def months(tables: Tables) -> dict[str, dict[str, Any]]:
    """Return spend, transactions, points and interactions by `member|month`."""
    found: dict[str, dict[str, Any]] = defaultdict(lambda: defaultdict(Decimal))
    for member_id, at, changes in _events(tables):
        if member_id in customers(tables) and at <= AS_OF:
            for name, value in changes.items():
                found[f"{member_id}|{at.astimezone(UTC):%Y-%m}"][name] += value
    return found


def rfm(tables: Tables) -> dict[int, tuple[int, int, int]]:
    """Return the three scores of every customer; zeros for those who did not buy within 365 days."""
    last: dict[int, date] = {}
    count: dict[int, int] = defaultdict(int)
    spend: dict[int, Decimal] = defaultdict(Decimal)
    for row in live(tables, "member_transactions"):
        member_id, day = row["member_id"], row["occurred_at"].date()
        if row["status"] != "completed" or row["occurred_at"] > AS_OF:
            continue
        recent = (AS_OF.date() - day).days < 365
        spend[member_id] += euros(row) if recent else 0
        if row["transaction_type"] == "purchase":
            last[member_id] = max(day, last.get(member_id, day))
            count[member_id] += recent
    found = dict.fromkeys(customers(tables), (0, 0, 0))
    buyers = [member_id for member_id in found if count[member_id]]
    for buyer in buyers:
        found[buyer] = (
            _quintile(last, buyer, buyers),
            _quintile(count, buyer, buyers),
            _quintile(spend, buyer, buyers),
        )
    return found


def engagement(row: Row) -> Fraction:
    """Return the exact score of a row of ms_member, before it is rounded, by the weights of the guide."""
    recency = 0 if row["days_since_action"] is None else max(0, 180 - row["days_since_action"])
    return (
        30 * Fraction(recency, 180)
        + 25 * Fraction(min(12, row["active_days_90d"]), 12)
        + 20 * Fraction(row["monetary_score"], 5)
        + 15 * Fraction(min(20, row["interactions_90d"]), 20)
        + 10 * Fraction(row["contactable_channels"], 4)
    )


def euros(transaction: Row) -> Decimal:
    """Return the amount of a transaction in euros, to the cent."""
    amount: Decimal = transaction["amount"]
    return (amount * rate(transaction["currency_code"], transaction["occurred_at"].date())).quantize(
        _CENT, ROUND_HALF_UP
    )


def rate(currency: str, day: date) -> Decimal:
    """Return the rate to the euro that was the last one known on a day."""
    known = [row for row in _seed("exchange_rates") if row["currency_code"] == currency]
    return Decimal(max((row["rate_date"], row["rate_to_eur"]) for row in known if row["rate_date"] <= str(day))[1])


def _events(tables: Tables) -> Iterator[tuple[int, datetime, dict[str, Any]]]:
    for row in live(tables, "member_transactions"):
        if row["status"] == "completed":
            yield row["member_id"], row["occurred_at"], {"spend_eur": euros(row), "transactions": 1}
    for row in live(tables, "member_points"):
        kind = {"earn": "points_earned", "redeem": "points_redeemed"}.get(row["entry_type"])
        changes = {"points_change": row["points"]} | ({kind: abs(row["points"])} if kind else {})
        yield row["member_id"], row["posted_at"], changes
    for row in live(tables, "member_interactions"):
        yield row["member_id"], row["occurred_at"], {"interactions": 1}
    for row in live(tables, "member_cases"):
        yield row["member_id"], row["opened_at"], {"cases_opened": 1}


def _left_of_credits(entries: list[Row]) -> list[tuple[date, Decimal]]:
    """Use up one credit after the other, in the order in which they lapse, with one debit after the other.

    What the ledger has booked as lapsed comes first and takes any credit; what was spent, only credits that had not
    lapsed by then. What the balance does not hold any more is left of none, those that lapse last first.

    Returns:
        The day on which a credit lapses, and what is left of it.
    """
    left = sorted([row["expires_on"] or date.max, row["points"]] for row in entries if row["points"] > 0)
    debits = [row for row in entries if row["points"] < 0]
    for debit in sorted(debits, key=lambda row: (row["entry_type"] != "expire", row["posted_at"])):
        due = -debit["points"]
        for credit in left:
            if debit["entry_type"] == "expire" or credit[0] >= debit["posted_at"].date():
                taken = min(due, credit[1])
                credit[1] -= taken
                due -= taken
    room = max(Decimal(0), sum((row["points"] for row in entries), Decimal(0)))
    lapsing = []
    for expires_on, points in left:
        if expires_on < date.max:
            lapsing.append((expires_on, min(points, room)))
            room -= min(points, room)
    return lapsing


def _quintile(values: dict[int, Any], member_id: int, among: list[int]) -> int:
    below = len([other for other in among if values[other] < values[member_id]])
    return 1 + 5 * below // len(among)


def _decides(row: Row) -> tuple[datetime, bool, int]:
    return row["captured_at"], row["state"] == "withdrawn", row["consent_id"]


def _state(row: Row, at: datetime) -> str:
    lapsed = row["state"] == "granted" and row["expires_at"] is not None and row["expires_at"] <= at
    return "expired" if lapsed else row["state"]


def _says_something(value: Any) -> bool:
    if isinstance(value, date):
        return date(1900, 1, 1) <= value <= AS_OF.date()
    return value is not None and value.strip() not in ("", "undisclosed")


@cache
def _seed(name: str) -> list[dict[str, str]]:
    with (SEEDS / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))
