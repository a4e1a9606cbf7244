{#-
    Which raw rows a run reads. Time cannot say it: a row may become visible long after its `_ingestion_ts`, behind
    whatever a run has read by then. Counts can, since raw only grows: `str_truncates` counts the rows of every ten
    minutes, `cdc_confirm` notes which of them the models have applied, and where the two differ there is something to
    read. Bounds are literals, so that BigQuery prunes partitions by them; a first run, or a full refresh, reads everything.
-#}

{#-
    The condition by which a structure model reads raw: whatever stands in, or after, the newest interval it has applied,
    and the intervals before that which hold other rows than it has applied. The var `cdc_overlap_minutes` reads
    further back than needs be; the merge takes rows again without harm.
-#}
{% macro cdc_window() -%}
    {%- set position = cdc_position(ref('str_truncates'), this.identifier) -%}
    (
        _ingestion_ts >= timestamp_sub(timestamp '{{ position.read_until }}', interval {{ cdc_overlap_minutes() }} minute)
        {%- for first, last in position.late %}
        or (_ingestion_ts >= timestamp '{{ first }}' and _ingestion_ts < timestamp '{{ last }}')
        {%- endfor %}
    )
{%- endmacro %}


{#- How far back from `read_until`, the end of the newest applied interval: to its beginning at least. -#}
{% macro cdc_overlap_minutes() -%}
    {{ return([whole_number('cdc_overlap_minutes', 0), 10] | max) }}
{%- endmacro %}


{#-
    What a model has applied of its raw table: `read_until`, the end of the newest interval, not later than now, for a
    row stamped by a clock that runs ahead must not hide those that land after it; and `late`, the bounds of earlier
    intervals that are to be read, of which many are read as one. Unit tests override it.

    All models of a run are told by one statement: `str_truncates`, which all of them depend on, is built by then, and what
    they apply is noted when they all have ended.

    `positions`: the table of `str_truncates`. `table`: the raw table.
-#}
{% macro cdc_position(positions, table) -%}
    {%- set nothing = {'read_until': cdc_beginning(), 'late': []} -%}
    {%- if not (execute and is_incremental() and load_relation(positions)) -%}
        {{ return(nothing) }}
    {%- endif -%}
    {{ return(_cdc_applied_positions(positions).get(table, nothing)) }}
{%- endmacro %}


{#- The same of all models, by table. -#}
{% macro _cdc_applied_positions(positions) -%}
    {%- set answers, question = answers_of_this_run(), 'what is applied by ' ~ positions -%}
    {%- if question not in answers -%}
        {%- do answers.update({question: _cdc_positions(run_query(_cdc_positions_query(positions)).rows)}) -%}
    {%- endif -%}
    {{ return(answers[question]) }}
{%- endmacro %}


{#-
    Asks what all models ask that are about to be built, for those that begin at once would each ask it: a post-hook of
    `str_truncates`.
-#}
{% macro cdc_ask_ahead() -%}
    {%- if execute -%}
        {%- do _cdc_applied_positions(this) -%}
        {%- do _rows_held(this) -%}
    {%- endif -%}
{%- endmacro %}


{#- The answers of `_cdc_positions_query` by table, each as `cdc_position` says it. -#}
{% macro _cdc_positions(rows) -%}
    {%- set positions = {} -%}
    {%- for table, found in rows | groupby('table_name') -%}
        {%- set late = [] -%}
        {%- for row in found if row['first'] is not none -%}
            {%- do late.append((row['first'], row['last'])) -%}
        {%- endfor -%}
        {%- if late | length > 20 -%}
            {%- set late = [(late[0][0], late[-1][1])] -%}
        {%- endif -%}
        {%- do positions.update({table: {'read_until': found[0]['read_until'], 'late': late}}) -%}
    {%- endfor -%}
    {{ return(positions) }}
{%- endmacro %}


{% macro _cdc_positions_query(positions) -%}
    with

    intervals as (

        select
            table_name,
            _ingestion_ts as starts_at,
            applied_count is not null and _ingestion_ts <= current_timestamp() as is_applied,
            {{ _cdc_is_due() }} as is_due
        from {{ positions }}
        where _op = 'READ' and found_count is not null

    ),

    newest as (

        select
            table_name,
            max(starts_at) as starts_at
        from intervals
        where is_applied
        group by table_name

    ),

    -- neighbours share the distance to their rank
    late as (

        select
            intervals.table_name,
            intervals.starts_at,
            unix_seconds(intervals.starts_at)
            - 600 * row_number() over (partition by intervals.table_name order by intervals.starts_at) as island
        from intervals
        inner join newest
            on intervals.table_name = newest.table_name
        where intervals.is_due and intervals.starts_at < newest.starts_at

    ),

    islands as (

        select
            table_name,
            min(starts_at) as first,
            timestamp_add(max(starts_at), interval 10 minute) as last
        from late
        group by table_name, island

    )

    select
        newest.table_name,
        {{ _cdc_instant('timestamp_add(newest.starts_at, interval 10 minute)') }} as read_until,
        {{ _cdc_instant('islands.first') }} as first,
        {{ _cdc_instant('islands.last') }} as last
    from newest
    left join islands
        on newest.table_name = islands.table_name
    order by newest.table_name, islands.first
{%- endmacro %}


{#- Whether an interval holds other rows than the models have applied; rows that are gone are none to read. -#}
{% macro _cdc_is_due() -%}
    found_count > 0
    and (
        applied_count is null
        or applied_count != found_count
        or applied_micros != found_micros
    )
{%- endmacro %}


{% macro cdc_beginning() -%}
    {{ return('1970-01-02 00:00:00+00:00') }}
{%- endmacro %}


{#-
    From where `str_truncates` counts each raw table: from the newest interval that its model has applied, unless the number
    of older rows is not what it was, which says that some have come to light. Then, from the beginning. BigQuery
    knows the number of all rows of a table without reading them.

    `cdc_overlap_minutes` counts further back, too: it finds rows that came while as many older ones were deleted.
-#}
{% macro cdc_counted_from() -%}
    {%- set counted_from = {} -%}
    {%- for table in cdc_tables() -%}
        {%- do counted_from.update({table: cdc_beginning()}) -%}
    {%- endfor -%}
    {%- set applied = run_query(_cdc_applied_query()).rows if execute and is_incremental() else [] -%}
    {%- if applied -%}
        {%- set found = {} -%}
        {%- for row in run_query(_cdc_older_rows_query(applied)).rows -%}
            {%- do found.update({row['table_name']: row['older_rows'] | int}) -%}
        {%- endfor -%}
        {%- for row in applied if found[row['table_name']] == row['older_rows'] | int -%}
            {%- do counted_from.update({row['table_name']: row['read_from']}) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(counted_from) }}
{%- endmacro %}


{% macro _cdc_applied_query() -%}
    with

    newest as (

        select
            table_name,
            max(_ingestion_ts) as starts_at
        from {{ this }}
        where _op = 'READ' and applied_count is not null and _ingestion_ts <= current_timestamp()
        group by table_name

    )

    select
        newest.table_name,
        {{ _cdc_instant('newest.starts_at') }} as starts_at,
        {{ _cdc_instant(cdc_interval('timestamp_sub(newest.starts_at, interval ' ~ (cdc_overlap_minutes() - 10) ~ ' minute)')) }} as read_from,
        sum(if(known._ingestion_ts < newest.starts_at, ifnull(known.applied_count, 0), 0)) as older_rows
    from newest
    inner join {{ this }} as known
        on newest.table_name = known.table_name
    where known._op = 'READ'
    group by newest.table_name, newest.starts_at
{%- endmacro %}


{% macro _cdc_older_rows_query(applied) -%}
    {%- for row in applied %}
    select
        '{{ row['table_name'] }}' as table_name,
        (select count(*) from {{ source('member', row['table_name']) }}{{ _cdc_all_partitions(row['table_name']) }})
        - (select count(*) from {{ source('member', row['table_name']) }} where _ingestion_ts >= timestamp '{{ row['starts_at'] }}')
            as older_rows
    {{ 'union all' if not loop.last }}
    {%- endfor %}
{%- endmacro %}


{#-
    Names all partitions of a raw table whose contract says `require_partition_filter`. Then the count reads a timestamp of
    each row; without it, BigQuery knows the number and reads none.
-#}
{% macro _cdc_all_partitions(table) -%}
    {%- for source in graph.sources.values()
        if source.source_name == 'member' and source.name == table and source.config.meta.get('require_partition_filter') %}
    where _ingestion_ts >= timestamp '{{ cdc_beginning() }}'
    {%- endfor -%}
{%- endmacro %}


{#- The ten minutes an instant lies in, by their beginning. -#}
{% macro cdc_interval(instant) -%}
    timestamp_seconds(unix_seconds({{ instant }}) - mod(unix_seconds({{ instant }}), 600))
{%- endmacro %}


{% macro _cdc_instant(expression) -%}
    format_timestamp('%F %H:%M:%E6S+00:00', {{ expression }})
{%- endmacro %}


{#-
    Note, once a build has ended, that what `str_truncates` found in it has been applied, for the tables whose model
    succeeded. Called by on-run-end. A build that dies before does no harm: the next one reads the same once more. So
    does one that another has overtaken, whose findings are no longer there to be confirmed.

    `results`: the run results dbt hands to on-run-end.
-#}
{% macro cdc_confirm(results) -%}
    {%- if execute and flags.WHICH in ('build', 'run', 'retry') -%}
        {%- set built = [] -%}
        {%- for result in results if result.status | string == 'success' and result.node.resource_type == 'model' -%}
            {%- do built.append(result.node.name) -%}
        {%- endfor -%}
        {%- set tables = [] -%}
        {%- for table in cdc_tables() if 'str_' ~ table in built -%}
            {%- do tables.append(table) -%}
        {%- endfor -%}
        {%- if tables and 'str_truncates' in built -%}
            {%- set positions = graph.nodes['model.' ~ project_name ~ '.str_truncates'].relation_name -%}
            {%- do run_query(_cdc_confirmation(positions, tables)) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}


{% macro _cdc_confirmation(positions, tables) -%}
    update {{ positions }}
    set
        applied_count = found_count,
        applied_micros = found_micros
    where
        _op = 'READ'
        and found_by = '{{ invocation_id }}'
        and table_name in ('{{ tables | join("', '") }}')
{%- endmacro %}
