{#-
    Consistency: fails for every span [from, to) that is empty, or that reaches into the next one of the same key, as one
    without an end does.
-#}
{% test has_no_overlap(model, key, from, to, without_gaps=false) %}

{{ config(fail_calc=quality_fail_calc(), meta={'dimension': 'consistency'}) }}
with

neighbours as (

    select
        {{ key }} as span_key,
        {{ from }} as begins_at,
        {{ to }} as ends_at,
        lead({{ from }}) over (partition by {{ key }} order by {{ from }}, {{ to }}) as next_begins_at
    from {{ model }}

),

judged as (

    select
        span_key,
        ends_at <= begins_at
        or ifnull(ends_at {{ '!=' if without_gaps else '>' }} next_begins_at, next_begins_at is not null) as is_broken
    from neighbours

),

counted as (

    select
        countif(is_broken) as failing_rows,
        count(*) as checked_rows
    from judged

)

{{ quality_verdict('counted') }},
    array(select {{ quality_shown('span_key', key) }} from judged where is_broken limit {{ quality_keys_kept() }}) as failing_keys
from counted

{% endtest %}
