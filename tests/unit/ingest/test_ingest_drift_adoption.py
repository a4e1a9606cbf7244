"""Taking new fields up: the contract gains exactly their columns, and every other byte of its file stays."""

import shutil
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from core.contracts import load_contracts
from core.errors import ContractError
from ingest.drift.adopt import UNCLASSIFIED, adoptions, apply_yaml, inferred_type
from ingest.drift.findings import Finding, standing
from ingest.drift.forms import fits, seen_type

CONTRACTS_PATH = Path("dbt_project/models/raw")
WHEN = datetime(2026, 1, 5, tzinfo=UTC)

json_values = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("0123456789-+.:TZ[]{}tfe ae", max_size=30) | st.lists(st.integers() | st.text("ab"), max_size=3)
)  # fmt: skip


def finding(field: str, *seen: str, change: Any = "new_field", name: str = "members", **fields: Any) -> Finding:
    return Finding(name, change, field, fields.get("expected"), seen, WHEN, WHEN, "1", fields.get("sample"))


def test_what_the_contract_has_taken_up_stands_no_more() -> None:
    contracts = load_contracts(CONTRACTS_PATH)
    found = [
        finding("email"), finding("status"), finding("status", change="missing_field", expected="string"),
        finding("gone", change="missing_field", expected="string"),
        finding("status", change="type_changed", expected="int64"), finding("email", name="no_table"),
    ]  # fmt: skip
    assert [(one.field, one.change) for one in standing(found, contracts)] == [
        ("email", "new_field"), ("status", "missing_field")
    ]  # fmt: skip


def test_what_was_seen_of_a_field_is_joined() -> None:
    later = msgspec.structs.replace(finding("email", "string", sample="string(5)"), last_seen=WHEN + timedelta(days=1))
    [joined] = standing([finding("email", "null", sample="null"), later], load_contracts(CONTRACTS_PATH))
    assert joined.seen_types == ("null", "string")
    assert (joined.first_seen, joined.last_seen, joined.sample) == (WHEN, WHEN + timedelta(days=1), "string(5)")


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ([], None), (["null"], None), (["null", "int64"], "int64"), (["int64", "numeric"], "numeric"),
        (["int64", "float64"], "float64"), (["date", "timestamp"], "timestamp"), (["date", "datetime"], "datetime"),
        (["array<int64>", "array<string>"], "json"), (["string", "json"], "json"),
        (["int64", "bool"], "string"), (["string", "date"], "string"), (["json", "array<string>"], "json"),
    ],
)  # fmt: skip
def test_the_type_holds_all_that_was_seen(seen: list[str], expected: str | None) -> None:
    assert {inferred_type(order) for order in permutations(seen)} == {expected}


@given(st.lists(st.tuples(st.sampled_from(["a", "a_at"]), json_values), min_size=1, max_size=4))
def test_an_inferred_column_can_be_read_as_text_at_least(values: list[tuple[str, Any]]) -> None:
    inferred = inferred_type([seen_type(name, value) for name, value in values])
    if inferred is not None and inferred not in ("string", "json"):
        assert all(fits(inferred, value) for _, value in values if seen_type("a", value) != "null")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(CONTRACTS_PATH, tmp_path / "raw")


@pytest.mark.parametrize("name", sorted(load_contracts(CONTRACTS_PATH)))
def test_new_columns_are_added_to_any_contract_and_nothing_else_changes(name: str, folder: Path) -> None:
    found = [finding("new_code", "int64", "null", name=name), finding("no", "string", name=name)]
    [adoption] = adoptions(found, folder, "project")
    path = Path(adoption.path)
    before, former = path.read_text(), load_contracts(folder)
    after = apply_yaml(adoption, folder)
    assert path.read_text().replace(adoption.yaml, "", 1) == before
    assert after[name].columns[:-2] == former[name].columns
    assert [(one.name, one.data_type, one.pii) for one in after[name].columns[-2:]] == [
        ("new_code", "int64", UNCLASSIFIED), ("no", "string", UNCLASSIFIED)
    ]  # fmt: skip
    assert adoption.ddl == (
        f"alter table `project.structure.{name}` add column if not exists `new_code` int64, "
        "add column if not exists `no` string"
    )
    assert standing(found, after) == []


