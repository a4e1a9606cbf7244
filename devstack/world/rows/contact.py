"""How members can be reached."""

from datetime import datetime, timedelta

from devstack.world.changes import Row
from devstack.world.pools import Country
from devstack.world.sampler import Sampler

_ODD_ADDRESSES = (
    '"quoted local"@example.com',
    "UPPER.Case+tag@EXAMPLE.com",
    "ünïcode@bücher.example",
    "no-at-sign.example.com",
    "two@@example.com",
    " padded@example.org ",
    "用户@例子.example",
)
_ODD_NUMBERS = ("+1 (555) 0100", "00491701234567", "0170/1234567", "n/a", "+44 ٠٢٠ ١٢٣٤", "")
_ODD = 0.02


def new_email(sampler: Sampler, email_id: int, member: Row, at: datetime, *, is_primary: bool) -> Row:
    """Return an e-mail address.

    Args:
        sampler: the source of randomness.
        email_id: the address's key.
        member: the member's row.
        at: when it is entered (UTC).
        is_primary: whether the member prefers it.

    Returns:
        A row of `member_emails`.
    """
    is_verified = sampler.chance(0.6)
    return {
        "email_id": email_id,
        "member_id": member["member_id"],
        "email": _email(sampler, member, email_id),
        "email_type": sampler.allowed("member_emails", "email_type"),
        "is_primary": is_primary,
        "is_verified": is_verified,
        "verified_at": at if is_verified else None,
        "bounced_at": None,
        "created_at": at,
        "updated_at": at,
    }


def changed_email(sampler: Sampler, row: Row, at: datetime) -> Row:
    """Return what an update of an e-mail address sets.

    Args:
        sampler: the source of randomness.
        row: the address as it stands.
        at: when it changes (UTC).

    Returns:
        Some columns of `member_emails`.
    """
    if sampler.chance(0.2):
        return {"bounced_at": at}
    if not row["is_verified"]:
        return {"is_verified": True, "verified_at": at}
    return {"email": f"new.{sampler.between(1, 10**6)}@{sampler.pick(sampler.pools.email_domains)}"}


def new_phone(
    sampler: Sampler, phone_id: int, member_id: int, country: Country, at: datetime, *, is_primary: bool
) -> Row:
    """Return a telephone number.

    Args:
        sampler: the source of randomness.
        phone_id: the number's key.
        member_id: whose number it is.
        country: where the member lives.
        at: when it is entered (UTC).
        is_primary: whether the member prefers it.

    Returns:
        A row of `member_phones`.
    """
    is_verified = sampler.chance(0.5)
    return {
        "phone_id": phone_id,
        "member_id": member_id,
        "phone_number": _phone(sampler, country),
        "phone_type": sampler.allowed("member_phones", "phone_type"),
        "is_primary": is_primary,
        "is_verified": is_verified,
        "is_reachable": None if sampler.chance(0.4) else sampler.chance(0.8),
        "verified_at": at if is_verified else None,
        "created_at": at,
        "updated_at": at,
    }


def changed_phone(sampler: Sampler, country: Country) -> Row:
    """Return what an update of a telephone number sets.

    Args:
        sampler: the source of randomness.
        country: where the member lives.

    Returns:
        Some columns of `member_phones`.
    """
    if sampler.chance(0.6):
        return {"is_reachable": sampler.chance(0.5)}
    return {"phone_number": _phone(sampler, country), "is_verified": False, "verified_at": None}


def new_address(
    sampler: Sampler, address_id: int, member_id: int, country: Country, at: datetime, *, is_primary: bool
) -> Row:
    """Return a postal address.

    Args:
        sampler: the source of randomness.
        address_id: the address's key.
        member_id: who lives there.
        country: where it is.
        at: when it is entered (UTC).
        is_primary: whether the member prefers it.

    Returns:
        A row of `member_addresses`.
    """
    place = sampler.pick(country.places)
    is_located = sampler.chance(0.7)
    return {
        "address_id": address_id,
        "member_id": member_id,
        "address_type": sampler.allowed("member_addresses", "address_type"),
        "line_1": sampler.pick(country.streets),
        "line_2": f"{sampler.between(1, 9)}/{sampler.between(1, 40)}" if sampler.chance(0.2) else None,
        "city": place.city,
        "region": place.region or None,
        "postal_code": place.postal_code,
        "country_code": country.code,
        "latitude": place.latitude if is_located else None,
        "longitude": place.longitude if is_located else None,
        "is_primary": is_primary,
        "valid_from": at.date(),
        "valid_to": None,
        "created_at": at,
        "updated_at": at,
    }


def changed_address(sampler: Sampler, country: Country, at: datetime) -> Row:
    """Return what an update of a postal address sets.

    Args:
        sampler: the source of randomness.
        country: where the member lives.
        at: when it changes (UTC).

    Returns:
        Some columns of `member_addresses`.
    """
    if sampler.chance(0.2):
        return {"valid_to": at.date() + timedelta(days=sampler.between(0, 60)), "is_primary": False}
    place = sampler.pick(country.places)
    if sampler.chance(0.4):
        return {"latitude": place.latitude, "longitude": place.longitude}
    return {"line_1": sampler.pick(country.streets), "city": place.city, "postal_code": place.postal_code}


def _email(sampler: Sampler, member: Row, email_id: int) -> str:
    if sampler.chance(_ODD):
        return sampler.pick(_ODD_ADDRESSES)
    name = str(member["last_name"]).lower().replace(" ", "-")
    return f"{name}.{email_id}@{sampler.pick(sampler.pools.email_domains)}"


def _phone(sampler: Sampler, country: Country) -> str:
    if sampler.chance(_ODD):
        return sampler.pick(_ODD_NUMBERS)
    return f"{country.dial_code}{sampler.between(10**8, 10**9 - 1)}"
