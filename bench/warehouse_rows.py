"""Raw rows to build zones from: a small world of all tables, and members by the million."""

import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from google.cloud import bigquery

from bench.events import generated
from core.clock import to_micros
from core.contracts import Contracts
from core.identifiers import qualified
from core.raw_row import RAW_COLUMNS
from core.settings import Settings
from ingest.decode.batch import batch_decoder
from ingest.message import Message
from ingest.row import RawRow

Rows = Mapping[str, Sequence[RawRow]]

_ARROW: Final = {
    "STRING": pa.string(),
    "BOOL": pa.bool_(),
    "INT64": pa.int64(),
    "TIMESTAMP": pa.timestamp("us", tz="UTC"),
}
_SCHEMA: Final = pa.schema([(column.name, _ARROW[column.data_type]) for column in RAW_COLUMNS])
_MEMBER: Final = """
    select
        to_json({
            'member_id': i, 'member_number': printf('%012d', i), 'status': 'active', 'first_name': 'Given ' || i,
            'last_name': 'Family ' || version, 'birth_date': 3000 + i % 15000, 'gender': 'female',
            'country_code': 'DE', 'language_code': 'de', 'home_store_id': i % 400, 'referrer_member_id': null,
            'is_test': false, 'joined_at': 1500000000000000 + i, 'closed_at': null,
            'created_at': 1500000000000000 + i, 'updated_at': 1700000000000000 + i + version
        })::varchar as payload,
        null::varchar as before,
        if(version = 0, 'SNAPSHOT', 'UPDATE') as _op,
        false as _op_inferred,
        '{"member_id":' || i || '}' as _key,
        'loyalty' as _source_system,
        'loyalty.members' as _source_table,
        make_timestamptz(1700000000000000 + i + version) as _source_ts,
        printf('%020d', version * 100000000 + i) as _source_position,
        0::bigint as _source_sequence,
        version || '-' || i as _event_id,
        landed as _publish_ts,
        landed as _ingestion_ts,
        'bench' as _load_id,
        null::varchar as _schema_fingerprint,
        null::varchar as _trace_id
    from (
        select
            i,
            $version::bigint as version,
            $landed::timestamptz - to_microseconds((i - $first) % $spread * 60000000) as landed
        from range($first::bigint, $last::bigint, $step::bigint) as numbers (i)
    )
"""


def of_a_world(contracts: Contracts, events: int) -> Rows:
    """Decode the events of a generated world.

    Args:
        contracts: the tables.
        events: how many.

    Returns:
        Raw rows by table, in the order of the events.
    """
    by_topic: dict[str, list[Message]] = {}
    for number, event in enumerate(generated(contracts, events)):
        message = Message("bench", event.topic, str(number), event.data, event.attributes, event.ordering_key, 0)
        by_topic.setdefault(event.topic, []).append(message)
    tables = contracts.by_topic()
    return {
        tables[topic].name: [landing.row for landing in batch_decoder(tables[topic], "bench")(messages).landings]
        for topic, messages in by_topic.items()
    }


def land(client: bigquery.Client, settings: Settings, rows: Rows, landed_at: datetime) -> None:
    """Load raw rows into their tables.

    Args:
        client: where to.
        settings: name of the project.
        rows: by table.
        landed_at: what their `_ingestion_ts` says (UTC).
    """
    for table, found in rows.items():
        if found:
            _load(client, settings, table, _arrow(found, to_micros(landed_at)))


def land_members(
    client: bigquery.Client,
    settings: Settings,
    keys: range,
    *,
    version: int,
    landed_at: datetime,
    spread_minutes: int = 1,
) -> int:
    """Load one change of each of many members.

    Args:
        client: where to.
        settings: name of the project.
        keys: the members.
        version: 0 for the first image of each; a later one changes it.
        landed_at: the newest `_ingestion_ts` (UTC).
        spread_minutes: over how many minutes before that they landed.

    Returns:
        How many rows were loaded.
    """
    with duckdb.connect() as connection:
        arguments = {"first": keys.start, "last": keys.stop, "step": keys.step, "version": version}
        made = connection.execute(_MEMBER, {**arguments, "landed": landed_at, "spread": spread_minutes})
        _load(client, settings, "members", made.to_arrow_table().cast(_SCHEMA))
    return len(keys)


def _arrow(rows: Iterable[RawRow], landed_us: int) -> pa.Table:
    values = [{name: _value(row, name, landed_us) for name in _SCHEMA.names} for row in rows]
    return pa.Table.from_pylist(values, schema=_SCHEMA)


def _value(row: RawRow, name: str, landed_us: int) -> Any:
    if name == "_ingestion_ts":
        return landed_us
    value = getattr(row, name.removeprefix("_"))
    return value.decode() if isinstance(value, bytes) else value


def _load(client: bigquery.Client, settings: Settings, table: str, rows: pa.Table) -> None:
    buffer = io.BytesIO()
    pq.write_table(rows, buffer)
    buffer.seek(0)
    config = bigquery.LoadJobConfig(source_format="PARQUET", write_disposition="WRITE_APPEND")
    name = qualified(settings.project, "raw", table).replace("`", "")
    client.load_table_from_file(buffer, name, job_config=config).result()
