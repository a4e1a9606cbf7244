"""What is changed or deleted after the instant a model describes, though it was there before."""

from collections.abc import Mapping
from dataclasses import dataclass

from zones_rows import AS_OF, Row, StructureRows


@dataclass(frozen=True)
class Restated:
    """What was changed.

    Attributes:
        tables: the table of the changed row, by its member.
        deleted: the member who was deleted.
    """

    tables: Mapping[int, str]
    deleted: int


def restate(given: StructureRows) -> Restated:
    """Change a row of several tables, each of another member, and delete a member.

    Args:
        given: the rows; changed in place.

    Returns:
        What was changed.
    """
    purchases = [
        row
        for row in given.tables["member_transactions"]
        if row["status"] == "completed" and row["transaction_type"] == "purchase" and row["occurred_at"] <= AS_OF
    ]
    tiers = [row for row in given.tables["member_tiers"] if row["started_on"] <= AS_OF.date()]
    newest_tiers = sorted(tiers, key=lambda row: (row["started_on"], row["tier_id"]), reverse=True)
    members = [row for row in given.tables["members"] if row["status"] == "active"]
    chosen: dict[int, str] = {}
    given.touch(_of_another(given, purchases, chosen, "member_transactions"), status="voided")
    given.touch(_of_another(given, newest_tiers, chosen, "member_tiers"), tier="corrected")
    given.touch(_of_another(given, members, chosen, "members"), status="suspended", home_store_id=99)
    deleted = _of_another(given, members, dict(chosen), "members")
    given.touch(deleted, is_deleted=True)
    return Restated(chosen, deleted["member_id"])


def _of_another(given: StructureRows, rows: list[Row], chosen: dict[int, str], table: str) -> Row:
    """Return the first row that is there, of a customer of whom none was chosen yet."""
    customers = {row["member_id"] for row in given.tables["members"] if not (row["is_deleted"] or row["is_test"])}
    row = next(row for row in rows if not row["is_deleted"] and row["member_id"] in customers - set(chosen))
    chosen[row["member_id"]] = table
    return row
