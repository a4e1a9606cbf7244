"""A lock per zone that keeps two runs of it apart on one machine.

The lock is a POSIX advisory lock (`flock(2)`), which the kernel lets go of when its process ends, however it
ends: a killed run leaves nothing to clean up. Beside it stands a small JSON file that says who holds it and
when they last gave a sign of life, for people to read. It does not reach across machines.
"""

import contextlib
import fcntl
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
import structlog

from core.clock import Clock, utc_now
from core.errors import LockedError
from core.identifiers import check_name

_log = structlog.get_logger(__name__)

HEARTBEAT_S: Final = 5.0
_SILENCE: Final = timedelta(seconds=3 * HEARTBEAT_S)


@dataclass(frozen=True)
class LockOwner:
    """Who holds a zone's lock.

    Attributes:
        host: name of the machine.
        pid: process id on it.
        run_id: run of the pipeline, as in its logs.
        acquired_at: since when (UTC).
        heartbeat_at: last sign of life (UTC).
    """

    host: str
    pid: int
    run_id: str
    acquired_at: datetime
    heartbeat_at: datetime

    def __str__(self) -> str:
        return (
            f"process {self.pid} on {self.host} (run {self.run_id}, since {self.acquired_at:%Y-%m-%d %H:%M:%S} UTC, "
            f"last heartbeat {self.heartbeat_at:%H:%M:%S} UTC)"
        )


@contextlib.contextmanager
def zone_lock(
    folder: Path, zone: str, run_id: str, *, clock: Clock = utc_now, heartbeat_s: float = HEARTBEAT_S
) -> Iterator[LockOwner]:
    """Hold the lock of a zone for the length of a `with` block.

    Args:
        folder: where the locks are kept; made when it is missing.
        zone: name of the zone.
        run_id: who asks, for the message that others get.
        clock: what time it is.
        heartbeat_s: how often to give a sign of life, in seconds.

    Yields:
        What others read about this holder.

    Raises:
        LockedError: at once, when somebody else holds the lock; the message says who.
        ConfigurationError: when the zone's name cannot be a file name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{check_name(zone)}.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = _read_owner(folder, zone)
            raise LockedError(
                f"zone {zone!r} is being built by {holder or 'another process'}; wait for it, or stop that process"
            ) from error
        dead = _read_owner(folder, zone)
        if dead is not None:
            _log.warning("recovered the lock of a run that died", zone=zone, owner=str(dead))
        now = clock()
        owner = LockOwner(socket.gethostname(), os.getpid(), run_id, acquired_at=now, heartbeat_at=now)
        try:
            with _heartbeat(folder, zone, owner, clock, heartbeat_s):
                yield owner
        finally:
            _owner_path(folder, zone).unlink(missing_ok=True)


def lock_owner(folder: Path, zone: str, *, now: datetime) -> LockOwner | None:
    """Tell who holds the lock of a zone, without touching the lock: a probe could turn a builder away.

    Args:
        folder: where the locks are kept.
        zone: name of the zone.
        now: the present instant.

    Returns:
        The holder, or None when the lock is free or its holder has given no sign of life for three heartbeats.
    """
    owner = _read_owner(folder, check_name(zone))
    if owner is None or now - owner.heartbeat_at > _SILENCE:
        return None
    return owner


@contextlib.contextmanager
def _heartbeat(folder: Path, zone: str, owner: LockOwner, clock: Clock, heartbeat_s: float) -> Iterator[None]:
    _write_owner(folder, zone, owner)
    done = threading.Event()

    def beat() -> None:
        while not done.wait(heartbeat_s):
            _write_owner(folder, zone, replace(owner, heartbeat_at=clock()))

    thread = threading.Thread(target=beat, name=f"heartbeat-{zone}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _owner_path(folder: Path, zone: str) -> Path:
    return folder / f"{zone}.owner.json"


def _write_owner(folder: Path, zone: str, owner: LockOwner) -> None:
    path = _owner_path(folder, zone)
    # Only the holder writes, so one temporary name is enough; the rename keeps readers from half a file.
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(msgspec.json.encode(owner))
    temporary.replace(path)


def _read_owner(folder: Path, zone: str) -> LockOwner | None:
    try:
        return msgspec.json.decode(_owner_path(folder, zone).read_bytes(), type=LockOwner)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
