"""Faults of the Storage Write API: each passes, or ends the run with nothing acknowledged that was not landed."""

from collections import Counter
from contextlib import suppress

import grpc
import pytest
from faulty_write import Answer, FaultyWrite, OpenRiver
from ingest_river import River, topic_of

from core.errors import ConfigurationError, UnavailableError
from ingest import stages
from ingest.append import DefaultStream
from ingest.append.answers import RefusedError
from ingest.encode.batch import EncodedRows

Code = grpc.StatusCode

PASSING = {
    **{f"stream_{code.name}": [Answer(status=code)] * 2 for code in (
        Code.UNAVAILABLE, Code.ABORTED, Code.RESOURCE_EXHAUSTED, Code.INTERNAL, Code.CANCELLED, Code.UNKNOWN
    )},
    **{f"response_{code.name}": [Answer(error=code)] * 2 for code in (
        Code.UNAVAILABLE, Code.ABORTED, Code.RESOURCE_EXHAUSTED, Code.INTERNAL
    )},
    "stream_ends": [Answer(ends=True)] * 2,
    "no_answer": [Answer(hangs=True)],
}  # fmt: skip


def numbers(river: River, count: int = 100) -> list[str]:
    return river.publish_members(range(count))


@pytest.mark.parametrize("script", PASSING.values(), ids=PASSING.keys())
async def test_a_passing_fault_costs_nothing(faulty_river: OpenRiver, script: list[Answer]) -> None:
    faulty = FaultyWrite(script=list(script))
    async with faulty_river(faulty) as river:
        sent = numbers(river)
        # an answer that takes longer than this is a fault of its own, which only silence is to be
        patience = {"append_timeout_s": 0.3} if any(answer.hangs for answer in script) else {}
        summary = await river.run(**patience)
        assert Counter(faulty.landed_ids(river.settings.project)) == Counter(sent)
    assert (summary.landed, summary.acked, summary.dead_lettered) == (100, 100, 0)
    assert faulty.script == []


async def test_a_response_lost_after_the_commit_costs_duplicates_never_rows(faulty_river: OpenRiver) -> None:
    faulty = FaultyWrite(script=[Answer(status=Code.UNAVAILABLE, commits=True)])
    async with faulty_river(faulty) as river:
        sent = numbers(river)
        summary = await river.run(batch_rows=50, append_concurrency=1)
        landed = Counter(faulty.landed_ids(river.settings.project))
    assert landed.keys() == set(sent)
    # The default stream is at least once: exactly the batch in question stands there twice.
    assert Counter(landed.values()) == {1: 50, 2: 50}
    assert summary.landed == 100


async def test_many_requests_in_flight_survive_a_lost_stream(faulty_river: OpenRiver) -> None:
    faulty = FaultyWrite(script=[Answer(commits=True)] * 3 + [Answer(status=Code.UNAVAILABLE)])
    async with faulty_river(faulty) as river:
        sent = numbers(river, 1_000)
        await river.run(batch_rows=20, append_concurrency=8)
        assert set(faulty.landed_ids(river.settings.project)) == set(sent)
    assert faulty.streams == 2


class Hopeful(DefaultStream):
    """The mutant: takes whatever it has sent for landed."""

    async def append(self, rows: EncodedRows) -> None:
        with suppress(UnavailableError, RefusedError):
            await super().append(rows)


@pytest.mark.parametrize("script", PASSING.values(), ids=PASSING.keys())
async def test_the_control_that_takes_a_fault_for_an_answer_loses_rows(
    faulty_river: OpenRiver, monkeypatch: pytest.MonkeyPatch, script: list[Answer]
) -> None:
    """Were this mutant to pass the tests above, they would prove nothing."""
    monkeypatch.setattr(stages, "DefaultStream", Hopeful)
    faulty = FaultyWrite(script=list(script))
    async with faulty_river(faulty) as river:
        sent = numbers(river)
        # an answer that takes longer than this is a fault of its own, which only silence is to be
        patience = {"append_timeout_s": 0.3} if any(answer.hangs for answer in script) else {}
        summary = await river.run(**patience)
        lost = set(sent) - set(faulty.landed_ids(river.settings.project))
    assert lost
    assert summary.acked == 100


