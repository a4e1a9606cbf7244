"""The peers held against pairs of tables that tools get wrong; `python -m bench.torture` writes who misses what.

Each peer runs in an environment of its own, by its own readers, with nothing configured: as its users have it.
"""

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from bench.environments import NoEnvironmentError, environment
from bench.torture_pairs import PAIRS
from core.clock import utc_now
from core.contracts import DataType
from reconcile.compare.engine import EngineLimits, How, compare
from reconcile.plans import ComparisonPlan, PlannedColumn, SnapshotPlan, WarehousePlan
from reconcile.read.sides import settled, stored_rows, stored_schema
from reconcile.read.spill import Spill
from reconcile.read.text import ARROW
from reconcile.read.warehouse import WarehouseTable
from reconcile.result import Mode
from reconcile.rules import EXACT

PAGE: Final = Path("docs/design/reconciliation-peers.md")
_HERE: Final = Path(__file__).parent
_SCRIPTS: Final = _HERE / "peer-scripts"
_TIMEOUT_S: Final = 900.0

Rows = Sequence[tuple[Any, ...]]


@dataclass(frozen=True)
class Case:
    """Two tables with the key `id`.

    Attributes:
        name: folder of its files.
        group: the type or the trait that it tries.
        types: type by column, `id` first.
        warehouse: the rows of one side.
        snapshot: those of the other.
        is_equal: what a tool should say.
    """

    name: str
    group: str
    types: Mapping[str, DataType]
    warehouse: Rows
    snapshot: Rows
    is_equal: bool

    @property
    def words(self) -> str:
        """Both sides, as people may read them."""
        left, right = (rows[0][1:] if len(rows) == 1 else rows for rows in (self.warehouse, self.snapshot))
        return f"`{_shown(left)}` against `{_shown(right)}`"


@dataclass(frozen=True)
class Tool:
    """A tool and its judgements.

    Attributes:
        name: its name and version.
        judged: `equal`, `different` or `failed: ...` by name of the case.
    """

    name: str
    judged: Mapping[str, str]

    def missed(self, cases: Sequence[Case]) -> list[Case]:
        """Return the cases that differ and that it calls equal."""
        return [case for case in cases if not case.is_equal and self.judged[case.name] == "equal"]

    def false(self, cases: Sequence[Case]) -> list[Case]:
        """Return the cases that are equal and that it calls different."""
        return [case for case in cases if case.is_equal and self.judged[case.name] == "different"]

    def failed(self, cases: Sequence[Case]) -> list[Case]:
        """Return the cases that it gives no answer to."""
        return [case for case in cases if self.judged[case.name].startswith("failed")]

    def cell(self, cases: Sequence[Case]) -> str:
        """Return what is wrong with its judgements, in few words; `all right` for nothing."""
        found = {"missed": self.missed(cases), "false": self.false(cases), "failed": self.failed(cases)}
        return ", ".join(f"{len(them)} {name}" for name, them in found.items() if them) or "all right"


def cases() -> tuple[Case, ...]:
    """Return every case: a table of one row for each pair of values, and tables for what takes several."""
    pairs = [
        Case(f"{number:03}", kind, {"id": "int64", "v": kind}, [(1, left)], [(1, right)], is_equal)
        for number, (kind, left, right, is_equal) in enumerate(
            (kind, *pair) for kind, found in PAIRS.items() for pair in found
        )
    ]
    texts: dict[str, DataType] = {"id": "int64", "a": "string", "b": "string"}
    several: list[tuple[str, Rows, Rows, bool]] = [
        ("separators moved between columns", [(1, "x|y", "z")], [(1, "x", "y|z")], False),
        ("separators moved between columns", [(1, "x,y", "z")], [(1, "x", "y,z")], False),
        ("separators moved between columns", [(1, "", None)], [(1, None, "")], False),
        ("separators moved between columns", [(1, "ab", "c")], [(1, "a", "bc")], False),
        ("keys that are null", [(None, "x", "y")], [(None, "x", "y")], True),
        ("keys that are null", [(None, "x", "y")], [(None, "x", "z")], False),
        ("keys that are null", [(1, "x", "y"), (None, "x", "y")], [(1, "x", "y")], False),
        ("keys that stand more than once", [(1, "x", "y")] * 2, [(1, "x", "y")], False),
        ("keys that stand more than once", [(1, "x", "y"), (1, "x", "z")], [(1, "x", "y"), (1, "x", "w")], False),
        ("keys that stand more than once", [(1, "x", "y")] * 3, [(1, "x", "y")] * 2, False),
        ("rows", [], [], True),
        ("rows", [(1, "x", "y")], [], False),
    ]
    return (
        *pairs,
        *(
            Case(f"t{number:02}", group, texts, left, right, is_equal)
            for number, (group, left, right, is_equal) in enumerate(several)
        ),
    )


def ours(given: Sequence[Case], mode: Mode) -> Tool:
    """Judge by our own comparison.

    Args:
        given: the cases.
        mode: how to compare.
    """
    return Tool(f"reconcile, {mode}", {case.name: _judged(case, mode) for case in given})


