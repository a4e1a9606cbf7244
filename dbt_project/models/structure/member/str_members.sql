{{
    config(
        unique_key=['member_id'],
        cluster_by=['member_id'],
        meta={'merge_update_when': cdc_is_newer()},
    )
}}

with

raw_rows as (

    select {{ cdc_raw_columns() }}
    from {{ source('member', 'members') }}
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
    where table_name = 'members' and _op = 'TRUNCATE'

),

changes as (

    {{ cdc_changes('raw_rows', 'members') }}

),

decoded as (

    select
        member_id,
        {{ cdc_cast('member_number', 'string') }} as member_number,
        {{ cdc_cast('status', 'string') }} as status,
        {{ cdc_cast('first_name', 'string') }} as first_name,
        {{ cdc_cast('last_name', 'string') }} as last_name,
        {{ cdc_cast('birth_date', 'date') }} as birth_date,
        {{ cdc_cast('gender', 'string') }} as gender,
        {{ cdc_cast('country_code', 'string') }} as country_code,
        {{ cdc_cast('language_code', 'string') }} as language_code,
        {{ cdc_cast('home_store_id', 'int64') }} as home_store_id,
        {{ cdc_cast('referrer_member_id', 'int64') }} as referrer_member_id,
        {{ cdc_cast('is_test', 'bool') }} as is_test,
        {{ cdc_cast('joined_at', 'timestamp') }} as joined_at,
        {{ cdc_cast('closed_at', 'timestamp') }} as closed_at,
        {{ cdc_cast('created_at', 'timestamp') }} as created_at,
        {{ cdc_cast('updated_at', 'timestamp') }} as updated_at,
        {{ cdc_change_metadata() }}
    from changes

),

current_state as (

    {{ cdc_current_state('decoded', 'raw_rows', 'truncates', 'members') }}

)

select * from current_state
