{{
    config(
        unique_key=['tier_id'],
        cluster_by=['tier_id'],
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

    {{ cdc_changes('raw_rows', 'member_tiers') }}

),

decoded as (

    select
        tier_id,
        {{ cdc_cast('member_id', 'int64') }} as member_id,
        {{ cdc_cast('tier', 'string') }} as tier,
        {{ cdc_cast('qualifying_points', 'numeric') }} as qualifying_points,
        {{ cdc_cast('reason', 'string') }} as reason,
        {{ cdc_cast('started_on', 'date') }} as started_on,
        {{ cdc_cast('ends_on', 'date') }} as ends_on,
        {{ cdc_cast('created_at', 'timestamp') }} as created_at,
        {{ cdc_cast('updated_at', 'timestamp') }} as updated_at,
        {{ cdc_change_metadata() }}
    from changes

),

current_state as (

    {{ cdc_current_state('decoded', 'raw_rows', 'truncates', 'member_tiers') }}

)

select * from current_state
