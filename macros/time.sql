{#- The instant a model describes: the var `as_of`, else the start of the run.
    The start of the run, and not current_timestamp(), so that every model of one run means the same instant. -#}
{% macro as_of() -%}
    {%- set given = var('as_of', none) -%}
    {%- if given is none -%}
        timestamp '{{ run_started_at.strftime("%Y-%m-%d %H:%M:%S.%f") }}+00:00'
    {%- elif modules.re.match('^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,6})?Z$', given | string) -%}
        timestamp '{{ (given | string).replace('T', ' ').replace('Z', '+00:00') }}'
    {%- else -%}
        {{ exceptions.raise_compiler_error("var as_of is '" ~ given ~ "'; give an instant in UTC such as 2026-03-01T00:00:00Z") }}
    {%- endif -%}
{%- endmacro %}


{#- The UTC day of as_of(). -#}
{% macro as_of_date() -%}
    date({{ as_of() }})
{%- endmacro %}