@dataclass(frozen=True)
class Peer:
    """A tool of others.

    Attributes:
        name: its name.
        requirements: what its environment holds, itself first.
        script: what judges the cases there.
        arguments: of the script, after the folder of the cases.
    """

    name: str
    requirements: tuple[str, ...]
    script: str
    arguments: tuple[str, ...] = ()

    def judge(self, given: Sequence[Case], folder: Path) -> Tool:
        """Judge the cases whose files lie in a folder.

        Args:
            given: the cases.
            folder: see `write_cases`.

        Raises:
            NoEnvironmentError: when its environment cannot be made.
            SubprocessError: when it ends without judgements.
        """
        python = environment(self.name, self.requirements)
        command = [str(python), str(_SCRIPTS / self.script), str(folder), *self.arguments]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=_TIMEOUT_S)
        judged: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
        version = self.requirements[0].rpartition("==")[2]
        return Tool(f"{self.name} {version}", {case.name: judged[case.name] for case in given})


PEERS: Final = (
    Peer("datacompy", ("datacompy==1.1.0", "polars==1.33.1", "pyarrow"), "torture_datacompy.py"),
    Peer("reladiff", ("reladiff[duckdb]==0.6.0",), "torture_differ.py", ("reladiff", "hashdiff")),
    Peer(
        "data-diff",
        ("data-diff[duckdb]==0.11.2", "dbt-core<1.9", "setuptools<81"),
        "torture_differ.py",
        ("data_diff", "hashdiff"),
    ),
    Peer("DVT", ("google-pso-data-validator==8.10.0", "pgserver==0.1.4", "pyarrow==14.0.2"), "torture_dvt.py"),
)


def write_cases(given: Sequence[Case], folder: Path) -> None:
    """Write the tables of every case as Parquet.

    Args:
        given: the cases.
        folder: where to; each case is a folder in it.
    """
    for case in given:
        (folder / case.name).mkdir()
        for side, rows in (("w", case.warehouse), ("s", case.snapshot)):
            pq.write_table(_table(case, rows), folder / case.name / f"{side}.parquet")


def main() -> None:
    """Judge every case by every tool, and write the page."""
    given = cases()
    tools = [ours(given, "typed"), ours(given, "checksum")]
    absent = []
    with tempfile.TemporaryDirectory() as name:
        for peer in PEERS:
            folder = Path(name) / peer.name
            folder.mkdir()
            write_cases(given, folder)
            try:
                tools.append(peer.judge(given, folder))
            except (NoEnvironmentError, subprocess.SubprocessError) as error:
                absent.append(f"{peer.name}: {error}")
    PAGE.write_text(page(given, tools, utc_now(), absent), encoding="utf-8")


def page(given: Sequence[Case], tools: Sequence[Tool], at: datetime, absent: Sequence[str] = ()) -> str:
    """Return the page of who misses what.

    Args:
        given: the cases.
        tools: the tools that judged them, ours first.
        at: when they did.
        absent: why other tools did not.
    """
    # Only HTML is escaped by Jinja; what is rendered here is Markdown.
    templates = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    groups = {group: [case for case in given if case.group == group] for group in dict.fromkeys(c.group for c in given)}
    return templates.get_template("torture.md.j2").render(
        cases=given, groups=groups, tools=tools, at=f"{at:%Y-%m-%d}", absent=absent
    )


def _table(case: Case, rows: Rows) -> pa.Table:
    schema = pa.schema([(name, ARROW[kind]) for name, kind in case.types.items()])
    arrays = [pa.array([row[n] for row in rows], kind) for n, kind in enumerate(schema.types)]
    return pa.Table.from_arrays(arrays, schema=schema)


def _judged(case: Case, mode: Mode) -> str:
    columns = tuple(
        PlannedColumn(name, name, kind, name == "id", EXACT, None, cast=False) for name, kind in case.types.items()
    )
    warehouse = WarehousePlan(WarehouseTable("bench-torture", "structure", "things"), (), None, "")
    plan = ComparisonPlan("things", None, columns, warehouse, SnapshotPlan((), "parquet", None, ()), ())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sides = [
            _spilled(columns, _table(case, rows), folder / f"{number}.parquet")
            for number, rows in enumerate((case.warehouse, case.snapshot))
        ]
        limits = EngineLimits(memory_mb=128, threads=1, sample=1)
        found = compare(plan, *sides, scratch=folder, limits=limits, export=None, values=False, how=How(mode))
    return "different" if found.counts.differences else "equal"


def _spilled(columns: tuple[PlannedColumn, ...], table: pa.Table, path: Path) -> Spill:
    batches = stored_rows(columns, lambda: iter(table.to_batches()), settled, "the case")
    pq.write_table(pa.Table.from_batches(batches, stored_schema(columns)), path)
    return Spill((path,), table.num_rows)


def _shown(value: Any) -> str:
    text = repr(value[0] if isinstance(value, tuple) and len(value) == 1 else value)
    # A bar would end the cell of a table, a backquote the code.
    return text.replace("|", "\\|").replace("`", "'").replace("datetime.", "")


if __name__ == "__main__":
    main()
