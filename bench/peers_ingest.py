"""The ingester against other loaders on the same rows: from the text that comes in to the bytes that would go out.

Each tool does its whole own way, in an environment of its own, with nobody at the other end: what would be sent is
made, down to the last byte, and thrown away or left in a local folder. CPU time counts all processes a tool starts.

Whatever is unlike is so in the peers' favour: the ingester reads whole Debezium events and decodes, checks and wraps
them; the peers get only the rows that stand in them.
"""

import json
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

from google.cloud.bigquery_storage_v1 import types as storage_types

from bench.conditions import Conditions
from bench.environments import NoEnvironmentError, environment
from bench.events import generated
from bench.measure import Contender, contest, start
from bench.result import Case, Ratio, Result, Run, ratio
from core.contracts import Contracts, TableContract, load_contracts
from core.settings import Settings
from ingest.decode.batch import batch_decoder
from ingest.message import Message
from ingest.row import RAW_ROW_TYPE, encode_rows

_SCRIPTS: Final = Path(__file__).parent / "peer-scripts"
_BATCH: Final = 1_000
_NOW_US: Final = 1_767_600_000_000_000
_TIMEOUT_S: Final = 600.0
_APPEND_ROWS: Final[Any] = storage_types.AppendRowsRequest.pb()
_JSON_TYPES: Final = {"int64": "integer", "float64": "number", "bool": "boolean"}

TARGET_BIGQUERY: Final = ("z3-target-bigquery==0.7.2", "setuptools<81")
"""Of the packages it depends on, one still imports pkg_resources, which setuptools 81 left out."""
DLT: Final = ("dlt[parquet]==1.31.0",)


@dataclass(frozen=True)
class Job:
    """Rows to load.

    Attributes:
        contracts: folder of the contracts.
        events: how many events hold them.
        python: the interpreter of the peer's environment; None for our own.
        scratch: a folder for the peers' input and output.
    """

    contracts: Path
    events: int
    scratch: Path
    python: Path | None = None


def run(conditions: Conditions) -> Result:
    """Load the same rows with every tool whose environment can be made.

    Args:
        conditions: how often and how much.

    Returns:
        Rows per CPU second. A peer without environment is left out, with a note that says why.
    """
    events = conditions.size(40_000, 400)
    job = Job(Settings(environment="local").contracts_path, events, conditions.scratch)
    write_input(job)
    jobs, notes = dict.fromkeys((_OURS.name, _FLOOR.name), job), list[str]()
    for contender, requirements in _PEERS:
        if conditions.quick:
            notes.append(f"{contender.name} was left out: --quick makes no environments")
            continue
        try:
            python = environment(contender.name.partition(" ")[0], requirements)
        except NoEnvironmentError as error:
            notes.append(f"{contender.name} was left out: {error}")
        else:
            jobs[contender.name] = Job(job.contracts, job.events, job.scratch, python)
    contenders = [one for one in (_OURS, _FLOOR, *(peer for peer, _ in _PEERS)) if one.name in jobs]
    cases = contest(contenders, lambda _: jobs, rounds=conditions.rounds, apart=False)
    return Result(
        name="peers_ingest",
        title="rows of all 13 tables, from the text that comes in to the bytes that would go to BigQuery",
        item="rows",
        cases=cases,
        ratios=ratios(cases),
        notes=(
            *notes,
            "the ingester reads whole Debezium events, and checks them; the peers get only the rows in them",
            "the peers' output is compressed (gzip, Parquet with snappy), as they send it; the ingester's is not",
        ),
    )


def ratios(cases: Sequence[Case]) -> tuple[Ratio, ...]:
    """Compare the ingester with each peer, dlt with the cheaper of its two ways.

    Args:
        cases: the ingester first, then the peers that could be measured.
    """
    ours, *peers = cases
    cheapest: dict[str, Case] = {}
    for case in peers:
        tool = case.name.partition(" ")[0]
        if tool not in cheapest or case.per_cpu_s > cheapest[tool].per_cpu_s:
            cheapest[tool] = case
    return tuple(ratio(ours, case, f"times {case.name}: {case.about}") for case in cheapest.values())


def keyed(found: Sequence[Ratio]) -> Mapping[str, float]:
    """Return the ratios by the names of `make bench-ingest`: `ratio_target_bigquery`, `ratio_dlt`.

    Args:
        found: of a result of `run`.
    """
    tools = {one.over.partition(" ")[0]: one.value for one in found if one.over != _FLOOR.name}
    return {f"ratio_{tool.replace('-', '_')}": round(value, 2) for tool, value in tools.items()}


