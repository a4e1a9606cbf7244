"""Other loaders on the rows that the ingester is measured with, each in an environment of its own.

Each does its whole own way from text that stands in memory to the bytes that would be sent, which are thrown away or
left in a local folder. CPU time counts all processes it starts; imports and set-up are not counted. The ingester is
measured between the same two ends, and once more as a whole, with pulling, appending and acknowledging.

Whatever is unlike is in the peers' favour: the ingester reads whole Debezium events, checks and wraps them; a peer is
given nothing but the rows that stand in them.
"""

import json
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from google.cloud.bigquery_storage_v1 import types as storage_types

from bench.environments import NoEnvironmentError, environment
from bench.measure import Contender, start
from bench.null_services import DISTINCT, TABLE, small_event
from bench.result import Case, Ratio, Run, ratio
from core.contracts import load_contracts
from core.settings import Settings
from ingest.decode.batch import batch_decoder
from ingest.encode import ENCODERS
from ingest.message import Message
from ingest.settings import IngestSettings

_SCRIPTS: Final = Path(__file__).parent / "peer-scripts"
_TIMEOUT_S: Final = 600.0
_STREAM: Final = "rows"
_NOW_US: Final = 1_767_600_000_000_000
_APPEND_ROWS: Final[Any] = storage_types.AppendRowsRequest.pb()

# Of the packages it depends on, one still imports pkg_resources, which setuptools 81 left out.
TARGET_BIGQUERY: Final = ("z3-target-bigquery==0.7.2", "setuptools<81")
DLT: Final = ("dlt[parquet]==1.31.0",)


@dataclass(frozen=True)
class Input:
    """The rows as the peers take them.

    Attributes:
        rows: how many.
        singer: file of Singer messages.
        folder: folder with one NDJSON file.
        scratch: folder for what the peers write.
    """

    rows: int
    singer: Path
    folder: Path
    scratch: Path


@dataclass(frozen=True)
class Loaders:
    """Who can be measured against.

    Attributes:
        contenders: the ingester without services first, then the others, or none at all; their work takes any job:
            they load the rows they were given.
        notes: who was left out, and why; and what was compared.
    """

    contenders: tuple[Contender[Any], ...]
    notes: tuple[str, ...]


def other_loaders(rows: Iterable[Mapping[str, Any]], scratch: Path, *, quick: bool) -> Loaders:
    """Make the environments that are missing, and write the rows down for those whose environment there is.

    Args:
        rows: what to load.
        scratch: folder for files.
        quick: whether it is only to be seen that the benchmarks run: then nobody is measured against.

    Returns:
        Who can be measured against.
    """
    if quick:
        return Loaders((), ("other loaders were left out: --quick makes no environments",))
    contenders, notes = list[Contender[Any]](), list[str]()
    given = write_input(rows, scratch)
    for name, requirements, peers in _TOOLS:
        try:
            python = environment(name, requirements)
        except NoEnvironmentError as error:
            notes.append(f"{name} was left out: {error}")
        else:
            contenders += [Contender(peer, "peer", about, partial(work, python, given)) for peer, about, work in peers]
    if not contenders:
        return Loaders((), tuple(notes))
    ours = Contender(
        "ingester, no services", "ours", "events in memory to append requests", partial(ingester, given.rows)
    )
    notes.append("other loaders get only the rows, from memory, and send nothing; theirs is compressed, as they do")
    return Loaders((ours, *contenders), tuple(notes))


def compare(cases: Sequence[Case], whole: Case) -> tuple[Ratio, ...]:
    """Compare the ingester with other loaders.

    Args:
        cases: of the contenders of `other_loaders`, in their order.
        whole: the ingester with everything it does.

    Returns:
        Between the same two ends first, then with everything; empty without other loaders.
    """
    if not cases:
        return ()
    ours, *others = cases
    return (
        *(ratio(ours, other, f"times {other.name}, from text to bytes") for other in others),
        *(
            ratio(whole, other, f"times {other.name}, though it pulls, appends and acknowledges too")
            for other in others
        ),
    )