ENDINGS = [
    "", "\n", "\n\n", "\n# the end\n", "\n      # of the table\n      - name: other\n        <<: *rest\n",
    "\n    # of the tables\n\nmodels: []\n",
]  # fmt: skip
LAST_COLUMNS = [
    ["- {name: b, data_type: string, description: x}"],
    ["- name: b", "  data_type: string", "  description: x  # said"],
    ["- name: b", "  data_type: string", "  description: >", "    many", "    lines"],
    ["- name: b", "  data_type: string", "  description: |", "    many", "", "    lines"],
    ["- name: b", "  data_type: string", "  description: x", "  config: {meta: {", "    pii: name}}"],
]
OTHER_TABLE = """
  description: x
  config: {meta: {owner: o, topic: a.b.c}}
  columns: [{name: k, data_type: int64, description: k, config: {meta: {key: true}}}]
"""


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("last", LAST_COLUMNS)
def test_the_block_finds_its_place_before_whatever_follows(last: list[str], ending: str, tmp_path: Path) -> None:
    text = (
        f"version: 2\nx: &rest{OTHER_TABLE}sources:\n  - name: s\n    schema: raw\n    tables:\n      - name: t\n"
        "        description: t\n        config: {meta: {owner: o, topic: shop.public.t}}\n        columns:\n"
        "          - name: a\n            data_type: int64\n            description: a\n"
        "            config: {meta: {key: true}}\n" + "\n".join(f"{' ' * 10}{line}" for line in last) + ending
    )
    path = tmp_path / "t.yml"
    path.write_text(text)
    assert load_contracts(tmp_path)["t"].columns[-1].name == "b"
    [adoption] = adoptions([finding("c", "bool", name="t")], tmp_path, "project")
    after = apply_yaml(adoption, tmp_path)
    assert [column.name for column in after["t"].columns] == ["a", "b", "c"]
    assert path.read_text().replace(adoption.yaml, "", 1).rstrip("\n") == text.rstrip("\n")
    assert [line for line in text.splitlines() if "#" in line] == [
        line for line in path.read_text().splitlines() if "#" in line
    ]


def test_what_cannot_be_a_column_is_left_out(folder: Path) -> None:
    found = [finding("x`; drop table t", "int64"), finding("empty", "null"), finding("größe", "int64")]
    [adoption] = adoptions([*found, finding("gone", change="missing_field", expected="string")], folder, "project")
    assert (adoption.columns, adoption.ddl, adoption.yaml) == ((), None, "")
    assert set(adoption.left_out) == {"x`; drop table t", "empty", "größe"}


@pytest.mark.parametrize("name", ["Status", "_PARTITIONTIME", "_file_name", "_op_inferred", "IS_DELETED", "_carried"])
def test_what_bigquery_would_take_for_another_column_is_left_out(name: str, folder: Path) -> None:
    [adoption] = adoptions([finding(name, "int64"), finding("good", "int64")], folder, "project")
    assert [column.name for column in adoption.columns] == ["good"]
    assert list(adoption.left_out) == [name]


def test_of_two_new_fields_that_differ_in_case_only_the_first_is_taken(folder: Path) -> None:
    [adoption] = adoptions([finding("shoe", "int64"), finding("Shoe", "int64")], folder, "project")
    assert [column.name for column in adoption.columns] == ["shoe"]
    assert "either case" in adoption.left_out["Shoe"]


def test_a_name_that_is_a_word_of_sql_stands_in_backticks(folder: Path) -> None:
    [adoption] = adoptions([finding("select", "int64")], folder, "project")
    assert adoption.casts == ("{{ cdc_cast('select', 'int64', columns) }} as `select`,",)
    assert "`select` int64" in str(adoption.ddl)


def test_a_file_that_cannot_take_the_columns_stays_as_it_is(folder: Path) -> None:
    [adoption] = adoptions([finding("new", "int64")], folder, "project")
    path = Path(adoption.path)
    before = path.read_bytes()
    with pytest.raises(ContractError):
        apply_yaml(msgspec.structs.replace(adoption, yaml=adoption.yaml.replace("name: new", "name: newer")), folder)
    assert path.read_bytes() == before
    flow = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(flow, default_flow_style=True))
    with pytest.raises(ContractError, match="by hand"):
        adoptions([finding("new", "int64")], folder, "project")
