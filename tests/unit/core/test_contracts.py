"""Contracts are read from dbt's own YAML, and a wrong one is refused with its place and the fix."""

from pathlib import Path

import pytest
import yaml

from core.contracts import load_contracts
from core.errors import ContractError

ROOT = Path(__file__).parents[3]

MEMBER_TABLES = {
    "members", "member_profiles", "member_emails", "member_phones", "member_addresses", "member_identities",
    "member_consents", "member_preferences", "member_tiers", "member_points", "member_transactions",
    "member_interactions", "member_cases",
}  # fmt: skip


def document(**changes: object) -> dict[str, object]:
    table: dict[str, object] = {
        "name": "things",
        "description": "Things.",
        "config": {"meta": {"owner": "us", "topic": "shop.public.things"}},
        "columns": [
            {"name": "thing_id", "data_type": "int64", "description": "Key.", "config": {"meta": {"key": True}}},
            {"name": "label", "data_type": "string", "description": "Label."},
        ],
    }
    table.update(changes)
    return {"sources": [{"name": "shop", "schema": "raw", "tables": [table]}]}


def write(folder: Path, content: object, name: str = "things.yml") -> Path:
    (folder / name).write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return folder


def test_the_member_domain_declares_its_13_tables() -> None:
    contracts = load_contracts(ROOT / "dbt_project/models/raw")
    assert set(contracts) == MEMBER_TABLES
    assert [column.name for column in contracts["member_preferences"].key] == ["member_id", "channel", "topic"]
    assert contracts["members"].column("first_name").pii == "name"
    assert "closed" in contracts["members"].column("status").allowed_values
    assert contracts.by_topic()["loyalty.member.members"] is contracts["members"]
    assert contracts.notification_topics() == ("loyalty.member.notifications",)
    for contract in contracts.values():
        assert contract.dataset == "raw"
        assert contract.description
        assert all(column.description for column in contract.columns)
        assert not any(column.is_nullable for column in contract.key)


def test_a_contract_is_read(tmp_path: Path) -> None:
    contract = load_contracts(write(tmp_path, document()))["things"]
    assert (contract.source, contract.dataset, contract.owner) == ("shop", "raw", "us")
    assert [column.name for column in contract.columns] == ["thing_id", "label"]
    assert contract.notification_topic is None
    with pytest.raises(KeyError, match="no column 'nope'"):
        contract.column("nope")


def test_a_contract_says_how_its_events_are_written(tmp_path: Path) -> None:
    meta = {"owner": "us", "topic": "shop.things", "wire_format": "plain", "pattern": "incremental", "cursor": "label"}
    contract = load_contracts(write(tmp_path, document(config={"meta": {**meta, "drift": "strict"}})))["things"]
    assert (contract.wire_format, contract.encoding) == ("plain", "json")
    assert (contract.pattern, contract.cursor, contract.drift) == ("incremental", "label", "strict")


def test_a_contract_may_name_the_fields_that_say_what_happened(tmp_path: Path) -> None:
    meta = {
        "owner": "us",
        "topic": "shop.things",
        "operation_field": "verb",
        "deleted_field": "gone",
        "files": "things/**/*.parquet",
    }
    contract = load_contracts(write(tmp_path, document(config={"meta": meta | {"wire_format": "plain"}})))["things"]
    assert (contract.operation_field, contract.deleted_field) == ("verb", "gone")
    assert contract.files == "things/**/*.parquet"
    with pytest.raises(ContractError, match="use wire_format plain or auto"):
        load_contracts(write(tmp_path, document(config={"meta": meta | {"wire_format": "maxwell"}})))


def test_a_contract_may_name_a_set_of_rows_at_the_api(tmp_path: Path) -> None:
    meta = {"owner": "us", "topic": "shop.things", "notification_topic": "shop.notes", "api_set_path": "/by/{label}"}
    contract = load_contracts(write(tmp_path, document(config={"meta": meta})))["things"]
    assert contract.api_set_path == "/by/{label}"
    assert [column.name for column in contract.set_columns] == ["label"]


def test_a_contract_says_how_its_raw_table_is_laid_out(tmp_path: Path) -> None:
    meta = {"owner": "us", "topic": "shop.things"}
    contract = load_contracts(write(tmp_path, document(config={"meta": meta})))["things"]
    assert (contract.partition_by, contract.cluster_by, contract.retention_days) == ("day", ("_key",), None)
    meta |= {"partition_by": "hour", "cluster_by": ["_op", "_key"], "retention_days": 30}
    contract = load_contracts(write(tmp_path, document(config={"meta": meta})))["things"]
    assert (contract.partition_by, contract.cluster_by, contract.retention_days) == ("hour", ("_op", "_key"), 30)


def columns(*rows: dict[str, object]) -> dict[str, object]:
    return {"columns": list(rows)}


