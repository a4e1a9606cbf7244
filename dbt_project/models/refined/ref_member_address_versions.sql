with

snapshots as (

    select
        dbt_scd_id,
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
        _source_position,
        _source_sequence,
        dbt_is_deleted,
        dbt_valid_from,
        dbt_valid_to
    from {{ ref('snp_member_addresses') }}

),

deletions as (

    select
        address_id,
        _source_ts as deleted_at
    from {{ ref('str_member_addresses') }}
    where _op = 'DELETE'

),

versions as (

    {{ scd2_versions('snapshots', 'address_id', 'deletions') }}

)

select
    -- ids
    dbt_scd_id as address_version_key,
    address_id,
    member_id,
    version_number as version,

    -- address
    address_type,
    line_1,
    line_2,
    city,
    region,
    postal_code,
    country_code,
    latitude,
    longitude,
    valid_from,
    valid_to,

    -- booleans
    is_primary,
    is_current,
    is_deleted,

    -- timestamps
    created_at,
    updated_at,
    effective_from,
    effective_to
from versions
