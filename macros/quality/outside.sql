{#-
    The condition that a value lies outside a range. Both bounds are SQL expressions, and belong to it; without one of
    them, the range is open. It asks whether the value lies inside: NaN is neither less nor more than any number, and so
    lies in no range. Of null nothing is known.
-#}
{% macro quality_outside(value, min=none, max=none) -%}
    {%- set inside = [] -%}
    {%- if min is not none -%}{%- do inside.append(value ~ ' >= ' ~ min) -%}{%- endif -%}
    {%- if max is not none -%}{%- do inside.append(value ~ ' <= ' ~ max) -%}{%- endif -%}
    {%- if not inside -%}
        {{ exceptions.raise_compiler_error('the range of ' ~ value ~ ' has neither min nor max: give one') }}
    {%- endif -%}
    not ({{ inside | join(' and ') }})
{%- endmacro %}
