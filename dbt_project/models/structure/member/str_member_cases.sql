{{
    config(
        unique_key=['case_id'],
        cluster_by=['case_id'],
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

    {{ cdc_changes('raw_rows', 'member_cases') }}

),

decoded as (

    select
        case_id,
        {{ cdc_cast('member_id', 'int64') }} as member_id,
        {{ cdc_cast('category', 'string') }} as category,
        {{ cdc_cast('priority', 'string') }} as priority,
        {{ cdc_cast('status', 'string') }} as status,
        {{ cdc_cast('subject', 'string') }} as subject,
        {{ cdc_cast('body', 'string') }} as body,
        {{ cdc_cast('satisfaction', 'int64') }} as satisfaction,
        {{ cdc_cast('opened_at', 'timestamp') }} as opened_at,
        {{ cdc_cast('closed_at', 'timestamp') }} as closed_at,
        {{ cdc_cast('created_at', 'timestamp') }} as created_at,
        {{ cdc_cast('updated_at', 'timestamp') }} as updated_at,
        {{ cdc_change_metadata() }}
    from changes

),

current_state as (

    {{ cdc_current_state('decoded', 'raw_rows', 'truncates', 'member_cases') }}

)

select * from current_state
