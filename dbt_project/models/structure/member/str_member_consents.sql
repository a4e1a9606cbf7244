{%- set key = {'consent_id': 'int64'} -%}
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
    from {{ source('member', 'member_consents') }}
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
    where table_name = 'member_consents' and _op = 'TRUNCATE'

),

changes as (

    {{ cdc_changes('raw_rows', key) }}

),

decoded as (

    select
        consent_id,
        {{ cdc_cast('member_id', 'int64', columns) }} as member_id,
        {{ cdc_cast('purpose', 'string', columns) }} as purpose,
        {{ cdc_cast('channel', 'string', columns) }} as channel,
        {{ cdc_cast('state', 'string', columns) }} as state,
        {{ cdc_cast('legal_basis', 'string', columns) }} as legal_basis,
        {{ cdc_cast('text_version', 'string', columns) }} as text_version,
        {{ cdc_cast('captured_in', 'string', columns) }} as captured_in,
        {{ cdc_cast('captured_at', 'timestamp', columns) }} as captured_at,
        {{ cdc_cast('expires_at', 'timestamp', columns) }} as expires_at,
        {{ cdc_cast('created_at', 'timestamp', columns) }} as created_at,
        {{ cdc_cast('updated_at', 'timestamp', columns) }} as updated_at,
        {{ cdc_change_metadata() }}
    from changes

),

current_state as (

    {{ cdc_current_state('decoded', 'raw_rows', 'truncates', key, columns) }}

)

select * from current_state
