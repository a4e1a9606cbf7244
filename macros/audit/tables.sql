{#- The tables of `audit` that dbt itself appends to. The other parts' tables there are theirs to make. -#}

{% macro audit_relation(name) -%}
    {{ return(api.Relation.create(
        database=target.database, schema=generate_schema_name('audit'), identifier=name, type='table'
    )) }}
{%- endmacro %}


{#- Name to {description, partition, cluster, columns}; a column has a type and says what it is. -#}
{% macro audit_tables() -%}
    {{ return({
        'runs': {
            'description': 'One row for each invocation of dbt that built or tested something. Append-only.',
            'partition': 'started_at',
            'cluster': [],
            'columns': {
                'invocation_id': ['string', 'The invocation, as in dbt.log and the artifacts.'],
                'command': ['string', 'What was asked of dbt: build, run, test, seed, snapshot or retry.'],
                'selector': ['string', 'Selector or selection it was asked for; null for everything.'],
                'target': ['string', 'Target of the profile.'],
                'is_full_refresh': ['bool', 'Whether incremental models were built anew.'],
                'dbt_version': ['string', 'Version of dbt-core.'],
                'status': ['string', 'succeeded or failed.'],
                'started_at': ['timestamp', 'When dbt began (UTC).'],
                'finished_at': ['timestamp', 'When the last node had ended and this row was written (UTC).'],
                'seconds': ['float64', 'Wall time between the two.'],
                'models': ['int64', 'Models, snapshots and seeds that were to be built.'],
                'tests': ['int64', 'Data tests and unit tests that were to be run.'],
                'failed': ['int64', 'Nodes that failed.'],
                'warned': ['int64', 'Tests that warned.'],
                'skipped': ['int64', 'Nodes that were left out because one above them failed.'],
                'bytes_processed': ['int64', 'Bytes that the final statements of models, snapshots and seeds read; null where BigQuery does not tell.'],
                'slot_ms': ['int64', 'Slot time they took, in milliseconds; null where BigQuery does not tell.'],
            },
        },
        'erasures': {
            'description': 'One row for each table that rows of erased members were deleted from. Append-only; no personal data.',
            'partition': 'erased_at',
            'cluster': [],
            'columns': {
                'erasure_id': ['string', 'Invocation of dbt that deleted the rows.'],
                'request': ['string', 'Reference of the request; null when noted erasures were enforced anew.'],
                'zone': ['string', 'Zone of the table.'],
                'table_name': ['string', 'Dataset and name of the table.'],
                'rows_deleted': ['int64', 'Rows that were deleted from it.'],
                'members_noted': ['int64', 'Members noted as erased by then; told in one row of each erasure.'],
                'erased_at': ['timestamp', 'When the rows were deleted (UTC).'],
                'erased_by': ['string', 'Service account that did it, or the target where dbt takes the identity of its environment.'],
            },
        },
        'maintenance': {
            'description': 'One row for each table that maintenance deleted from or dropped, or would have in a dry run. Append-only.',
            'partition': 'done_at',
            'cluster': [],
            'columns': {
                'maintenance_id': ['string', 'Invocation of dbt that did it.'],
                'task': ['string', 'expire_raw, expire_audit or drop_scratch.'],
                'table_name': ['string', 'Dataset and name of the table.'],
                'is_dry_run': ['bool', 'Whether it was only counted.'],
                'expired_before': ['timestamp', 'Rows before this instant go (UTC); null for drop_scratch.'],
                'rows_found': ['int64', 'Rows before it; null for drop_scratch.'],
                'rows_pending': ['int64', 'Of them, those that structure has not applied: if there are any, all stay.'],
                'rows_deleted': ['int64', 'Rows that were deleted; null for drop_scratch.'],
                'done_at': ['timestamp', 'When it was done (UTC).'],
                'done_by': ['string', 'Service account that did it, or the target where dbt takes the identity of its environment.'],
            },
        },
        'model_runs': {
            'description': 'One row for each model, snapshot and seed of each invocation of dbt. Append-only.',
            'partition': 'started_at',
            'cluster': ['model_name'],
            'columns': {
                'invocation_id': ['string', 'The invocation; joins audit.runs.'],
                'node_id': ['string', 'Unique id of the node in the manifest.'],
                'model_name': ['string', 'Name of the model, snapshot or seed.'],
                'resource_type': ['string', 'model, snapshot or seed.'],
                'materialization': ['string', 'How it is materialised.'],
                'zone': ['string', 'Zone it belongs to.'],
                'relation': ['string', 'Table or view it makes, in full.'],
                'status': ['string', 'success, error or skipped.'],
                'started_at': ['timestamp', 'When its statements began (UTC); the start of the run when it was skipped.'],
                'seconds': ['float64', 'Wall time of the node.'],
                'rows_in': ['int64', 'Raw rows in the window the model read, with the overlap and what landed late; null for models that do not read raw by a window.'],
                'rows_affected': ['int64', 'Rows its final statement wrote: of a merge inserted, updated and deleted together.'],
                'rows_inserted': ['int64', 'Rows inserted; null where BigQuery does not tell.'],
                'rows_updated': ['int64', 'Rows updated; null where BigQuery does not tell.'],
                'rows_deleted': ['int64', 'Rows deleted; null where BigQuery does not tell.'],
                'rows_quarantined': ['int64', 'Of rows_in, those that stand in quarantine.'],
                'bytes_processed': ['int64', 'Bytes its final statement read; null where BigQuery does not tell.'],
                'bytes_billed': ['int64', 'Bytes billed for it; null where BigQuery does not tell.'],
                'slot_ms': ['int64', 'Slot time it took, in milliseconds; null where BigQuery does not tell.'],
                'job_id': ['string', 'BigQuery job of the final statement.'],
            },
        },
    }) }}
{%- endmacro %}


{#-
    Return an audit table: one that is not there yet is made, with its dataset, and one of an older version gets the columns
    it lacks. Every other time it is only looked up.
-#}
{% macro audit_make_table(name) -%}
    {%- set relation, table = audit_relation(name), audit_tables()[name] -%}
    {%- if adapter.get_relation(relation.database, relation.schema, relation.identifier) -%}
        {%- do audit_add_columns(relation, table.columns) -%}
    {%- else -%}
        {%- do audit_make_dataset(relation) -%}
        {%- do run_query(audit_create_table(relation, table)) -%}
    {%- endif -%}
    {{ return(relation) }}
{%- endmacro %}


{#-
    Add to a table the columns it was made without, by an older version of this project; rows of that time hold null.

    `columns`: name to [type, description or none].
-#}
{% macro audit_add_columns(relation, columns) -%}
    {%- set held = adapter.get_columns_in_relation(relation) | map(attribute='name') | list -%}
    {%- set missing = columns.keys() | reject('in', held) | list -%}
    {%- if missing -%}
        {%- call statement('add_columns_to_' ~ relation.identifier) -%}
            alter table {{ relation }}
            {%- for column in missing %}
            {%- set data_type, description = columns[column] %}
            add column if not exists {{ column }} {{ data_type }}
                {%- if description %} options (description = '{{ description }}'){% endif %}{{ ',' if not loop.last }}
            {%- endfor %}
        {%- endcall -%}
    {%- endif -%}
{%- endmacro %}


{#-
    Create the dataset of a relation unless it is there. It is asked for first: BigQuery refuses `create schema if not
    exists` to who may make no datasets, also where there is one, and in production nobody who builds may.
-#}
{% macro audit_make_dataset(relation) -%}
    {%- if not adapter.check_schema_exists(relation.database, relation.schema) -%}
        {%- do adapter.create_schema(relation) -%}
    {%- endif -%}
{%- endmacro %}


{% macro audit_create_table(relation, table) -%}
    create table if not exists {{ relation }} (
        {%- for column, (data_type, description) in table.columns.items() %}
        {{ column }} {{ data_type }} options (description = '{{ description }}'){{ ',' if not loop.last }}
        {%- endfor %}
    )
    partition by date({{ table.partition }})
    {%- if table.cluster %}
    cluster by {{ table.cluster | join(', ') }}
    {%- endif %}
    options (description = '{{ table.description }}')
{%- endmacro %}


{#-
    Rows as one statement inserts them: JSON text that BigQuery takes apart, for a statement that stays short to plan
    however many rows it brings. Each row is a mapping by column; what it lacks is null.

    `replaced`: expressions to use instead of a column's value in the row. `joins`: what they need joined to `given`.
-#}
{% macro audit_insert(relation, table, rows, replaced={}, joins='') -%}
    insert into {{ relation }} ({{ table.columns | join(', ') }})
    select
        {%- for column, (data_type, _) in table.columns.items() %}
        {%- set value = "json_value(given, '$." ~ column ~ "')" %}
        {% if column in replaced -%}
            {{ replaced[column] }}
        {%- elif data_type == 'string' -%}
            {{ value }}
        {%- else -%}
            cast({{ value }} as {{ data_type }})
        {%- endif %} as {{ column }}{{ ',' if not loop.last }}
        {%- endfor %}
    from unnest(json_query_array(parse_json('{{ tojson(rows) | replace("\\", "\\\\") | replace("'", "\\'") }}'))) as given
    {{ joins }}
{%- endmacro %}
