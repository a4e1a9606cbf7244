{%- set key = {'member_id': 'int64', 'channel': 'string', 'topic': 'string'} -%}
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
    from {{ source('member', 'member_preferences') }}
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
    where table_name = 'member_preferences' and _op = 'TRUNCATE'

),

changes as (

    {{ cdc_changes('raw_rows', key) }}

),

decoded as (

    select
        member_id,
        channel,
        topic,
        {{ cdc_cast('is_enabled', 'bool', columns) }} as is_enabled,
        {{ cdc_cast('frequency_cap', 'int64', columns) }} as frequency_cap,
        {{ cdc_cast('quiet_hours', 'json', columns) }} as quiet_hours,
        {{ cdc_cast('created_at', 'timestamp', columns) }} as created_at,
        {{ cdc_cast('updated_at', 'timestamp', columns) }} as updated_at,
        {{ cdc_change_metadata() }}
    from changes

),

current_state as (

    {{ cdc_current_state('decoded', 'raw_rows', 'truncates', key, columns) }}

)

select * from current_state
