{#-
    A var that is a whole number, `least` or more. Jinja's own filter `int` makes 0 of what is none, which a window, a
    gap or a bound takes without a word. `default`: what it is where the project sets none.
-#}
{% macro whole_number(name, least, default=none) -%}
    {%- set given = var(name, default) -%}
    {%- if not modules.re.fullmatch('[0-9]{1,9}', given | string) or given | int < least -%}
        {{ exceptions.raise_compiler_error('the var ' ~ name ~ ' is ' ~ given ~ ': give a whole number, ' ~ least ~ ' at least') }}
    {%- endif -%}
    {{ return(given | int) }}
{%- endmacro %}
