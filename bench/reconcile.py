"""Reconciling: a whole run of one table against the least that reading both sides costs."""

import json
import os
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from google.cloud import bigquery

from bench.conditions import Conditions
from bench.measure import Contender, contest, peak_of, start
from bench.reconcile_files import CONTENDERS as FILE_CONTENDERS
from bench.reconcile_files import ON_ALL_CORES, ON_S3, on_s3, peers, typed, write_files
from bench.result import Case, Figure, Ratio, Result, Run, ratio
from core.clients import bigquery_client
from core.contracts import DataType, TableContract, load_contracts
from core.settings import Settings
from reconcile.config import ReconcileConfig
from reconcile.runner import run as reconcile_run

_TABLE: Final = "member_transactions"
_DATASET: Final = "structure"
_SNAPSHOT: Final = "2026-01-05T07"
_CHANGED_EVERY: Final = 1_000
_ROW_GROUP: Final = 50_000
_MOST_ROUNDS: Final = 3
_ARROW_TYPES: Final[dict[DataType, pa.DataType]] = {
    "int64": pa.int64(),
    "numeric": pa.decimal128(38, 9),
    "string": pa.string(),
    "json": pa.string(),
    "timestamp": pa.timestamp("us", "UTC"),
}
_VALUES: Final[dict[str, str]] = {
    "transaction_id": "i",
    "member_id": "i % 100000",
    "store_id": "if(i % 10 = 0, null, i % 400)",
    "transaction_type": "if(i % 20 = 0, 'refund', 'purchase')",
    "status": "'completed'",
    "amount": "(hash(i) % 1000000)::bigint / 100",
    "discount_amount": "if(i % 3 = 0, (i % 1000) / 100, null)",
    "currency_code": "'EUR'",
    "item_count": "i % 12 + $changed * (i % $every = 0)::bigint",
    "payment_method": "if(i % 7 = 0, null, 'card')",
    "basket": """'{"lines": [{"sku": "S' || hash(i) % 100000 || '", "qty": ' || i % 5 + 1 || ', "price": "9.50"}]}'""",
    "occurred_at": "make_timestamp(1767600000000000 + i * 1000003)",
    "created_at": "make_timestamp(1767600000000000 + i * 1000003)",
    "updated_at": "make_timestamp(1767600000000000 + i * 1000003 + 777)",
}
"""How the columns of transaction `i` are made."""


