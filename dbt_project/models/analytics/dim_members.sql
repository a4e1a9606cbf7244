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
        dbt_is_deleted,
        dbt_valid_from,
        dbt_valid_to
    from {{ ref('snp_members') }}

),

-- whoever is a test account today never was a customer
test_members as (

    select member_id
    from snapshots
    where true
    qualify is_test and row_number() over (partition by member_id order by dbt_valid_from desc) = 1

),

versions as (

    select
        snapshots.dbt_scd_id,
        snapshots.member_id,
        snapshots.status,
        snapshots.gender,
        snapshots.country_code,
        snapshots.language_code,
        snapshots.birth_date,
        snapshots.home_store_id,
        snapshots.referrer_member_id,
        snapshots.joined_at,
        snapshots.closed_at,
        lower(cast(snapshots.dbt_is_deleted as string)) = 'true' as is_deleted,
        snapshots.dbt_valid_from as effective_from,
        coalesce(snapshots.dbt_valid_to, timestamp '9999-12-31 00:00:00+00:00') as effective_to
    from snapshots
    left join test_members on snapshots.member_id = test_members.member_id
    where test_members.member_id is null

)

select
    -- ids
    dbt_scd_id as member_version_key,
    member_id,
    row_number() over (partition by member_id order by effective_from) as version,
    home_store_id,
    referrer_member_id,

    -- profile
    status,
    gender,
    country_code,
    language_code,
    cast(floor(extract(year from birth_date) / 10) * 10 as int64) as birth_decade,

    -- booleans
    effective_to = timestamp '9999-12-31 00:00:00+00:00' as is_current,
    is_deleted,

    -- timestamps
    joined_at,
    closed_at,
    effective_from,
    effective_to
from versions
