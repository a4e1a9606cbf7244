"""A folder of files that an ingester loads, with one table of plain rows whose contract can be changed."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ingest_river import QUICK, River

from core.contracts import load_contracts
from ingest.progress import Summary
from ingest.runner import Run
from ingest.settings import IngestSettings
from ingest.stages import Plan

TABLE = "member_emails"


class Place:
    """A folder of files, with one table of plain rows whose contract can be changed."""

    def __init__(self, river: River, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder / "in"
        self.folder.mkdir()
        self._contracts = folder / "contracts"
        self._contracts.mkdir()
        self._monkeypatch = monkeypatch
        self.river = River(
            river.settings.model_copy(update={"contracts_path": self._contracts}), river.contracts, river.sent
        )
        self.declare()
        variables = {"TRANSPORT": "files", "DUMP_PATIENCE_S": "5", "FILES_QUIET_S": "0", "FILES_LIST_S": "0.1"}
        for name, value in variables.items():
            monkeypatch.setenv(f"MILLRACE_INGEST_{name}", value)
        monkeypatch.setenv("MILLRACE_INGEST_FILES_URI", self.folder.as_uri())

    def declare(self, *, extra: str | None = None, **meta: str) -> None:
        """Write the contract; `extra` is the type of a field that it does not know otherwise."""
        document = yaml.safe_load(Path(f"dbt_project/models/raw/member/{TABLE}.yml").read_text())
        [table] = document["sources"][0]["tables"]
        kept = {name: table["config"]["meta"][name] for name in ("owner", "topic")}
        plain = {"wire_format": "plain", "pattern": "upsert", "drift": "strict", "files": "*.ndjson"}
        table["config"]["meta"] = kept | plain | meta
        table["columns"] = [one for one in table["columns"] if one["name"] in ("email_id", "email")]
        if extra is not None:
            table["columns"].append({"name": "extra", "data_type": extra, "description": "Came later."})
        (self._contracts / f"{TABLE}.yml").write_text(yaml.safe_dump(document))
        self.river = River(self.river.settings, load_contracts(self._contracts), self.river.sent)
        for name, value in self.river.environment().items():
            self._monkeypatch.setenv(name, value)

    def write(self, name: str, *rows: dict[str, object]) -> None:
        file = self.folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def load(self) -> Summary:
        tunables = QUICK | {"transport": "files", "dump_patience_s": 0.2}
        run = Run(Plan(self.river.settings, self.river.contracts), IngestSettings.model_validate(tunables))
        return asyncio.run(_started(run))

    def state(self) -> dict[int, str]:
        """The table as the merge leaves it: of each key the newest change."""
        newest: dict[str, Any] = {}
        for row in sorted(self.river.rows(TABLE), key=lambda one: (one["_source_position"], one["_op"] == "DELETE")):
            newest[row["_key"]] = row
        alive = {key: row for key, row in newest.items() if row["_op"] != "DELETE"}
        return {json.loads(key)["email_id"]: json.loads(row["payload"])["email"] for key, row in alive.items()}


async def _started(run: Run) -> Summary:
    return await run.run(0.3)


def row(key: int, email: str, **fields: object) -> dict[str, object]:
    return {"email_id": key, "email": email} | fields
