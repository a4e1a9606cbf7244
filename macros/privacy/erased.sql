{#-
    Whether a raw row belongs to a member that was erased: it states the member, or it is about a row that was the
    member's. The list is short, and BigQuery hands it to every worker.

    `image`: the row image, a JSON object or null. `erasures`: the list, where it is not `str_erasures` by ref().
-#}
{% macro is_erased(image, erasures=none) -%}
    {%- set list = erasures or ref('str_erasures') -%}
    {%- if erasures is none and nobody_is_erased(list) -%}
    false
    {%- else -%}
    (
        ifnull(_key in (select erased._key from {{ list }} as erased), false)
        or ifnull(
            safe_cast(json_value({{ image }}, '$.member_id') as int64) in (select erased.member_id from {{ list }} as erased),
            false
        )
    )
    {%- endif -%}
{%- endmacro %}


{#- The same of a row as it landed, which may be no JSON at all: then the first number that calls itself member_id counts. -#}
{% macro is_erased_as_landed(erasures=none) -%}
    {%- set list = erasures or ref('str_erasures') -%}
    {%- if erasures is none and nobody_is_erased(list) -%}
    false
    {%- else -%}
    (
        {{ is_erased(cdc_json_object('before'), list) }}
        or {{ is_erased(cdc_json_object('payload'), list) }}
        or ifnull(
            {{ cdc_json_object('payload') }} is null
            and safe_cast(regexp_extract(payload, r'"member_id"\s*:\s*"?([0-9]+)') as int64) in (
                select erased.member_id from {{ list }} as erased
            ),
            false
        )
    )
    {%- endif -%}
{%- endmacro %}


{#-
    Whether the list is empty as a table is about to be built: then no row is asked, which would cost a fifth of the build.
    A view is not built anew when somebody is erased, and always asks.

    `erasures`: the relation of the list.
-#}
{% macro nobody_is_erased(erasures) -%}
    {%- if not execute or flags.WHICH not in ('build', 'run', 'retry') or model.resource_type != 'model'
        or model.config.materialized == 'view' -%}
        {{ return(false) }}
    {%- endif -%}
    {{ return(run_query('select 1 as one from ' ~ erasures ~ ' limit 1').rows | length == 0) }}
{%- endmacro %}
