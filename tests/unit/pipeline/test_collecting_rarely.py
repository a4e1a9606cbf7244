"""While dbt runs, Python leaves alone what was there before; afterwards all is as it was."""

import gc
import weakref

import pytest

from pipeline.dbt_project import collecting_rarely


class Node:
    """Something that a cycle can hold."""

    def __init__(self) -> None:
        self.itself = self


def test_what_was_there_is_not_looked_at_and_what_is_new_is() -> None:
    before = Node()
    with collecting_rarely():
        old, new = weakref.ref(before), weakref.ref(Node())
        del before
        gc.collect()
        assert old() is not None
        assert new() is None
    gc.collect()
    assert old() is None


def test_afterwards_it_collects_as_before() -> None:
    thresholds = gc.get_threshold()
    with collecting_rarely():
        assert gc.get_threshold() > thresholds
    with pytest.raises(KeyboardInterrupt), collecting_rarely():
        raise KeyboardInterrupt
    assert gc.get_threshold() == thresholds
    assert gc.get_freeze_count() == 0
