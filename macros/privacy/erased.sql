{#-
    Whether a raw row belongs to a member that was erased: it states the member, or it is about a row that was the
    member's. The list is short, and BigQuery hands it to every worker.

    `image`: the row image, a JSON object or null. `erasures`: the list, where it is not `str_erasures` by ref().
-#}
{% macro is_erased(image, erasures=none) -%}
    {%- set erasures = erasures or ref('str_erasures') -%}
    (
        ifnull(_key in (select erased._key from {{ erasures }} as erased), false)
        or ifnull(
            safe_cast(json_value({{ image }}, '$.member_id') as int64) in (select erased.member_id from {{ erasures }} as erased),
            false
        )
    )
{%- endmacro %}


{#- The same of a row as it landed, which may be no JSON at all: then the first number that calls itself member_id counts. -#}
{% macro is_erased_as_landed(erasures=none) -%}
    {%- set erasures = erasures or ref('str_erasures') -%}
    (
        {{ is_erased(cdc_json_object('before'), erasures) }}
        or {{ is_erased(cdc_json_object('payload'), erasures) }}
        or ifnull(
            {{ cdc_json_object('payload') }} is null
            and safe_cast(regexp_extract(payload, r'"member_id"\s*:\s*"?([0-9]+)') as int64) in (
                select erased.member_id from {{ erasures }} as erased
            ),
            false
        )
    )
{%- endmacro %}
