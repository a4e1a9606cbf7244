{#-
    What a build did, written once it has ended: a row in `audit.runs`, and one for each model, snapshot and seed in
    `audit.model_runs`. Called by on-run-end. Nothing is invented: what neither dbt nor BigQuery tells is null, and the
    local stand-in tells neither bytes nor slots nor how a merge's rows divide.

    `results`: the run results dbt hands to on-run-end.
-#}
{% macro audit_build(results) -%}
    {%- if execute and results and flags.WHICH in ('build', 'run', 'test', 'seed', 'snapshot', 'retry') -%}
        {%- set built = [] -%}
        {%- for result in results if result.node.resource_type in ('model', 'snapshot', 'seed') -%}
            {%- do built.append(_audit_model_row(result)) -%}
        {%- endfor -%}
        {%- if built -%}
            {%- set relation = audit_make_table('model_runs') -%}
            {%- do run_query(_audit_insert_model_runs(relation, built)) -%}
        {%- endif -%}
        {%- set relation = audit_make_table('runs') -%}
        {%- do run_query(audit_insert(relation, audit_tables()['runs'], [_audit_run_row(results, built)])) -%}
    {%- endif -%}
{%- endmacro %}


{#- Whether the warehouse tells what a statement cost; the local stand-in says zero of all of them. -#}
{% macro _audit_costs_are_told() -%}
    {{ return(target.name != 'local') }}
{%- endmacro %}


{% macro _audit_run_row(results, built) -%}
    {%- set statuses = results | map(attribute='status') | map('string') | list -%}
    {%- set failed = statuses | select('in', ['error', 'fail', 'runtime error', 'partial success']) | list | length -%}
    {%- set finished_at = modules.datetime.datetime.now(modules.pytz.utc) -%}
    {{ return({
        'invocation_id': invocation_id,
        'command': flags.WHICH,
        'selector': invocation_args_dict.get('selector') or (invocation_args_dict.get('select') or []) | join(' ') or none,
        'target': target.name,
        'is_full_refresh': flags.FULL_REFRESH or false,
        'dbt_version': dbt_version,
        'status': 'failed' if failed else 'succeeded',
        'started_at': _audit_instant(run_started_at),
        'finished_at': _audit_instant(finished_at),
        'seconds': (finished_at - run_started_at).total_seconds(),
        'models': built | length,
        'tests': results | selectattr('node.resource_type', 'in', ['test', 'unit_test']) | list | length,
        'failed': failed,
        'warned': statuses | select('equalto', 'warn') | list | length,
        'skipped': statuses | select('equalto', 'skipped') | list | length,
        'bytes_processed': _audit_sum(results, 'bytes_processed'),
        'slot_ms': _audit_sum(results, 'slot_ms'),
    }) }}
{%- endmacro %}


{% macro _audit_model_row(result) -%}
    {%- set response = result.adapter_response or {} -%}
    {%- set timing = result.timing | selectattr('name', 'equalto', 'execute') | list -%}
    {%- set started_at = _audit_instant(timing[0].started_at if timing and timing[0].started_at else run_started_at) -%}
    {%- set row = {
        'invocation_id': invocation_id,
        'node_id': result.node.unique_id,
        'model_name': result.node.name,
        'resource_type': result.node.resource_type | string,
        'materialization': result.node.config.materialized,
        'zone': result.node.config.get('meta', {}).get('zone', result.node.schema),
        'relation': result.node.relation_name | replace('`', ''),
        'status': result.status | string,
        'started_at': started_at,
        'seconds': result.execution_time,
        'rows_affected': response.get('rows_affected'),
        'job_id': response.get('job_id'),
    } -%}
    {%- if _audit_costs_are_told() -%}
        {%- for name in ('bytes_processed', 'bytes_billed', 'slot_ms') -%}
            {%- do row.update({name: response.get(name)}) -%}
        {%- endfor -%}
    {%- endif -%}
    {%- set window = _audit_window(result.node.compiled_code or '') -%}
    {%- if window and result.node.name.startswith('str_') and result.status | string == 'success' -%}
        {%- do row.update({'raw_table': result.node.alias, 'window': window}) -%}
    {%- endif -%}
    {{ return(row) }}
{%- endmacro %}


{#- The condition by which a model reads raw, as `cdc_window` was compiled into its SQL; none when it has not exactly one. -#}
{% macro _audit_window(compiled) -%}
    {%- set instant = "timestamp '[^']+'" -%}
    {%- set windows = modules.re.findall(
        '_ingestion_ts >= timestamp_sub[(]' ~ instant ~ ', interval [0-9]+ minute[)]'
        ~ '(?:\\s+or [(]_ingestion_ts >= ' ~ instant ~ ' and _ingestion_ts < ' ~ instant ~ '[)])*',
        compiled
    ) -%}
    {{ return(windows[0] if windows | length == 1 else none) }}
{%- endmacro %}


{#- Instants as text that casts to TIMESTAMP; dbt's own are in UTC, with or without saying so. -#}
{% macro _audit_instant(instant) -%}
    {{ return(instant.strftime('%Y-%m-%d %H:%M:%S.%f') ~ '+00:00') }}
{%- endmacro %}


{% macro _audit_sum(results, measure) -%}
    {%- set told = [] -%}
    {%- for result in results if _audit_costs_are_told() and (result.adapter_response or {}).get(measure) is not none -%}
        {%- do told.append(result.adapter_response[measure]) -%}
    {%- endfor -%}
    {{ return(told | sum if told else none) }}
{%- endmacro %}


{#- The rows of `audit.model_runs`, with what has to be asked: raw rows by window, and of BigQuery how a merge's rows divide. -#}
{% macro _audit_insert_model_runs(relation, built) -%}
    {#- Sorted, since models end in another order each time, which would make another statement of the same counts. -#}
    {%- do _audit_count_raw_rows(built | selectattr('window', 'defined') | sort(attribute='node_id') | list) -%}
    {%- set replaced = {} -%}
    {%- if _audit_costs_are_told() -%}
        {%- for name in ('rows_inserted', 'rows_updated', 'rows_deleted') -%}
            {%- do replaced.update({name: 'dml_rows.' ~ name}) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(audit_insert(
        relation, audit_tables()['model_runs'], built, replaced, audit_dml_rows(built) if replaced else ''
    )) }}
{%- endmacro %}


{#- Adds to rows of models that read raw how many rows stand in the windows they read, and how many of those in quarantine. -#}
{% macro _audit_count_raw_rows(readers) -%}
    {%- if readers -%}
        {%- set counts = {} -%}
        {%- for count in run_query(_audit_raw_rows(readers)).rows -%}
            {%- do counts.update({count['node_id']: count}) -%}
        {%- endfor -%}
        {%- for row in readers -%}
            {%- set count = counts[row.node_id] -%}
            {%- do row.update({'rows_in': count['landed'] | int, 'rows_quarantined': count['quarantined'] | int}) -%}
            {#- What is no column is not written, which for its quotes alone would be another statement each time. -#}
            {%- do row.pop('window') -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}


{% macro _audit_raw_rows(readers) -%}
    {%- for row in readers %}
    select
        '{{ row.node_id }}' as node_id,
        count(*) as landed,
        countif(reason is not null) as quarantined
    from (
        select {{ cdc_quarantine_reason('key_can_be_read') }} as reason
        from (
            select
                payload,
                _op,
                _op_inferred,
                _source_position,
                {{ cdc_key_can_be_read(row.raw_table) }} as key_can_be_read
            from {{ _audit_raw_relation(row.raw_table) }}
            where
                ({{ row.window }})
                -- what has landed since was not there to read
                and _ingestion_ts < timestamp '{{ row.started_at }}'
        )
    )
    {{ 'union all' if not loop.last }}
    {%- endfor %}
{%- endmacro %}


{#- The raw table, without a `source()` that would make every hook depend on it. -#}
{% macro _audit_raw_relation(table) -%}
    {%- set found = graph.sources.values() | selectattr('source_name', 'equalto', 'member') | selectattr('name', 'equalto', table) | first -%}
    {{ return(found.relation_name) }}
{%- endmacro %}


{#-
    How the rows of the statements divide, by job: https://cloud.google.com/bigquery/docs/information-schema-jobs-by-user.
    Own jobs only, which every user may see; a day of them is one partition or two.
-#}
{% macro audit_dml_rows(built) -%}
    left join (
        select
            job_id,
            dml_statistics.inserted_row_count as rows_inserted,
            dml_statistics.updated_row_count as rows_updated,
            dml_statistics.deleted_row_count as rows_deleted
        from `{{ target.database }}`.`region-{{ (target.location or 'US') | lower }}`.INFORMATION_SCHEMA.JOBS_BY_USER
        where
            creation_time >= timestamp '{{ _audit_instant(run_started_at) }}'
            and job_id in ('{{ built | map(attribute='job_id') | select | join("', '") }}')
    ) as dml_rows
        on json_value(given, '$.job_id') = dml_rows.job_id
{%- endmacro %}
