{#-
    The CTEs of a rule that compares how many rows a table has, `present`, with how many another has for which `among`
    holds, `expected`; then what it counts of the two.
-#}
{% macro quality_compared_counts(model, other, among, failing_rows, checked_rows) -%}
present as (

    select count(*) as row_count
    from {{ model }}

),

expected as (

    select count(*) as row_count
    from {{ other }}
    where {{ among }}

),

counted as (

    select
        {{ failing_rows }} as failing_rows,
        {{ checked_rows }} as checked_rows,
        expected.row_count as expected_rows
    from present
    cross join expected

)
{%- endmacro %}
