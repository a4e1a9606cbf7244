"""The questions asked of a raw table. Names come from checked contracts; every value is a bound parameter."""

from core.contracts import TableContract
from core.settings import Settings

_ORDER = (
    "format('%s %020d %020d %d', _source_position, ifnull(_source_sequence, 0), "
    "ifnull(unix_micros(_source_ts), 0), if(_op = 'DELETE', 1, 0))"
)
"""As the macro `cdc_order_key` has it."""

_RANK = f"concat({_ORDER}, format(' %020d %s', 1000000000000000000 - unix_micros(_ingestion_ts), _event_id))"
"""The order of changes, and of two deliveries of one change the first to land, as `cdc_delivery_key` has it."""


def latest_rows(settings: Settings, contract: TableContract) -> str:
    """Return the query for the newest change of some keys, and for the newest truncate, which has no key.

    Args:
        settings: the project.
        contract: the table.

    Returns:
        GoogleSQL with the parameters `keys` and `since`.
    """
    return f"""
with

changes as (

    select
        _key,
        _op,
        payload,
        _op_inferred and ifnull(before = payload, false) as is_unchanged,
        {_ORDER} as order_key,
        {_RANK} as rank_key
    from {_table(settings, contract)}
    where (_key in unnest(@keys) or _key is null) and _source_position is not null and _ingestion_ts >= @since

)

select
    _key as row_key,
    any_value(_op having max rank_key) as op,
    any_value(payload having max rank_key) as payload,
    any_value(is_unchanged having max rank_key) as is_unchanged,
    max(order_key) as order_key
from changes
group by _key
"""  # noqa: S608


def set_members(settings: Settings, contract: TableContract) -> str:
    """Return the query for the keys that stand in some sets now.

    Args:
        settings: the project.
        contract: the table; its set columns say what the rows of a set share.

    Returns:
        GoogleSQL with the parameters `since` and, per set column, `shared_<number>`: the values as text.
    """
    columns = [column.name for column in contract.set_columns]
    values = [f"json_value(payload, '$.{name}') as shared_{number}" for number, name in enumerate(columns)]
    asked = [f"json_value(payload, '$.{name}') in unnest(@shared_{number})" for number, name in enumerate(columns)]
    kept = [f"any_value(shared_{number} having max rank_key) as shared_{number}" for number in range(len(columns))]
    return f"""
with

candidates as (

    select distinct _key
    from {_table(settings, contract)}
    where _key is not null and _ingestion_ts >= @since and {" and ".join(asked)}

),

changes as (

    select
        _key,
        _op,
        _source_position,
        {_RANK} as rank_key,
        {", ".join(values)}
    from {_table(settings, contract)}
    where
        _key in (select candidates._key from candidates)
        and _source_position is not null
        and _ingestion_ts >= @since

),

newest as (

    select
        _key,
        any_value(_op having max rank_key) as op,
        any_value(_source_position having max rank_key) as position,
        {", ".join(kept)}
    from changes
    group by _key

)

select
    _key as row_key,
    position,
    {", ".join(f"shared_{number}" for number in range(len(columns)))}
from newest
where op != 'DELETE'
"""  # noqa: S608


def dump_size(settings: Settings, contract: TableContract) -> str:
    """Return the query for the number of rows that landed of a dump.

    Args:
        settings: the project.
        contract: the table.

    Returns:
        GoogleSQL with the parameter `dump`: the dump's position.
    """
    return f"""
select count(distinct _key) as row_count
from {_table(settings, contract)}
where _source_position = @dump and _op != 'DELETE'
"""  # noqa: S608


def absent_keys(settings: Settings, contract: TableContract) -> str:
    """Return the query for the keys that were there before a dump and are not in it.

    They are numbered before those whose deletion has landed already are left out, so that a key has the same
    number when the question is asked again.

    Args:
        settings: the project.
        contract: the table.

    Returns:
        GoogleSQL with the parameter `dump`: the dump's position.
    """
    table = _table(settings, contract)
    return f"""
with

former as (

    select
        _key,
        any_value(_op having max {_RANK}) as op
    from {table}
    where _key is not null and _source_position < @dump
    group by _key

),

present as (

    select
        _key,
        logical_or(_op != 'DELETE') as is_there
    from {table}
    where _key is not null and _source_position = @dump
    group by _key

),

absent as (

    select
        former._key,
        present.is_there is not null as has_landed,
        row_number() over (order by former._key) as number
    from former
    left join present on former._key = present._key
    where former.op != 'DELETE' and not ifnull(present.is_there, false)

)

select
    _key as row_key,
    number
from absent
where not has_landed
order by number
"""  # noqa: S608


def _table(settings: Settings, contract: TableContract) -> str:
    return f"`{settings.project}.{contract.dataset}.{contract.name}`"
