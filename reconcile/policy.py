"""What is done with what was found: partitions to count by, thresholds to pass by, and who is told.

The models are parts of `reconcile.config`; see there for how they are read.
"""

import re
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from core.errors import ConfigurationError
from core.identifiers import check_name

_SHARE: Final = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?) ?%")
_PERCENT: Final = 100


@dataclass(frozen=True)
class Limit:
    """A most: keys, or a share of all keys; exactly one is set.

    Attributes:
        text: as it was written: `10` or `0.01%`.
        keys: most keys.
        share: most of all keys, from 0 to 1.
    """

    text: str
    keys: int | None = None
    share: float | None = None

    def holds(self, found: int, of: int) -> bool:
        """Return whether so many of so many keys are within the limit."""
        if self.keys is not None:
            return found <= self.keys
        return found == 0 or (self.share is not None and found <= self.share * of)


def parse_limit(value: object) -> Limit:
    """Return the limit that a configuration states.

    Args:
        value: a number of keys, or a text such as `0.01%`.

    Returns:
        The limit.

    Raises:
        ValueError: when it is neither.
    """
    if isinstance(value, Limit):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return Limit(str(value), keys=value)
    match = _SHARE.fullmatch(value) if isinstance(value, str) else None
    if match is None or float(match["number"]) > _PERCENT:
        raise ValueError(f"{value!r} must be a number of keys such as 10, or a share of them such as 0.01%")
    return Limit(match[0], share=float(match["number"]) / _PERCENT)


Threshold = Annotated[Limit, BeforeValidator(parse_limit)]
NONE_AT_ALL: Final = Limit("0", keys=0)
IN_FLIGHT: Final = Limit("10%", share=0.1)
"""A replay or a full refresh gives every row a new instant: where most are in flight, nothing was compared."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Thresholds(_Strict):
    """How much may differ for a comparison to pass; what is not named may not differ at all.

    Attributes:
        missing: keys that the warehouse lacks.
        extra: keys that only the warehouse holds.
        changed: keys whose rows differ.
        duplicated: keys that stand more than once.
        differences: all of these together; where it is given, those not named count by it alone.
        in_flight: keys in flight, which are no differences; a tenth of all keys where nothing is said.
        columns: changed rows by column, in addition to `changed`.
    """

    missing: Threshold | None = None
    extra: Threshold | None = None
    changed: Threshold | None = None
    duplicated: Threshold | None = None
    differences: Threshold | None = None
    in_flight: Threshold | None = None
    columns: dict[str, Threshold] = {}


class Partition(_Strict):
    """By what a comparison's counts are broken down.

    Attributes:
        column: a compared column that is not masked.
        by: for dates and times, the length of a partition; `value` for one partition a value.
    """

    column: str
    by: Literal["value", "day", "month", "year"] = "day"

    @field_validator("column")
    @classmethod
    def _column(cls, value: str) -> str:
        try:
            return check_name(value)
        except ConfigurationError as error:
            raise ValueError(str(error)) from error


class Alert(_Strict):
    """Who is told of a run, beside the log.

    Attributes:
        webhook_variable: environment variable that holds the URL to post to, for such a URL is a secret.
        when: whether of failed runs only, or of all.
        timeout_s: seconds until a post is given up.
    """

    webhook_variable: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")] = "MILLRACE_RECONCILE_WEBHOOK"
    when: Literal["failed", "always"] = "failed"
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 10.0
