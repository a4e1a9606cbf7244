"""Members, what is believed of them, and how they prove who they are."""

from datetime import date, datetime, timedelta
from decimal import Decimal

from devstack.world.changes import Row
from devstack.world.pools import Country
from devstack.world.sampler import Sampler

_TEST_ACCOUNTS = 0.005
_REFERRED = 0.15
_CENTS = 100
_INCOME_LIMIT = 10**12


def new_member(sampler: Sampler, member_id: int, country: Country, at: datetime, referrer: int | None) -> Row:
    """Return a new member.

    Args:
        sampler: the source of randomness.
        member_id: the member's key.
        country: where the member lives.
        at: when the membership begins (UTC).
        referrer: a member who might have referred this one.

    Returns:
        A row of `members`.
    """
    return {
        "member_id": member_id,
        "member_number": f"{country.code}{member_id * 7_919 % 10**9:09d}{member_id % 97:02d}",
        "status": "pending" if sampler.chance(0.1) else "active",
        "first_name": sampler.pick(country.first_names),
        "last_name": sampler.pick(country.last_names),
        "birth_date": _birth_date(sampler),
        "gender": sampler.allowed("members", "gender"),
        "country_code": country.code,
        "language_code": country.language,
        "home_store_id": sampler.pick(sampler.pools.stores),
        "referrer_member_id": referrer if sampler.chance(_REFERRED) else None,
        "is_test": sampler.chance(_TEST_ACCOUNTS),
        "joined_at": at,
        "closed_at": None,
        "created_at": at,
        "updated_at": at,
    }


def changed_member(sampler: Sampler, row: Row, country: Country) -> Row:
    """Return what an update of a member sets.

    Args:
        sampler: the source of randomness.
        row: the member as it stands.
        country: where the member lives.

    Returns:
        Some columns of `members`.
    """
    if row["status"] == "pending" or sampler.chance(0.05):
        return {"status": "suspended" if row["status"] == "active" else "active"}
    if sampler.chance(0.35):
        return {"last_name": sampler.pick(country.last_names)}
    if sampler.chance(0.5):
        return {"home_store_id": sampler.pick(sampler.pools.stores)}
    return {"gender": sampler.allowed("members", "gender"), "language_code": sampler.country().language}


def new_profile(sampler: Sampler, profile_id: int, member: Row, country: Country, at: datetime) -> Row:
    """Return what one system believes about a member.

    Args:
        sampler: the source of randomness.
        profile_id: the profile's key.
        member: the member's row.
        country: where the member lives.
        at: when the profile is made (UTC).

    Returns:
        A row of `member_profiles`.
    """
    agrees = sampler.chance(0.8)
    return {
        "profile_id": profile_id,
        "member_id": member["member_id"],
        "source_code": sampler.allowed("member_profiles", "source_code"),
        "first_name": member["first_name"],
        "last_name": member["last_name"] if agrees else sampler.pick(country.last_names),
        "birth_date": member["birth_date"] if agrees else _birth_date(sampler),
        "occupation": sampler.pick(country.occupations),
        "household_size": sampler.between(1, 7),
        "income_band": sampler.allowed("member_profiles", "income_band"),
        "annual_income": Decimal(sampler.between(0, 15_000_000)) / _CENTS,
        "biography": sampler.text(country),
        "created_at": at,
        "updated_at": at,
    }


def changed_profile(sampler: Sampler, row: Row, country: Country) -> Row:
    """Return what an update of a profile sets.

    Args:
        sampler: the source of randomness.
        row: the profile as it stands.
        country: where the member lives.

    Returns:
        Some columns of `member_profiles`.
    """
    # The text is rewritten less often than the rest changes.
    if sampler.chance(0.3):
        return {"biography": sampler.text(country)}
    if sampler.chance(0.45):
        return {"occupation": sampler.pick(country.occupations), "household_size": sampler.between(1, 7)}
    income = row["annual_income"]
    raised = income + _CENTS if isinstance(income, Decimal) and abs(income) < _INCOME_LIMIT else Decimal("25000.00")
    return {"annual_income": raised, "income_band": sampler.allowed("member_profiles", "income_band")}


def new_identity(sampler: Sampler, identity_id: int, member_id: int, at: datetime) -> Row:
    """Return an identity linked to a member.

    Args:
        sampler: the source of randomness.
        identity_id: the identity's key.
        member_id: whose identity it is.
        at: when it is linked (UTC).

    Returns:
        A row of `member_identities`.
    """
    provider = sampler.allowed("member_identities", "provider")
    is_document = provider in ("passport", "national_id")
    issued_on = sampler.before(at, 2_000).date()
    return {
        "identity_id": identity_id,
        "member_id": member_id,
        "provider": provider,
        "external_id": f"{provider[:2].upper()}{sampler.rng.getrandbits(40):012d}",
        "document_digest": sampler.rng.randbytes(32) if is_document else None,
        "is_verified": sampler.chance(0.7),
        "issued_on": issued_on,
        "expires_on": issued_on + timedelta(days=3_652) if is_document else None,
        "created_at": at,
        "updated_at": at,
    }


def _birth_date(sampler: Sampler) -> date | None:
    if sampler.chance(0.05):
        return None
    return date(sampler.between(1935, 2008), sampler.between(1, 12), sampler.between(1, 28))
