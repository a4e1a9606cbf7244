{%- set key = {'case_id': 'int64'} -%}
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
    from {{ source('member', 'member_cases') }}
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
    where table_name = 'member_cases' and _op = 'TRUNCATE'

),

changes as (

    {{ cdc_changes('raw_rows', key) }}

),

decoded as (

    select
        case_id,
        {{ cdc_cast('member_id', 'int64', columns) }} as member_id,
        {{ cdc_cast('category', 'string', columns) }} as category,
        {{ cdc_cast('priority', 'string', columns) }} as priority,
        {{ cdc_cast('status', 'string', columns) }} as status,
        {{ cdc_cast('subject', 'string', columns) }} as subject,
        {{ cdc_cast('body', 'string', columns) }} as body,
        {{ cdc_cast('satisfaction', 'int64', columns) }} as satisfaction,
        {{ cdc_cast('opened_at', 'timestamp', columns) }} as opened_at,
        {{ cdc_cast('closed_at', 'timestamp', columns) }} as closed_at,
        {{ cdc_cast('created_at', 'timestamp', columns) }} as created_at,
        {{ cdc_cast('updated_at', 'timestamp', columns) }} as updated_at,
        {{ cdc_change_metadata() }}
    from changes

),

current_state as (

    {{ cdc_current_state('decoded', 'raw_rows', 'truncates', key, columns) }}

)

select * from current_state
