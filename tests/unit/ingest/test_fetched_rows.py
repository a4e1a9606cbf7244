"""From the API's answer for a set to the rows that bring raw up to date."""

from dataclasses import replace

from fetch_api import set_notification
from hypothesis import given
from hypothesis import strategies as st

from ingest.fetch import Entity, EntitySet
from ingest.fetch.rows import set_rows


def key(number: int) -> bytes:
    return f'{{"email_id":{number}}}'.encode()


def entity(number: int, version: int) -> Entity:
    return Entity(b"{}", version, None, "f", key(number))


KEYS = st.integers(0, 5)
VERSIONS = st.integers(1, 9)


@given(st.dictionaries(KEYS, VERSIONS), st.dictionaries(KEYS, VERSIONS), VERSIONS)
def test_what_is_new_lands_and_what_is_gone_is_deleted(
    present: dict[int, int], known: dict[int, int], version: int
) -> None:
    found = EntitySet({key(one): entity(one, at) for one, at in present.items()}, version)
    rows = set_rows(set_notification(), found, {key(one): f"{at:020d}" for one, at in known.items()}, "run")
    landed = {row.key for row in rows if row.op == "UPDATE"}
    deleted = {row.key for row in rows if row.op == "DELETE"}
    assert landed == {key(one) for one, at in present.items() if known.get(one) != at}
    # A row that changed after the set was read is none of its business.
    assert deleted == {key(one) for one, at in known.items() if one not in present and at <= version}
    assert all(row.source_position == f"{version:020d}" for row in rows if row.op == "DELETE")
    assert [row.event_id for row in rows] == [f"event-1:{number}" for number in range(1, len(rows) + 1)]
    assert all(row.op_inferred and row.source_system == "member-api" for row in rows)


def test_rows_of_a_table_of_upserts_are_yet_to_be_worked_out() -> None:
    asked = set_notification()
    upserts = type(asked)(
        asked.message, replace(asked.contract, pattern="upsert"), asked.key, asked.key_values, 1, is_set=True
    )
    [row] = set_rows(upserts, EntitySet({key(1): entity(1, 1)}, 1), {}, "run")
    assert row.op == "UPSERT"
