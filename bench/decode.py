"""Decoding: from the bytes of a Debezium event to the serialised raw row, against parsing alone."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from bench.conditions import Conditions
from bench.events import generated
from bench.measure import Contender, contest, start
from bench.plain import raw_row
from bench.result import Case, Ratio, Result, Run, ratio
from core.contracts import TableContract, load_contracts
from core.settings import Settings
from ingest.decode import DIALECTS
from ingest.decode.batch import BatchDecoder, batch_decoder, one_by_one
from ingest.message import Message
from ingest.row import RawRow, encode_rows

_BATCH: Final = 1_000
_NOW_US: Final = 1_767_600_000_000_000


@dataclass(frozen=True)
class Job:
    """Events to decode; each process generates them for itself, outside the measurement.

    Attributes:
        contracts: folder of the contracts.
        events: how many.
    """

    contracts: Path
    events: int


def run(conditions: Conditions) -> Result:
    """Decode the same events in several ways.

    Args:
        conditions: how often and how much.

    Returns:
        Events per CPU second.
    """
    contracts_path = Settings(environment="local").contracts_path
    job = Job(contracts_path, conditions.size(20_000, 1_000))
    contenders = _contenders()
    cases = contest(
        contenders,
        lambda _: {contender.name: job for contender in contenders},
        rounds=conditions.rounds,
        apart=False,
    )
    events = _messages(job)
    size = sum(len(event.data) for event in events) / len(events)
    notes = () if _has_orjson() else ("orjson is not installed, so it was left out",)
    return Result(
        name="decode",
        title=f"Debezium events of {size:,.0f} bytes on average to serialised raw rows",
        item="events",
        cases=cases,
        ratios=_ratios({case.name: case for case in cases}),
        notes=notes,
    )


def _ratios(cases: dict[str, Case]) -> tuple[Ratio, ...]:
    ours = cases["ingester"]
    told = {
        "stdlib rows": "times the same row made with the standard library, which checks nothing",
        "row by row": "times the dialect's decoder, message by message",
        "json.loads": "times json.loads, which only parses",
        "orjson.loads": "of the speed of orjson, which only parses",
    }
    return tuple(ratio(ours, cases[name], about) for name, about in told.items() if name in cases)


def ingester(job: Job) -> Run:
    """Decode and encode as the ingester does, in its batches."""
    return _batched(job, batch_decoder, lambda rows: len(encode_rows(rows, _NOW_US)))


def ingester_decoder(job: Job) -> Run:
    """Decode as the ingester does, without encoding the rows."""
    return _batched(job, batch_decoder, len)


def row_by_row(job: Job) -> Run:
    """Decode by the dialect alone, which is what becomes of unusual messages; drift is not looked for."""
    return _batched(job, lambda contract, load_id: one_by_one(DIALECTS[contract.wire_format](contract, load_id)), len)


def _batched(
    job: Job, decoder: Callable[[TableContract, str], BatchDecoder], take: Callable[[Sequence[RawRow]], int]
) -> Run:
    """Decode batch by batch; as from the subscriptions, each is of one table."""
    contracts = load_contracts(job.contracts).by_topic()
    topics = {topic: decoder(contract, "bench") for topic, contract in contracts.items()}
    batches = [(topics[topic], batch) for topic, batch in _batches(_messages(job))]
    began = start()
    done = 0
    for decode, batch in batches:
        done += take([landing.row for landing in decode(batch).landings])
    return began.stop(done)


def stdlib_rows(job: Job) -> Run:
    """Make the same rows with `json` of the standard library."""
    messages = _messages(job)
    began = start()
    for message in messages:
        raw_row(message.data, message.ordering_key, message.event_id, message.publish_ts, _NOW_US)
    return began.stop(len(messages))


def json_loads(job: Job) -> Run:
    """Only parse, with the standard library."""
    return _parsed(job, json.loads)


def orjson_loads(job: Job) -> Run:
    """Only parse, with orjson."""
    import orjson

    return _parsed(job, orjson.loads)


def _parsed(job: Job, parse: Callable[[bytes], Any]) -> Run:
    messages = _messages(job)
    began = start()
    for message in messages:
        parse(message.data)
    return began.stop(len(messages))


@cache
def _messages(job: Job) -> tuple[Message, ...]:
    """Return the events as the source hands them over; tombstones have nothing to parse and are left out."""
    events = generated(load_contracts(job.contracts), job.events)
    return tuple(
        Message("bench", event.topic, str(number), event.data, event.attributes, event.ordering_key, _NOW_US)
        for number, event in enumerate(events)
        if event.data
    )


def _batches(messages: Sequence[Message]) -> Iterator[tuple[str, Sequence[Message]]]:
    by_topic: dict[str, list[Message]] = {}
    for message in messages:
        batch = by_topic.setdefault(message.topic, [])
        batch.append(message)
        if len(batch) == _BATCH:
            yield message.topic, by_topic.pop(message.topic)
    yield from by_topic.items()


def _has_orjson() -> bool:
    return find_spec("orjson") is not None


def _contenders() -> tuple[Contender[Job], ...]:
    ours = (
        Contender("ingester", "ours", "checked, payload kept to the byte, proto rows", ingester),
        Contender("decoder alone", "ours", "the same without the proto rows", ingester_decoder),
        Contender("row by row", "ours", "the dialect's decoder, as for unusual messages", row_by_row),
        Contender("stdlib rows", "peer", "json.loads, json.dumps of the images, proto rows", stdlib_rows),
        Contender("json.loads", "floor", "parse and throw away", json_loads),
    )
    if not _has_orjson():
        return ours
    return (*ours, Contender("orjson.loads", "floor", "parse and throw away", orjson_loads))
