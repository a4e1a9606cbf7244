"""dbt inside this process: parse the project once, then build as often as the cadence asks.

A dbt command line spends about half of a small build on starting up. `dbtRunner` with a manifest that is
already parsed spends none of it: https://docs.getdbt.com/reference/programmatic-invocations.
"""

import contextlib
import dataclasses
import gc
import json
import pickle
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import structlog

from core.errors import ConfigurationError
from pipeline.results import NodeKind, NodeOutcome, NodeResult

_log = structlog.get_logger(__name__)

_KINDS: Final[dict[str, NodeKind]] = {
    "model": "model",
    "snapshot": "snapshot",
    "seed": "seed",
    "test": "test",
    "unit_test": "unit_test",
    "source": "freshness",
}
# What dbt says in these of a rule that warns is part of the result.
_TOLD_BY_RESULTS: Final = {"LogFreshnessResult", "LogTestResult", "RunResultWarning", "RunResultWarningMessage"}
# The flag of a choice that is only there for sources without a column to tell their freshness by.
_OF_METADATA_ONLY: Final = "bigquery_use_batch_source_freshness"
# After how many new objects the garbage collector looks at them, some hundred megabytes at most.
_NEW_OBJECTS: Final = 200_000
_OUTCOMES: Final[dict[str, NodeOutcome]] = {
    "success": "ok",
    "pass": "ok",
    "no-op": "ok",
    "warn": "warning",
    "skipped": "skipped",
}


@dataclass(frozen=True)
class DbtSettings:
    """Where the dbt project stands and how it is run.

    Attributes:
        project_dir: folder of `dbt_project.yml`.
        profiles_dir: folder of `profiles.yml`; None leaves it to `DBT_PROFILES_DIR`.
        target: target of the profile; None leaves it to `DBT_TARGET` or the profile.
        target_path: folder of compiled SQL and artifacts; None leaves it to the project.
        log_path: folder of `dbt.log`, which takes all that dbt has to say.
        threads: nodes built at once; None leaves it to the profile.
        unit_tests: whether dbt unit tests run too; they test the SQL, not the data, and belong in CI.
        variables: dbt variables to use instead of the project's own.
    """

    project_dir: Path = Path()
    profiles_dir: Path | None = None
    target: str | None = None
    target_path: Path | None = None
    log_path: Path = Path("build/pipeline/logs")
    threads: int | None = None
    unit_tests: bool = False
    variables: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DbtArtifacts:
    """What dbt writes to `manifest.json` and `run_results.json`, as objects of dbt.

    Taken from memory: the files are overwritten by whoever runs dbt next, another zone of another process included.

    Attributes:
        manifest: the project, its nodes as they were compiled (`dbt.contracts.graph.manifest.Manifest`).
        results: what came of them (`dbt.artifacts.schemas.run.RunResultsArtifact`).
    """

    manifest: Any
    results: Any


@dataclass(frozen=True)
class DbtOutcome:
    """What one invocation of dbt brought.

    Attributes:
        nodes: what came of every node, in the order of completion.
        errors: why dbt stopped short, when it did; faults of single nodes stand in `nodes`.
        artifacts: what dbt leaves of it; None when it built nothing.
    """

    nodes: tuple[NodeResult, ...]
    errors: tuple[str, ...]
    artifacts: DbtArtifacts | None = None


NOTHING: Final = DbtOutcome(nodes=(), errors=())
"""What comes of asking dbt nothing."""


@dataclass(frozen=True)
class DbtOperation:
    """What an operation said.

    Attributes:
        messages: what it logged for people to read, in order.
        errors: why it failed; empty when it did not.
    """

    messages: tuple[str, ...]
    errors: tuple[str, ...]


