"""What the dbt project says of itself agrees with the contracts and with its own SQL."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.contracts import TableContract, load_contracts

ROOT = Path(__file__).parents[3]
RAW = ROOT / "dbt_project/models/raw/member"
STRUCTURE = ROOT / "dbt_project/models/structure/member"
SNAPSHOTS = ROOT / "dbt_project/snapshots"
CONTRACTS = load_contracts(ROOT / "dbt_project/models/raw")
METADATA = [
    "is_deleted", "_op", "_key", "_source_system", "_source_ts", "_source_position", "_source_sequence", "_event_id",
    "_ingestion_ts", "_carried",
]  # fmt: skip
# dbt warns of a numeric without precision in a contract; this is what BigQuery's plain NUMERIC is.
ENFORCED = {"numeric": "numeric(38, 9)"}
MACROS = ROOT / "macros"
# Texts without a class of personal data though anything might stand there, and why nothing does that is somebody's.
IMPERSONAL = {
    "member_addresses.country_code": "a code of ISO 3166",
    "member_addresses.region": "a state or province, of millions",
    "member_consents.text_version": "a wording of ours",
    "member_interactions.campaign_code": "a campaign of ours",
    "member_interactions.tags": "labels of ours",
    "member_preferences.quiet_hours": "hours of the day",
    "member_transactions.basket": "articles and prices, by the till",
    "member_transactions.currency_code": "a code of ISO 4217",
    "members.country_code": "a code of ISO 3166",
    "members.language_code": "a code of ISO 639",
}

tables = pytest.mark.parametrize("contract", CONTRACTS.values(), ids=list(CONTRACTS))


def declared(path: Path, kind: str) -> dict[str, Any]:
    """Return the one thing of a kind that a YAML file declares."""
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    (found,) = document[kind]
    return dict(found)


@tables
def test_structure_yaml_has_the_columns_of_the_contract(contract: TableContract) -> None:
    model = declared(STRUCTURE / f"str_{contract.name}.yml", "models")
    columns = {column["name"]: column for column in model["columns"]}
    assert list(columns) == [column.name for column in contract.columns] + METADATA
    for column in contract.columns:
        said = columns[column.name]
        assert said["data_type"] == ENFORCED.get(column.data_type, column.data_type)
        assert said.get("config", {}).get("meta", {}).get("pii") == column.pii
        assert ({"type": "not_null"} in said.get("constraints", [])) == column.is_key


def test_every_text_says_whether_it_is_somebodys() -> None:
    """What has no class is shown: in reports of reconciliation, in samples of drift, in failing keys."""
    unclassified = {
        f"{contract.name}.{column.name}"
        for contract in CONTRACTS.values()
        for column in contract.columns
        if column.data_type in ("string", "bytes", "json", "array<string>")
        and column.pii is None
        and not column.allowed_values
    }
    assert unclassified == set(IMPERSONAL)


@tables
def test_every_column_that_may_be_null_says_what_null_means(contract: TableContract) -> None:
    """In the contract and in structure; of all others, structure promises that they are never null."""
    (source,) = yaml.safe_load((RAW / f"{contract.name}.yml").read_text(encoding="utf-8"))["sources"]
    (table,) = source["tables"]
    for declaring in (table, declared(STRUCTURE / f"str_{contract.name}.yml", "models")):
        said = {column["name"]: column["description"] for column in declaring["columns"]}
        unsaid = [c.name for c in contract.columns if c.is_nullable and not c.is_key and "null" not in said[c.name]]
        assert unsaid == []


@tables
def test_structure_sql_casts_every_column_to_its_type(contract: TableContract) -> None:
    sql = (STRUCTURE / f"str_{contract.name}.sql").read_text(encoding="utf-8")
    casts = re.findall(r"cdc_cast\('(\w+)', '([^']+)', columns\) }} as (\w+),", sql)
    assert casts == [(c.name, c.data_type, c.name) for c in contract.columns if not c.is_key]
    key = re.search(r"set key = ({[^}]*})", sql)
    assert key is not None
    assert yaml.safe_load(key[1]) == {column.name: column.data_type for column in contract.key}


@tables
def test_structure_keys_are_tested(contract: TableContract) -> None:
    text = (STRUCTURE / f"str_{contract.name}.yml").read_text(encoding="utf-8")
    assert f"name: str_{contract.name}_key_is_unique" in text
    assert f"name: str_{contract.name}_contract_holds" in text


@pytest.mark.parametrize("path", sorted(SNAPSHOTS.glob("*.yml")), ids=lambda path: path.stem)
def test_snapshots_hold_the_columns_of_their_contract(path: Path) -> None:
    snapshot = declared(path, "snapshots")
    contract = CONTRACTS[path.stem.removeprefix("snp_")]
    own = [column["name"] for column in snapshot["columns"] if not column["name"].startswith(("_", "dbt_"))]
    sql = (STRUCTURE / f"live/str_{contract.name}_live.sql").read_text(encoding="utf-8")
    assert own == [column.name for column in contract.columns]
    taken = re.findall(r"^    (?:.* as )?(\w+),?$", sql, re.MULTILINE)
    assert taken == [*own, "_source_ts", "_source_position", "_source_sequence", "_row_hash"]


def test_every_macro_is_documented_with_its_arguments() -> None:
    said, written = {}, {}
    for path in MACROS.rglob("*.yml"):
        for macro in yaml.safe_load(path.read_text(encoding="utf-8"))["macros"]:
            assert macro["description"]
            said[macro["name"]] = [argument["name"] for argument in macro.get("arguments", [])]
    for path in MACROS.rglob("*.sql"):
        for kind, name, arguments in re.findall(r"{%-? (macro|test) (\w+)\(([^)]*)\)", path.read_text("utf-8")):
            names = [part.split("=")[0].strip() for part in arguments.split(",") if part.strip()]
            written[f"test_{name}" if kind == "test" else name] = names
        for name, adapter in re.findall(r"{% materialization (\w+), adapter='(\w+)'", path.read_text("utf-8")):
            written[f"materialization_{name}_{adapter}"] = ["supported_languages"]
    assert written == said


def test_every_data_test_has_a_name_of_its_own() -> None:
    names: list[str] = []
    for folder in (STRUCTURE, SNAPSHOTS):
        for path in folder.rglob("*.yml"):
            document = yaml.safe_load(path.read_text(encoding="utf-8"))
            for node in [*document.get("models", []), *document.get("snapshots", [])]:
                assert node["description"]
                holders = [node, *node.get("columns", [])]
                tests = [test for holder in holders for test in holder.get("data_tests", [])]
                names += [next(iter(test.values()))["name"] for test in tests]
    assert len(names) == len(set(names)) > len(CONTRACTS)
