{{ config(materialized='ephemeral', contract={'enforced': false}, on_schema_change='ignore') }}

select
    tier_id,
    member_id,
    tier,
    qualifying_points,
    reason,
    started_on,
    ends_on,
    created_at,
    updated_at,
    coalesce(_source_ts, _ingestion_ts) as _source_ts,
    _source_position,
    _source_sequence,
    {{ cdc_row_hash('member_tiers') }} as _row_hash
from {{ ref('str_member_tiers') }}
where not is_deleted
