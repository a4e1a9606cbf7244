with

snapshots as (

    select
        dbt_scd_id,
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
        _source_position,
        _source_sequence,
        dbt_is_deleted,
        dbt_valid_from,
        dbt_valid_to
    from {{ ref('snp_member_consents') }}

),

deletions as (

    select
        consent_id,
        _source_ts as deleted_at
    from {{ ref('str_member_consents') }}
    where _op = 'DELETE'

),

versions as (

    {{ scd2_versions('snapshots', 'consent_id', 'deletions') }}

)

select
    -- ids
    dbt_scd_id as consent_version_key,
    consent_id,
    member_id,
    version_number as version,

    -- consent
    purpose,
    channel,
    state,
    legal_basis,
    text_version,
    captured_in,

    -- booleans
    is_current,
    is_deleted,

    -- timestamps
    captured_at,
    expires_at,
    created_at,
    updated_at,
    effective_from,
    effective_to
from versions
