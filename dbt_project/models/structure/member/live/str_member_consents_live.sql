{{ config(materialized='ephemeral', contract={'enforced': false}, on_schema_change='ignore') }}

select
    consent_id,
    member_id,
    purpose,
    channel,
    state,
    legal_basis,
    text_version,
    captured_in,
    captured_at,
    expires_at,
    created_at,
    updated_at,
    coalesce(_source_ts, _ingestion_ts) as _source_ts,
    _source_position,
    _source_sequence,
    {{ cdc_row_hash('member_consents') }} as _row_hash
from {{ ref('str_member_consents') }}
where not is_deleted