class DbtProject:
    """A dbt project that is parsed once and built many times.

    dbt keeps its flags and adapters per process, so builds of one process come one after the other: a second
    thread waits for the first.
    """

    def __init__(self, settings: DbtSettings) -> None:
        self.settings = settings
        self._manifest: Any = None
        self._warnings: set[str] = set()
        self._busy = threading.Lock()

    def parse(self) -> None:
        """Read the project, unless that was done before.

        Raises:
            ConfigurationError: when the project or its profile is not valid.
        """
        with self._busy:
            self._parsed()

    def build(self, selector: str, *, full_refresh: bool = False) -> DbtOutcome:
        """Run `dbt build` for a selector of `selectors.yml`.

        Args:
            selector: name of the selector.
            full_refresh: whether incremental models are built anew.

        Returns:
            What came of it; failures are data here, not errors.

        Raises:
            ConfigurationError: when the project or its profile is not valid.
        """
        # What came of it is told in memory, and in audit; nobody reads files that the next zone overwrites.
        arguments = ["build", "--selector", selector, "--no-write-json"]
        if not self.settings.unit_tests:
            arguments += ["--exclude-resource-type", "unit_test"]
        if full_refresh:
            arguments.append("--full-refresh")
        if self.settings.threads is not None:
            arguments += ["--threads", str(self.settings.threads)]
        with self._busy:
            manifest = fresh(self._parsed())
            return _outcome(self._invoke(arguments, manifest), manifest)

    def freshness(self) -> DbtOutcome:
        """Run `dbt source freshness` over all sources.

        Returns:
            What came of it: a node for each source that says how fresh it has to be. Stale sources are data here, not
            errors.

        Raises:
            ConfigurationError: when the project or its profile is not valid.
        """
        with self._busy:
            manifest = fresh(self._parsed())
            return _outcome(self._invoke(["source", "freshness", "--no-write-json"], manifest), manifest)

    def operate(self, macro: str, arguments: Mapping[str, Any]) -> DbtOperation:
        """Run a macro as `dbt run-operation` does.

        Args:
            macro: its name.
            arguments: its arguments by name.

        Returns:
            What it said; failures are data here, not errors.

        Raises:
            ConfigurationError: when the project or its profile is not valid.
        """
        messages, faults = list[str](), list[str]()

        def note(event: Any) -> None:
            # an operation says why it failed in no other way
            if event.info.level == "error":
                faults.append(_one_line(event.info.msg))
            elif event.info.name == "JinjaLogInfo":
                messages.append(_one_line(event.info.msg))

        with self._busy:
            command = ["run-operation", macro, "--args", json.dumps(dict(arguments))]
            outcome = self._invoke(command, fresh(self._parsed()), note)
        failed = not outcome.success
        return DbtOperation(tuple(messages), tuple(faults or ["dbt did not say why; see dbt.log"]) if failed else ())

    def _parsed(self) -> Any:
        if self._manifest is None:
            started = time.monotonic()
            outcome = self._invoke(["parse"], None)
            if not outcome.success:
                fault = outcome.exception or "dbt could not parse the project"
                raise ConfigurationError(f"{self.settings.project_dir.resolve()}: {_one_line(fault)}")
            self._manifest = outcome.result
            _log.info("dbt project parsed", nodes=len(self._manifest.nodes), seconds=_seconds_since(started))
        return self._manifest

    def _invoke(self, arguments: list[str], manifest: Any, *callbacks: Callable[[Any], None]) -> Any:
        # Imported here because dbt takes a second or two to load, which `--help` should not wait for.
        from dbt.cli.main import dbtRunner

        with collecting_rarely():
            outcome = dbtRunner(manifest=manifest, callbacks=[self._log_warning, *callbacks]).invoke(
                [*arguments, *self._common_arguments()]
            )
        if isinstance(outcome.exception, KeyboardInterrupt | SystemExit):
            raise outcome.exception
        return outcome

    def _log_warning(self, event: Any) -> None:
        # Errors, and rules that warn, come back in the result; other warnings come only this way, with every build.
        if event.info.level != "warn" or event.info.name in _TOLD_BY_RESULTS:
            return
        if getattr(event.data, "flag_name", None) == _OF_METADATA_ONLY:
            return
        if event.info.msg not in self._warnings:
            self._warnings.add(event.info.msg)
            _log.warning("dbt", code=event.info.code, detail=_one_line(event.info.msg))

    def _common_arguments(self) -> list[str]:
        # dbt changes the working directory while it runs, so every path has to be absolute.
        paths = {
            "--project-dir": self.settings.project_dir,
            "--profiles-dir": self.settings.profiles_dir,
            "--target-path": self.settings.target_path,
            "--log-path": self.settings.log_path,
        }
        arguments = [part for flag, path in paths.items() if path is not None for part in (flag, str(path.resolve()))]
        if self.settings.target is not None:
            arguments += ["--target", self.settings.target]
        if self.settings.variables:
            arguments += ["--vars", json.dumps(dict(self.settings.variables))]
        # Standard output belongs to our own results; dbt's own words go to its log file.
        return [
            *arguments,
            "--log-level",
            "none",
            "--log-level-file",
            "info",
            "--no-print",
            "--no-send-anonymous-usage-stats",
            "--no-use-colors",
        ]


