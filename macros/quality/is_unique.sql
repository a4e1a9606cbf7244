{#- Uniqueness: fails for every row whose value of the column another row has too; null is no value. -#}
{% test is_unique(model, column_name) %}

{{ config(fail_calc=quality_fail_calc(), meta={'dimension': 'uniqueness'}) }}
with

by_value as (

    select
        {{ column_name }},
        count(*) as row_count
    from {{ model }}
    where {{ column_name }} is not null
    group by {{ column_name }}

),

counted as (

    select
        ifnull(sum(if(row_count > 1, row_count, 0)), 0) as failing_rows,
        ifnull(sum(row_count), 0) as checked_rows
    from by_value

)

{{ quality_verdict('counted') }},
    array(
        select {{ quality_key([column_name]) }} from by_value where row_count > 1 limit {{ quality_keys_kept() }}
    ) as failing_keys
from counted

{% endtest %}
