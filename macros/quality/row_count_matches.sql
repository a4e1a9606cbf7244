{#- Aggregates: fails when the table has another number of rows than the one it is made from; counts as the difference. -#}
{% test row_count_matches(model, to, among='true') %}

{{ config(fail_calc=quality_fail_calc(), meta={'dimension': 'accuracy'}) }}
with

{{ quality_compared_counts(
    model,
    to,
    among,
    failing_rows='abs(present.row_count - expected.row_count)',
    checked_rows='greatest(present.row_count, expected.row_count)'
) }}

{{ quality_verdict('counted') }},
    [concat('expected ', cast(counted.expected_rows as string), ' rows')] as failing_keys
from counted

{% endtest %}
