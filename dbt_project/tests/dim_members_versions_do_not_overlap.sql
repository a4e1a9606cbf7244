{{ config(tags=['analytics'], meta={'owner': 'loyalty-data'}) }}

-- A join on an instant must find at most one version of a member.
with

neighbours as (

    select
        member_id,
        version,
        effective_from,
        effective_to,
        lead(effective_from) over (partition by member_id order by version) as next_effective_from
    from {{ ref('dim_members') }}

)

select
    member_id,
    version,
    effective_from,
    effective_to,
    next_effective_from
from neighbours
where effective_to <= effective_from
    or effective_to > next_effective_from
