"""Whatever a message holds, it becomes rows or a dead letter: no decoder fails over it, and no fault is a run's end."""

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.contracts import Contracts, TableContract, load_contracts
from core.errors import ConfigurationError, DecodeError
from ingest.decode import DIALECTS, batch, debezium_batch, notification
from ingest.decode.batch import BatchDecoder, batch_decoder
from ingest.detect.dumps import dump_marker
from ingest.detect.positions import positioner
from ingest.detect.state import fingerprint_of, order_of
from ingest.encode import ENCODERS
from ingest.intake import notification_handler
from ingest.message import Message
from ingest.row import RawRow

CONTRACTS = load_contracts(Path("dbt_project/models/raw"))
EMAILS = CONTRACTS["member_emails"]
FIXTURES = Path("tests/fixtures")
CANARY = "canary-4711"

ODD: list[Any] = [
    None, True, -5, 2**63, 2**64, 10**30, 10**400, 1e300, "", "x", "\ud800", "\u0000", "2026-13-45", "9" * 400, "-",
    "0000-00-00T00:00:00Z", "9999-12-31T23:59:59-23:59", "1e999999999", "0x", "AAAAA/1", "bin.99999999999999999999",
    [], [1, [2]], {}, {"a": None}, {"scale": 2, "value": "BOI="}, {"$oid": "x"}, {"$numberDecimal": "NaN"},
    {"$date": {"$numberLong": "99999999999999999"}}, {"$binary": {"base64": "@", "subType": "zz"}},
    {"$timestamp": {"t": -1, "i": 2**70}}, {"$code": "x", "$scope": {"$oid": 1}}, {"$ref": 1, "$id": {"$minKey": 1}},
]  # fmt: skip
RAW = [b"\xff", b"1e-99999999999999999999", b"0e99999999999999999999", b"[" * 3_000, b"\\", b'"', b"}"]
ATTRIBUTES = [
    {}, {}, {}, {"__op": '{"payload":' + "[" * 100_000}, {"op": "x"}, {"traceparent": "00-x"}, {"ce-time": "x"},
    {"content-type": "application/cloudevents+json"}, {"millrace_dump": "end", "millrace_dump_rows": "9" * 5_000},
    {"ce_specversion": "1.0", "ce_id": "1", "ce_source": "s", "ce_type": "t", "ce_time": "x"},
]  # fmt: skip


def _document(**fields: Any) -> dict[str, Any]:
    source = {"connector": "mongodb", "name": "s", "db": "member", "collection": "member_emails", "ts_ms": 5, "ord": 1}
    return {"op": "u", "source": source} | fields


def _seeds() -> Iterator[tuple[TableContract, Any, dict[str, str], str]]:
    for file in sorted((FIXTURES / "dialects").glob("*.ndjson")):
        for case in map(json.loads, file.read_text().splitlines()):
            wire_format = "plain" if file.stem == "cloudevents" else file.stem
            fields = {"wire_format": wire_format} | case.get("contract", {})
            yield replace(EMAILS, **fields), case["data"], case.get("attributes", {}), case.get("ordering_key", "")
    for case in map(json.loads, (FIXTURES / "debezium/postgresql.ndjson").read_text().splitlines()):
        contract = CONTRACTS.by_topic()[case["topic"]]
        yield contract, json.loads(case["value"] or "null"), {}, case["key"] or ""
    flat = {"email_id": 7, "__op": "u", "__lsn": 5, "__source_ts_ms": 5, "__table": "member_emails"}
    yield replace(EMAILS, wire_format="debezium_flat"), flat, {}, ""
    documents = replace(EMAILS, columns=(replace(EMAILS.columns[0], name="_id", data_type="string"),))
    yield documents, _document(after='{"_id":{"$oid":"x"},"d":{"$date":5},"n":{"$numberDecimal":"1.5"}}'), {}, ""
    yield documents, _document(patch='{"$set":{"a":1}}', filter='{"_id":1}'), {}, ""
    yield documents, _document(updateDescription={"updatedFields": '{"a":1}', "removedFields": ["b"]}), {}, '{"id":"7"}'


SEEDS = list(_seeds())


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        yield from _places(inner, (*path, name))


@st.composite
def damaged(draw: st.DrawFn) -> tuple[TableContract, Message]:
    """A message of any dialect, of which a value is another, or some bytes are."""
    contract, sent, attributes, key = draw(st.sampled_from(SEEDS))
    sent = copy.deepcopy(sent)
    places = list(_places(sent))
    for path in draw(st.lists(st.sampled_from(places), max_size=2)) if places else ():
        holder = sent
        try:
            for name in path[:-1]:
                holder = holder[name]
            holder[path[-1]] = copy.deepcopy(draw(st.sampled_from(ODD)))
        except (LookupError, TypeError):
            continue  # an earlier one took its place away
    data = (sent if isinstance(sent, str) else json.dumps(sent)).encode(errors="surrogatepass")
    if draw(st.booleans()):
        place = draw(st.integers(0, len(data)))
        data = data[:place] + draw(st.sampled_from(RAW)) + data[place + draw(st.integers(0, 1)) :]
    attributes = attributes | draw(st.sampled_from(ATTRIBUTES))
    key = draw(st.sampled_from([key, key, "{", '{"email_id":1e400}', "[" * 3_000]))
    return contract, Message("s", contract.topic, "17", data, attributes, key, publish_ts=1_772_366_400_000_001)


