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
        dbt_is_deleted = 'True' as is_deleted,
        dbt_valid_from,
        dbt_valid_to
    from {{ ref('snp_members') }}

),

deletions as (

    select
        member_id,
        _source_ts as deleted_at
    from {{ ref('str_members') }}
    where is_deleted

),

-- whoever is a test account today never was a customer
test_members as (

    select member_id
    from snapshots
    where true
    qualify is_test and row_number() over (partition by member_id order by dbt_valid_from desc) = 1

),

-- the snapshot dates a deletion by when it noticed; the source knows better, and a member who came back was gone
-- before that
dated as (

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
        snapshots.is_deleted,
        case
            when not snapshots.is_deleted then snapshots.dbt_valid_from
            when snapshots.dbt_valid_to < timestamp '9999-12-31 00:00:00+00:00'
                then least(snapshots.dbt_valid_from, snapshots.dbt_valid_to)
            else coalesce(deletions.deleted_at, snapshots.dbt_valid_from)
        end as effective_from
    from snapshots
    left join deletions on snapshots.member_id = deletions.member_id
    left join test_members on snapshots.member_id = test_members.member_id
    where test_members.member_id is null

),

-- a version holds until the next one begins
chained as (

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
        joined_at,
        closed_at,
        is_deleted,
        effective_from,
        coalesce(
            lead(effective_from) over (partition by member_id order by effective_from, is_deleted desc),
            timestamp '9999-12-31 00:00:00+00:00'
        ) as effective_to
    from dated

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
    if(
        birth_date between date '1900-01-01' and date(effective_from),
        div(extract(year from birth_date), 10) * 10,
        null
    ) as birth_decade,

    -- booleans
    effective_to = timestamp '9999-12-31 00:00:00+00:00' as is_current,
    is_deleted,

    -- timestamps
    joined_at,
    closed_at,
    effective_from,
    effective_to
from chained
-- a version that held for no time at all
where effective_from < effective_to
