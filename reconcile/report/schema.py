"""The JSON schema of `report.json`, made from the types that write it."""

from typing import Any

import msgspec

from reconcile.result import SCHEMA_VERSION, RunResult


def report_schema() -> dict[str, Any]:
    """Return the schema of `report.json` (JSON Schema, draft 2020-12).

    Returns:
        The schema; a change that readers would notice raises `SCHEMA_VERSION`, which it pins.
    """
    schema = msgspec.json.schema(RunResult)
    definition = schema["$defs"]["RunResult"]
    definition["properties"]["schema_version"] = {"const": SCHEMA_VERSION}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Millrace reconciliation report",
    } | schema


def schema_text() -> str:
    """Return the schema as it is published."""
    return msgspec.json.format(msgspec.json.encode(report_schema(), order="sorted"), indent=2).decode() + "\n"
