{{ config(materialized='ephemeral', contract={'enforced': false}, on_schema_change='ignore') }}

select
    address_id,
    member_id,
    address_type,
    line_1,
    line_2,
    city,
    region,
    postal_code,
    country_code,
    latitude,
    longitude,
    is_primary,
    valid_from,
    valid_to,
    created_at,
    updated_at,
    coalesce(_source_ts, _ingestion_ts) as _source_ts,
    _source_position,
    _source_sequence,
    {{ cdc_row_hash('member_addresses') }} as _row_hash
from {{ ref('str_member_addresses') }}
where not is_deleted
