"""Poison, and dead letters that cannot be written: the neighbours go on in order, and nothing is lost."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import grpc
import pytest
from faulty_write import Answer, FaultyWrite, OpenRiver
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ingest_river import River, event, topic_of

from core.errors import ConfigurationError, UnavailableError
from ingest.dead_letters import DeadLetters

KEYS = 5
TOPIC = topic_of("members")

DOCUMENT = event(
    "members", 1, {}, after='{"_id":"M1"}', source={"connector": "mongodb", "name": "s", "collection": "members"}
)
POISON: dict[str, tuple[str, Callable[[int], bytes]]] = {
    "cut": ("invalid_json", lambda number: good(number)[:-5]),
    "no_utf8": ("invalid_json", lambda _: b'\xff{"op": "c"}'),
    "infinite": ("number_out_of_range", lambda number: good(number).replace(b'"M1"', b"1e999")),
    "no_envelope": ("invalid_envelope", lambda _: b'{"op": 7}'),
    "other_table": ("wrong_table", lambda number: event("member_emails", number, {"email_id": 1})),
    "no_key": ("missing_key", lambda number: event("members", number, {"member_number": "M1"})),
    "key_of_another_type": ("invalid_key", lambda number: event("members", number, {"member_id": "seven"})),
    "no_utf8_within_a_text": ("invalid_utf8", lambda _: DOCUMENT.replace(b"M1", b"\xff")),
    "unknown_operation": ("unknown_operation", lambda number: event("members", number, {"member_id": 1}, op="z")),
}


def key(number: int) -> str:
    return json.dumps({"member_id": number % KEYS})


def good(number: int) -> bytes:
    return event("members", 1_000 + number, {"member_id": number % KEYS, "member_number": "M1"})


def send(river: River, kinds: list[str]) -> dict[str, str]:
    """Publish one message a kind, over a few ordering keys; return the kind by message id."""
    messages = [
        {"data": good(number) if kind == "good" else POISON[kind][1](number), "ordering_key": key(number)}
        for number, kind in enumerate(kinds)
    ]
    return dict(zip(river.publish(TOPIC, messages), kinds, strict=True))


def faults(faulty: FaultyWrite, river: River, sent: dict[str, str]) -> list[str]:
    """Return what is wrong with what was landed and dead-lettered."""
    project = river.settings.project
    landed, dead = set(faulty.landed_ids(project)), set(faulty.dead_ids(project))
    found = []
    if set(sent) != landed | dead:
        found.append(f"lost {len(set(sent) - landed - dead)}")
    if {one for one, kind in sent.items() if kind == "good"} != landed:
        found.append("what landed is not what is good")
    if landed & dead:
        found.append("landed and dead-lettered")
    return found


def out_of_order(faulty: FaultyWrite, river: River) -> list[str]:
    """Return the keys whose rows did not land in the order in which they were sent."""
    positions: dict[str, list[str]] = {}
    for row in faulty.rows[f"projects/{river.settings.project}/datasets/raw/tables/members"]:
        positions.setdefault(row["_key"], []).append(row["_source_position"])
    return [one for one, places in positions.items() if places != sorted(places)]


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["good", "good", *POISON]), min_size=1, max_size=60), st.sampled_from([1, 3, 1_000]))
def test_neighbours_of_poison_land_in_order_and_the_poison_is_dead_lettered(
    faulty_river: OpenRiver, kinds: list[str], batch_rows: int
) -> None:
    async def course() -> None:
        faulty = FaultyWrite()
        async with faulty_river(faulty) as river:
            sent = send(river, kinds)
            summary = await river.run_until(
                lambda progress: progress.acked >= len(kinds), batch_rows=batch_rows, append_concurrency=1
            )
            assert faults(faulty, river, sent) == out_of_order(faulty, river) == []
        bad = [kind for kind in kinds if kind != "good"]
        assert summary.reasons == Counter(POISON[kind][0] for kind in bad)
        assert summary.acked == len(kinds)

    asyncio.run(course())


async def test_poison_at_the_limits_of_pubsub_is_dead_lettered_all_the_same(faulty_river: OpenRiver) -> None:
    """Beside as many attributes as may be, the reason does not fit."""
    faulty = FaultyWrite()
    async with faulty_river(faulty) as river:
        full = {f"{number:03}": "x" * 1_024 for number in range(100)}
        river.publish(TOPIC, [{"data": b"{", "attributes": full}, {"data": good(1), "ordering_key": key(1)}])
        summary = await river.run()
        copy = river.dead_topic(1)[0]
        [row] = faulty.rows[f"projects/{river.settings.project}/datasets/audit/tables/dead_letters"]
    assert (summary.landed, summary.dead_lettered, summary.acked) == (1, 1, 2)
    assert json.loads(row["attributes"]) == full
    assert copy.attributes["millrace_reason"] == "invalid_json"
    assert int(copy.attributes["millrace_attributes_left_out"]) == len(full.keys() - copy.attributes.keys())


async def dropped(self: DeadLetters, letters: list[Any]) -> None:
    """A mutant: forgets what it cannot land."""
    self._leases.settle(letter.message for letter in letters)


async def test_the_control_that_drops_its_poison_is_noticed(
    faulty_river: OpenRiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    monkeypatch.setattr(DeadLetters, "_write", dropped)
    faulty = FaultyWrite()
    async with faulty_river(faulty) as river:
        sent = send(river, ["good", "cut", "good", "no_key"])
        await river.run()
        assert faults(faulty, river, sent) == ["lost 2"]


def mixed(seed: int) -> list[str]:
    random = Random(seed)
    return [random.choice(["good", *POISON]) for _ in range(60)]


BROKEN = {
    "unavailable": Answer(status=grpc.StatusCode.UNAVAILABLE),
    "taken_but_the_answer_lost": Answer(status=grpc.StatusCode.UNAVAILABLE, commits=True),
    "no_such_table": Answer(status=grpc.StatusCode.NOT_FOUND),
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN.keys())
async def test_while_dead_letters_cannot_be_written_no_poison_is_acknowledged(
    faulty_river: OpenRiver, answer: Answer
) -> None:
    faulty = FaultyWrite(for_ever=answer, where="/tables/dead_letters")
    async with faulty_river(faulty) as river:
        sent = send(river, mixed(1))
        with pytest.raises((UnavailableError, ConfigurationError), match="dead_letters"):
            await river.run(append_attempts=2)
        faulty.for_ever = None
        summary = await river.run()
        assert faults(faulty, river, sent) == []
    # Whatever was poison came again: none of it had been acknowledged.
    assert summary.dead_lettered == sum(kind != "good" for kind in sent.values())


async def acknowledged_first(self: DeadLetters, letters: list[Any]) -> None:
    """A mutant: acknowledges what it is about to write."""
    self._leases.settle(letter.message for letter in letters)
    await write(self, letters)


write = DeadLetters._write


async def test_the_control_that_acknowledges_poison_before_it_is_written_is_noticed(
    faulty_river: OpenRiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    monkeypatch.setattr(DeadLetters, "_write", acknowledged_first)
    faulty = FaultyWrite(for_ever=BROKEN["unavailable"], where="/tables/dead_letters")
    async with faulty_river(faulty) as river:
        sent = send(river, mixed(1))
        with pytest.raises(UnavailableError):
            await river.run(append_attempts=2)
        faulty.for_ever = None
        await river.run()
        assert faults(faulty, river, sent) == [f"lost {sum(kind != 'good' for kind in sent.values())}"]
