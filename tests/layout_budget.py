"""The budget of bytes that models may read, by zone, and what they do read, by dry run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import yaml
from google.cloud import bigquery

BUDGET: Final = Path(__file__).parent / "integration/dbt/layout_budget.yml"


def budget_of(zone: str) -> dict[str, int]:
    """Return the most bytes that each model of a zone may read, by model."""
    zones: dict[str, dict[str, int]] = yaml.safe_load(BUDGET.read_text())
    return zones[zone]


def bytes_of(client: bigquery.Client, sql: str) -> int:
    """Ask BigQuery what a query would read, without running it."""
    config = bigquery.QueryJobConfig(dry_run=True)
    made = f"create or replace table structure.never_made as (\n{sql}\n)"
    return int(client.query(made, job_config=config).total_bytes_processed or 0)


def over_budget(read: Mapping[str, int], budget: Mapping[str, int]) -> list[str]:
    """Tell which models read more than they may, or are not in the budget at all."""
    return [f"{model} reads {number:,} bytes" for model, number in read.items() if number > budget.get(model, 0)]


def too_wide(read: Mapping[str, int], budget: Mapping[str, int]) -> dict[str, int]:
    """Tell which models may read more than twice of what they do, and those that are there no more."""
    return {model: most for model, most in budget.items() if read.get(model, 0) * 2 < most}


def measured(read: Mapping[str, int]) -> str:
    """Return what was measured as lines for the budget's file."""
    return "what was measured:" + "".join(f"\n  {model}: {number}" for model, number in sorted(read.items()))
