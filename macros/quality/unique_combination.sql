{#- Uniqueness: fails for every row whose combination of the columns is null in part or stands more than once. -#}
{% test unique_combination(model, columns) %}

{{ config(fail_calc=quality_fail_calc(), meta={'dimension': 'uniqueness'}) }}
with

combinations as (

    select
        {{ columns | join(',\n        ') }},
        count(*) as row_count
    from {{ model }}
    group by {{ columns | join(', ') }}

),

judged as (

    select
        combinations.*,
        row_count > 1 or {{ columns | join(' is null or ') }} is null as is_broken
    from combinations

),

counted as (

    select
        ifnull(sum(if(is_broken, row_count, 0)), 0) as failing_rows,
        ifnull(sum(row_count), 0) as checked_rows
    from judged

)

{{ quality_verdict('counted') }},
    array(select {{ quality_key(columns) }} from judged where is_broken limit {{ quality_keys_kept() }}) as failing_keys
from counted

{% endtest %}
