{%- set key = {'interaction_id': 'int64'} -%}
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

    {{ cdc_changes('raw_rows', key) }}

),

decoded as (

    select
        interaction_id,
        {{ cdc_cast('member_id', 'int64', columns) }} as member_id,
        {{ cdc_cast('interaction_type', 'string', columns) }} as interaction_type,
        {{ cdc_cast('channel', 'string', columns) }} as channel,
        {{ cdc_cast('campaign_code', 'string', columns) }} as campaign_code,
        {{ cdc_cast('duration_ms', 'int64', columns) }} as duration_ms,
        {{ cdc_cast('sentiment_score', 'float64', columns) }} as sentiment_score,
        {{ cdc_cast('tags', 'array<string>', columns) }} as tags,
        {{ cdc_cast('context', 'json', columns) }} as context,
        {{ cdc_cast('occurred_at', 'timestamp', columns) }} as occurred_at,
        {{ cdc_cast('created_at', 'timestamp', columns) }} as created_at,
        {{ cdc_cast('updated_at', 'timestamp', columns) }} as updated_at,
        {{ cdc_change_metadata() }}
    from changes

),

current_state as (

    {{ cdc_current_state('decoded', 'raw_rows', 'truncates', key, columns) }}

)

select * from current_state
