"""The views of a result: a table for people, a file for machines."""

import json
import os
import platform
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.result import Case, Result, as_json


def machine() -> dict[str, Any]:
    """Return what the numbers were measured on, as far as they depend on it."""
    return {
        "cores": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 2),
        "platform": platform.platform(terse=True),
        "python": platform.python_version(),
    }


def document(result: Result, started_at: datetime, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON document of a result.

    Args:
        result: what was found.
        started_at: when its measurement began (UTC).
        options: with which options.

    Returns:
        The document.
    """
    return {**as_json(result), "started_at": f"{started_at:%Y-%m-%dT%H:%M:%SZ}", **options, "machine": machine()}


def write(found: Mapping[str, Any], folder: Path) -> Path:
    """Write a document as `<name>.json`, in one step.

    Args:
        found: the document.
        folder: where to; made when absent.

    Returns:
        The file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{found['name']}.json"
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)
    return path


def show(result: Result, console: Console) -> None:
    """Print a result.

    Args:
        result: what was found.
        console: where to.
    """
    has_memory = any(case.peak_rss_mib is not None for case in result.cases)
    table = Table(title=f"{result.name}: {result.title}", title_justify="left", title_style="bold", box=None)
    table.add_column("", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column(f"{result.item} / CPU s", justify="right", no_wrap=True)
    if has_memory:
        table.add_column("peak MiB", justify="right")
    table.add_column("")
    for case in result.cases:
        table.add_row(*_cells(case, has_memory=has_memory))
    console.print(table)
    for found in result.ratios:
        console.print(
            f"  [bold]{found.value:8.2f}[/] {found.of} over {found.over} ({found.low:.2f} to {found.high:.2f}): "
            f"{found.about}"
        )
    for figure in result.figures:
        console.print(f"  [bold]{figure.value:8.1f}[/] {figure.unit}, {figure.name}")
    for note in result.notes:
        console.print(f"  note: {note}")
    console.print()


def _cells(case: Case, *, has_memory: bool) -> list[str]:
    cells = [case.kind, case.name, f"{case.per_cpu_s:,.0f}"]
    if has_memory:
        cells.append("" if case.peak_rss_mib is None else f"{case.peak_rss_mib:.0f}")
    return [*cells, case.about]
