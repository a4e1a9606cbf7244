{#-
    Whether a raw row belongs to a member that was erased: it states the member, in its image or, where that states none,
    in its key; or it states none and is about a row that was the member's. A row that states another is theirs, though it
    was the erased one's before, or has the key of a row that was. The list is short, and BigQuery hands it to every worker.

    `image`: the row image, a JSON object or null. `table`: expression of the raw table's name; that of the model's own by
    default. `erasures`: the list, where it is not `str_erasures` by ref().
-#}
{% macro is_erased(image, table=none, erasures=none) -%}
    {%- set list = erasures or ref('str_erasures') -%}
    {%- if erasures is none and nobody_is_erased(list) -%}
    false
    {%- else -%}
    {{ _is_erased_by(_member_stated(image), table or "'" ~ _own_raw_table() ~ "'", list) }}
    {%- endif -%}
{%- endmacro %}


{#-
    The same of a row as it landed, with both its images, of which neither may show who was erased. It may be no JSON at
    all: then the first number that calls itself member_id counts.
-#}
{% macro is_erased_as_landed(table, erasures=none) -%}
    {%- set list = erasures or ref('str_erasures') -%}
    {%- if erasures is none and nobody_is_erased(list) -%}
    false
    {%- else -%}
    {%- set before = _member_stated(cdc_json_object('before')) -%}
    {%- set stated -%}
        coalesce(
            {{ _member_stated(cdc_json_object('payload')) }},
            if({{ cdc_json_object('payload') }} is null, {{ _member_named('payload') }}, null),
            {{ before }}
        )
    {%- endset -%}
    (
        {{ _is_erased_by(stated, table, list) }}
        or ifnull({{ before }} in (select erased.member_id from {{ list }} as erased), false)
    )
    {%- endif -%}
{%- endmacro %}


{#- The raw table of the structure model that is built, or asked by a unit test, whose `this` bears the test's name. -#}
{% macro _own_raw_table() -%}
    {{ return((model.tested_node_unique_id or model.unique_id).split('.')[-1] | replace('str_', '', 1)) }}
{%- endmacro %}


{#- The member that a row or its key states, and for rows that state none their key, against the list. -#}
{% macro _is_erased_by(stated, table, erasures) -%}
    (
        ifnull(
            coalesce({{ stated }}, {{ _member_stated(cdc_json_object('_key')) }})
            in (select erased.member_id from {{ erasures }} as erased),
            false
        )
        or (
            {{ stated }} is null
            and ifnull({{ _is_key_erased(table, '_key', erasures) }}, false)
        )
    )
{%- endmacro %}


{#- Whether a key is noted for its table: as one text, since BigQuery lets no such subquery refer to the row outside. -#}
{% macro _is_key_erased(table, key, erasures) -%}
    concat({{ table }}, ' ', {{ key }}) in (select concat(erased.table_name, ' ', erased._key) from {{ erasures }} as erased)
{%- endmacro %}


{% macro _member_stated(image) -%}
    safe_cast(json_value({{ image }}, '$.member_id') as int64)
{%- endmacro %}


{#- The first number that calls itself member_id, in a text that may be anything. -#}
{% macro _member_named(text) -%}
    safe_cast(regexp_extract({{ text }}, {{ _member_naming() }}) as int64)
{%- endmacro %}


{#- The pattern of a number that calls itself member_id. -#}
{% macro _member_naming() -%}
    r'"member_id"\s*:\s*"?([0-9]+)'
{%- endmacro %}


{#-
    Whether the list is empty as tables are built: then no row is asked, which would cost a fifth of the build. A run asks
    once, as the first of its models is about to be built; who is erased meanwhile is erased from what that run builds by
    the erasure itself, which waits for the zones (`pipeline privacy erase`), and by each `enforce_erasures`.
    A view is not built anew when somebody is erased, and always asks.

    `erasures`: the relation of the list.
-#}
{% macro nobody_is_erased(erasures) -%}
    {%- if not execute or flags.WHICH not in ('build', 'run', 'retry') or model.resource_type != 'model'
        or model.config.materialized == 'view' -%}
        {{ return(false) }}
    {%- endif -%}
    {%- set answers, question = answers_of_this_run(), 'nobody is in ' ~ erasures -%}
    {%- if question not in answers -%}
        {%- set found = run_query('select 1 as one from ' ~ erasures ~ ' limit 1').rows -%}
        {%- do answers.update({question: found | length == 0}) -%}
    {%- endif -%}
    {{ return(answers[question]) }}
{%- endmacro %}
