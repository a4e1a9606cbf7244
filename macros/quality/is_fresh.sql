{#-
    Timeliness: fails when the newest instant of the column is older than `max_hours`, or there is none. What lies ahead says
    nothing of how fresh the table is: one row of a wrong clock would keep it fresh for years.
-#}
{% test is_fresh(model, column_name, max_hours) %}

{{ config(fail_calc=quality_fail_calc(), meta={'dimension': 'timeliness'}) }}
with

newest as (

    select max({{ column_name }}) as newest_at
    from {{ model }}
    where {{ column_name }} <= {{ as_of() }}

),

counted as (

    select
        if(ifnull(newest_at < timestamp_sub({{ as_of() }}, interval {{ max_hours }} hour), true), 1, 0) as failing_rows,
        1 as checked_rows,
        newest_at
    from newest

)

{{ quality_verdict('counted') }},
    [concat('newest ', ifnull(cast(counted.newest_at as string), 'null'))] as failing_keys
from counted

{% endtest %}
