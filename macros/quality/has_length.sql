{#- Validity: fails for every text shorter than `min` or longer than `max` characters; null is no value. -#}
{% test has_length(model, column_name, min=0, max=4000, max_share=0) %}

{{ config(fail_calc=quality_fail_calc(), meta={'dimension': 'validity'}) }}
{{ quality_rows(model, 'char_length(' ~ column_name ~ ') not between ' ~ min ~ ' and ' ~ max, max_share) }}

{% endtest %}
