"""Dead letters of an erased member are deleted, by whom they name and by their key, and those of others are kept."""

import base64
from collections.abc import Iterator
from typing import Final

import pytest
from structure_warehouse import Warehouse

from ingest.dead_letters import DEAD_LETTERS

ERASED, OTHER = 4712, 47120
KEY, OTHERS_KEY = '{"email_id":47}', '{"email_id":48}'

# name: (what was sent, the table and the ordering key it was sent with)
THEIRS: Final = {
    "unreadable": ('{"member_id": 4712, "email": "', None, None),
    "in quotes": ('{"after":{"member_id" : "4712"}}', "member_emails", OTHERS_KEY),
    "moved to them": ('{"before":{"member_id":47120},"after":{"member_id":4712}}', "member_emails", None),
    "moved from them": ('{"before":{"member_id":4712},"after":{"member_id":47120}}', "member_emails", None),
    "their key": ("\xff", "member_emails", KEY),
    "their key, of an unknown table": ("", None, KEY),
}
OF_OTHERS: Final = {
    "another": ('{"member_id": 47120, "referrer_member_id": 4712}', "member_emails", KEY),
    "another key": ("{", "member_emails", OTHERS_KEY),
    "their key in another table": ("{", "member_phones", KEY),
    "nothing said": ("", None, None),
}


def _bytes(text: str) -> str:
    return base64.b64encode(text.encode("latin-1")).decode()


@pytest.fixture
def letters(structure_warehouse: Warehouse) -> Iterator[Warehouse]:
    client = structure_warehouse.client
    client.create_dataset("audit", exists_ok=True)
    client.delete_table("audit.dead_letters", not_found_ok=True)
    client.create_table(DEAD_LETTERS.definition(structure_warehouse.settings))
    known = {"reason": "decode", "topic": "t", "dead_lettered_at": "2026-01-05T00:00:00Z"}
    rows = [
        {"event_id": name, "data": _bytes(text), "table_name": table, "ordering_key": key} | known
        for name, (text, table, key) in (THEIRS | OF_OTHERS).items()
    ]
    assert client.insert_rows_json("audit.dead_letters", rows) == []
    client.query_and_wait(
        "insert into structure.erasures (member_id, table_name, _key, erased_at) "
        f"values ({ERASED}, 'member_emails', '{KEY}', current_timestamp())"
    )
    yield structure_warehouse
    client.delete_table("audit.dead_letters")
    client.query_and_wait(f"delete from structure.erasures where member_id = {ERASED}")


def test_letters_of_the_erased_go_and_those_of_others_stay(letters: Warehouse) -> None:
    letters.dbt("run-operation", "enforce_erasures")
    assert {row["event_id"] for row in letters.rows("audit.dead_letters")} == set(OF_OTHERS)
    [told] = [
        row["rows_deleted"]
        for row in letters.rows("audit.erasures")
        if row["table_name"] == "audit.dead_letters" and row["rows_deleted"]
    ]
    assert told == len(THEIRS)
