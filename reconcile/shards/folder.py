"""The folder that the tasks of a run share: its plan, and a result for every shard that is done.

Whatever stands there is whole: files are written beside and renamed into place. Tasks on several machines share a
folder of S3 or Cloud Storage, where an object is there entirely or not at all; what a task writes then lies in scratch
space, too. The buckets are asked themselves and not mounted: a mount believes for a while what it has seen last.
"""

import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from core.errors import ConfigurationError, UnavailableError, UnreadableError
from core.objects import ObjectStore, open_objects
from core.retry import RetryPolicy, retrying
from core.settings import Settings
from reconcile.report.files import DIFFERENCES
from reconcile.result import ComparisonResult, RunResult
from reconcile.shards.model import PLAN_VERSION, Shard, ShardedRun

_PLAN: Final = "plan.json"
_RESULTS: Final = "results"
_MERGED: Final = "merged.json"
_REPORTS: Final = "report"
_POLL_S: Final = 0.5
_RETRY: Final = RetryPolicy(attempts=6, first_wait_s=0.2, longest_wait_s=5.0)

_Read = TypeVar("_Read")


@dataclass(frozen=True)
class RunFolder:
    """Where the tasks of one run leave what they did.

    Attributes:
        root: the run's own folder on this machine.
        shared: where the tasks share it; None when that is the folder itself.
    """

    root: Path
    shared: ObjectStore | None = None

    def make(self) -> None:
        """Make the folder; it may be there.

        Raises:
            ConfigurationError: when it cannot be written to.
        """
        try:
            (self.root / _RESULTS).mkdir(parents=True, exist_ok=True)
            (self.root / DIFFERENCES).mkdir(exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"{self.root}: cannot be written to: {error.strerror}; name another --shards, or --state"
            ) from error

    def plan(self) -> ShardedRun | None:
        """Return the run's plan; None when there is none yet.

        Raises:
            UnreadableError: when it is of another version, or damaged.
        """
        found = self._read(_PLAN, ShardedRun)
        if found is not None and found.version != PLAN_VERSION:
            raise UnreadableError(f"{self.root / _PLAN}: is of version {found.version}; give the run another --run-id")
        return found

    def await_plan(self, timeout_s: float) -> ShardedRun:
        """Return the run's plan, once the first task has written it.

        Args:
            timeout_s: seconds until that is given up.

        Raises:
            UnavailableError: when it does not come.
        """
        deadline = time.monotonic() + timeout_s
        while (found := self.plan()) is None:
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"{self.root / _PLAN}: did not come in {timeout_s:.0f} s; task 0 writes it: see its log, and check "
                    "that all tasks share the folder"
                )
            time.sleep(_POLL_S)
        return found

    def keep_plan(self, run: ShardedRun) -> None:
        """Write the run's plan."""
        self._write(_PLAN, msgspec.json.encode(run))

    def result(self, shard: Shard) -> ComparisonResult | None:
        """Return what a shard found; None when it is not done."""
        return self._read(_result(shard), ComparisonResult)

    def keep_result(self, shard: Shard, found: ComparisonResult) -> None:
        """Write what a shard found; its differences first, so that what is done is whole."""
        if self.shared is not None and found.differences_file is not None:
            self._send(self.shared, found.differences_file, self.root / found.differences_file)
        self._write(_result(shard), msgspec.json.encode(found))

    def fetch_differences(self, parts: Sequence[ComparisonResult]) -> None:
        """Bring here what other tasks found.

        Args:
            parts: what the parts found.
        """
        for part in parts if self.shared is not None else ():
            name = part.differences_file
            if self.shared is not None and name is not None and not (self.root / name).is_file():
                _write(self.root / name, retrying(_RETRY, "read of differences")(self.shared.get, name))

    def merged(self) -> RunResult | None:
        """Return the result of the whole run; None when it was not merged yet."""
        return self._read(_MERGED, RunResult)

    def keep_merged(self, result: RunResult, reports: Path | None) -> None:
        """Write the result of the whole run, and the reports, too, where the folder of these is this machine's alone.

        A result that holds something unreadable is not kept: what could not be read is tried again.

        Args:
            result: the result.
            reports: folder of the reports; None when there are none.
        """
        if self.shared is not None and reports is not None:
            for file in sorted((*reports.glob("report.*"), *(reports / DIFFERENCES).glob("*.parquet"))):
                self._send(self.shared, f"{_REPORTS}/{file.relative_to(reports).as_posix()}", file)
        if result.verdict != "unreadable":
            self._write(_MERGED, msgspec.json.encode(result))

    def drop_parts(self) -> None:
        """Remove what the parts left, their differences included; the plan and the whole result stay."""
        for name in (_RESULTS, DIFFERENCES):
            shutil.rmtree(self.root / name, ignore_errors=True)

    def open_shards(self, run: ShardedRun) -> tuple[Shard, ...]:
        """Return the shards that are not done."""
        return tuple(shard for shard in run.shards if self.result(shard) is None)

    def _read(self, name: str, kind: type[_Read]) -> _Read | None:
        if self.shared is None:
            return _read(self.root / name, kind)
        try:
            data = retrying(_RETRY, f"read of {name}")(self.shared.get, name)
        except UnreadableError:
            return None
        return _decoded(name, data, kind)

    def _write(self, name: str, data: bytes) -> None:
        if self.shared is None:
            _write(self.root / name, data)
        else:
            retrying(_RETRY, f"write of {name}")(self.shared.put, name, data)

    def _send(self, shared: ObjectStore, name: str, file: Path) -> None:
        retrying(_RETRY, f"write of {name}")(shared.put_file, name, file)


@contextmanager
def opened(place: Path | str, run_id: str, settings: Settings) -> Iterator[RunFolder]:
    """Open the folder of a run for the length of a `with` block.

    Args:
        place: what the tasks share: a folder, or an address such as `gs://bucket/runs`.
        run_id: name of the run.
        settings: where S3 and Cloud Storage are.

    Yields:
        The folder.

    Raises:
        ConfigurationError: when it cannot be written to, or the address names no place.
    """
    if "://" not in str(place):
        yield RunFolder(Path(place) / run_id)
        return
    shared = open_objects(f"{str(place).rstrip('/')}/{run_id}", settings)
    with tempfile.TemporaryDirectory(prefix="millrace-reconcile-run-") as scratch:
        yield RunFolder(Path(scratch), shared)


def _result(shard: Shard) -> str:
    return f"{_RESULTS}/{shard.name}.json"


def _write(path: Path, data: bytes) -> None:
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise UnavailableError(f"{path}: cannot be written: {error.strerror}") from error


def _read(path: Path, kind: type[_Read]) -> _Read | None:
    try:
        return _decoded(str(path), path.read_bytes(), kind)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnreadableError(f"{path}: cannot be read: {error.strerror}") from error


def _decoded(name: str, data: bytes, kind: type[_Read]) -> _Read:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.MsgspecError as error:
        raise UnreadableError(f"{name}: is damaged: {error}; remove it to have it made anew") from error
