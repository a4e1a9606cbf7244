"""Masks by class, the keyed hash whose key is in no statement and no log, and policies from configuration."""

import hashlib
import json
import secrets
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from structure_warehouse import ROOT, Warehouse

from core.contracts import load_contracts

MASKED = [
    ("email", "'anna@example.com'", "a***@example.com"),
    ("email", "'anna@GMX.de'", "a***@gmx.de"),
    ("email", "'ada@ada-lovelace.de'", "a***"),
    ("email", "'a@gmail.com'", "***@gmail.com"),
    ("email", "'no address'", "***"),
    ("email", "cast(null as string)", None),
    ("phone", "'+49 (170) 123-4567'", "***67"),
    ("phone", "'110'", "***"),
    ("phone", "cast(null as string)", None),
    ("name", "'  ärmel '", "Ä."),
    ("name", "'李'", "***"),
    ("name", "'\ufb03na'", "F."),
    ("name", "''", ""),
    ("name", "cast(null as string)", None),
    ("birth_date", "date '1984-07-21'", date(1984, 1, 1)),
    ("location", "48.137154", 48.1),
    ("financial", "numeric '47499.50'", Decimal(50000)),
    ("address", "'Canary Street 1'", "[address]"),
    ("free_text", "cast(null as string)", None),
    (None, "'open'", "open"),
]


@pytest.fixture(scope="module")
def masked(structure_warehouse: Warehouse) -> list[Any]:
    columns = [
        f"{{{{ privacy_mask({json.dumps(sql)}, {json.dumps(pii) if pii else 'none'}) }}}} as c{number}"
        for number, (pii, sql, _) in enumerate(MASKED)
    ]
    (row,) = structure_warehouse.client.query_and_wait(structure_warehouse.compiled(f"select {', '.join(columns)}"))
    return list(row.values())


@pytest.fixture
def key(structure_warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[bytes]:
    made = secrets.token_bytes(32)
    (tmp_path / "key").write_text(json.dumps({"key": made.hex()}))
    monkeypatch.setenv("MILLRACE_PRIVACY_KEY_FILE", str(tmp_path / "key"))
    structure_warehouse.dbt("run-operation", "privacy_load_key", "--log-level-file", "debug")
    yield made
    structure_warehouse.client.delete_table("privacy.hash_key", not_found_ok=True)


@pytest.mark.parametrize("number", range(len(MASKED)), ids=lambda n: f"{MASKED[n][0]}-{MASKED[n][1]}")
def test_a_mask_tells_what_it_may(masked: list[Any], number: int) -> None:
    assert masked[number] == MASKED[number][2]


def test_every_class_of_the_contracts_has_a_mask(structure_warehouse: Warehouse) -> None:
    contracts = load_contracts(ROOT / "dbt_project/models/raw").values()
    classes = sorted({column.pii for contract in contracts for column in contract.columns if column.pii})
    calls = [f"{{{{ privacy_mask('x', '{name}') }}}}" for name in classes]
    assert len(structure_warehouse.compiled("\n".join(calls)).strip()) > 0
    assert {"email", "phone", "name", "birth_date"} <= set(classes)


def test_the_hash_is_keyed_and_its_key_is_nowhere_to_read(structure_warehouse: Warehouse, key: bytes) -> None:
    given = "(select 'M-1' as v union all select cast(null as string)) as given"
    sql = structure_warehouse.compiled(
        f"select {{{{ privacy_hash('v') }}}}, {{{{ privacy_tokenise('v') }}}} from {given}"
    )
    rows = [tuple(row.values()) for row in structure_warehouse.client.query_and_wait(sql)]
    digits = key.hex().encode()
    expected = hashlib.sha256(digits + hashlib.sha256(digits + b"M-1").hexdigest().encode()).hexdigest()
    assert sorted(rows, key=repr) == sorted([(expected, f"tok_{expected[:24]}"), (None, None)], key=repr)
    written = [path for path in structure_warehouse.folder.rglob("*") if path.is_file()]
    assert any(path.name == "dbt.log" for path in written)
    assert not [path for path in written if key.hex().encode() in path.read_bytes()]


def test_what_is_no_key_is_refused(
    structure_warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text(json.dumps({"key": "secret"}))
    monkeypatch.setenv("MILLRACE_PRIVACY_KEY_FILE", str(tmp_path / "key"))
    with pytest.raises(AssertionError, match="openssl rand -hex 32"):
        structure_warehouse.dbt("run-operation", "privacy_load_key")


def test_policies_come_from_configuration(structure_warehouse: Warehouse) -> None:
    columns = {name: {"name": name, "description": "d", "config": {"meta": {"pii": pii} if pii else {}}}
               for name, pii in (("email", "email"), ("city", "address"), ("status", None))}  # fmt: skip
    tags = {"email": "tags/1", "default": "tags/2"}
    sql = structure_warehouse.compiled(f"{{{{ tojson(privacy_tagged_columns({columns!r}, {tags!r})) }}}}")
    assert {name: column["policy_tags"] for name, column in json.loads(sql).items()} == {
        "email": ["tags/1"],
        "city": ["tags/2"],
    }


def test_who_builds_sees_the_rows_that_policies_hide(structure_warehouse: Warehouse) -> None:
    named = {
        "privacy_row_access": {
            "ref_member_profiles": [{"name": "de", "grantees": ["group:de@x.com"], "filter": "true"}]
        },
        "privacy_row_access_all": ["serviceAccount:pipeline@x.com"],
    }
    ask = "{{ tojson(privacy_row_access_policies('ref_member_profiles')) }}"
    policies = json.loads(structure_warehouse.compiled(ask, **named))
    assert [(each["name"], each["filter"]) for each in policies] == [("all_rows", "true"), ("de", "true")]
    assert policies[0]["grantees"] == named["privacy_row_access_all"]
    assert json.loads(structure_warehouse.compiled(ask)) == []
    with pytest.raises(AssertionError, match="Error parsing inline query"):
        structure_warehouse.compiled(ask, privacy_row_access=named["privacy_row_access"])
