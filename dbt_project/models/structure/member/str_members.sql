{%- set key = {'member_id': 'int64'} -%}
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

    {{ cdc_changes('raw_rows', key) }}

),

decoded as (

    select
        member_id,
        {{ cdc_cast('member_number', 'string', columns) }} as member_number,
        {{ cdc_cast('status', 'string', columns) }} as status,
        {{ cdc_cast('first_name', 'string', columns) }} as first_name,
        {{ cdc_cast('last_name', 'string', columns) }} as last_name,
        {{ cdc_cast('birth_date', 'date', columns) }} as birth_date,
        {{ cdc_cast('gender', 'string', columns) }} as gender,
        {{ cdc_cast('country_code', 'string', columns) }} as country_code,
        {{ cdc_cast('language_code', 'string', columns) }} as language_code,
        {{ cdc_cast('home_store_id', 'int64', columns) }} as home_store_id,
        {{ cdc_cast('referrer_member_id', 'int64', columns) }} as referrer_member_id,
        {{ cdc_cast('is_test', 'bool', columns) }} as is_test,
        {{ cdc_cast('joined_at', 'timestamp', columns) }} as joined_at,
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
