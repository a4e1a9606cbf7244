{{
    config(
        unique_key=['email_id'],
        cluster_by=['email_id'],
        meta={'merge_update_when': cdc_is_newer()},
    )
}}

with

raw_rows as (

    select {{ cdc_raw_columns() }}
    from {{ source('member', 'member_emails') }}
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
    where table_name = 'member_emails' and _op = 'TRUNCATE'

),

changes as (

    {{ cdc_changes('raw_rows', 'member_emails') }}

),

decoded as (

    select
        email_id,
        {{ cdc_cast('member_id', 'int64') }} as member_id,
        {{ cdc_cast('email', 'string') }} as email,
        {{ cdc_cast('email_type', 'string') }} as email_type,
        {{ cdc_cast('is_primary', 'bool') }} as is_primary,
        {{ cdc_cast('is_verified', 'bool') }} as is_verified,
        {{ cdc_cast('verified_at', 'timestamp') }} as verified_at,
        {{ cdc_cast('bounced_at', 'timestamp') }} as bounced_at,
        {{ cdc_cast('created_at', 'timestamp') }} as created_at,
        {{ cdc_cast('updated_at', 'timestamp') }} as updated_at,
        {{ cdc_change_metadata() }}
    from changes

),

current_state as (

    {{ cdc_current_state('decoded', 'raw_rows', 'truncates', 'member_emails') }}

)

select * from current_state