@pytest.mark.parametrize("names_rows", [True, False], ids=["named", "not_named"])
async def test_the_control_that_takes_a_refused_batch_for_landed_loses_its_good_rows_too(
    faulty_river: OpenRiver, monkeypatch: pytest.MonkeyPatch, names_rows: bool
) -> None:
    """BigQuery takes nothing of a request in which it refuses a row."""
    monkeypatch.setattr(stages, "DefaultStream", Hopeful)
    faulty = FaultyWrite(refuses=lambda row: row.get("_key") == '{"member_id":3}', names_rows=names_rows)
    async with faulty_river(faulty) as river:
        sent = numbers(river)
        await river.run(batch_rows=20, batch_rows_max=20)
        lost = set(sent) - set(faulty.landed_ids(river.settings.project) + faulty.dead_ids(river.settings.project))
    assert sent[3] in lost
    assert len(lost) > 1


@pytest.mark.parametrize("names_rows", [True, False], ids=["named", "not_named"])
async def test_of_a_refused_batch_only_the_bad_rows_are_dead_lettered(
    faulty_river: OpenRiver, names_rows: bool
) -> None:
    bad = {'{"member_id":3}', '{"member_id":77}'}
    faulty = FaultyWrite(refuses=lambda row: row.get("_key") in bad, names_rows=names_rows)
    async with faulty_river(faulty) as river:
        sent = numbers(river)
        summary = await river.run()
        landed, dead = faulty.landed_ids(river.settings.project), faulty.dead_ids(river.settings.project)
        copies = river.dead_topic(2)
    assert Counter(landed) + Counter(dead) == Counter(sent)
    assert set(dead) == {sent[3], sent[77]} == {copy.attributes["millrace_event_id"] for copy in copies}
    assert summary.reasons == {"refused_by_bigquery": 2}
    assert summary.acked == 100


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=Code.PERMISSION_DENIED),
        Answer(error=Code.NOT_FOUND),
        Answer(error=Code.INVALID_ARGUMENT, schema_mismatch=True),
    ],
    ids=["permission", "table", "schema"],
)
async def test_a_fault_somebody_must_mend_stops_the_run_and_keeps_everything(
    faulty_river: OpenRiver, answer: Answer
) -> None:
    faulty = FaultyWrite(for_ever=answer)
    async with faulty_river(faulty) as river:
        sent = numbers(river)
        with pytest.raises(ConfigurationError, match="append to"):
            await river.run()
        assert faulty.landed_ids(river.settings.project) == []
        faulty.for_ever = None
        summary = await river.run()
        assert Counter(faulty.landed_ids(river.settings.project)) == Counter(sent)
    assert (summary.received, summary.dead_lettered) == (100, 0)


async def test_an_outage_beyond_patience_ends_the_run_and_keeps_everything(faulty_river: OpenRiver) -> None:
    faulty = FaultyWrite(for_ever=Answer(status=Code.UNAVAILABLE))
    async with faulty_river(faulty) as river:
        sent = numbers(river)
        with pytest.raises(UnavailableError):
            await river.run(append_attempts=3)
        faulty.for_ever = None
        await river.run()
        assert Counter(faulty.landed_ids(river.settings.project)) == Counter(sent)


async def test_poison_is_not_acknowledged_before_table_and_topic_have_it(faulty_river: OpenRiver) -> None:
    faulty = FaultyWrite(for_ever=Answer(status=Code.UNAVAILABLE))
    async with faulty_river(faulty) as river:
        [poison] = river.publish(topic_of("members"), [{"data": b"{"}])
        with pytest.raises(UnavailableError):
            await river.run(append_attempts=2)
        faulty.for_ever = None
        summary = await river.run()
        assert faulty.dead_ids(river.settings.project) == [poison]
        # The topic had it the first time already: at least once, like everything else.
        copies = river.dead_topic(2)
    assert {copy.attributes["millrace_event_id"] for copy in copies} == {poison}
    assert (summary.received, summary.acked, summary.dead_lettered) == (1, 1, 1)


async def test_poison_without_a_dead_letter_topic_stays_where_it_is(faulty_river: OpenRiver) -> None:
    faulty = FaultyWrite()
    async with faulty_river(faulty) as river:
        river.publish(topic_of("members"), [{"data": b"{"}])
        elsewhere = River(river.settings.model_copy(update={"dead_letter_topic": "nowhere"}), river.contracts)
        with pytest.raises(ConfigurationError, match=r"topics/nowhere: NOT_FOUND"):
            await elsewhere.run()
        summary = await river.run()
    assert (summary.received, summary.acked, summary.dead_lettered) == (1, 1, 1)
