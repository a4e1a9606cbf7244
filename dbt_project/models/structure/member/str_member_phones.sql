{{
    config(
        unique_key=['phone_id'],
        cluster_by=['phone_id'],
        meta={'merge_update_when': cdc_is_newer()},
    )
}}

with

raw_rows as (

    select {{ cdc_raw_columns() }}
    from {{ source('member', 'member_phones') }}
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
    where table_name = 'member_phones' and _op = 'TRUNCATE'

),

changes as (

    {{ cdc_changes('raw_rows', 'member_phones') }}

),

decoded as (

    select
        phone_id,
        {{ cdc_cast('member_id', 'int64') }} as member_id,
        {{ cdc_cast('phone_number', 'string') }} as phone_number,
        {{ cdc_cast('phone_type', 'string') }} as phone_type,
        {{ cdc_cast('is_primary', 'bool') }} as is_primary,
        {{ cdc_cast('is_verified', 'bool') }} as is_verified,
        {{ cdc_cast('is_reachable', 'bool') }} as is_reachable,
        {{ cdc_cast('verified_at', 'timestamp') }} as verified_at,
        {{ cdc_cast('created_at', 'timestamp') }} as created_at,
        {{ cdc_cast('updated_at', 'timestamp') }} as updated_at,
        {{ cdc_change_metadata() }}
    from changes

),

current_state as (

    {{ cdc_current_state('decoded', 'raw_rows', 'truncates', 'member_phones') }}

)

select * from current_state
