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


{#-
    A pre-hook of models that describe an instant: refuses to build them from a refined zone that was built for another
    one, before what is there is replaced. `as_of` of both must be the same; a run that names none takes a refined zone
    of the last 24 hours, for features look back over whole days. `profiles`: the refined table that holds `as_of`.
-#}
{% macro refuse_another_instant(profiles) -%}
    {%- set is_other -%}
        {%- if var('as_of', none) is none -%}
            as_of < timestamp_sub({{ as_of() }}, interval 24 hour)
        {%- else -%}
            as_of != {{ as_of() }}
        {%- endif -%}
    {%- endset -%}
    select error(concat(
        'refined describes ', string(as_of), ', and not the instant of this run; build it with the same var as_of first'
    )) as refusal
    from {{ profiles }}
    where {{ is_other }}
    limit 1
{%- endmacro %}