def write_input(job: Job) -> None:
    """Write the rows as the peers take them: one file of Singer messages, and one of NDJSON for each table.

    Args:
        job: what and where to.
    """
    contracts = load_contracts(job.contracts)
    rows: dict[str, list[str]] = defaultdict(list)
    singer = [json.dumps(_singer_schema(contract)) for contract in contracts.values()]
    for contract, row in _rows(contracts, job.events):
        text = json.dumps(row, separators=(",", ":"))
        rows[contract.name].append(text)
        singer.append(f'{{"type":"RECORD","stream":"{contract.name}","record":{text}}}')
    (job.scratch / "rows").mkdir(exist_ok=True)
    (job.scratch / "singer.jsonl").write_text("\n".join(singer) + "\n", encoding="utf-8")
    for name, lines in rows.items():
        (job.scratch / "rows" / f"{name}.ndjson").write_text("\n".join(lines) + "\n", encoding="utf-8")


def ingester(job: Job) -> Run:
    """Decode events and make the requests that append them, as the ingester does, in its batches."""
    contracts = load_contracts(job.contracts)
    decoders = {topic: batch_decoder(one, "bench") for topic, one in contracts.by_topic().items()}
    batches = _batches(job.contracts, job.events)
    began = start()
    done = 0
    for topic, messages in batches:
        rows = [landing.row for landing in decoders[topic](messages).landings]
        request = _APPEND_ROWS(write_stream="bench")
        request.proto_rows.writer_schema.proto_descriptor.CopyFrom(RAW_ROW_TYPE.descriptor)
        request.proto_rows.rows.serialized_rows.extend(encode_rows(rows, _NOW_US))
        request.SerializeToString()
        done += len(rows)
    return began.stop(done)


def json_loads(job: Job) -> Run:
    """Only parse the rows, with the standard library."""
    texts = [line for file in sorted((job.scratch / "rows").iterdir()) for line in file.read_bytes().splitlines()]
    began = start()
    for text in texts:
        json.loads(text)
    return began.stop(len(texts))


def target_bigquery(job: Job) -> Run:
    """Load with target-bigquery's load jobs, the cheapest of its methods."""
    return _measured(job, "load_target_bigquery.py", str(job.scratch / "singer.jsonl"), "batch_job")


def dlt_pipeline(job: Job, form: str) -> Run:
    """Load with dlt into Parquet files on local disk.

    Args:
        job: the rows.
        form: `rows` or `arrow`.
    """
    with tempfile.TemporaryDirectory(dir=job.scratch) as work:
        return _measured(job, "load_dlt.py", str(job.scratch / "rows"), work, form)


def _measured(job: Job, script: str, *arguments: str) -> Run:
    command = [str(job.python), str(_SCRIPTS / script), *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=_TIMEOUT_S)
    told = json.loads(done.stdout.splitlines()[-1])
    if told["bytes"] < job.events:
        raise RuntimeError(f"{script} made {told['bytes']} bytes of {job.events} rows: it has not loaded them")
    return Run(sum(1 for _ in _rows(load_contracts(job.contracts), job.events)), told["cpu_s"], told["wall_s"])


def _rows(contracts: Contracts, events: int) -> Iterator[tuple[TableContract, Mapping[str, Any]]]:
    """Yield the row of each event: after the change, or before a delete. Tombstones have none."""
    topics = contracts.by_topic()
    for event in generated(contracts, events):
        if event.data:
            change = json.loads(event.data)
            change = change.get("payload", change)
            yield topics[event.topic], change["after"] or change["before"]


@cache
def _batches(contracts_path: Path, events: int) -> tuple[tuple[str, tuple[Message, ...]], ...]:
    """Return the same events as messages, in the batches in which a subscription would bring them."""
    by_topic: dict[str, list[Message]] = defaultdict(list)
    for number, event in enumerate(generated(load_contracts(contracts_path), events)):
        if event.data:
            by_topic[event.topic].append(
                Message("bench", event.topic, str(number), event.data, event.attributes, event.ordering_key, _NOW_US)
            )
    return tuple(
        (topic, tuple(messages[first : first + _BATCH]))
        for topic, messages in by_topic.items()
        for first in range(0, len(messages), _BATCH)
    )


def _singer_schema(contract: TableContract) -> dict[str, Any]:
    """Return a table's SCHEMA message: https://hub.meltano.com/singer/spec."""
    properties = {
        column.name: {"type": ["null", "array"], "items": {"type": ["null", "string"]}}
        if column.data_type.startswith("array")
        else {"type": ["null", _JSON_TYPES.get(column.data_type, "string")]}
        for column in contract.columns
    }
    keys = [column.name for column in contract.key]
    return {"type": "SCHEMA", "stream": contract.name, "schema": {"properties": properties}, "key_properties": keys}


_OURS: Final = Contender("ingester", "ours", "events decoded, checked and put into append requests", ingester)
_FLOOR: Final = Contender("json.loads", "floor", "the rows parsed and thrown away", json_loads)
_PEERS: Final = (
    (
        Contender("target-bigquery", "peer", "0.7.2, Singer messages to load jobs of gzipped NDJSON", target_bigquery),
        TARGET_BIGQUERY,
    ),
    (Contender("dlt rows", "peer", "1.31, dictionaries to Parquet", partial(dlt_pipeline, form="rows")), DLT),
    (Contender("dlt arrow", "peer", "1.31, Arrow tables to Parquet", partial(dlt_pipeline, form="arrow")), DLT),
)
