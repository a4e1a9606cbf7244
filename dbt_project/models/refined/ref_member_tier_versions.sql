with

snapshots as (

    select
        dbt_scd_id,
        tier_id,
        member_id,
        tier,
        qualifying_points,
        reason,
        started_on,
        ends_on,
        created_at,
        updated_at,
        _source_position,
        _source_sequence,
        dbt_is_deleted,
        dbt_valid_from,
        dbt_valid_to
    from {{ ref('snp_member_tiers') }}

),

deletions as (

    select
        tier_id,
        _source_ts as deleted_at
    from {{ ref('str_member_tiers') }}
    where _op = 'DELETE'

),

versions as (

    {{ scd2_versions('snapshots', 'tier_id', 'deletions') }}

)

select
    -- ids
    dbt_scd_id as tier_version_key,
    tier_id,
    member_id,
    version_number as version,

    -- tier
    tier,
    qualifying_points,
    reason,
    started_on,
    ends_on,

    -- booleans
    is_current,
    is_deleted,

    -- timestamps
    created_at,
    updated_at,
    effective_from,
    effective_to
from versions
