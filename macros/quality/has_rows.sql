{#-
    Completeness: fails when the table is empty, though `given`, of which it is made, has rows for which `among` holds. Every
    other rule of an empty table finds nothing to check.
-#}
{% test has_rows(model, given, among='true') %}

{{ config(fail_calc=quality_fail_calc(), meta={'dimension': 'completeness'}) }}
with

{{ quality_compared_counts(
    model,
    given,
    among,
    failing_rows='if(present.row_count = 0, expected.row_count, 0)',
    checked_rows='expected.row_count'
) }}

{{ quality_verdict('counted') }},
    [concat('no row of ', cast(counted.expected_rows as string))] as failing_keys
from counted

{% endtest %}