def write_input(rows: Iterable[Mapping[str, Any]], scratch: Path) -> Input:
    """Write rows as Singer messages (https://hub.meltano.com/singer/spec) and as NDJSON.

    Args:
        rows: at least one; their values have the types of the first one's.
        scratch: where to.

    Returns:
        What was written.
    """
    texts = [json.dumps(row, separators=(",", ":")) for row in rows]
    properties = {name: {"type": ["null", _singer_type(value)]} for name, value in json.loads(texts[0]).items()}
    schema = {"type": "SCHEMA", "stream": _STREAM, "schema": {"properties": properties}, "key_properties": []}
    folder = scratch / "ndjson"
    folder.mkdir(parents=True, exist_ok=True)
    given = Input(len(texts), scratch / "singer.jsonl", folder, scratch)
    (folder / f"{_STREAM}.ndjson").write_text("\n".join(texts) + "\n", encoding="utf-8")
    given.singer.write_text("\n".join(_singer(schema, texts)) + "\n", encoding="utf-8")
    return given


def _singer(schema: Mapping[str, Any], texts: Iterable[str]) -> Iterator[str]:
    yield json.dumps(schema)
    for text in texts:
        yield f'{{"type":"RECORD","stream":"{_STREAM}","record":{text}}}'


def _singer_type(value: Any) -> str:
    return {bool: "boolean", int: "integer", float: "number"}.get(type(value), "string")


def ingester(rows: int, _: object) -> Run:
    """Decode events and make the requests that append them, in the ingester's batches.

    Args:
        rows: how many.
    """
    contract = load_contracts(Settings(environment="local").contracts_path)[TABLE]
    decode, encode = batch_decoder(contract, "bench"), ENCODERS["proto"]
    events = [small_event(number % DISTINCT) for number in range(rows)]
    messages = [
        Message("bench", contract.topic, str(number), data, {}, key, _NOW_US)
        for number, (key, data) in enumerate(events)
    ]
    batch = IngestSettings().batch_rows
    began = start()
    done = 0
    for first in range(0, rows, batch):
        encoded = encode([landing.row for landing in decode(messages[first : first + batch]).landings], _NOW_US)
        request = _APPEND_ROWS(write_stream="bench")
        encoded.describe(request)
        encoded.fill(request)
        request.SerializeToString()
        done += len(encoded)
    return began.stop(done)


def target_bigquery(python: Path, given: Input, _: object) -> Run:
    """Load with target-bigquery's load jobs, the cheapest of its methods.

    Args:
        python: interpreter of its environment.
        given: the rows.
    """
    return _measured(python, given, "load_target_bigquery.py", str(given.singer), "batch_job")


def dlt_arrow(python: Path, given: Input, _: object) -> Run:
    """Load with dlt, which is fed Arrow tables that `pyarrow.json` has read.

    Args:
        python: interpreter of its environment.
        given: the rows.
    """
    return _dlt(python, given, "arrow")


def dlt_rows(python: Path, given: Input, _: object) -> Run:
    """Load with dlt, which is fed dictionaries, as its REST and SQL sources are.

    Args:
        python: interpreter of its environment.
        given: the rows.
    """
    return _dlt(python, given, "rows")


def _dlt(python: Path, given: Input, form: str) -> Run:
    with tempfile.TemporaryDirectory(dir=given.scratch) as work:
        return _measured(python, given, "load_dlt.py", str(given.folder), work, form)


def _measured(python: Path, given: Input, script: str, *arguments: str) -> Run:
    command = [str(python), str(_SCRIPTS / script), *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=_TIMEOUT_S)
    told = json.loads(done.stdout.splitlines()[-1])
    if told["rows"] != given.rows:
        raise RuntimeError(f"{script} has loaded {told['rows']} rows of {given.rows}")
    return Run(given.rows, told["cpu_s"], told["wall_s"])


_TOOLS: Final = (
    (
        "target-bigquery",
        TARGET_BIGQUERY,
        (("target bigquery", "0.7.2: Singer messages to load jobs of gzipped NDJSON", target_bigquery),),
    ),
    (
        "dlt",
        DLT,
        (
            ("dlt", "1.31: rows, as its sources yield them, to Parquet", dlt_rows),
            (
                "dlt arrow",
                "1.31: Arrow tables that pyarrow.json has read, to Parquet; rows are not looked at",
                dlt_arrow,
            ),
        ),
    ),
)
"""Each tool's name and requirements, and its contenders: name, what it does, and the work."""
