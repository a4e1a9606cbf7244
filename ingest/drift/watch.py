"""Watching one table's payloads for drift, at next to no cost while there is none."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
import structlog
from cachetools import LRUCache

from core.contracts import TableContract
from core.errors import DecodeError
from ingest.drift.changes import FULL_IMAGES, Change, compare

_log = structlog.get_logger(__name__)

MAX_TOLD: Final = 1_000
"""Changes told of a table in a run: a source whose every row has names of its own must not flood the audit."""

LOOKS: Final = 1_000
"""Rows of one set of names that are looked at: the first may hold null in the new field, or a whole number."""

_SETTLED: Final = 1_024
_NAMED: Final = 5


class Drift(msgspec.Struct, frozen=True):
    """A change, where it was first seen.

    Attributes:
        contract: the table.
        change: what does not fit.
        value: the field's value; None when it is missing.
        schema_fingerprint: fingerprint of the payload's field names.
        event_id: the message that held it.
    """

    contract: TableContract
    change: Change
    value: object
    schema_fingerprint: str
    event_id: str


Report = Callable[[Drift], None]
"""Takes each change of a table the first time a run sees it under a fingerprint."""


def ignore(drift: Drift) -> None:
    """Report to nobody."""


class DriftWatch:
    """Tells each change once, and refuses drifted rows where the contract says so."""

    def __init__(self, contract: TableContract, report: Report) -> None:
        """Prepare to watch.

        Args:
            contract: the table; its `drift` says what becomes of rows that do not fit.
            report: told of each change, once a fingerprint.
        """
        self._contract = contract
        self._report = report
        self._told: set[tuple[str, Change]] = set()
        self._looks: LRUCache[tuple[bool, str], int] = LRUCache(_SETTLED)

    def is_settled(self, op: str, schema_fingerprint: str) -> bool:
        """Whether a row whose names are not the contract's needs no look: its values fit, and enough of it is known.

        Args:
            op: the row's operation.
            schema_fingerprint: fingerprint of its names.
        """
        if self._contract.drift != "allow_new":
            return self._contract.drift == "ignore"
        return self._looks.get((op in FULL_IMAGES, schema_fingerprint), 0) >= LOOKS

    def examine(
        self, op: str, event_id: str, payload: Mapping[str, object], schema_fingerprint: str
    ) -> DecodeError | None:
        """Hold a payload against the contract, and tell what is new.

        Args:
            op: the row's operation; it decides whether the payload must be complete.
            event_id: the row's message.
            payload: the fields.
            schema_fingerprint: fingerprint of their names.

        Returns:
            The reason to refuse the row; None to land it.
        """
        if self._contract.drift == "ignore" or op == "DELETE":
            return None
        is_full = op in FULL_IMAGES
        self._looks[is_full, schema_fingerprint] = self._looks.get((is_full, schema_fingerprint), 0) + 1
        changes = compare(self._contract, payload, is_full=is_full)
        for change in changes:
            self._tell(change, payload, schema_fingerprint, event_id)
        if changes and self._contract.drift == "strict":
            return DecodeError("schema_drift", _words(changes))
        return None

    def _tell(self, change: Change, payload: Mapping[str, object], schema_fingerprint: str, event_id: str) -> None:
        once = (schema_fingerprint, change)
        if once in self._told or len(self._told) > MAX_TOLD:
            return
        self._told.add(once)
        if len(self._told) > MAX_TOLD:
            _log.warning("no further schema drift is recorded in this run", table=self._contract.name, told=MAX_TOLD)
            return
        _log.warning("schema drift", table=self._contract.name, change=str(change), event_id=event_id)
        self._report(Drift(self._contract, change, payload.get(change.field), schema_fingerprint, event_id))


def _words(changes: Sequence[Change]) -> str:
    told = "; ".join(str(change) for change in changes[:_NAMED])
    more = f"; and {len(changes) - _NAMED} more" if len(changes) > _NAMED else ""
    return f"the payload does not fit its contract: {told}{more}"
