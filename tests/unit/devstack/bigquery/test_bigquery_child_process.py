"""What `running_bigquery` does when the child does not do as it should."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from core.errors import UnavailableError
from devstack.bigquery import process, running_bigquery

# At once, as the server does: a file that is there is whole.
PUBLISH = (
    "import sys, pathlib; draft = pathlib.Path(sys.argv[1] + '.draft'); "
    """draft.write_text('{"rest": 1, "grpc": 2}'); draft.replace(sys.argv[1])"""
)


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Replace the server by a small program, which is given the path of the port file."""

    def replace(program: str) -> None:
        monkeypatch.setattr(
            process, "_command", lambda port_file, *_: [sys.executable, "-S", "-c", program, str(port_file)]
        )

    return replace


def test_a_child_that_never_answers_is_given_up_on(child: Callable[[str], None]) -> None:
    child("import time; print('still starting', flush=True); time.sleep(60)")
    with pytest.raises(UnavailableError, match="in time"), running_bigquery(startup_timeout_s=0.5):
        pass


def test_a_child_that_dies_early_shows_its_log(child: Callable[[str], None]) -> None:
    child("print('no such luck'); raise SystemExit(1)")
    with pytest.raises(UnavailableError, match="no such luck"), running_bigquery():
        pass


def test_a_child_that_dies_in_use_is_an_error(child: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    children: list[subprocess.Popen[bytes]] = []
    start = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: children.append(start(*a, **k)) or children[-1])
    child(f"{PUBLISH}; print('out of memory')")

    def use() -> None:
        with running_bigquery() as address:
            assert address.grpc_target == "127.0.0.1:2"
            children[0].wait(10)

    with pytest.raises(UnavailableError, match=r"died while in use(.|\n)*out of memory"):
        use()


def test_a_child_that_ignores_the_signal_is_killed(
    child: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_STOP_TIMEOUT_S", 0.3)
    child(f"import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); {PUBLISH}; time.sleep(60)")
    started = time.monotonic()
    with running_bigquery():
        pass
    assert time.monotonic() - started < 30
