with

snapshots as (

    select
        dbt_scd_id,
        member_id,
        status,
        gender,
        country_code,
        language_code,
        birth_date,
        home_store_id,
        referrer_member_id,
        is_test,
        joined_at,
        closed_at,
        _source_position,
        _source_sequence,
        dbt_is_deleted,
        dbt_valid_from,
        dbt_valid_to
    from {{ ref('snp_members') }}

),

deletions as (

    select
        member_id,
        _source_ts as deleted_at
    from {{ ref('str_members') }}
    where _op = 'DELETE'

),

versions as (

    {{ scd2_versions('snapshots', 'member_id', 'deletions') }}

),

-- whoever is a test account today never was a customer
test_members as (

    select member_id
    from versions
    where is_current
        and is_test

),

customers as (

    select
        versions.dbt_scd_id,
        versions.member_id,
        versions.version_number,
        versions.status,
        versions.gender,
        versions.country_code,
        versions.language_code,
        versions.birth_date,
        versions.home_store_id,
        versions.referrer_member_id,
        versions.joined_at,
        versions.closed_at,
        versions.is_current,
        versions.is_deleted,
        versions.effective_from,
        versions.effective_to
    from versions
    left join test_members on versions.member_id = test_members.member_id
    where test_members.member_id is null

)

select
    -- ids
    dbt_scd_id as member_version_key,
    member_id,
    version_number as version,
    home_store_id,
    referrer_member_id,

    -- profile
    status,
    gender,
    country_code,
    language_code,
    if(
        birth_date between date '1900-01-01' and date(effective_from),
        div(extract(year from birth_date), 10) * 10,
        null
    ) as birth_decade,

    -- booleans
    is_current,
    is_deleted,

    -- timestamps
    joined_at,
    closed_at,
    effective_from,
    effective_to
from customers
