{#- Timeliness: fails for every row that took more than `max_minutes` from one instant to another; null is no instant. -#}
{% test lags_at_most(model, from, to, max_minutes, max_share=0) %}

{{ config(fail_calc=quality_fail_calc(), meta={'dimension': 'timeliness'}) }}
{{ quality_rows(model, 'timestamp_diff(' ~ to ~ ', ' ~ from ~ ', second) > 60 * ' ~ max_minutes, max_share) }}

{% endtest %}
