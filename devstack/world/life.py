"""What members live through: each function is one transaction of the operational database.

A function takes what it needs from `Society` and does nothing when the member has nothing to do it to.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from devstack.world.changes import Key, Row
from devstack.world.database import Transaction
from devstack.world.rows import activity, choice, contact, loyalty, person
from devstack.world.society import Member, Society

Action = Callable[[Society, Transaction, Member], None]

_CHILDREN_THAT_COME_AND_GO: Final = ("member_emails", "member_phones", "member_addresses", "member_identities")


def join(society: Society, tx: Transaction, at: datetime, by_notification: bool) -> Member:
    """Let a member join, with some of what members tell at once.

    Args:
        society: where to.
        tx: the transaction; its time is when the rows are made.
        at: when the membership began (UTC).
        by_notification: whether the member is told of by notification and API only.

    Returns:
        The new member.
    """
    sampler = society.sampler
    member_id = society.next_key("members")
    member = Member(member_id, sampler.country())
    if by_notification:
        society.database.notified_members.add(member_id)
    referrer = sampler.pick(society.members).member_id if society.members else None
    society.add(tx, member, "members", person.new_member(sampler, member_id, member.country, at, referrer))
    for action, share in _AT_FIRST:
        if sampler.chance(share):
            action(society, tx, member)
    society.members.append(member)
    return member


def _member_row(society: Society, member: Member) -> Row:
    return society.database.tables["members"][(member.member_id,)]


def _new_profile(society: Society, tx: Transaction, member: Member) -> None:
    key = society.next_key("member_profiles")
    row = person.new_profile(society.sampler, key, _member_row(society, member), member.country, tx.at)
    society.add(tx, member, "member_profiles", row)


def _new_identity(society: Society, tx: Transaction, member: Member) -> None:
    key = society.next_key("member_identities")
    society.add(tx, member, "member_identities", person.new_identity(society.sampler, key, member.member_id, tx.at))


def _new_email(society: Society, tx: Transaction, member: Member) -> None:
    key, is_primary = society.next_key("member_emails"), not member.keys("member_emails")
    row = contact.new_email(society.sampler, key, _member_row(society, member), tx.at, is_primary=is_primary)
    society.add(tx, member, "member_emails", row)


def _new_phone(society: Society, tx: Transaction, member: Member) -> None:
    key, is_primary = society.next_key("member_phones"), not member.keys("member_phones")
    row = contact.new_phone(society.sampler, key, member.member_id, member.country, tx.at, is_primary=is_primary)
    society.add(tx, member, "member_phones", row)


def _new_address(society: Society, tx: Transaction, member: Member) -> None:
    key, is_primary = society.next_key("member_addresses"), not member.keys("member_addresses")
    row = contact.new_address(society.sampler, key, member.member_id, member.country, tx.at, is_primary=is_primary)
    society.add(tx, member, "member_addresses", row)


def _new_consent(society: Society, tx: Transaction, member: Member) -> None:
    key = society.next_key("member_consents")
    society.add(tx, member, "member_consents", choice.new_consent(society.sampler, key, member.member_id, tx.at))


def _free_preference(society: Society, member: Member) -> Key:
    sampler = society.sampler
    table = "member_preferences"
    return (member.member_id, sampler.allowed(table, "channel"), sampler.allowed(table, "topic"))


def _new_preference(society: Society, tx: Transaction, member: Member) -> None:
    key = _free_preference(society, member)
    if key in society.database.tables["member_preferences"]:
        return
    row = choice.new_preference(society.sampler, member.member_id, str(key[1]), str(key[2]), tx.at)
    society.add(tx, member, "member_preferences", row)


def _change_preference(society: Society, tx: Transaction, member: Member) -> None:
    found = society.any_row(member, "member_preferences")
    if found is None:
        _new_preference(society, tx, member)
        return
    key, row = found
    if society.sampler.chance(0.7):
        society.set(tx, "member_preferences", key, choice.changed_preference(society.sampler, row))
        return
    if society.sampler.chance(0.6):
        _remove(society, tx, member, "member_preferences", key)
        return
    other = _free_preference(society, member)
    if other not in society.database.tables["member_preferences"]:
        new_key = tx.change_key("member_preferences", key, {"channel": other[1], "topic": other[2]})
        keys = member.keys("member_preferences")
        keys[keys.index(key)] = new_key


def _purchase(society: Society, tx: Transaction, member: Member) -> None:
    key = society.next_key("member_transactions")
    at = society.sampler.before(tx.at, 1)
    row = loyalty.new_purchase(society.sampler, key, member.member_id, member.country, at, created_at=tx.at)
    added = society.add(tx, member, "member_transactions", row)
    if row["status"] == "completed":
        _post_points(society, tx, member, added)
    else:
        society.pending.append((member, added))


def _settle(society: Society, tx: Transaction, _: Member) -> None:
    if not society.pending:
        return
    member, key = society.pending.popleft()
    if key not in society.database.tables["member_transactions"]:
        return
    if society.sampler.chance(0.1):
        society.set(tx, "member_transactions", key, {"status": "voided"})
        return
    society.set(tx, "member_transactions", key, {"status": "completed"})
    _post_points(society, tx, member, key)


def _refund(society: Society, tx: Transaction, member: Member) -> None:
    found = society.any_row(member, "member_transactions")
    if found is None or found[1]["transaction_type"] == "refund" or found[1]["status"] != "completed":
        return
    row = loyalty.new_refund(society.next_key("member_transactions"), found[1], tx.at)
    added = society.add(tx, member, "member_transactions", row)
    _post_points(society, tx, member, added)


def _post_points(society: Society, tx: Transaction, member: Member, transaction: Key) -> None:
    paid = society.database.tables["member_transactions"][transaction]
    entry = loyalty.new_points_entry(society.sampler, society.next_key("member_points"), paid, tx.at)
    society.add(tx, member, "member_points", entry)
    points = entry["points"]
    if isinstance(points, Decimal):
        member.earned += points
        member.balance += points
    _set_tier(society, tx, member)


def _set_tier(society: Society, tx: Transaction, member: Member) -> None:
    tier = loyalty.tier_for(member.earned)
    if member.tier is not None and member.tier[0] == tier:
        return
    reason = "earned"
    if member.tier is not None:
        former, held = member.tier
        order = [name for name, _ in loyalty.TIERS]
        reason = "earned" if order.index(tier) < order.index(former) else "downgraded"
        if held in society.database.tables["member_tiers"]:
            society.set(tx, "member_tiers", held, {"ends_on": tx.at.date()})
    row = loyalty.new_tier(
        society.next_key("member_tiers"), member.member_id, tier, member.earned, tx.at, reason=reason
    )
    member.tier = (tier, society.add(tx, member, "member_tiers", row))


def _redeem(society: Society, tx: Transaction, member: Member) -> None:
    if member.balance < 1:
        return
    key = society.next_key("member_points")
    row = loyalty.new_redemption(society.sampler, key, member.member_id, member.balance, tx.at)
    society.add(tx, member, "member_points", row)
    points = row["points"]
    if isinstance(points, Decimal):
        member.balance += points


def _interact(society: Society, tx: Transaction, member: Member) -> None:
    key = society.next_key("member_interactions")
    at = society.sampler.before(tx.at, 1)
    row = activity.new_interaction(society.sampler, key, member.member_id, at, created_at=tx.at)
    society.add(tx, member, "member_interactions", row)


def _open_case(society: Society, tx: Transaction, member: Member) -> None:
    key = society.next_key("member_cases")
    row = activity.new_case(society.sampler, key, member.member_id, member.country, tx.at)
    society.add(tx, member, "member_cases", row)


def _change_any(table: str, changed: Callable[[Society, Transaction, Member, Row], Row]) -> Action:
    def change(society: Society, tx: Transaction, member: Member) -> None:
        found = society.any_row(member, table)
        if found is not None:
            society.set(tx, table, found[0], changed(society, tx, member, found[1]))

    return change


def _remove(society: Society, tx: Transaction, member: Member, table: str, key: Key) -> None:
    society.removed.append((member, table, tx.delete(table, key)))
    member.keys(table).remove(key)


def _remove_something(society: Society, tx: Transaction, member: Member) -> None:
    table = society.sampler.pick(_CHILDREN_THAT_COME_AND_GO)
    found = society.any_row(member, table)
    if found is not None:
        _remove(society, tx, member, table, found[0])


def _restore(society: Society, tx: Transaction, _: Member) -> None:
    if not society.removed:
        return
    member, table, row = society.removed.pop()
    is_erased = (member.member_id,) not in society.database.tables["members"]
    contract = society.database.contracts[table]
    if is_erased or tuple(row[column.name] for column in contract.key) in society.database.tables[table]:
        return
    society.add(tx, member, table, {**row, "updated_at": tx.at})


def _close(society: Society, tx: Transaction, member: Member) -> None:
    if _member_row(society, member)["status"] == "closed":
        return
    society.set(tx, "members", (member.member_id,), {"status": "closed", "closed_at": tx.at})
    for key in member.keys("member_consents"):
        row = society.database.tables["member_consents"][key]
        if row["state"] == "granted":
            society.set(tx, "member_consents", key, choice.changed_consent(society.sampler, row, tx.at))


def _erase(society: Society, tx: Transaction, member: Member) -> None:
    # Children first, as foreign keys demand.
    for table in reversed(list(member.rows)):
        for key in member.rows[table]:
            tx.delete(table, key)
    member.rows.clear()
    place = society.members.index(member)
    society.members[place] = society.members[-1]
    society.members.pop()


def _changed_member(society: Society, _: Transaction, member: Member, row: Row) -> Row:
    return {} if row["status"] == "closed" else person.changed_member(society.sampler, row, member.country)


_change_member: Final = _change_any("members", _changed_member)
_change_profile: Final = _change_any(
    "member_profiles", lambda society, _, member, row: person.changed_profile(society.sampler, row, member.country)
)
_change_email: Final = _change_any(
    "member_emails", lambda society, tx, _, row: contact.changed_email(society.sampler, row, tx.at)
)
_change_phone: Final = _change_any(
    "member_phones", lambda society, _, member, __: contact.changed_phone(society.sampler, member.country)
)
_change_address: Final = _change_any(
    "member_addresses", lambda society, tx, member, _: contact.changed_address(society.sampler, member.country, tx.at)
)
_change_consent: Final = _change_any(
    "member_consents", lambda society, tx, _, row: choice.changed_consent(society.sampler, row, tx.at)
)
_score_interaction: Final = _change_any(
    "member_interactions", lambda society, _, __, ___: activity.changed_interaction(society.sampler)
)
_change_case: Final = _change_any(
    "member_cases", lambda society, tx, _, row: activity.changed_case(society.sampler, row, tx.at)
)

_AT_FIRST: Final[Sequence[tuple[Action, float]]] = (
    (_new_profile, 0.7),
    (_new_email, 0.8),
    (_new_phone, 0.4),
    (_new_address, 0.5),
    (_new_identity, 0.2),
    (_new_consent, 0.5),
    (_new_preference, 0.4),
)

DAILY_LIFE: Final[Sequence[tuple[Action, int]]] = (
    (_interact, 18),
    (_purchase, 16),
    (_settle, 6),
    (_refund, 2),
    (_redeem, 3),
    (_open_case, 4),
    (_change_case, 10),
    (_change_member, 10),
    (_change_profile, 12),
    (_change_email, 8),
    (_change_phone, 6),
    (_change_address, 8),
    (_change_consent, 6),
    (_change_preference, 10),
    (_score_interaction, 4),
    (_new_profile, 1),
    (_new_email, 1),
    (_new_phone, 1),
    (_new_address, 1),
    (_new_identity, 1),
    (_new_consent, 2),
    (_new_preference, 2),
    (_remove_something, 6),
    (_restore, 3),
    (_close, 1),
)
"""What happens to a member that is picked, with its weight."""

erase: Final[Action] = _erase
"""Delete a member with all that belongs to it, as an erasure request demands."""


def truncate(society: Society, tx: Transaction, table: str) -> None:
    """Empty a table at once, which the log tells as one event without rows.

    Args:
        society: where.
        tx: the transaction.
        table: the table.
    """
    tx.truncate(table)
    for member in society.members:
        member.rows.pop(table, None)
