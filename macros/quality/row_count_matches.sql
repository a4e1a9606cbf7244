{#- Aggregates: fails when the table has another number of rows than the one it is made from; counts as the difference. -#}
{% test row_count_matches(model, to, among='true') %}

{{ config(fail_calc=quality_fail_calc(), meta={'dimension': 'accuracy'}) }}
with

present as (

    select count(*) as row_count
    from {{ model }}

),

expected as (

    select count(*) as row_count
    from {{ to }}
    where {{ among }}

),

counted as (

    select
        abs(present.row_count - expected.row_count) as failing_rows,
        greatest(present.row_count, expected.row_count) as checked_rows,
        expected.row_count as expected_rows
    from present
    cross join expected

)

{{ quality_verdict('counted') }},
    [concat('expected ', cast(counted.expected_rows as string), ' rows')] as failing_keys
from counted

{% endtest %}
