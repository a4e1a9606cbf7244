{#- What of a large table a batch can touch, so that no more of it is read. -#}

{#-
    The keys that the raw rows of this run name, as {condition, truncates}: a condition by constants over the partitioning
    column, and whether one of the rows is a truncate, which touches all. None when everything may be touched: in a first
    run, in a small or unpartitioned table, and as long as a raw row does not name its key.

    A row that lands between this look and the run proper is left to the next run, unless its key is one of these: it is
    not among those that `str_truncates` has counted in this build, and so will not be taken for applied.
-#}
{% macro cdc_reach() -%}
    {%- set partitions = partition_ranges() if execute and is_incremental() and this is not string else none -%}
    {%- if not partitions -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set touched = run_query(cdc_reach_query(partitions)).rows -%}
    {%- set condition = partition_condition(partitions, touched) -%}
    {%- for row in touched if row['names_no_key'] -%}
        {{ return(none) }}
    {%- endfor -%}
    {%- if condition is none -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set truncates = touched | selectattr('truncates') | list | length > 0 -%}
    {%- if not truncates -%}
        {%- do note_touched(touched) -%}
    {%- endif -%}
    {{ return({'condition': condition, 'truncates': truncates}) }}
{%- endmacro %}


{#- The query behind it. Of raw it reads the key and what says the kind of change, not the images. -#}
{% macro cdc_reach_query(partitions) -%}
    {%- set rows -%}
    (
        select
            _op = 'TRUNCATE' as is_truncate,
            {{ cdc_cast(partitions.field, 'int64', image=cdc_json_object('_key')) }} as {{ partitions.field }}
        from {{ source('member', this.identifier) }}
        where {{ cdc_window() }}
    )
    {%- endset -%}
    {%- set measures = [
        'logical_or(is_truncate) as truncates',
        'logical_or(not is_truncate and ' ~ partitions.field ~ ' is null) as names_no_key',
    ] -%}
    {{ partitions_touched(partitions, rows, measures) }}
{%- endmacro %}
