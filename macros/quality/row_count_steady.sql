{#-
    Aggregates: fails when the table has lost more than `max_loss`, or gained more than `max_gain`, of the rows it had
    when the same rule last passed. What it had stands in audit.quality_results; the first time there is nothing to
    compare with, and below `min_rows` a change of share means little.
-#}
{% test row_count_steady(model, max_loss=0.1, max_gain=none, min_rows=100) %}

{{ config(fail_calc=quality_fail_calc(), meta={'dimension': 'accuracy'}) }}
{%- set history = quality_relation('quality_results') if execute else none -%}
{%- set broken = ['former_rows - row_count > ' ~ max_loss ~ ' * former_rows'] -%}
{%- if max_gain is not none -%}{%- do broken.append('row_count - former_rows > ' ~ max_gain ~ ' * former_rows') -%}{%- endif %}
with

present as (

    select count(*) as row_count
    from {{ model }}

),

former as (
    {% if history %}
    select any_value(checked_rows having max recorded_at) as former_rows
    from {{ history }}
    where rule = '{{ quality_rule_name() }}'
        and status = 'pass'
        -- the partition of a table that is read by every build must be named
        and run_started_at >= timestamp_sub({{ as_of() }}, interval 32 day)
    {% else %}
    select cast(null as int64) as former_rows
    {% endif %}
),

counted as (

    select
        if(
            former.former_rows >= {{ min_rows }} and ({{ broken | join(' or ') }}),
            greatest(abs(former.former_rows - present.row_count), 1),
            0
        ) as failing_rows,
        present.row_count as checked_rows
    from present
    cross join former

)

{{ quality_verdict('counted') }},
    [concat('now ', cast(counted.checked_rows as string), ' rows')] as failing_keys
from counted

{% endtest %}