@dataclass(frozen=True)
class Job:
    """Two sides to compare.

    Attributes:
        settings: where the warehouse and the snapshots are.
        warehouse: the warehouse's rows as a Parquet file.
        snapshot: the snapshot's rows as a Parquet file.
        rows: rows of each side.
    """

    settings: Settings
    warehouse: Path
    snapshot: Path
    rows: int

    @property
    def changed(self) -> int:
        """How many rows differ."""
        return -(-self.rows // _CHANGED_EVERY)


def run(conditions: Conditions) -> Result:
    """Reconcile a table with a snapshot on disk in several ways.

    Args:
        conditions: how often, how much, and where the services are.

    Returns:
        Rows of both sides per CPU second of the reconciling process, and peak memory for two sizes.
    """
    settings = conditions.stand_ins.settings("bench-reconcile")
    rows = conditions.size(250_000, 5_000)
    once, four_times = (_prepared(settings, conditions.scratch / str(times), times * rows) for times in (1, 4))
    jobs = {contender.name: once for contender in CONTENDERS}
    _load(once)
    ours, join, floor = contest(CONTENDERS, lambda _: jobs, rounds=conditions.rounds, apart=not conditions.quick)
    peak = peak_of(whole_run, once)
    _load(four_times)
    files = _files(conditions)
    return Result(
        name="reconcile",
        title=f"compare two sides of {files.rows:,} rows in files, and in a whole run {rows:,} rows a side",
        item="rows",
        cases=files.cases,
        ratios=files.ratios,
        figures=(
            Figure("rows a CPU second of a whole run, warehouse through the Storage Read API", ours.per_cpu_s, "rows"),
            Figure("a whole run over a scan of the same files", ratio(floor, ours, "").value, "times"),
            Figure("a whole run over a plain join of the same files", ratio(join, ours, "").value, "times"),
            Figure(f"peak memory of a whole run, {rows:,} rows a side", peak, "MiB"),
            Figure(f"the same, {4 * rows:,} rows a side", peak_of(whole_run, four_times), "MiB"),
        ),
        notes=(
            "two sides in files lie on disk both, or one of them on a local S3",
            "a whole run reads its warehouse through the Storage Read API, its snapshot from disk",
            *files.notes,
        ),
        measures=files.measures,
    )


@dataclass(frozen=True)
class _Files:
    """What comparing two sides in files took."""

    rows: int
    cases: tuple[Case, ...]
    ratios: tuple[Ratio, ...]
    notes: tuple[str, ...]
    measures: dict[str, float]


def _files(conditions: Conditions) -> _Files:
    """Compare two sides that lie in files: our modes and the floor in turn, the peers once."""
    rows = conditions.size(5_000_000, 160_000)
    once = write_files(conditions.scratch / "files", rows)
    with on_s3(once, conditions.scratch) as remote:
        jobs = {contender.name: once for contender in FILE_CONTENDERS} | {
            ON_S3: remote,
            ON_ALL_CORES: replace(once, threads=os.cpu_count() or 1),
        }
        rounds = min(conditions.rounds, _MOST_ROUNDS)
        cases = contest(FILE_CONTENDERS, lambda _: jobs, rounds=rounds, apart=not conditions.quick)
    by_value, by_checksum, on_all, from_s3, floor = cases
    found, notes = peers(once, quick=conditions.quick)
    ours = {"datacompy": by_value, "reladiff": by_checksum}
    measures = {
        "typed_rows_per_cpu_s": by_value.per_cpu_s,
        "typed_over_scan": ratio(floor, by_value, "").value,
        "checksum_rows_per_cpu_s": by_checksum.per_cpu_s,
        "checksum_over_scan": ratio(floor, by_checksum, "").value,
        "s3_overhead": ratio(by_value, from_s3, "").value,
        # Each peer against what it does: datacompy compares values, reladiff checksums.
        **{f"ratio_{case.name}": ours[case.name].per_cpu_s / case.per_cpu_s for case in found},
    }
    if not conditions.quick:
        four_times = write_files(conditions.scratch / "four-times", 4 * rows)
        peaks = [peak_of(typed, job) for job in (once, four_times)]
        measures |= {"rss_mb": peaks[0], "rss_growth_4x": peaks[1] / peaks[0]}
    ratios = (
        ratio(by_value, floor, "of the speed of scanning both sides"),
        ratio(by_checksum, floor, "of the speed of scanning both sides"),
        ratio(on_all, by_value, "of the speed of one thread"),
        ratio(from_s3, by_value, "of the speed with both sides on disk"),
    )
    return _Files(rows, (*cases, *found), ratios, notes, measures)


def whole_run(job: Job) -> Run:
    """Reconcile as `reconcile run` does, without reports."""
    config = ReconcileConfig.model_validate(
        {
            "version": 1,
            "defaults": {
                "dataset": _DATASET,
                "where": {"is_deleted": False},
                # The rows that were made to differ may: the run passes, and logs no failure.
                "thresholds": {"changed": job.changed},
            },
            "comparisons": [{"contract": _TABLE}],
        }
    )
    began = start()
    [found] = reconcile_run(config, job.settings, audit=False).comparisons
    measured = began.stop(2 * job.rows)
    if (
        found.outcome != "passed"
        or found.counts is None
        or (found.counts.changed, found.counts.matched) != (job.changed, job.rows - job.changed)
    ):
        raise RuntimeError(f"not what was planted: {found.reason or found.counts}")
    return measured


def plain_join(job: Job) -> Run:
    """Join the two files on their key and count the rows that differ: the statement a person would write."""
    differs = " or ".join(f"w.{name} is distinct from s.{name}" for name in _VALUES)
    statement = (
        f"select count(*) from '{job.warehouse}' w full join '{job.snapshot}' s "  # noqa: S608 - our own names
        f"on w.transaction_id = s.transaction_id where {differs}"
    )
    began = start()
    with duckdb.connect() as connection:
        [changed] = connection.execute(statement).fetchone() or (None,)
    measured = began.stop(2 * job.rows)
    if changed != job.changed:
        raise RuntimeError(f"the join found {changed} differences of {job.changed}")
    return measured


def scan(job: Job) -> Run:
    """Read every value of both files, and compare nothing."""
    looked_at = ", ".join(f"min({name}), max({name})" for name in _VALUES)
    began = start()
    with duckdb.connect() as connection:
        for path in (job.warehouse, job.snapshot):
            connection.execute(f"select count(*), {looked_at} from '{path}'").fetchall()  # noqa: S608 - our own names
    return began.stop(2 * job.rows)


def _prepared(settings: Settings, folder: Path, rows: int) -> Job:
    """Write both sides to disk, the snapshot with its manifest."""
    contract = load_contracts(settings.contracts_path)[_TABLE]
    table_folder = folder / "snapshots" / _SNAPSHOT / _TABLE
    table_folder.mkdir(parents=True)
    job = Job(
        settings.model_copy(update={"snapshot_uri": (folder / "snapshots").as_uri()}),
        folder / "warehouse.parquet",
        table_folder / "part-00000.parquet",
        rows,
    )
    write = partial(pq.write_table, row_group_size=_ROW_GROUP, compression="zstd", write_page_checksum=True)
    warehouse = _rows(contract, rows, is_changed=False)
    write(warehouse.append_column("is_deleted", pa.repeat(pa.scalar(value=False), rows)), job.warehouse)
    write(_rows(contract, rows, is_changed=True), job.snapshot)
    manifest = {
        "snapshot_id": _SNAPSHOT,
        "taken_at": "2026-01-05T07:00:00Z",
        "tables": {_TABLE: {"format": "parquet", "rows": rows, "files": [f"{_TABLE}/{job.snapshot.name}"]}},
    }
    (table_folder.parent / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return job


def _rows(contract: TableContract, rows: int, *, is_changed: bool) -> pa.Table:
    schema = pa.schema([(column.name, _ARROW_TYPES[column.data_type]) for column in contract.columns])
    values = ", ".join(f"{_VALUES[column.name]} as {column.name}" for column in contract.columns)
    statement = f"select {values} from range($rows) as transactions(i)"  # noqa: S608 - our own names
    with duckdb.connect() as connection:
        made = connection.execute(statement, {"rows": rows, "changed": int(is_changed), "every": _CHANGED_EVERY})
        return made.to_arrow_table().cast(schema)


def _load(job: Job) -> None:
    """Put the warehouse's side into BigQuery, in place of what was there."""
    contract = load_contracts(job.settings.contracts_path)[_TABLE]
    name = f"{job.settings.project}.{_DATASET}.{_TABLE}"
    schema = [bigquery.SchemaField(column.name, column.data_type.upper()) for column in contract.columns]
    with bigquery_client(job.settings) as client, job.warehouse.open("rb") as rows:
        client.create_dataset(_DATASET, exists_ok=True)
        client.delete_table(name, not_found_ok=True)
        client.create_table(bigquery.Table(name, [*schema, bigquery.SchemaField("is_deleted", "BOOL")]))
        config = bigquery.LoadJobConfig(source_format=bigquery.SourceFormat.PARQUET)
        client.load_table_from_file(rows, name, job_config=config).result()


CONTENDERS: Final = (
    Contender("reconcile run", "ours", "read, check types, spill, join, explain", whole_run),
    Contender("plain join", "peer", "a full join in DuckDB, typed by hand, files only", plain_join),
    Contender("scan", "floor", "every value of both files read by DuckDB", scan),
)
