{#-
    Letting go of what nobody needs any more:

        dbt run-operation maintain --args '{dry_run: true}'
        dbt run-operation maintain

    - raw rows older than the `retention_days` of their contract, or where it says none, than `raw_retention_days`: whole
      days, and only of tables all of whose rows that old have been applied to structure; not at all where neither says a
      number;
    - rows of the audit tables in `maintenance_audit_tables` older than `audit_retention_days`;
    - temporary tables of builds that were cut off, when they are a day old.

    Deletes cover whole partitions of hours and days, which BigQuery drops for nothing; of a table partitioned by month, it
    bills the month in which the last expired day lies:
    https://cloud.google.com/bigquery/docs/using-dml-with-partitioned-tables#use_dml_delete_to_delete_partitions.
    What was done, or in a dry run would be, goes to `audit.maintenance`. Nothing compacts storage: BigQuery merges small
    blocks and clusters anew by itself, https://cloud.google.com/bigquery/docs/clustered-tables#automatic_reclustering.
-#}
{% macro maintain(dry_run=false) -%}
    {%- if execute -%}
        {%- set outcomes = [] -%}
        {%- do outcomes.extend(_maintenance_of_rows(maintenance_expired(), dry_run)) -%}
        {%- do outcomes.extend(_maintenance_of_scratch(dry_run)) -%}
        {%- set relation = audit_make_table('maintenance') -%}
        {%- if outcomes -%}
            {%- do run_query(audit_insert(relation, audit_tables()['maintenance'], outcomes)) -%}
        {%- endif -%}
        {%- set verb = 'Would delete ' if dry_run else 'Deleted ' -%}
        {%- do log(verb ~ outcomes | map(attribute='rows_found') | select('number') | sum ~ " rows and "
            ~ outcomes | selectattr('task', 'equalto', 'drop_scratch') | list | length ~ " temporary tables", info=true) -%}
    {%- endif -%}
{%- endmacro %}


{#- Audit tables that are read for a while only, with the column they are partitioned by. What proves something stays. -#}
{% macro maintenance_audit_tables() -%}
    {{ return({
        'runs': 'started_at',
        'model_runs': 'started_at',
        'maintenance': 'done_at',
        'watermarks': 'reported_at',
        'quality_results': 'run_started_at',
        'quality_failures': 'run_started_at',
        'quality_scores': 'run_started_at',
    }) }}
{%- endmacro %}


{#- What is to go, as {task, relation, condition, expired_before}, without asking whether it is there. -#}
{% macro maintenance_expired() -%}
    {%- set expired = [] -%}
    {%- for table in cdc_tables() -%}
        {%- set raw = _erasure_source(table) -%}
        {%- set days = raw.config.meta.get('retention_days') -%}
        {%- set named = 'raw_retention_days' if days is none else 'retention_days of ' ~ table -%}
        {%- set days = var('raw_retention_days') if days is none else days -%}
        {%- if days is not none -%}
            {%- set before = maintenance_bound(named, days, 7) -%}
            {%- do expired.append({
                'task': 'expire_raw',
                'relation': api.Relation.create(database=raw.database, schema=raw.schema, identifier=raw.identifier),
                'condition': "_ingestion_ts < timestamp '" ~ before ~ "'",
                'expired_before': before,
                'table': table,
            }) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- set before = maintenance_bound('audit_retention_days', var('audit_retention_days'), 30) -%}
    {%- for name, column in maintenance_audit_tables().items() -%}
        {%- do expired.append({
            'task': 'expire_audit',
            'relation': audit_relation(name),
            'condition': column ~ " < timestamp '" ~ before ~ "'",
            'expired_before': before,
        }) -%}
    {%- endfor -%}
    {{ return(expired) }}
{%- endmacro %}


{#- The midnight before which rows go: whole days, so that whole partitions do. -#}
{% macro maintenance_bound(named, days, least_days) -%}
    {%- if days | int < least_days -%}
        {{ exceptions.raise_compiler_error(named ~ " is " ~ days ~ "; keep at least " ~ least_days ~ " days") }}
    {%- endif -%}
    {{ return((run_started_at - modules.datetime.timedelta(days=days | int)).strftime('%Y-%m-%d 00:00:00+00:00')) }}
{%- endmacro %}


{#- The rows that would go, and how many of them structure has not applied: those keep all of their table. -#}
{% macro maintenance_count(expired) -%}
    {%- if expired.task == 'expire_raw' -%}
    select
        coalesce(sum(landed.counted), 0) as rows_found,
        coalesce(sum(if(positions.applied_count >= landed.counted, 0, landed.counted)), 0) as rows_pending
    from (
        select
            timestamp_seconds(div(unix_seconds(_ingestion_ts), 600) * 600) as starts_at,
            count(*) as counted
        from {{ expired.relation }}
        where {{ expired.condition }}
        group by starts_at
    ) as landed
    left join {{ _erasure_node('str_truncates').relation_name }} as positions
        on
            positions.table_name = '{{ expired.table }}'
            and positions._op = 'READ'
            and positions._ingestion_ts = landed.starts_at
    {%- else -%}
    select
        count(*) as rows_found,
        0 as rows_pending
    from {{ expired.relation }}
    where {{ expired.condition }}
    {%- endif -%}
{%- endmacro %}


{% macro maintenance_delete(expired) -%}
    delete from {{ expired.relation }}
    where {{ expired.condition }}
{%- endmacro %}


{#-
    Forgets what was counted of raw rows that go. `str_truncates` compares its counts with the rows there are, and would
    count all of raw with every run if they told of more. Before the rows themselves: a run that is cut off in between
    counts once more than it must, and never less.
-#}
{% macro maintenance_forget(expired) -%}
    delete from {{ _erasure_node('str_truncates').relation_name }}
    where table_name = '{{ expired.table }}' and _op = 'READ' and {{ expired.condition }}
{%- endmacro %}


{% macro _maintenance_of_rows(expired, dry_run) -%}
    {%- set outcomes = [] -%}
    {%- set has_positions = _maintenance_is_there(_erasure_node('str_truncates')) -%}
    {%- for each in expired if adapter.get_relation(each.relation.database, each.relation.schema, each.relation.identifier)
        and (each.task != 'expire_raw' or has_positions) -%}
        {%- set counted = run_query(maintenance_count(each)).rows[0] -%}
        {%- set held_back = counted['rows_pending'] > 0 -%}
        {%- if each.task == 'expire_raw' and not dry_run and not held_back -%}
            {%- do run_query(maintenance_forget(each)) -%}
        {%- endif -%}
        {%- if counted['rows_found'] -%}
            {%- if not dry_run and not held_back -%}
                {%- do run_query(maintenance_delete(each)) -%}
            {%- endif -%}
            {%- if held_back -%}
                {%- do exceptions.warn("maintain: " ~ each.relation.identifier ~ " keeps its raw rows, of which structure has not applied "
                    ~ counted['rows_pending'] ~ "; build structure first") -%}
            {%- endif -%}
            {%- do outcomes.append(_maintenance_outcome(each.task, each.relation, dry_run, {
                'expired_before': each.expired_before,
                'rows_found': counted['rows_found'] | int,
                'rows_pending': counted['rows_pending'] | int,
                'rows_deleted': 0 if dry_run or held_back else counted['rows_found'] | int,
            })) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(outcomes) }}
{%- endmacro %}


{% macro _maintenance_is_there(node) -%}
    {{ return(adapter.get_relation(node.database, node.schema, node.alias) is not none) }}
{%- endmacro %}


{#- Temporary tables that no build can still be using. -#}
{% macro maintenance_scratch(database, schema) -%}
    select table_name
    from `{{ database }}`.`{{ schema }}`.INFORMATION_SCHEMA.TABLES
    where
        regexp_contains(table_name, r'__dbt_tmp')
        and creation_time < timestamp_sub(timestamp '{{ _audit_instant(run_started_at) }}', interval 1 day)
    order by table_name
{%- endmacro %}


{% macro _maintenance_of_scratch(dry_run) -%}
    {%- set outcomes = [] -%}
    {%- set schemas = [] -%}
    {%- for node in graph.nodes.values() if node.resource_type in ('model', 'snapshot') and node.schema not in schemas -%}
        {%- do schemas.append(node.schema) -%}
    {%- endfor -%}
    {%- for schema in schemas | sort if adapter.check_schema_exists(target.database, schema) -%}
        {%- for row in run_query(maintenance_scratch(target.database, schema)).rows -%}
            {%- set relation = api.Relation.create(
                database=target.database, schema=schema, identifier=row['table_name'], type='table'
            ) -%}
            {%- if not dry_run -%}{%- do adapter.drop_relation(relation) -%}{%- endif -%}
            {%- do outcomes.append(_maintenance_outcome('drop_scratch', relation, dry_run, {})) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(outcomes) }}
{%- endmacro %}


{% macro _maintenance_outcome(task, relation, dry_run, counts) -%}
    {{ return(dict(
        counts,
        maintenance_id=invocation_id,
        task=task,
        table_name=relation.schema ~ '.' ~ relation.identifier,
        is_dry_run=dry_run,
        done_at=_audit_instant(modules.datetime.datetime.now(modules.pytz.utc)),
        done_by=target.get('impersonate_service_account') or target.name,
    )) }}
{%- endmacro %}
