"""Repair by republishing: rows of the snapshot as change events, through the same river as the source's own.

The warehouse is not touched. Raw keeps what mended it, every zone is built from it as from any change, and a full
rebuild ends the same.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
from google.cloud import bigquery

from core.clock import Clock, utc_now
from core.contracts import Contracts, TableContract
from core.errors import ConfigurationError
from core.settings import Settings
from reconcile.concluding import new_run_id
from reconcile.config import ReconcileConfig
from reconcile.repair.differences import chosen, read_rows, write_private
from reconcile.repair.events import Correction, correction
from reconcile.repair.ledger import Entry, digest_of, enter, published_before
from reconcile.repair.mending import target_of
from reconcile.repair.place import Held, Place, held_rows, snapshot_place
from reconcile.repair.publishing import batches, publish, publishing
from reconcile.result import ComparisonResult, RunResult

_FORMATS: Final = frozenset({"debezium", "auto"})


@dataclass(frozen=True)
class Republished:
    """What would be published to mend one table, or was.

    Attributes:
        comparison: the comparison.
        file: the messages, a line of JSON each; None when there is nothing to mend.
        messages: how many there are.
        newer: rows that changed at the source after the snapshot was taken, and are left alone.
        left: keys that differ and that no event can mend: duplicated ones, and rows without a place in the log.
        before: messages that an earlier call has published, and that are not published again.
        published: messages that were published now; None in a dry run.
    """

    comparison: str
    file: Path | None
    messages: int
    newer: int
    left: int
    before: int
    published: int | None


@dataclass(frozen=True)
class Republishing:
    """What one call repairs from.

    Attributes:
        config: the configuration that the run was made with.
        settings: where Pub/Sub and BigQuery are.
        contracts: the tables.
        result: the run.
        folder: folder of its report.
        output: folder for the messages, readable by their owner alone: they hold values.
        client: the warehouse.
    """

    config: ReconcileConfig
    settings: Settings
    contracts: Contracts
    result: RunResult
    folder: Path
    output: Path
    client: bigquery.Client


def republish(
    call: Republishing, tables: Sequence[str] = (), *, send: bool = False, clock: Clock = utc_now
) -> tuple[Republished, ...]:
    """Write the events that would mend the warehouse, and publish them when told to.

    Args:
        call: what to repair from.
        tables: names of comparisons; all that differ when empty.
        send: whether to publish; otherwise it is a dry run.
        clock: what time it is.

    Returns:
        What was done, by comparison.

    Raises:
        ConfigurationError: when a comparison is not in the report, or cannot be mended by events; nothing was
            published by then.
        UnreadableError: when the differences cannot be read.
        UnavailableError: when Pub/Sub or BigQuery does not answer. Called again, it publishes only the rest.
    """
    call.output.mkdir(parents=True, exist_ok=True)
    planned = [_planned(call, found) for found in chosen(call.result, tables)]
    if not send:
        return tuple(plan.told for plan in planned)
    repair_id = new_run_id(clock())
    return tuple(_published(call, plan, repair_id, clock) for plan in planned)


@dataclass(frozen=True)
class _Planned:
    told: Republished
    corrections: tuple[Correction, ...]


def _planned(call: Republishing, found: ComparisonResult) -> _Planned:
    duplicated = found.counts.duplicated_keys if found.counts else 0
    rows = list(read_rows(call.folder / found.differences_file)) if found.differences_file else []
    if not rows:
        return _Planned(Republished(found.name, None, 0, 0, duplicated, 0, None), ())
    contract = _contract(call, found)
    target, taken_at = target_of(call.config, found), _taken_at(call.result, found)
    pinned_at = found.inputs.snapshot_time if found.inputs else None
    place = snapshot_place(call.client, contract, taken_at=taken_at, landed_by=pinned_at or call.result.started_at)
    held = held_rows(call.client, target, rows, pinned_at=pinned_at)
    newer = {n for n, row in held.items() if row.changed_at is not None and row.changed_at > taken_at}
    placeless = {n for n, row in held.items() if row.place is None} - newer
    corrections = tuple(
        correction(contract, row, _place(place, held.get(n)), run_id=call.result.run_id, taken_at=taken_at)
        for n, row in enumerate(rows)
        if n not in newer | placeless
    )
    done = published_before(call.client, call.settings, call.result.run_id, found.name)
    todo = tuple(each for each in corrections if digest_of(each.ordering_key) not in done)
    file = call.output / f"{found.name}.events.ndjson" if todo else None
    if file is not None:
        write_private(file, "".join(_lines(todo)))
    left = duplicated + len(placeless)
    told = Republished(found.name, file, len(todo), len(newer), left, len(corrections) - len(todo), None)
    return _Planned(told, todo)


def _place(of_snapshot: Place, held: Held | None) -> Place:
    """Return where a correction stands: after the snapshot's place, and after what the warehouse holds."""
    known = held.place if held else None
    return (of_snapshot if known is None else max(of_snapshot, known)).after()


def _contract(call: Republishing, found: ComparisonResult) -> TableContract:
    """Return the contract of a comparison whose rows can be told as events, whole and as they are."""
    contract = call.contracts.get(found.contract or "")
    if contract is None:
        raise ConfigurationError(f"{found.name}: has no contract, and so no topic; mend it without --republish")
    if contract.wire_format not in _FORMATS or contract.encoding != "json":
        raise ConfigurationError(
            f"{found.name}: its topic carries {contract.wire_format} in {contract.encoding}, and corrections are "
            "Debezium events in JSON; mend it without --republish"
        )
    compared = {column.name: column.data_type for column in found.columns}
    other = [column.name for column in contract.columns if compared.get(column.name) != column.data_type]
    if other:
        raise ConfigurationError(
            f"{found.name}: an event tells a whole row, and {', '.join(other)} was not compared, or as another type; "
            "compare it, or mend the table without --republish"
        )
    return contract


def _taken_at(result: RunResult, found: ComparisonResult) -> datetime:
    taken_at = result.snapshot.taken_at
    if taken_at is None:
        raise ConfigurationError(
            f"{found.name}: no manifest says when the snapshot was taken, so that corrections have no place among the "
            "source's changes; mend it without --republish"
        )
    return taken_at


def _lines(corrections: Sequence[Correction]) -> Iterator[str]:
    for each in corrections:
        message = {
            "topic": each.topic,
            "ordering_key": each.ordering_key,
            "attributes": dict(each.attributes),
            "data": msgspec.Raw(each.data),
        }
        yield msgspec.json.encode(message).decode() + "\n"


def _published(call: Republishing, plan: _Planned, repair_id: str, clock: Callable[[], datetime]) -> Republished:
    if not plan.corrections:
        return replace(plan.told, published=0)
    published = 0
    with publishing(call.settings) as client:
        for number, batch in enumerate(batches(plan.corrections)):
            event_ids = publish(client, call.settings, batch)
            entries = [
                Entry(
                    repair_id=repair_id,
                    run_id=call.result.run_id,
                    comparison=plan.told.comparison,
                    repaired_at=clock(),
                    method="republish",
                    digest=digest_of(each.ordering_key),
                    kind=each.kind,
                    event_id=event_id,
                    topic=each.topic,
                    source_position=each.place.position,
                    source_sequence=each.place.sequence,
                )
                for each, event_id in zip(batch, event_ids, strict=True)
            ]
            enter(call.client, call.settings, entries, f"{plan.told.comparison}-{number}")
            published += len(batch)
    return replace(plan.told, published=published)