KEY: dict[str, object] = {
    "name": "thing_id",
    "data_type": "int64",
    "description": "Key.",
    "config": {"meta": {"key": True}},
}


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        (columns({**KEY, "config": {}}), "has no key"),
        (columns(KEY, KEY), "thing_id more than once"),
        (columns(KEY, {**KEY, "name": "Thing_ID"}), "thing_id more than once"),
        (columns(KEY, {**KEY, "name": "_Key"}), "declares _key, which Millrace itself adds"),
        (columns(KEY, {**KEY, "name": "_partition_day"}), "begins as BigQuery's own columns do"),
        (columns({**KEY, "name": "thing id; drop table x"}), "not a valid BigQuery name"),
        (columns({**KEY, "data_type": "varchar"}), "data_type"),
        (columns({**KEY, "description": ""}), "description"),
        (columns({**KEY, "config": {"meta": {"keey": True}}}), "keey"),
        ({"columns": []}, "columns"),
        ({"name": "x`y"}, "not a valid BigQuery name"),
        ({"config": {"meta": {"topic": "shop.public.things"}}}, "owner"),
        ({"config": {"meta": {"owner": "us", "topic": "a b"}}}, "topic"),
        (
            {"config": {"meta": {"owner": "us", "topic": "shop.things", "api_path": "/things/{other}"}}},
            "must name exactly the key columns thing_id, not other",
        ),
        *(
            (
                {"config": {"meta": {"owner": "us", "topic": "shop.things", "api_set_path": path, **topics}}},
                fault,
            )
            for path, topics, fault in [
                ("/all", {"notification_topic": "shop.notes"}, "names none"),
                ("/of/{other}", {"notification_topic": "shop.notes"}, "names other"),
                ("/of/{thing_id}", {"notification_topic": "shop.notes"}, "not the whole key"),
                ("/by/{label}", {}, "no notification_topic"),
            ]
        ),
        (
            {
                "config": {
                    "meta": {
                        "owner": "us",
                        "topic": "shop.things",
                        "pattern": "full_dump",
                        "notification_topic": "shop.notes",
                    }
                }
            },
            "comes as full dumps",
        ),
        (
            {
                "config": {
                    "meta": {
                        "owner": "us",
                        "topic": "shop.things",
                        "pattern": "full_dump",
                        "require_partition_filter": True,
                    }
                }
            },
            "remove require_partition_filter",
        ),
        ({"config": {"meta": {"owner": "us", "topic": "shop.things", "pattern": "incremental"}}}, "is incremental"),
        (
            {"config": {"meta": {"owner": "us", "topic": "shop.things", "pattern": "incremental", "cursor": "nope"}}},
            "is incremental",
        ),
        ({"config": {"meta": {"owner": "us", "topic": "shop.things", "cursor": "label"}}}, "has a cursor"),
        *(
            ({"config": {"meta": {"owner": "us", "topic": "shop.things", **layout}}}, fault)
            for layout, fault in [
                ({"partition_by": "week"}, "partition_by"),
                ({"cluster_by": []}, "'things' has 0 columns in cluster_by; name 1 to 4"),
                ({"cluster_by": ["_key", "_op", "_load_id", "_event_id", "_trace_id"]}, "'things' has 5 columns"),
                ({"cluster_by": ["_key", "_key"]}, "'things' names _key more than once"),
                ({"cluster_by": ["label"]}, "'things' has label in cluster_by; use columns of the raw row: _op"),
                ({"retention_days": 6}, "'things' has retention_days 6; keep at least 7"),
                ({"retention_days": "30"}, "retention_days"),
                ({"partition_by": "hour"}, "'things' has a partition an hour.*retention_days of at most 400"),
                ({"partition_by": "hour", "retention_days": 401}, "at most 400"),
                ({"pattern": "full_dump", "retention_days": 30}, "remove retention_days"),
            ]
        ),
    ],
)
def test_a_wrong_contract_is_refused_with_its_place(tmp_path: Path, changes: dict[str, object], fault: str) -> None:
    with pytest.raises(ContractError, match=fault) as caught:
        load_contracts(write(tmp_path, document(**changes)))
    assert "things.yml" in str(caught.value)


def test_tables_must_not_share_a_name_or_topic(tmp_path: Path) -> None:
    write(tmp_path, document())
    write(tmp_path, document(), "again.yml")
    with pytest.raises(ContractError, match="declared twice"):
        load_contracts(tmp_path)
    write(tmp_path, document(name="others"), "again.yml")
    with pytest.raises(ContractError, match="share the topic"):
        load_contracts(tmp_path)


@pytest.mark.parametrize("text", ["sources: [", "sources: 3", "- 1"])
def test_a_file_that_is_no_source_yaml_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ContractError, match=r"things\.yml"):
        load_contracts(write(tmp_path, text))


def test_an_absent_or_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="no dbt source"):
        load_contracts(write(tmp_path, "models: []"))
    with pytest.raises(ContractError, match="MILLRACE_CONTRACTS_PATH"):
        load_contracts(tmp_path / "absent")
    (tmp_path / "things.yml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ContractError, match="cannot be read"):
        load_contracts(tmp_path)


def test_how_a_connector_writes_values_is_declared_where_its_events_do_not_say_so(tmp_path: Path) -> None:
    document_ = document(
        config={
            "meta": {
                "owner": "us",
                "topic": "shop.public.things",
                "debezium": {"decimal_handling": "precise", "time_precision": "adaptive", "binary_handling": "hex"},
            }
        },
        columns=[
            {"name": "thing_id", "data_type": "numeric", "description": "Key.",
             "config": {"meta": {"key": True, "unsigned": True}}},
            {"name": "price", "data_type": "numeric", "description": "Price.", "config": {"meta": {"scale": 2}}},
            {"name": "sold_at", "data_type": "timestamp", "description": "When.", "config": {"meta": {"precision": 3}}},
        ],
    )  # fmt: skip
    contract = load_contracts(write(tmp_path, document_))["things"]
    assert contract.debezium.decimal_handling == "precise"
    assert (contract.debezium.time_precision, contract.debezium.binary_handling) == ("adaptive", "hex")
    assert contract.debezium.unavailable_value == "__debezium_unavailable_value"
    assert [column.is_unsigned for column in contract.columns] == [True, False, False]
    assert (contract.column("price").scale, contract.column("sold_at").precision) == (2, 3)


def test_a_handling_mode_no_connector_knows_is_refused(tmp_path: Path) -> None:
    meta = {"owner": "us", "topic": "shop.public.things", "debezium": {"decimal_handling": "exact"}}
    with pytest.raises(ContractError, match="decimal_handling"):
        load_contracts(write(tmp_path, document(config={"meta": meta})))
