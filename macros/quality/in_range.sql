{#- Validity: fails for every value below `min` or above `max`, which are SQL expressions; null is no value. -#}
{% test in_range(model, column_name, min=none, max=none, max_share=0) %}

{{ config(fail_calc=quality_fail_calc(), meta={'dimension': 'validity'}) }}
{%- set outside = [] -%}
{%- if min is not none -%}{%- do outside.append(column_name ~ ' < ' ~ min) -%}{%- endif -%}
{%- if max is not none -%}{%- do outside.append(column_name ~ ' > ' ~ max) -%}{%- endif -%}
{%- if not outside -%}
    {{ exceptions.raise_compiler_error('in_range of ' ~ column_name ~ ' has neither min nor max: give one') }}
{%- endif %}
{{ quality_rows(model, outside | join(' or '), max_share) }}

{% endtest %}
