"""Where a contract may say which full dump a file belongs to."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from core.contracts import load_contracts
from core.contracts.dump_files import dump_files_fault
from core.errors import ContractError

MEMBERS = load_contracts(Path("dbt_project/models/raw"))["members"]


@pytest.mark.parametrize(
    "files", ["m/{dump_id}/*.avro", "m/dt={dump_id}/**", "{dump_id}.json", "m/a-{dump_id}.json.gz"]
)
def test_a_dump_is_a_folder_or_an_object(files: str) -> None:
    assert dump_files_fault(replace(MEMBERS, pattern="full_dump", files=files)) is None


@pytest.mark.parametrize(
    ("pattern", "files", "fault"),
    [
        ("full_dump", "m/*.avro", "must say once where the dump's id stands"),
        ("full_dump", "{dump_id}/{dump_id}/a", "must say once"),
        ("full_dump", "*/{dump_id}/a", "has a wildcard"),
        ("full_dump", "m/{dump_id}-*.avro", "has a wildcard"),
        ("full_dump", "m/x?{dump_id}/a", "has a wildcard"),
        ("upsert", "m/{dump_id}/*.avro", "which only a table with `pattern: full_dump` may have"),
    ],
)
def test_what_names_no_dump_is_refused(tmp_path: Path, pattern: str, files: str, fault: str) -> None:
    document = yaml.safe_load(Path("dbt_project/models/raw/member/members.yml").read_text())
    meta = document["sources"][0]["tables"][0]["config"]["meta"]
    kept = {name: meta[name] for name in ("owner", "topic")}
    meta.clear()
    meta |= kept | {"wire_format": "plain", "pattern": pattern, "files": files}
    (tmp_path / "members.yml").write_text(yaml.safe_dump(document))
    with pytest.raises(ContractError, match=fault):
        load_contracts(tmp_path)


def test_messages_need_no_files() -> None:
    assert dump_files_fault(replace(MEMBERS, pattern="full_dump")) is None
