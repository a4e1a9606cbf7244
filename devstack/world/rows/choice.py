"""What members allow, and what they wish to hear of."""

from datetime import datetime, timedelta

from devstack.world.changes import Row
from devstack.world.sampler import Sampler

_WORDINGS = ("2023-1", "2024-1", "2025-2")


def new_consent(sampler: Sampler, consent_id: int, member_id: int, at: datetime) -> Row:
    """Return a consent statement.

    Args:
        sampler: the source of randomness.
        consent_id: the statement's key.
        member_id: who makes it.
        at: when it is made (UTC).

    Returns:
        A row of `member_consents`; most are granted.
    """
    is_granted = sampler.chance(0.85)
    return {
        "consent_id": consent_id,
        "member_id": member_id,
        "purpose": sampler.allowed("member_consents", "purpose"),
        "channel": sampler.allowed("member_consents", "channel"),
        "state": "granted" if is_granted else "withdrawn",
        "legal_basis": sampler.allowed("member_consents", "legal_basis"),
        "text_version": sampler.pick(_WORDINGS),
        "captured_in": sampler.allowed("member_consents", "captured_in"),
        "captured_at": at,
        "expires_at": at + timedelta(days=730) if is_granted and sampler.chance(0.5) else None,
        "created_at": at,
        "updated_at": at,
    }


def changed_consent(sampler: Sampler, row: Row, at: datetime) -> Row:
    """Return what an update of a consent statement sets: it is withdrawn, or granted anew.

    Args:
        sampler: the source of randomness.
        row: the statement as it stands.
        at: when it changes (UTC).

    Returns:
        Some columns of `member_consents`.
    """
    if row["state"] == "granted":
        return {"state": "withdrawn", "captured_at": at, "expires_at": None}
    return {"state": "granted", "captured_at": at, "text_version": sampler.pick(_WORDINGS)}


def new_preference(sampler: Sampler, member_id: int, channel: str, topic: str, at: datetime) -> Row:
    """Return a preference.

    Args:
        sampler: the source of randomness.
        member_id: whose preference it is.
        channel: channel it covers.
        topic: topic it covers.
        at: when it is set (UTC).

    Returns:
        A row of `member_preferences`.
    """
    return {
        "member_id": member_id,
        "channel": channel,
        "topic": topic,
        "is_enabled": sampler.chance(0.7),
        "frequency_cap": sampler.between(1, 14) if sampler.chance(0.5) else None,
        "quiet_hours": sampler.pick(sampler.pools.quiet_hours) if sampler.chance(0.4) else None,
        "created_at": at,
        "updated_at": at,
    }


def changed_preference(sampler: Sampler, row: Row) -> Row:
    """Return what an update of a preference sets.

    Args:
        sampler: the source of randomness.
        row: the preference as it stands.

    Returns:
        Some columns of `member_preferences`.
    """
    if sampler.chance(0.5):
        return {"is_enabled": not row["is_enabled"]}
    return {"frequency_cap": sampler.between(1, 14), "quiet_hours": sampler.pick(sampler.pools.quiet_hours)}
