"""The warehouse: what an increment costs against a rebuild and the size of the table, and a build of each zone."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median
from typing import Final

from google.cloud import bigquery

from bench.conditions import Conditions
from bench.result import Case, Figure, Result, Run, ratio
from bench.warehouse_dbt import Cost, Dbt, environment
from bench.warehouse_rows import Rows, land, land_members, of_a_world
from core.clients import bigquery_client
from core.clock import utc_now
from core.contracts import Contracts, load_contracts
from core.settings import Settings
from ingest.row import RawRow
from ingest.setup import raw_table

_MODELS: Final = ("str_truncates", "str_members")
_ZONES: Final = ("structure", "refined", "analytics")
_MOST_ROUNDS: Final = 3
_EVENTS: Final = 4_000
_CHANGED_SHARE: Final = 100
_GROWTH: Final = 4
_SPREAD_MINUTES: Final = 10_000
_BASE_AGE: Final = timedelta(days=2)
_APART: Final = timedelta(minutes=30)
"""Further than a run reads back (`cdc_overlap_minutes`), so that each reads as many rows as any other."""
_ONCE, _GROWN, _ANEW = "increment, quarter of the table", "increment", "built anew"


@dataclass(frozen=True)
class _Runs:
    """What was measured, by what ran."""

    members: dict[str, list[Run]] = field(default_factory=lambda: {_ONCE: [], _GROWN: [], _ANEW: []})
    zones: dict[str, list[Run]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Bench:
    """The warehouse that is measured, and what measures it."""

    settings: Settings
    client: bigquery.Client
    contracts: Contracts
    dbt: Dbt
    cost: Cost
    rounds: int
    began_at: datetime = field(default_factory=utc_now)
    runs: _Runs = field(default_factory=_Runs)


def run(conditions: Conditions) -> Result:
    """Measure the warehouse on the local BigQuery.

    Args:
        conditions: how often and how much. A quick run leaves out the zones, whose first build takes half a minute.

    Returns:
        What increments cost. Speeds are changed rows per CPU second of dbt and BigQuery together.
    """
    members = conditions.size(1_000_000, 4_000)
    settings = conditions.stand_ins.settings("bench-warehouse")
    contracts = load_contracts(settings.contracts_path)
    with environment(settings), bigquery_client(settings) as client:
        _make_raw(client, settings, contracts)
        bench = _Bench(
            settings,
            client,
            contracts,
            Dbt(conditions.scratch),
            Cost(conditions.stand_ins.bigquery_pid),
            min(conditions.rounds, _MOST_ROUNDS),
        )
        bench.dbt.run(["str_erasures"])
        _grow(bench, members)
        if not conditions.quick:
            _build_zones(bench, of_a_world(contracts, _EVENTS))
    return _result(bench.runs, members)


def _make_raw(client: bigquery.Client, settings: Settings, contracts: Contracts) -> None:
    for dataset in ("raw", "structure"):
        client.create_dataset(dataset, exists_ok=True)
    for contract in contracts.values():
        client.create_table(raw_table(settings, contract), exists_ok=True)


def _grow(bench: _Bench, members: int) -> None:
    """Bring the same number of changes into a table, into one four times as large, and rebuild the latter."""
    base, changed = members // _GROWTH, members // _CHANGED_SHARE
    runs = bench.runs.members
    _land_base(bench, range(base))
    bench.dbt.run(_MODELS, full_refresh=True)
    _increments(bench, base, changed, 1, runs[_ONCE])
    _land_base(bench, range(base, members))
    for _ in range(bench.rounds):
        with bench.cost.of(changed, runs[_ANEW]):
            bench.dbt.run(_MODELS, full_refresh=True)
    _increments(bench, members, changed, 2 + bench.rounds, runs[_GROWN])
    _check(bench, members)


def _land_base(bench: _Bench, keys: range) -> None:
    landed_at = bench.began_at - _BASE_AGE
    land_members(bench.client, bench.settings, keys, version=0, landed_at=landed_at, spread_minutes=_SPREAD_MINUTES)


def _increments(bench: _Bench, members: int, changed: int, version: int, runs: list[Run]) -> None:
    # One more than counts: the first run of its kind is the one whose SQL is translated.
    for number in range(bench.rounds + 1):
        keys = range(number, members, members // changed)[:changed]
        landed_at = bench.began_at - _BASE_AGE + (version + number) * _APART
        land_members(bench.client, bench.settings, keys, version=version + number, landed_at=landed_at)
        kept: list[Run] = []
        with bench.cost.of(changed, kept):
            bench.dbt.run(_MODELS)
        runs.extend(kept if number else [])


def _check(bench: _Bench, members: int) -> None:
    """Make sure that every change arrived: who leaves rows out is not quick."""
    newest = "select _key, max(_source_position) as position from raw.members group by _key"
    (row,) = bench.client.query_and_wait(
        f"select count(*) as held, countif(held._source_position = newest.position) as newest "  # noqa: S608 - constants
        f"from structure.members as held join ({newest}) as newest on held._key = newest._key"
    )
    if (row["held"], row["newest"]) != (members, members):
        raise RuntimeError(f"of {members} members {row['held']} are held, {row['newest']} as they are now")


def _build_zones(bench: _Bench, rows: Rows) -> None:
    """Build every zone over a small world, then with a small change each round."""
    for table in bench.contracts:
        bench.client.delete_table(f"raw.{table}")
    for dataset in ("structure", "audit"):
        bench.client.delete_dataset(dataset, delete_contents=True)
    _make_raw(bench.client, bench.settings, bench.contracts)
    parts = _shares(rows, bench.rounds + 2)
    for number, part in enumerate(parts):
        land(bench.client, bench.settings, part, utc_now() - timedelta(minutes=30 if number == 0 else 0))
        for zone in _ZONES:
            for tests in (False, True):
                kept: list[Run] = []
                with bench.cost.of(sum(map(len, part.values())), kept):
                    bench.dbt.build(zone, tests=tests)
                # The first build makes the tables, the second is the first of its kind.
                if number > 1:
                    name = f"{zone} zone, tested" if tests else f"{zone} zone"
                    bench.runs.zones.setdefault(name, []).extend(kept)


def _shares(rows: Rows, count: int) -> Sequence[Rows]:
    """Cut rows into a large part and small ones, a hundredth of them each."""
    parts: list[dict[str, list[RawRow]]] = [{} for _ in range(count)]
    for table, found in rows.items():
        small = -(-len(found) // _CHANGED_SHARE)
        cuts = [0, *(max(0, len(found) - small * left) for left in range(count - 1, -1, -1))]
        for number, part in enumerate(parts):
            part[table] = list(found[cuts[number] : cuts[number + 1]])
    return parts


def _result(runs: _Runs, members: int) -> Result:
    changed = members // _CHANGED_SHARE
    once = Case(_ONCE, "ours", f"{changed:,} changes into {members // _GROWTH:,} members", tuple(runs.members[_ONCE]))
    grown = Case(_GROWN, "ours", f"{changed:,} changes into {members:,} members", tuple(runs.members[_GROWN]))
    anew = Case(_ANEW, "peer", f"the same table made from all of raw, {members:,} members", tuple(runs.members[_ANEW]))
    built = ratio(grown, anew, "times the rebuild that brings the same changes")
    growth = ratio(grown, once, "of the speed it has on a quarter of the table")
    measures = {"ratio_incremental": 1 / built.value, "ratio_growth": 1 / growth.value}
    return Result(
        name="warehouse",
        title=f"{changed:,} changes of members into structure, and a build of each zone",
        item="changes",
        cases=(once, grown, anew),
        ratios=(built, growth),
        figures=_figures(runs.zones),
        notes=("CPU seconds are those of dbt and of the local BigQuery together",),
        measures=measures | _zone_seconds(runs.zones),
    )


def _figures(zones: dict[str, list[Run]]) -> tuple[Figure, ...]:
    return tuple(
        Figure(f"{name}, {what}", median(values), "s")
        for name, runs in zones.items()
        for what, values in (
            ("CPU of dbt and BigQuery", [run.cpu_s for run in runs]),
            ("wall time", [run.wall_s for run in runs]),
        )
    )


def _zone_seconds(zones: dict[str, list[Run]]) -> dict[str, float]:
    return {
        f"{name.split()[0]}_zone_s": median(run.wall_s for run in runs)
        for name, runs in zones.items()
        if not name.endswith("tested")
    }
