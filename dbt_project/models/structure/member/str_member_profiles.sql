{{
    config(
        unique_key=['profile_id'],
        cluster_by=['profile_id'],
        meta={'merge_update_when': cdc_is_newer()},
    )
}}

with

raw_rows as (

    select {{ cdc_raw_columns() }}
    from {{ source('member', 'member_profiles') }}
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
    where table_name = 'member_profiles' and _op = 'TRUNCATE'

),

changes as (

    {{ cdc_changes('raw_rows', 'member_profiles') }}

),

decoded as (

    select
        profile_id,
        {{ cdc_cast('member_id', 'int64') }} as member_id,
        {{ cdc_cast('source_code', 'string') }} as source_code,
        {{ cdc_cast('first_name', 'string') }} as first_name,
        {{ cdc_cast('last_name', 'string') }} as last_name,
        {{ cdc_cast('birth_date', 'date') }} as birth_date,
        {{ cdc_cast('occupation', 'string') }} as occupation,
        {{ cdc_cast('household_size', 'int64') }} as household_size,
        {{ cdc_cast('income_band', 'string') }} as income_band,
        {{ cdc_cast('annual_income', 'numeric') }} as annual_income,
        {{ cdc_cast('biography', 'string') }} as biography,
        {{ cdc_cast('created_at', 'timestamp') }} as created_at,
        {{ cdc_cast('updated_at', 'timestamp') }} as updated_at,
        {{ cdc_change_metadata() }}
    from changes

),

current_state as (

    {{ cdc_current_state('decoded', 'raw_rows', 'truncates', 'member_profiles') }}

)

select * from current_state
