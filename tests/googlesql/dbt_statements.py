"""Every statement dbt sends, as it was sent."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from dbt.artifacts.resources.types import NodeType
from dbt.cli.main import dbtRunner
from parsed_project import for_one_command, options

from core.clients import bigquery_client
from core.contracts import Contracts
from core.settings import load_settings
from ingest.setup import raw_table

ROOT = Path(__file__).parents[2]
_TEMPORARY = re.compile(r"(__dbt_tmp)\d+")
_COMMENT = re.compile(r"^/\*.*?\*/\s*", re.DOTALL)


@dataclass(frozen=True)
class Statement:
    """A statement dbt sent.

    Attributes:
        node: unique id of the model, test or snapshot it was sent for; empty for those that dbt sends for itself.
        sql: its text, without dbt's comment, and with temporary tables named alike in every run.
    """

    node: str
    sql: str


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
    """Build every zone twice, for the statements of a first and of an incremental run, and run the unit tests.

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

    def listen(event: Any) -> None:
        if event.info.name == "SQLQuery":
            text = _TEMPORARY.sub(r"\1", _COMMENT.sub("", event.data.sql)).strip()
            sent[Statement(event.data.node_info.unique_id, text)] = None

    zones = ("raw", "structure", "refined", "analytics")
    commands = [("build", "--selector", zone) for zone in (*zones, *zones[1:])]
    with _variables(environment):
        for command in commands:
            _dbt(manifest, listen, folder, *command)
        outcome = _dbt(manifest, listen, folder, "test", "--selector", "unit")
    tested = [result.node.unique_id for result in outcome.result if result.status == "pass"]
    return Recording(list(sent), manifest, folder, environment, tested)


def compiled(recording: Recording, sql: str) -> str:
    """Return SQL as dbt renders it on the local target.

    Args:
        recording: whose project it is.
        sql: text with macros.
    """
    with _variables(recording.environment):
        outcome = _dbt(recording.manifest, lambda _: None, recording.folder, "compile", "--inline", sql)
    return str(outcome.result.results[0].node.compiled_code)


@contextmanager
def _variables(environment: Mapping[str, str]) -> Iterator[None]:
    """Set variables while dbt runs: by the next time another test may have set its own."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield


def _dbt(manifest: Any, listen: Any, folder: Path, *command: str) -> Any:
    runner = dbtRunner(manifest=for_one_command(manifest), callbacks=[listen])
    outcome = runner.invoke([*command, "--no-write-json", *options(folder)])
    assert outcome.success, outcome.exception or [f"{r.node.name}: {r.message}" for r in outcome.result]
    return outcome