@contextlib.contextmanager
def collecting_rarely() -> Iterator[None]:
    """Let Python look for garbage in cycles less often, and never among what was there before.

    A parsed project is 300,000 objects that live as long as the process. Whenever dbt has made enough new ones, Python
    goes through all of them, 0.25 s each time: a sixth of what dbt takes for a small build.

    Yields:
        While dbt runs.
    """
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


def fresh(manifest: Any) -> Any:
    """Return a manifest whose nodes are as they were parsed.

    Nodes that were built with must not be used again: dbt marks ephemeral models as injected while it compiles, and
    would leave their CTEs out of the next build's SQL. `copy.deepcopy` of the whole manifest is no way out, since
    dbt 1.11 hands its lookups to the wrong fields when a manifest is copied that way. Of the nodes it would be one, but
    pickle, which dbt itself sends nodes to other processes by, copies them in a fifth of the time.

    Args:
        manifest: the project as `dbt parse` gave it (`dbt.contracts.graph.manifest.Manifest`), which is not changed.

    Returns:
        The same project with nodes of its own.
    """
    written = pickle.dumps(manifest.nodes, pickle.HIGHEST_PROTOCOL)
    return dataclasses.replace(manifest, nodes=pickle.loads(written))  # noqa: S301 - of our own writing, a line above


def _outcome(outcome: Any, manifest: Any) -> DbtOutcome:
    results: Iterable[Any] = getattr(outcome.result, "results", None) or ()
    nodes = tuple(_node_result(result) for result in results)
    errors = (_one_line(outcome.exception),) if outcome.exception is not None else ()
    if not outcome.success and not errors and not any(node.outcome == "failed" for node in nodes):
        errors = ("dbt reported a failure without naming a node; see dbt.log",)
    return DbtOutcome(nodes=nodes, errors=errors, artifacts=artifacts_of(outcome.result, manifest))


def artifacts_of(result: Any, manifest: Any) -> DbtArtifacts | None:
    """Return what dbt leaves of a build.

    Args:
        result: the result that `dbtRunner` returned.
        manifest: the project it was given.

    Returns:
        The artifacts; None when nothing was built.
    """
    from dbt.artifacts.schemas.run import RunExecutionResult, RunResultsArtifact

    if not isinstance(result, RunExecutionResult) or not result.results:
        return None
    results = RunResultsArtifact.from_execution_results(
        results=result.results, elapsed_time=result.elapsed_time, generated_at=result.generated_at, args=result.args
    )
    return DbtArtifacts(manifest, results)


def _node_result(result: Any) -> NodeResult:
    is_source = result.node.resource_type == "source"
    return NodeResult(
        # As the rule is called that audit keeps of it.
        name=f"source_{result.node.source_name}_{result.node.name}_is_fresh" if is_source else result.node.name,
        kind=_KINDS.get(str(result.node.resource_type), "other"),
        # What is not known to be good counts as a failure.
        outcome=_OUTCOMES.get(str(result.status), "failed"),
        seconds=float(result.execution_time),
        rows=(result.adapter_response or {}).get("rows_affected"),
        message=_one_line(result.message or _newest_row(result)),
    )


def _newest_row(result: Any) -> str:
    """Say what a source's freshness was told from; nothing of other nodes."""
    loaded_at = getattr(result, "max_loaded_at", None)
    if loaded_at is None:
        return ""
    # dbt takes a table without rows for one whose newest is of the year 1.
    return f"the newest row is of {loaded_at:%Y-%m-%d %H:%M:%S} UTC" if loaded_at.year > 1 else "it holds no row"


def _one_line(text: object) -> str:
    return " ".join(str(text).split())


def _seconds_since(started: float) -> float:
    return round(time.monotonic() - started, 3)
