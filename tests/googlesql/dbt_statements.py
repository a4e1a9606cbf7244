"""Every statement dbt sends, as it was sent."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from dbt.artifacts.resources.types import NodeType
from dbt.cli.main import dbtRunner
from parsed_project import for_one_command, options

from core.clients import bigquery_client
from core.contracts import Contracts, TableContract
from core.settings import load_settings
from ingest.setup import raw_table

ROOT = Path(__file__).parents[2]
_TEMPORARY = re.compile(r"(__dbt_tmp)\d+")
_COMMENT = re.compile(r"^/\*.*?\*/\s*", re.DOTALL)
_ERASED, _KEPT = 7, 8
_LANDED_AT = datetime(2024, 1, 5, tzinfo=UTC)
_LOAD_KEY: Final = "privacy_load_key"
_PRUNED: Final = ("run", "--selector", "structure", "--vars", json.dumps({"prune_from_rows": 0}))
_TRUNCATED: Final = {
    "payload": None,
    "_op": "TRUNCATE",
    "_key": None,
    "_event_id": "truncate",
    "_source_position": f"{99:020d}",
    "_ingestion_ts": (_LANDED_AT + timedelta(hours=1)).isoformat(),
}
_GROWN: Final = "member_profiles"
"""A table that has columns of most types, and lacks them once: a contract that has grown."""
_OLDER: Final[Mapping[str, str]] = {"audit.runs": "warned", "audit.quality_results": "owner"}
"""Columns that tables of the audit lack once, as those that an older version made."""
RESTORED: Final = re.compile(r"from `[^`]+`\.`?raw`?\.`?(\w+)`?")
"""Where a statement reads a raw table, as one above structure does only for rows of an instant of the past."""

OPERATIONS: Final[Mapping[str, Mapping[str, Any]]] = {
    _LOAD_KEY: {},
    "erase_member": {"member_id": _ERASED, "request": "DSR-1"},
    "enforce_erasures": {},
    "maintain": {},
}
"""What `dbt run-operation` is for, with arguments, in an order in which each finds something to do."""


@dataclass(frozen=True)
class Statement:
    """A statement dbt sent.

    Attributes:
        node: unique id of the model, test or snapshot it was sent for; empty for those that dbt sends for itself.
        sql: its text, without dbt's comment, and with temporary tables named alike in every run.
        operation: the one of `OPERATIONS` that sent it; empty for builds and tests.
        erased: whether somebody had been erased by then, whose rows models have to leave out.
    """

    node: str
    sql: str
    operation: str = ""
    erased: bool = False


@dataclass(frozen=True)
class Recording:
    """What dbt sent in several commands.

    Attributes:
        statements: in the order they were sent, each text once a node.
        manifest: the project, as dbt parsed it.
        folder: scratch space of dbt.
        environment: variables that say where its BigQuery is.
        tested: the unit tests that passed, by unique id.
    """

    statements: list[Statement]
    manifest: Any
    folder: Path
    environment: Mapping[str, str]
    tested: list[str] = field(default_factory=list)

    def seeds(self) -> Iterator[tuple[str, str, dict[str, str]]]:
        """Yield dataset, name and column types of each seed, which dbt loads without a statement."""
        for node in self.manifest.nodes.values():
            if node.resource_type == NodeType.Seed:
                yield node.schema, node.alias, dict(node.config.column_types)


def record(environment: Mapping[str, str], contracts: Contracts, folder: Path, manifest: Any) -> Recording:
    """Build every zone, and again what an incremental run sends otherwise; run unit tests and operations.

    As in production, the key of hashes is there, and tables are made with what the project says of them.

    Then rows land, among them those of a member who is erased: for the statements of an increment that leaves somebody
    out, of a rule that fails, of rows as they were before all of it, and of operations that find something to delete.
    These increments read of each table what they touch only, first of keys, then all of it, as it is truncated; and one
    of the tables has yet to get columns, as have some of the audit.

    Args:
        environment: variables that say where the local BigQuery is; it must be empty.
        contracts: the raw tables, created here without rows: the statements are the same.
        folder: scratch space of dbt.
        manifest: the project, as dbt parsed it.

    Returns:
        All statements.
    """
    with _variables(environment):
        settings = load_settings()
        with bigquery_client(settings) as client:
            client.create_dataset("raw")
            for contract in contracts.values():
                client.create_table(raw_table(settings, contract))
    sent: dict[Statement, None] = {}

    def listen(operation: str = "", *, erased: bool = False) -> Callable[[Any], None]:
        def note(event: Any) -> None:
            if event.info.name == "SQLQuery":
                text = _TEMPORARY.sub(r"\1", _COMMENT.sub("", event.data.sql)).strip()
                sent[Statement(event.data.node_info.unique_id, text, operation, erased)] = None

        return note

    key = folder / "privacy_key.json"
    key.write_text(json.dumps({"key": "0" * 64}))
    with _variables({**environment, "MILLRACE_PRIVACY_KEY_FILE": str(key)}):
        _dbt(manifest, listen(_LOAD_KEY), folder, "run-operation", _LOAD_KEY)
        for zone in ("raw", "structure", "refined", "analytics"):
            _dbt(_told_to_bigquery(manifest), listen(), folder, "build", "--selector", zone)
        _dbt(manifest, listen(), folder, "source", "freshness", may_fail=True)
        # Rules and tables that are made anew are asked and made as before, word for word.
        _dbt(manifest, listen(), folder, "build", "--selector", "structure", "--exclude-resource-type", "test")
        _dbt(manifest, listen(), folder, "run", "--select", "fct_transactions")
        outcome = _dbt(manifest, listen(), folder, "test", "--selector", "unit")
        with bigquery_client(settings) as client:
            for contract in contracts.values():
                client.insert_rows_json(f"raw.{contract.name}", [_row(contract, member) for member in (_ERASED, _KEPT)])
            _forget_columns(client, contracts[_GROWN])
        for name, arguments in OPERATIONS.items():
            if name == "maintain":
                _dbt(manifest, listen(erased=True), folder, *_PRUNED)
                with bigquery_client(settings) as client:
                    for contract in contracts.values():
                        client.insert_rows_json(f"raw.{contract.name}", [_row(contract, _KEPT) | _TRUNCATED])
                _dbt(manifest, listen(erased=True), folder, *_PRUNED)
                broken = ("test", "--select", "str_members_contract_holds")
                _dbt(manifest, listen(erased=True), folder, *broken, may_fail=True)
                sent |= dict.fromkeys(_as_they_were(manifest, listen(), folder))
            operation = ("run-operation", name, "--args", json.dumps(arguments))
            _dbt(manifest, listen(name), folder, *operation, "--vars", json.dumps({"raw_retention_days": 30}))
    tested = [result.node.unique_id for result in outcome.result if result.status == "pass"]
    return Recording(list(sent), manifest, folder, environment, tested)


def _told_to_bigquery(manifest: Any) -> Any:
    """Return the project with descriptions written to BigQuery, as everywhere but on a laptop."""
    changed = for_one_command(manifest)
    for node in changed.nodes.values():
        if node.resource_type in (NodeType.Model, NodeType.Seed, NodeType.Snapshot):
            node.config.persist_docs = {"relation": True, "columns": True}
    return changed


def _forget_columns(client: Any, contract: TableContract) -> None:
    """Drop some of the audit's, and all of a structure table but its key, and the member by whom rows are erased."""
    held = {"member_id"} | {column.name for column in contract.key}
    lost = [(f"structure.{contract.name}", column.name) for column in contract.columns if column.name not in held]
    for table, column in [*_OLDER.items(), *lost]:
        client.query_and_wait(f"alter table {table} drop column {column}")


