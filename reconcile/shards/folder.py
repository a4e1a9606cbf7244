"""The folder that the tasks of a run share: its plan, and a result for every shard that is done.

Whatever stands there is whole: files are written beside and renamed into place. On Cloud Run it is a volume of Cloud
Storage, where renaming a file is atomic, too.
"""

import os
import shutil
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from core.errors import ConfigurationError, UnavailableError, UnreadableError
from reconcile.report.files import DIFFERENCES
from reconcile.result import ComparisonResult, RunResult
from reconcile.shards.model import PLAN_VERSION, Shard, ShardedRun

_PLAN: Final = "plan.json"
_RESULTS: Final = "results"
_MERGED: Final = "merged.json"
_POLL_S: Final = 0.5

_Read = TypeVar("_Read")


@dataclass(frozen=True)
class RunFolder:
    """Where the tasks of one run leave what they did.

    Attributes:
        root: the run's own folder.
    """

    root: Path

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
                f"{self.root}: cannot be written to: {error.strerror}; name another --shards"
            ) from error

    def plan(self) -> ShardedRun | None:
        """Return the run's plan; None when there is none yet.

        Raises:
            UnreadableError: when it is of another version, or damaged.
        """
        found = _read(self.root / _PLAN, ShardedRun)
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
        _write(self.root / _PLAN, msgspec.json.encode(run))

    def result(self, shard: Shard) -> ComparisonResult | None:
        """Return what a shard found; None when it is not done."""
        return _read(self._result(shard), ComparisonResult)

    def keep_result(self, shard: Shard, found: ComparisonResult) -> None:
        """Write what a shard found."""
        _write(self._result(shard), msgspec.json.encode(found))

    def merged(self) -> RunResult | None:
        """Return the result of the whole run; None when it was not merged yet."""
        return _read(self.root / _MERGED, RunResult)

    def keep_merged(self, result: RunResult) -> None:
        """Write the result of the whole run."""
        _write(self.root / _MERGED, msgspec.json.encode(result))

    def drop_parts(self) -> None:
        """Remove what the parts left, their differences included; the plan and the whole result stay."""
        for name in (_RESULTS, DIFFERENCES):
            shutil.rmtree(self.root / name, ignore_errors=True)

    def open_shards(self, run: ShardedRun) -> tuple[Shard, ...]:
        """Return the shards that are not done."""
        return tuple(shard for shard in run.shards if not self._result(shard).is_file())

    def _result(self, shard: Shard) -> Path:
        return self.root / _RESULTS / f"{shard.name}.json"


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
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnreadableError(f"{path}: cannot be read: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise UnreadableError(f"{path}: is damaged: {error}; remove it to have it made anew") from error
