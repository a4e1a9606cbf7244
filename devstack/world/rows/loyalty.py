"""What members buy, the points they earn and the tiers they reach."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from devstack.world.changes import Row
from devstack.world.pools import Country
from devstack.world.sampler import Sampler

TIERS: Final = (
    ("platinum", Decimal(5_000)),
    ("gold", Decimal(2_000)),
    ("silver", Decimal(500)),
    ("bronze", Decimal(0)),
)
"""Tiers with the points they take, the highest first."""

_CENTS: Final = 100
_POINTS_LAST_DAYS: Final = 730


def tier_for(points: Decimal) -> str:
    """Return the tier that a number of points earns.

    Args:
        points: all points ever earned.

    Returns:
        The tier; the lowest for none and for less than none.
    """
    return next((tier for tier, needed in TIERS if points >= needed), TIERS[-1][0])


def new_purchase(
    sampler: Sampler, transaction_id: int, member_id: int, country: Country, at: datetime, *, created_at: datetime
) -> Row:
    """Return a purchase.

    Args:
        sampler: the source of randomness.
        transaction_id: the transaction's key.
        member_id: who pays.
        country: where the member lives; it decides the currency.
        at: when the purchase happens (UTC).
        created_at: when the source learns of it (UTC).

    Returns:
        A row of `member_transactions`: most are completed, some still pending.
    """
    is_online = sampler.chance(0.35)
    return {
        "transaction_id": transaction_id,
        "member_id": member_id,
        "store_id": None if is_online else sampler.pick(sampler.pools.stores),
        "transaction_type": "purchase",
        "status": "pending" if sampler.chance(0.3) else "completed",
        "amount": _money(sampler, 50_000),
        "discount_amount": _money(sampler, 2_000) if sampler.chance(0.3) else None,
        "currency_code": country.currency,
        "item_count": sampler.between(1, 20),
        "payment_method": sampler.allowed("member_transactions", "payment_method"),
        "basket": sampler.pick(sampler.pools.baskets),
        "occurred_at": at,
        "created_at": created_at,
        "updated_at": created_at,
    }


def new_refund(transaction_id: int, purchase: Row, at: datetime) -> Row:
    """Return the refund of a purchase.

    Args:
        transaction_id: the refund's key.
        purchase: what is given back.
        at: when (UTC).

    Returns:
        A row of `member_transactions` with the purchase's amount below zero.
    """
    amount = purchase["amount"]
    return {
        **purchase,
        "transaction_id": transaction_id,
        "transaction_type": "refund",
        "status": "completed",
        "amount": -amount if isinstance(amount, Decimal) else Decimal(0),
        "discount_amount": None,
        "occurred_at": at,
        "created_at": at,
        "updated_at": at,
    }


def new_points_entry(sampler: Sampler, entry_id: int, transaction: Row, at: datetime) -> Row:
    """Return the points that a completed transaction earns, or takes back.

    Args:
        sampler: the source of randomness.
        entry_id: the entry's key.
        transaction: the completed transaction.
        at: when the points are posted (UTC).

    Returns:
        A row of `member_points`.
    """
    amount = transaction["amount"]
    is_refund = transaction["transaction_type"] == "refund"
    points = (amount if isinstance(amount, Decimal) else Decimal(0)).quantize(Decimal("0.01"))
    return {
        "entry_id": entry_id,
        "member_id": transaction["member_id"],
        "entry_type": "adjust" if is_refund else "earn",
        "points": points,
        "transaction_id": transaction["transaction_id"],
        "description": None if sampler.chance(0.5) else "Refund" if is_refund else "Purchase",
        "posted_at": at,
        "expires_on": None if is_refund else (at + timedelta(days=_POINTS_LAST_DAYS)).date(),
        "created_at": at,
        "updated_at": at,
    }


def new_redemption(sampler: Sampler, entry_id: int, member_id: int, balance: Decimal, at: datetime) -> Row:
    """Return points a member spends, or loses to time.

    Args:
        sampler: the source of randomness.
        entry_id: the entry's key.
        member_id: whose points they are.
        balance: the points there are; more than none.
        at: when (UTC).

    Returns:
        A row of `member_points` with points below zero.
    """
    share = Decimal(sampler.between(5, 50)) / _CENTS
    return {
        "entry_id": entry_id,
        "member_id": member_id,
        "entry_type": "expire" if sampler.chance(0.2) else "redeem",
        "points": -(balance * share).quantize(Decimal("0.01")),
        "transaction_id": None,
        "description": "Voucher",
        "posted_at": at,
        "expires_on": None,
        "created_at": at,
        "updated_at": at,
    }


def new_tier(tier_id: int, member_id: int, tier: str, points: Decimal, at: datetime, *, reason: str) -> Row:
    """Return a tier that begins today.

    Args:
        tier_id: the period's key.
        member_id: who holds it.
        tier: the tier.
        points: the points that earned it.
        at: now (UTC).
        reason: why it is set.

    Returns:
        A row of `member_tiers`.
    """
    return {
        "tier_id": tier_id,
        "member_id": member_id,
        "tier": tier,
        "qualifying_points": points,
        "reason": reason,
        "started_on": at.date(),
        "ends_on": None,
        "created_at": at,
        "updated_at": at,
    }


def _money(sampler: Sampler, most_cents: int) -> Decimal:
    # Squared, so that small sums are common and large ones rare.
    return Decimal(int(sampler.rng.random() ** 2 * most_cents) + 1) / _CENTS