def _as_they_were(manifest: Any, listen: Any, folder: Path) -> Iterator[Statement]:
    """Yield what refined asks of the day before anything landed: each table has to bring back what it was."""
    before = json.dumps({"as_of": f"{_LANDED_AT - timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"})
    outcome = _dbt(manifest, listen, folder, "compile", "--selector", "refined", "--vars", before)
    for result in outcome.result.results:
        if RESTORED.search(result.node.compiled_code or ""):
            yield Statement(result.node.unique_id, result.node.compiled_code)


def _row(contract: TableContract, member: int) -> dict[str, Any]:
    """Return a raw row that states its member and key, and nothing else of what a row must."""
    key = {c.name: member if c.data_type == "int64" else c.allowed_values[0] for c in contract.key}
    return {
        "payload": json.dumps({"member_id": member} | key),
        "_op": "INSERT",
        "_op_inferred": False,
        "_key": json.dumps(key, separators=(",", ":"), sort_keys=True),
        "_source_system": "loyalty",
        "_source_table": f"loyalty.{contract.name}",
        "_source_ts": _LANDED_AT.isoformat(),
        "_source_position": f"{member:020d}",
        "_event_id": f"{contract.name}-{member}",
        "_ingestion_ts": _LANDED_AT.isoformat(),
    }


def compiled(recording: Recording, sql: str) -> str:
    """Return SQL as dbt renders it on the local target.

    Args:
        recording: whose project it is.
        sql: text with macros.
    """
    with _variables(recording.environment):
        outcome = _dbt(recording.manifest, lambda _: None, recording.folder, "compile", "--inline", sql)
    return str(outcome.result.results[0].node.compiled_code)


def sent_by(recording: Recording, *command: str) -> list[tuple[str, str]]:
    """Run a command, and return node and text of each statement it sent.

    Args:
        recording: whose project and BigQuery it is.
        command: the command of dbt, with its options.
    """
    sent: list[tuple[str, str]] = []

    def note(event: Any) -> None:
        if event.info.name == "SQLQuery":
            sent.append((event.data.node_info.unique_id, _COMMENT.sub("", event.data.sql).strip()))

    with _variables(recording.environment):
        _dbt(recording.manifest, note, recording.folder, *command)
    return sent


@contextmanager
def _variables(environment: Mapping[str, str]) -> Iterator[None]:
    """Set variables while dbt runs: by the next time another test may have set its own."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield


def _dbt(manifest: Any, listen: Any, folder: Path, *command: str, may_fail: bool = False) -> Any:
    runner = dbtRunner(manifest=for_one_command(manifest), callbacks=[listen])
    outcome = runner.invoke([*command, "--no-write-json", *options(folder)])
    if not (may_fail and outcome.exception is None):
        assert outcome.success, outcome.exception or [f"{r.node.name}: {r.message}" for r in outcome.result]
    return outcome
