{#- The rows of structure as they were at an instant of the past. -#}

{#-
    What a model above structure reads of a table: the table as it stands, or, where the var `as_of` names an instant, its
    rows as they were then. Whatever was changed, deleted or truncated at the source after the instant is taken from raw as
    it was before; the rest stands as it does in structure, which also holds what raw has let go of. So a feature sees
    nothing that came after its instant. A run that names none pays nothing for it, and a table in which nothing has
    happened since costs one look.

    A row that was changed since, and whose state of then has expired from raw (`retention_days` of its contract, or
    `raw_retention_days`), is left out, and so is who was erased. Raw is reached through the graph and is no parent of the models: only an instant of the past reads it.

    `relation`: a table of structure, by ref(). In unit tests, where it is a CTE, it is left as it is. `columns`: those that
    are read, where that is not most of them.
-#}
{% macro as_of_rows(relation, columns=none) -%}
    {%- if not execute or relation.is_cte or var('as_of', none) is none -%}
        {{ return(relation) }}
    {%- endif -%}
    {%- set table = relation.identifier -%}
    {%- set raw = _erasure_source(table) -%}
    {%- set key, others, casts = {}, {}, [] -%}
    {%- for column in cdc_contract(table) -%}
        {%- if column.is_key -%}
            {%- do key.update({column.name: column.data_type}) -%}
        {%- elif columns is none or column.name in columns -%}
            {%- do others.update({column.name: column.data_type}) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- set names = (key | list) + (others | list) -%}
    {%- set is_as_it_was -%}
        ifnull(_op != 'TRUNCATE' and {{ _changed_at('updated_at') }} <= {{ as_of() }}, false)
    {%- endset -%}
    {%- if not run_query('select 1 as one from ' ~ relation ~ ' where not ' ~ is_as_it_was ~ ' limit 1').rows -%}
    (
        select *
        from {{ relation }}
        where {{ is_as_it_was }}
    )
    {%- else -%}
    (
        with

        held as (

            select
                {{ names | join(',\n                ') }},
                _ingestion_ts,
                is_deleted,
                {{ is_as_it_was }} as is_as_it_was
            from {{ relation }}

        ),

        raw_rows as (

            select {{ cdc_raw_columns() }}
            from {{ raw.relation_name }}
            where {{ _changed_at(cdc_cast('updated_at', 'timestamp', image=cdc_json_object('payload'))) }} <= {{ as_of() }}

        ),

        changes as (

            {{ cdc_changes('raw_rows', key, "'" ~ table ~ "'", _erasure_node('str_erasures').relation_name) }}

        ),

        decoded as (

            select
                {%- for column in key %}
                {{ column }},
                {%- endfor %}
                {%- for column, data_type in others.items() %}
                {{ cdc_cast(column, data_type, casts) }} as {{ column }},
                {%- endfor %}
                {{ cdc_change_metadata() }}
            from changes

        ),

        former as (

            {{ cdc_current_state('decoded', 'raw_rows', 'raw_rows', key, casts) }}

        )

        select
            {{ names | join(',\n            ') }},
            _ingestion_ts,
            is_deleted
        from held
        where is_as_it_was

        union all

        select
            {%- for name in names %}
            former.{{ name }},
            {%- endfor %}
            former._ingestion_ts,
            former.is_deleted
        from former
        inner join held
            on {% for column in key %}{{ ' and ' if not loop.first }}former.{{ column }} = held.{{ column }}{% endfor %}
        where not held.is_as_it_was
    )
    {%- endif -%}
{%- endmacro %}


{#-
    When a row became what it is, at the source. A full dump says when it was taken; its rows are as old as they say.

    `updated_at`: when the row says that it was changed.
-#}
{% macro _changed_at(updated_at) -%}
    coalesce(if(_op = 'SNAPSHOT', least(_source_ts, {{ updated_at }}), null), _source_ts, _ingestion_ts)
{%- endmacro %}
