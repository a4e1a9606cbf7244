"""`pipeline.yml`: which zones there are, how often each is built, and what it waits for."""

import re
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from core.errors import ConfigurationError

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DURATION = re.compile(r"(\d+)\s*([smhd])")


def _duration(value: Any) -> timedelta:
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None or int(match[1]) == 0:
        raise ValueError(f"{value!r} is not a duration; write a positive number and a unit: 90s, 5m, 12h or 1d")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


Duration = Annotated[timedelta, BeforeValidator(_duration)]
ZoneName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ZoneConfig(_Strict):
    """A zone of the warehouse.

    Attributes:
        name: its name, and that of its dbt selector.
        every: its cadence: it is built once in each window of this length.
        after: zones that must have been built before it; they stand above it in the file.
        once: whether `run --once` builds it unless zones are named.
        freshness: whether `dbt source freshness` follows its build.
    """

    name: ZoneName
    every: Duration
    after: tuple[ZoneName, ...] = ()
    once: bool = True
    freshness: bool = False


class ReconciliationConfig(_Strict):
    """When the warehouse is held against the snapshots.

    Attributes:
        every: its cadence.
        timeout: after how long a run is stopped and counts as failed.
        arguments: arguments of `reconcile run`.
    """

    every: Duration
    timeout: Duration = timedelta(hours=2)
    arguments: tuple[str, ...] = ()


class PipelineConfig(_Strict):
    """All of `pipeline.yml`.

    Attributes:
        version: version of the file's format.
        zones: the zones, each below those it waits for.
        reconciliation: when to reconcile; None leaves that to somebody else.
    """

    version: Literal[1]
    zones: Annotated[tuple[ZoneConfig, ...], Field(min_length=1)]
    reconciliation: ReconciliationConfig | None = None

    @model_validator(mode="after")
    def _ordered(self) -> "PipelineConfig":
        above: set[str] = set()
        for zone in self.zones:
            if zone.name in above:
                raise ValueError(f"zone {zone.name!r} is declared twice")
            for name in zone.after:
                if name not in above:
                    raise ValueError(f"zone {zone.name!r} comes after {name!r}, which is not declared above it")
            above.add(zone.name)
        return self

    def select(self, names: Collection[str], *, once: bool = False) -> tuple[ZoneConfig, ...]:
        """Return the zones called `names`, or all of them when there is none, in the order of the file.

        Args:
            names: names of zones.
            once: whether it is for a single run, of which those of `once: false` are no part unless named.

        Returns:
            The zones.

        Raises:
            ConfigurationError: when there is no zone of that name.
        """
        known = [zone.name for zone in self.zones]
        unknown = sorted(set(names) - set(known))
        if unknown:
            raise ConfigurationError(f"there is no zone {', '.join(unknown)}; pipeline.yml declares {', '.join(known)}")
        if names:
            return tuple(zone for zone in self.zones if zone.name in names)
        return tuple(zone for zone in self.zones if zone.once or not once)


def load_config(path: Path) -> PipelineConfig:
    """Read `pipeline.yml`.

    Args:
        path: where it stands.

    Returns:
        The configuration, checked.

    Raises:
        ConfigurationError: when it cannot be read or is not valid; each fault is on a line of its own.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        return PipelineConfig.model_validate(document)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}; name the file with --config") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: not valid YAML: {error}") from error
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, fault['loc'])) or 'file'}: {fault['msg'].removeprefix('Value error, ')}"
            for fault in error.errors()
        ]
        raise ConfigurationError(f"{path} is not valid:\n  " + "\n  ".join(faults)) from error
