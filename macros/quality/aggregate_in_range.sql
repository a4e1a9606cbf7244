{#- Aggregates: fails when an aggregate of all rows, such as a sum, lies outside `min` and `max`, or is NaN; all rows fail with it. -#}
{% test aggregate_in_range(model, expression, min=none, max=none) %}

{{ config(fail_calc=quality_fail_calc(), meta={'dimension': 'accuracy'}) }}
with

aggregated as (

    select
        {{ expression }} as measure,
        count(*) as row_count
    from {{ model }}

),

counted as (

    select
        if({{ quality_outside('aggregated.measure', min, max) }}, greatest(aggregated.row_count, 1), 0) as failing_rows,
        aggregated.row_count as checked_rows,
        cast(aggregated.measure as string) as measure
    from aggregated

)

{{ quality_verdict('counted') }},
    [{{ quality_shown('counted.measure', expression) }}] as failing_keys
from counted

{% endtest %}
