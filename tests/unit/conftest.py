"""Unit tests see no stand-in, whatever the shell or a longer-lived fixture points at."""

import os

import pytest


@pytest.fixture(autouse=True)
def no_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.endswith("_EMULATOR_HOST") or name.startswith(("MILLRACE_", "AWS_", "DBT_")):
            monkeypatch.delenv(name)
