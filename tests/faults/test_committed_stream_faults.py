"""A committed stream takes every row once, whatever is lost, refused or out of place on the way."""

from collections import Counter
from typing import Any

import grpc
import pytest
from faulty_write import GOOD, Answer, FaultyWrite, OpenRiver
from ingest_river import River, topic_of

from core.errors import ConfigurationError, MillraceError, UnavailableError
from ingest.append import answers, committed

Code = grpc.StatusCode
MESSAGES = 400
LOST_ANSWER = Answer(status=Code.UNAVAILABLE, commits=True)

FAULTS = {
    "answer_lost": [LOST_ANSWER],
    "answers_lost_again_and_again": [LOST_ANSWER] * 3,
    "answer_lost_in_mid_pipeline": [GOOD, GOOD, LOST_ANSWER],
    "stream_ends_after_the_commit": [GOOD, Answer(ends=True, commits=True)],
    "no_answer": [Answer(hangs=True, commits=True)],
    "not_taken": [GOOD, Answer(status=Code.UNAVAILABLE)],
    "told_to_slow_down": [GOOD, Answer(error=Code.RESOURCE_EXHAUSTED), GOOD, Answer(error=Code.ABORTED)],
}


async def land(river: River, **tunables: object) -> tuple[list[str], int]:
    sent = river.publish_members(range(MESSAGES))
    summary = await river.run(
        stream="committed", batch_rows=20, batch_rows_max=20, append_timeout_s=0.5, append_concurrency=8, **tunables
    )
    return sent, summary.landed


@pytest.mark.parametrize("script", FAULTS.values(), ids=FAULTS.keys())
async def test_every_row_is_taken_exactly_once(faulty_river: OpenRiver, script: list[Answer]) -> None:
    faulty = FaultyWrite(script=list(script))
    async with faulty_river(faulty) as river:
        sent, landed = await land(river)
        assert Counter(faulty.landed_ids(river.settings.project)) == Counter(sent)
    assert landed == MESSAGES
    assert (faulty.script, faulty.made) == ([], 1)


async def test_the_control_on_the_default_stream_takes_rows_twice(faulty_river: OpenRiver) -> None:
    """Were the default stream to pass the test above, the test would prove nothing."""
    faulty = FaultyWrite(script=list(FAULTS["answer_lost"]))
    async with faulty_river(faulty) as river:
        sent = river.publish_members(range(MESSAGES))
        await river.run(batch_rows=20, batch_rows_max=20)
        found = Counter(faulty.landed_ids(river.settings.project))
    assert found.keys() == set(sent)
    assert found != Counter(sent)


@pytest.mark.parametrize("names_rows", [True, False], ids=["named", "not_named"])
async def test_what_was_behind_a_refused_batch_moves_up(faulty_river: OpenRiver, names_rows: bool) -> None:
    bad = {f'{{"member_id":{number}}}' for number in (3, 44, 45, 390)}
    faulty = FaultyWrite(refuses=lambda row: row.get("_key") in bad, names_rows=names_rows)
    async with faulty_river(faulty) as river:
        sent, landed = await land(river)
        project = river.settings.project
        assert Counter(faulty.landed_ids(project) + faulty.dead_ids(project)) == Counter(sent)
    assert landed == MESSAGES - len(bad)
    assert faulty.made == 1


async def test_a_lost_stream_is_replaced(faulty_river: OpenRiver) -> None:
    """What became of its last rows nobody knows: they come again, and none is lost."""
    faulty = FaultyWrite(script=[GOOD, Answer(status=Code.UNAVAILABLE, loses_stream=True)])
    async with faulty_river(faulty) as river:
        sent, landed = await land(river)
        assert Counter(faulty.landed_ids(river.settings.project)) == Counter(sent)
    assert (landed, faulty.made) == (MESSAGES, 2)


def take_for_granted(monkeypatch: pytest.MonkeyPatch, kind: type[MillraceError]) -> None:
    """Make the mutant: of one kind of answer it believes that the rows are there."""

    def believed(response: Any, stream: str, *, own: bool = False) -> MillraceError | None:
        error = answers.answer_error(response, stream, own=own)
        return None if isinstance(error, kind) else error

    monkeypatch.setattr(committed, "answer_error", believed)


async def test_the_control_that_believes_an_offset_with_a_gap_loses_what_was_behind_it(
    faulty_river: OpenRiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were this mutant to pass the tests above, they would prove nothing."""
    take_for_granted(monkeypatch, answers.OffsetError)
    bad = {f'{{"member_id":{number}}}' for number in range(3, MESSAGES, 20)}
    faulty = FaultyWrite(refuses=lambda row: row.get("_key") in bad)
    async with faulty_river(faulty) as river:
        sent, _ = await land(river)
        project = river.settings.project
        assert set(sent) - set(faulty.landed_ids(project) + faulty.dead_ids(project))


async def test_the_control_that_goes_on_with_a_lost_stream_loses_rows(
    faulty_river: OpenRiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were this mutant to pass the tests above, they would prove nothing."""
    take_for_granted(monkeypatch, answers.StreamLostError)
    faulty = FaultyWrite(script=[GOOD, Answer(status=Code.UNAVAILABLE, loses_stream=True)])
    async with faulty_river(faulty) as river:
        sent, _ = await land(river)
        assert set(sent) - set(faulty.landed_ids(river.settings.project))
    assert faulty.made == 1


async def test_an_outage_beyond_patience_ends_the_run_and_keeps_everything(faulty_river: OpenRiver) -> None:
    faulty = FaultyWrite(for_ever=Answer(status=Code.UNAVAILABLE))
    async with faulty_river(faulty) as river:
        sent = river.publish_members(range(50))
        with pytest.raises(UnavailableError):
            await river.run(stream="committed", append_attempts=3)
        faulty.for_ever = Answer(error=Code.INVALID_ARGUMENT, schema_mismatch=True)
        with pytest.raises(ConfigurationError, match="bring the table's columns up to date"):
            await river.run(stream="committed")
        faulty.for_ever = None
        await river.run(stream="committed")
        assert Counter(faulty.landed_ids(river.settings.project)) == Counter(sent)


async def test_stopping_while_bigquery_stalls_gives_everything_back(faulty_river: OpenRiver) -> None:
    faulty = FaultyWrite()
    faulty.gate.clear()
    async with faulty_river(faulty) as river:
        sent = river.publish(topic_of("members"), [{"data": b"{"}]) and river.publish_members(range(30))
        summary = await river.run_until(lambda progress: progress.received == 31, stream="committed", drain_s=0.3)
        assert (summary.landed, summary.acked, summary.nacked) == (0, 0, 31)
        faulty.gate.set()
        await river.run(stream="committed")
        assert set(sent) <= set(faulty.landed_ids(river.settings.project))
