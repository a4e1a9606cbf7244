"""What every fault test is held to besides its own claims: it notices a run that is not bounded."""

import pytest
from bounded_memory import watched_flows
from faulty_write import FaultyWrite, OpenRiver

from ingest.flow import FlowControl

MESSAGES = 100


async def test_a_run_that_lets_nothing_go_is_found_out(
    faulty_river: OpenRiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: a mutant that never gives back the room of what has landed."""
    monkeypatch.setattr(FlowControl, "give_back", lambda *_: None)
    faulty = FaultyWrite()
    async with faulty_river(faulty) as river:
        river.publish_members(range(MESSAGES))
        with (
            pytest.raises(AssertionError, match=f"{MESSAGES} messages, .* left at the end"),
            watched_flows(monkeypatch),
        ):
            await river.run()
        assert len(faulty.landed_ids(river.settings.project)) == MESSAGES
