"""What every run is held to: never more in flight than allowed, and nothing left at the end."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ingest import stages
from ingest.flow import FlowControl


class Watched(FlowControl):
    """What is in flight, with the limits it must keep."""

    def __init__(self, most_messages: int, most_bytes: int) -> None:
        super().__init__(most_messages, most_bytes)
        self.most_messages, self.most_bytes = most_messages, most_bytes

    def faults(self) -> list[str]:
        """Return how memory was not bounded; a single message over the limit passes alone."""
        found = []
        if (self.messages, self.size) != (0, 0):
            found.append(f"{self.messages} messages, {self.size} bytes left at the end")
        if self.peak_messages > self.most_messages:
            found.append(f"{self.peak_messages} messages at once, over {self.most_messages}")
        if self.peak_size > self.most_bytes and self.peak_messages > 1:
            found.append(f"{self.peak_size} bytes at once, over {self.most_bytes}")
        return found


@contextmanager
def watched_flows(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Watched]]:
    """Watch the runs of this process, one entry each, and fail at the end when one of them was not bounded."""
    flows: list[Watched] = []

    def watched(most_messages: int, most_bytes: int) -> FlowControl:
        flows.append(Watched(most_messages, most_bytes))
        return flows[-1]

    monkeypatch.setattr(stages, "FlowControl", watched)
    yield flows
    faults = [fault for flow in flows for fault in flow.faults()]
    if faults:
        raise AssertionError("memory was not bounded: " + "; ".join(faults))