def _judge(contract: TableContract, message: Message, row: RawRow) -> None:
    """Do with a row what the stages behind the decoder do."""
    try:
        positioner(contract)(message, row)
    except DecodeError:
        return
    order_of(row)
    fingerprint_of(row.payload)
    for encode in ENCODERS.values():
        encode([row], 5)


@settings(max_examples=400, deadline=None)
@given(damaged())
def test_no_decoder_fails_over_a_message(case: tuple[TableContract, Message]) -> None:
    contract, message = case
    try:
        dump_marker(message)
    except DecodeError:
        return
    decoded = batch_decoder(contract, "load")([message])
    assert [error.reason for _, error in decoded.refused if error.reason == "decoder_fault"] == []
    for landing in decoded.landings:
        _judge(contract, message, landing.row)


@pytest.mark.parametrize(
    ("wire_format", "data", "attributes", "reason"),
    [
        ("debezium", json.dumps(_document(after="M")).encode().replace(b"M", b"\xff"), {}, "invalid_utf8"),
        ("debezium_flat", b'{"email_id":7}', {"__op": '{"payload":' + "[" * 100_000}, "unknown_operation"),
    ],
)
def test_what_once_ended_a_run_has_a_reason(wire_format: Any, data: bytes, attributes: Any, reason: str) -> None:
    contract = replace(EMAILS, wire_format=wire_format)
    decoded = batch_decoder(contract, "load")([Message("s", contract.topic, "1", data, attributes)])
    assert [error.reason for _, error in decoded.refused] == [reason]


def test_a_number_of_any_size_can_be_compared() -> None:
    same = [b'{"a":100}', b'{"a":1e2}', b'{"a": 100.0}', b'{"a":1000E-1}']
    others = [b'{"a":1e-99999999999999999999}', b'{"a":0}', b'{"a":1e-999999999}', b'{"a":1e-999999998}', b'{"a":1e20}']
    assert len({fingerprint_of(text) for text in same}) == 1
    assert len({fingerprint_of(text) for text in [*same, *others]}) == 1 + len(others)
    assert fingerprint_of(b'{"a":-0.0}') == fingerprint_of(b'{"a":0}')


# The last line of defence, against faults that none of these tests has found. -----------------------------------------


def faulty(error: Exception) -> Any:
    """A decoder with a fault: it fails over messages that say `bad`."""

    def decode(message: Message) -> RawRow | None:
        if message.data == b"bad":
            raise error
        return None

    return lambda *_: decode


def refusals(decode: BatchDecoder) -> list[tuple[str, str, str]]:
    messages = [Message("s", "t", str(number), data) for number, data in enumerate([b"", b"bad", b""])]
    decoded = decode(messages)
    assert [message.event_id for message in decoded.control] == ["0", "2"]
    return [(message.event_id, error.reason, str(error)) for message, error in decoded.refused]


@pytest.mark.parametrize("error", [kind(CANARY) for kind in batch.FORESEEN_BY_NOBODY])
@pytest.mark.parametrize("wire_format", ["plain", "debezium"])
def test_a_fault_of_a_decoder_costs_one_message(
    error: Exception, wire_format: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(DIALECTS, wire_format, faulty(error))
    decode = batch_decoder(replace(EMAILS, wire_format=wire_format, pattern="upsert"), "load")
    [(event_id, reason, words)] = refusals(decode)
    assert (event_id, reason) == ("1", "decoder_fault")
    assert type(error).__name__ in words
    assert "test_ingest_decoder_faults.py" in words
    assert CANARY not in words + "".join(capsys.readouterr())


def test_a_fault_of_the_quick_way_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rows so far are given up, and made again by the dialect: none of them twice."""
    events = [json.loads(line) for line in (FIXTURES / "debezium/postgresql.ndjson").read_text().splitlines()]
    values = [one["value"].encode() for one in events if one["topic"] == EMAILS.topic and one["value"]]
    messages = [Message("s", EMAILS.topic, str(number), data) for number, data in enumerate(values)]
    expected = batch_decoder(EMAILS, "load")(messages)
    assert len(expected.landings) > 1

    def broken(*_: object) -> Any:
        raise TypeError

    quick = debezium_batch.quick_decoder

    def fails_in_the_end(*given: Any) -> Any:
        decode = quick(*given)
        return lambda *batch: (decode(*batch), broken())

    monkeypatch.setattr(batch, "quick_decoder", fails_in_the_end)
    assert batch_decoder(EMAILS, "load")(messages) == expected


def test_a_fault_over_a_notification_costs_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def decoder(*_: object) -> Any:
        return faulty(TypeError(CANARY))()

    class Gathered(list[Any]):
        add = list.append

    monkeypatch.setattr(notification, "decoder", decoder)
    gathered: Any = Gathered()
    handle = notification_handler(Contracts({}), "t", gathered)
    messages = [Message("s", "t", str(number), data) for number, data in enumerate([b"", b"bad", b""])]
    assert [(message.event_id, error.reason) for message, error in handle(messages)] == [("1", "decoder_fault")]
    assert len(gathered) == 2


@pytest.mark.parametrize("error", [ConfigurationError("mend"), OSError(CANARY), MemoryError()])
def test_what_is_no_fault_of_the_data_still_ends_the_run(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DIALECTS, "plain", faulty(error))
    decode = batch_decoder(replace(EMAILS, wire_format="plain", pattern="upsert"), "load")
    with pytest.raises(type(error)):
        decode([Message("s", "t", "1", b"bad")])
