{{ config(materialized='ephemeral', contract={'enforced': false}, on_schema_change='ignore') }}

select
    member_id,
    member_number,
    status,
    first_name,
    last_name,
    birth_date,
    gender,
    country_code,
    language_code,
    home_store_id,
    referrer_member_id,
    is_test,
    joined_at,
    closed_at,
    created_at,
    updated_at,
    coalesce(_source_ts, _ingestion_ts) as _source_ts,
    _source_position,
    _source_sequence,
    {{ cdc_row_hash('members') }} as _row_hash
from {{ ref('str_members') }}
where not is_deleted
