{#- Timeliness: fails when the newest instant of the column is older than `max_hours`; an empty table has none. -#}
{% test is_fresh(model, column_name, max_hours) %}

{{ config(fail_calc=quality_fail_calc(), meta={'dimension': 'timeliness'}) }}
with

newest as (

    select max({{ column_name }}) as newest_at
    from {{ model }}

),

counted as (

    select
        if(newest_at < timestamp_sub({{ as_of() }}, interval {{ max_hours }} hour), 1, 0) as failing_rows,
        if(newest_at is null, 0, 1) as checked_rows,
        newest_at
    from newest

)

{{ quality_verdict('counted') }},
    [concat('newest ', ifnull(cast(counted.newest_at as string), 'null'))] as failing_keys
from counted

{% endtest %}
