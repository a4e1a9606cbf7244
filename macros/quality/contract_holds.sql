{#-
    Holds the live rows of a structure table against the contract of its source, in one scan. Fails for every row that
    breaks a promise: a column that is null though the source never leaves it so, a value that does not cast (and so is null,
    while `str_quarantined_values` has what was told), a value outside the enumeration, a value the source left out and
    nobody has told yet. What it names as failing are the promises, each with the number of rows that break it.
-#}
{% test contract_holds(model, table) %}

{{ config(fail_calc=quality_fail_calc(), meta={'dimension': 'validity'}) }}
{%- set promises = [
    ("_carried like '%:\"\"%'", '_carried was never told'),
    ('has_quarantined_value', 'a value does not cast, see str_quarantine,'),
] -%}
{%- for column in cdc_contract(table) -%}
    {%- if not (column.is_nullable or column.is_key or column.data_type.startswith('array')) -%}
        {%- do promises.append((column.name ~ ' is null', column.name ~ ' is null')) -%}
    {%- endif -%}
    {%- if column.allowed_values -%}
        {%- do promises.append((
            column.name ~ " not in ('" ~ column.allowed_values | join("', '") ~ "')",
            column.name ~ ' is not an allowed value'
        )) -%}
    {%- endif -%}
{%- endfor %}
with

quarantined as (

    select distinct _event_id
    from {{ ref('str_quarantined_values') }}
    where table_name = '{{ table }}' and _op != 'READ'

),

live as (

    select
        held.*,
        quarantined._event_id is not null as has_quarantined_value
    from (select * from {{ model }} where not is_deleted) as held
    left join quarantined
        on held._event_id = quarantined._event_id

),

counted as (

    select
        countif(
            {%- for condition, _ in promises %}
            {{ 'or ' if not loop.first }}ifnull({{ condition }}, false)
            {%- endfor %}
        ) as failing_rows,
        count(*) as checked_rows
    from live

),

problems as (

    select
        [
            {%- for condition, promise in promises %}
            struct('{{ promise }}' as promise, countif({{ condition }}) as row_count){{ ',' if not loop.last }}
            {%- endfor %}
        ] as found
    from live

)

{{ quality_verdict('counted') }},
    array(
        select concat(problem.promise, ' in ', cast(problem.row_count as string), ' rows')
        from problems
        cross join unnest(problems.found) as problem
        where problem.row_count > 0
    ) as failing_keys
from counted

{% endtest %}
