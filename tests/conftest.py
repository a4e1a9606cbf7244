"""What tests of several parts share."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from devstack.stack import Stack, running_stack

ROOT = Path(__file__).parents[1]

# Where one of these is set, as on a CI of GitHub, commands colour what they print, and tests look for words in it.
for _name in ("GITHUB_ACTIONS", "FORCE_COLOR", "PY_COLORS"):
    os.environ.pop(_name, None)

# How long an example takes says nothing on a shared machine; everything else stays as hypothesis chose it.
settings.register_profile("millrace", settings.default, deadline=None)
settings.load_profile("millrace")

# Tests in these folders share something costly to make: with several processes, one of them runs them all.
_TOGETHER = ("tests/googlesql", "tests/integration/dbt_zones", "tests/integration/quality")


# Processes that tests start are traced for coverage only where nothing else would reach their code: followed call by
# call, dbt and the local BigQuery take half as long again.
_TRACED = tuple(f"tests/integration/{part}/" for part in ("bigquery", "devstack", "member_api", "objects", "pubsub"))
_TRACING = ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")


class ByFile(LoadScopeScheduling):
    """Keeps the tests of a file, and those of some folders, in one process, so that their fixtures are made once."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        folder = path.rpartition("/")[0]
        return folder if folder in _TOGETHER else path


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    """Say which tests stay together."""
    return ByFile(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Keep coverage from following the processes of most tests."""
    with pytest.MonkeyPatch.context() as patch:
        if not item.nodeid.startswith(_TRACED):
            for name in _TRACING:
                patch.delenv(name, raising=False)
        return (yield)


@pytest.fixture(autouse=True)
def _logs_as_they_were() -> Iterator[None]:
    """Let no test leave the log on a stream that is closed when its command has ended."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def dbt_project(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The dbt project, parsed once; every process has a folder of its own in that of the run."""
    from parsed_project import parsed_project  # dbt takes two seconds to import, and few tests need it

    folder = tmp_path_factory.getbasetemp()
    return parsed_project(folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One local stack for all tests that only use it; whoever breaks things starts one of their own."""
    with running_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running
