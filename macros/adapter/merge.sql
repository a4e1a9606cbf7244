{#-
    The merge of incremental models, as dbt writes it, but where a model says `meta: merge_update_when`, a row that
    is there already is updated only under that condition, and a source that holds a key twice fails the merge: BigQuery
    refuses two updates of one row, but would insert a new one twice. Of a table partitioned by ranges of its key, only the
    ranges that the source touches are read. Everything else, and every other model, is left to dbt.
-#}
{% macro bigquery__get_merge_sql(target, source, unique_key, dest_columns, incremental_predicates=none) -%}
    {%- set condition = config.get('meta', {}).get('merge_update_when') -%}
    {%- if not condition -%}
        {{ return(default__get_merge_sql(target, source, unique_key, dest_columns, incremental_predicates)) }}
    {%- endif -%}
    {%- set predicates = [] + (incremental_predicates or []) -%}
    {%- set partitions = partition_ranges() -%}
    {%- if partitions -%}
        {%- set touched = noted_touched() or run_query(partitions_touched(partitions, source)).rows -%}
        {%- set condition_of_partitions = partition_condition(partitions, touched, 'DBT_INTERNAL_DEST.') -%}
        {%- if condition_of_partitions -%}
            {%- do predicates.append(condition_of_partitions) -%}
        {%- endif -%}
    {%- endif -%}
    {%- set merge = default__get_merge_sql(
        target, _merge_of_unique_keys(source, unique_key), unique_key, dest_columns, predicates
    ) -%}
    {%- set clause = 'when matched then update' -%}
    {%- if merge.count(clause) != 1 -%}
        {{ exceptions.raise_compiler_error("dbt writes its merge in another way than this version of bigquery__get_merge_sql knows; review macros/adapter/merge.sql") }}
    {%- endif -%}
    {{ return(merge | replace(clause, 'when matched and ' ~ _merge_condition(condition) ~ ' then update')) }}
{%- endmacro %}


{#- The condition under which a row is updated; an error where another build has merged something newer meanwhile. -#}
{% macro _merge_condition(condition) -%}
    {%- set overtaken = cdc_is_overtaken() -%}
    {%- if overtaken is none -%}
        {{ return('(' ~ condition ~ ')') }}
    {%- endif -%}
    if(
        {{ condition }},
        if(
            {{ overtaken }},
            error('another build has merged into this table meanwhile; nothing is lost: build it again'),
            true
        ),
        false
    )
{%- endmacro %}


{#- The source of a merge, in parentheses; an error when one of its keys stands in two rows. -#}
{% macro _merge_of_unique_keys(source, unique_key) -%}
    (
        select *
        from {{ source }} as merged
        where true
        qualify if(
            count(*) over (partition by {{ unique_key if unique_key is string else unique_key | join(', ') }}) = 1,
            true,
            error('the source of the merge into {{ this.identifier }} holds a key twice')
        )
    )
{%- endmacro %}
