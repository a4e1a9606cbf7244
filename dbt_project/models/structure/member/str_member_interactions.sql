{{
    config(
        unique_key=['interaction_id'],
        cluster_by=['interaction_id'],
        meta={'merge_update_when': cdc_is_newer()},
    )
}}

with

raw_rows as (

    select {{ cdc_raw_columns() }}
    from {{ source('member', 'member_interactions') }}
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
    where table_name = 'member_interactions' and _op = 'TRUNCATE'

),

changes as (

    {{ cdc_changes('raw_rows', 'member_interactions') }}

),

decoded as (

    select
        interaction_id,
        {{ cdc_cast('member_id', 'int64') }} as member_id,
        {{ cdc_cast('interaction_type', 'string') }} as interaction_type,
        {{ cdc_cast('channel', 'string') }} as channel,
        {{ cdc_cast('campaign_code', 'string') }} as campaign_code,
        {{ cdc_cast('duration_ms', 'int64') }} as duration_ms,
        {{ cdc_cast('sentiment_score', 'float64') }} as sentiment_score,
        {{ cdc_cast('tags', 'array<string>') }} as tags,
        {{ cdc_cast('context', 'json') }} as context,
        {{ cdc_cast('occurred_at', 'timestamp') }} as occurred_at,
        {{ cdc_cast('created_at', 'timestamp') }} as created_at,
        {{ cdc_cast('updated_at', 'timestamp') }} as updated_at,
        {{ cdc_change_metadata() }}
    from changes

),

current_state as (

    {{ cdc_current_state('decoded', 'raw_rows', 'truncates', 'member_interactions') }}

)

select * from current_state
