"""What members do, and what they ask of the service desk."""

from datetime import datetime

from devstack.world.changes import Row
from devstack.world.pools import Country
from devstack.world.sampler import Sampler

_TAGS = ("vip", "new", "spring", "newsletter", "à la carte", "ünïcode", "a b", "x" * 60)
_NEXT_STATUS = {"open": "waiting", "waiting": "resolved", "resolved": "closed"}


def new_interaction(
    sampler: Sampler, interaction_id: int, member_id: int, at: datetime, *, created_at: datetime
) -> Row:
    """Return an interaction.

    Args:
        sampler: the source of randomness.
        interaction_id: the interaction's key.
        member_id: who acts.
        at: when it happens (UTC).
        created_at: when the source learns of it (UTC).

    Returns:
        A row of `member_interactions`.
    """
    is_scored = sampler.chance(0.4)
    return {
        "interaction_id": interaction_id,
        "member_id": member_id,
        "interaction_type": sampler.allowed("member_interactions", "interaction_type"),
        "channel": sampler.allowed("member_interactions", "channel"),
        "campaign_code": sampler.pick(sampler.pools.campaigns) if sampler.chance(0.3) else None,
        "duration_ms": sampler.between(0, 600_000) if sampler.chance(0.7) else None,
        "sentiment_score": sampler.rng.uniform(-1, 1) if is_scored else None,
        "tags": tuple(sampler.pick(_TAGS) for _ in range(sampler.between(0, 3))),
        "context": sampler.pick(sampler.pools.contexts) if sampler.chance(0.6) else None,
        "occurred_at": at,
        "created_at": created_at,
        "updated_at": created_at,
    }


def changed_interaction(sampler: Sampler) -> Row:
    """Return what an update of an interaction sets: the sentiment is measured later.

    Args:
        sampler: the source of randomness.

    Returns:
        Some columns of `member_interactions`.
    """
    return {"sentiment_score": round(sampler.rng.uniform(-1, 1), 3), "tags": ("scored",)}


def new_case(sampler: Sampler, case_id: int, member_id: int, country: Country, at: datetime) -> Row:
    """Return a service case.

    Args:
        sampler: the source of randomness.
        case_id: the case's key.
        member_id: whom it is about.
        country: where the member lives.
        at: when it is opened (UTC).

    Returns:
        A row of `member_cases`, open.
    """
    return {
        "case_id": case_id,
        "member_id": member_id,
        "category": sampler.allowed("member_cases", "category"),
        "priority": sampler.allowed("member_cases", "priority"),
        "status": "open",
        "subject": sampler.pick(country.sentences),
        "body": sampler.text(country),
        "satisfaction": None,
        "opened_at": at,
        "closed_at": None,
        "created_at": at,
        "updated_at": at,
    }


def changed_case(sampler: Sampler, row: Row, at: datetime) -> Row:
    """Return what an update of a case sets: it moves on, and a closed one is rated.

    Args:
        sampler: the source of randomness.
        row: the case as it stands.
        at: when it changes (UTC).

    Returns:
        Some columns of `member_cases`.
    """
    following = _NEXT_STATUS.get(str(row["status"]))
    if following is None:
        return {"satisfaction": sampler.between(1, 5)}
    if following == "closed":
        return {"status": following, "closed_at": at}
    return {"status": following, "priority": sampler.allowed("member_cases", "priority")}
