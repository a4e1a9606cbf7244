-- The attributes more than one system may state; each is decided on its own.
{% set attributes = [
    'first_name', 'last_name', 'birth_date', 'occupation', 'household_size', 'income_band', 'annual_income'
] %}

with

members as (

    select
        member_id,
        member_number,
        status,
        first_name,
        last_name,
        birth_date,
        gender,
        country_code,
        language_code,
        home_store_id,
        referrer_member_id,
        is_test,
        joined_at,
        closed_at,
        updated_at
    from {{ as_of_rows(ref('str_members')) }}
    where not is_deleted

),

profiles as (

    select
        profile_id,
        member_id,
        source_code,
        first_name,
        last_name,
        birth_date,
        occupation,
        household_size,
        income_band,
        annual_income,
        updated_at
    from {{ as_of_rows(ref('str_member_profiles')) }}
    where not is_deleted
        and coalesce(created_at <= {{ as_of() }}, true)

),

sources as (

    select
        source_code,
        trust_rank
    from {{ ref('profile_sources') }}

),

-- what the member said in the account counts as one more source
statements as (

    select
        member_id,
        'member' as source_code,
        cast(0 as int64) as statement_id,
        first_name,
        last_name,
        birth_date,
        cast(null as string) as occupation,
        cast(null as int64) as household_size,
        cast(null as string) as income_band,
        cast(null as numeric) as annual_income,
        updated_at as stated_at
    from members

    union all

    select
        member_id,
        coalesce(source_code, 'unknown') as source_code,
        profile_id as statement_id,
        first_name,
        last_name,
        birth_date,
        occupation,
        household_size,
        income_band,
        annual_income,
        updated_at as stated_at
    from profiles

),

-- blanks, impossible values and refusals to answer say nothing, so they must not win
cleaned as (

    select
        member_id,
        source_code,
        statement_id,
        nullif(trim(first_name), '') as first_name,
        nullif(trim(last_name), '') as last_name,
        if(birth_date between date '1900-01-01' and {{ as_of_date() }}, birth_date, null) as birth_date,
        nullif(trim(occupation), '') as occupation,
        if(household_size > 0, household_size, null) as household_size,
        nullif(income_band, 'undisclosed') as income_band,
        if(annual_income >= 0, annual_income, null) as annual_income,
        stated_at
    from statements

),

-- a system nobody ranked is believed last
ranked as (

    select
        cleaned.member_id,
        cleaned.source_code,
        cleaned.statement_id,
        {%- for attribute in attributes %}
        cleaned.{{ attribute }},
        {%- endfor %}
        cleaned.stated_at,
        coalesce(sources.trust_rank, 1000) as trust_rank
    from cleaned
    left join sources on cleaned.source_code = sources.source_code

),

-- per attribute: the most trusted system that states it; within a system the latest statement. A value is chosen with
-- where it comes from, in one piece: a statement that leaves out its system or its time is not given another's.
golden as (

    select
        member_id,
        {%- for attribute in attributes %}
        first_value(
            if({{ attribute }} is null, null, struct({{ attribute }} as value, source_code, stated_at)) ignore nulls
        ) over by_trust as {{ attribute }},
        {%- endfor %}
        count(*) over by_trust as statements,
        row_number() over (
            partition by member_id order by trust_rank, stated_at desc, statement_id desc
        ) as position
    from ranked
    window by_trust as (
        partition by member_id
        order by trust_rank, stated_at desc, statement_id desc
        rows between unbounded preceding and unbounded following
    )

)

select
    -- ids
    members.member_id,
    members.member_number,
    members.home_store_id,
    members.referrer_member_id,

    -- golden attributes, each with where it came from and when that system last changed its statement
    {%- for attribute in attributes %}
    golden.{{ attribute }}.value as {{ attribute }},
    golden.{{ attribute }}.source_code as {{ attribute }}_source,
    golden.{{ attribute }}.stated_at as {{ attribute }}_stated_at,
    {%- endfor %}

    -- attributes only the member's account holds
    members.status,
    members.gender,
    members.country_code,
    members.language_code,

    -- numbers
    golden.statements,

    -- booleans
    coalesce(members.is_test, false) as is_test,

    -- timestamps
    members.joined_at,
    members.closed_at,
    {{ as_of() }} as as_of
from members
inner join golden on members.member_id = golden.member_id
where golden.position = 1
