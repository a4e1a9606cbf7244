{%- set key = {'tier_id': 'int64'} -%}
{%- set columns = [] -%}

{{
    config(
        unique_key=key | list,
        cluster_by=key | list,
        meta={'merge_update_when': cdc_is_newer()},
    )
}}

with

raw_rows as (

    select {{ cdc_raw_columns() }}
    from {{ source('member', 'member_tiers') }}
    where {{ cdc_window() }}

),

truncates as (

    select
        _op,
        _source_position,
        _source_sequence,
        _source_ts,
        _ingestion_ts
    from {{ ref('str_truncates') }}
    where table_name = 'member_tiers' and _op = 'TRUNCATE'

),

changes as (

    {{ cdc_changes('raw_rows', key) }}

),

decoded as (

    select
        tier_id,
        {{ cdc_cast('member_id', 'int64', columns) }} as member_id,
        {{ cdc_cast('tier', 'string', columns) }} as tier,
        {{ cdc_cast('qualifying_points', 'numeric', columns) }} as qualifying_points,
        {{ cdc_cast('reason', 'string', columns) }} as reason,
        {{ cdc_cast('started_on', 'date', columns) }} as started_on,
        {{ cdc_cast('ends_on', 'date', columns) }} as ends_on,
        {{ cdc_cast('created_at', 'timestamp', columns) }} as created_at,
        {{ cdc_cast('updated_at', 'timestamp', columns) }} as updated_at,
        {{ cdc_change_metadata() }}
    from changes

),

current_state as (

    {{ cdc_current_state('decoded', 'raw_rows', 'truncates', key, columns) }}

)

select * from current_state
