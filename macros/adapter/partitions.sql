{#-
    Which ranges of a table's partitions a batch touches, as constants: BigQuery prunes partitions by constants, not by what
    a join finds, see https://cloud.google.com/bigquery/docs/querying-partitioned-tables#use_a_constant_filter_expression.
    For tables partitioned by ranges of an integer that belongs to their key and therefore never changes.
-#}

{#-
    The ranges of the partitions of a model, as {field, interval}; none when it is not partitioned by ranges, or too small
    for it to be worth a statement of its own to learn which of them are touched.
-#}
{% macro partition_ranges() -%}
    {%- set partition_by = config.get('partition_by') or {} -%}
    {%- if execute and partition_by.get('range') and is_worth_pruning(_rows_held(this)) -%}
        {{ return({'field': partition_by['field'], 'interval': partition_by['range']['interval'] | int}) }}
    {%- endif -%}
    {{ return(none) }}
{%- endmacro %}


{#- Whether a table of so many rows is large enough. -#}
{% macro is_worth_pruning(row_count) -%}
    {{ return(row_count >= whole_number('prune_from_rows', 0)) }}
{%- endmacro %}


{#-
    How many rows a partitioned table held as the run began to build such tables, 0 when it is not there. One statement
    asks for all of them; BigQuery knows the number of rows without reading any.
-#}
{% macro _rows_held(relation) -%}
    {%- set answers, question = answers_of_this_run(), 'rows of partitioned tables' -%}
    {%- if question not in answers -%}
        {%- set tables, counts = [], {} -%}
        {%- for node in graph.nodes.values() if (node.config.get('partition_by') or {}).get('range') -%}
            {%- set table = adapter.get_relation(node.database, node.schema, node.alias) -%}
            {%- if table -%}
                {%- do tables.append(table | string) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- if tables -%}
            {%- for row in run_query(_rows_held_query(tables)).rows -%}
                {%- do counts.update({row['table_name']: row['row_count']}) -%}
            {%- endfor -%}
        {%- endif -%}
        {%- do answers.update({question: counts}) -%}
    {%- endif -%}
    {{ return(answers[question].get(relation | string | replace('`', ''), 0) | int) }}
{%- endmacro %}


{% macro _rows_held_query(tables) -%}
    {%- for table in tables | sort %}
    select
        '{{ table | replace('`', '') }}' as table_name,
        count(*) as row_count
    from {{ table }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
{%- endmacro %}


{#-
    The query that says what of each partition is touched: the first and the last key, and some of the keys, which are all of
    them where they are few.

    `partitions`: what `partition_ranges` says. `rows`: a relation, or a query in parentheses. `measures`: more columns, over
    all rows of a partition. Keys that are null have a row of their own.
-#}
{% macro partitions_touched(partitions, rows, measures=[]) -%}
    select
        div({{ partitions.field }}, {{ partitions.interval }}) as partition_number,
        min({{ partitions.field }}) as first_key,
        max({{ partitions.field }}) as last_key,
        -- no array of a result may hold a null
        array_agg(distinct ifnull({{ partitions.field }}, 0) limit {{ _few_keys() + 1 }}) as some_keys
        {%- for measure in measures %},
        {{ measure }}
        {%- endfor %}
    from {{ rows }} as touched
    group by partition_number
    order by partition_number
{%- endmacro %}


{#-
    Notes what the model being built touches, as its SQL has just been limited to it: the merge needs not ask what its
    source holds, for it can be nothing else. `touched`: the rows of `partitions_touched`.
-#}
{% macro note_touched(touched) -%}
    {%- do answers_of_this_run().update({'touched of ' ~ this: touched}) -%}
{%- endmacro %}


{#- What was noted of the model being built; none when its SQL is not limited. -#}
{% macro noted_touched() -%}
    {{ return(answers_of_this_run().get('touched of ' ~ this)) }}
{%- endmacro %}


{#-
    The condition that a key is one of those touched; none when none is. Where a partition's keys are few, they are named,
    so that BigQuery reads of it the blocks that hold them: the table is clustered by the key. Where they are many, their
    range is, for they are all over its blocks. Of very many partitions it makes one range: a statement has its limits.

    `partitions`: what `partition_ranges` says. `touched`: the rows of `partitions_touched`. `prefix`: of the column.
-#}
{% macro partition_condition(partitions, touched, prefix='') -%}
    {%- set column = prefix ~ partitions.field -%}
    {%- set known, keys, conditions = [], [], [] -%}
    {%- for row in touched if row['partition_number'] is not none -%}
        {%- do known.append(row) -%}
    {%- endfor -%}
    {%- if not known -%}
        {{ return(none) }}
    {%- endif -%}
    {%- if known | length > _most_partitions() -%}
        {{ return(column ~ ' between ' ~ (known | first)['first_key'] ~ ' and ' ~ (known | last)['last_key']) }}
    {%- endif -%}
    {%- for row in known -%}
        {%- set some = fromjson(row['some_keys']) -%}
        {%- if some | length <= _few_keys() -%}
            {%- do keys.extend(some | sort) -%}
        {%- else -%}
            {%- do conditions.append(column ~ ' between ' ~ row['first_key'] ~ ' and ' ~ row['last_key']) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if keys -%}
        {%- do conditions.append(column ~ ' in (' ~ keys | join(', ') ~ ')') -%}
    {%- endif -%}
    {{ return('(' ~ conditions | join(' or ') ~ ')') }}
{%- endmacro %}


{#- Up to how many keys of a partition are named. More of them, all over a million, leave hardly a block out. -#}
{% macro _few_keys() -%}
    {{ return(20) }}
{%- endmacro %}


{#-
    Of how many partitions the keys are told apart. BigQuery takes statements of a megabyte, and a structure model holds the
    condition three times: of 500 partitions with 20 keys of 10 digits each, that is less than half of it.
-#}
{% macro _most_partitions() -%}
    {{ return(500) }}
{%- endmacro %}
