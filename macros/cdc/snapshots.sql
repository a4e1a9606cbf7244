{#- Snapshots: how a change of a row is told, and its versions as they followed each other (SCD2). -#}

{#-
    dbt's snapshot strategy `hash`: a row has changed when its `_row_hash` has. The time of the change (`updated_at`) dates
    it, and does not tell it: two changes may bear one time, clocks go back, and a row that was only sent again is no
    version of its own. Rows from before there were hashes are told by time.
    See https://docs.getdbt.com/docs/build/snapshots#snapshot-strategies
-#}
{% macro snapshot_hash_strategy(node, snapshotted_rel, current_rel, model_config, target_exists) -%}
    {%- set key, updated_at = config.get('unique_key'), config.get('updated_at') -%}
    {%- set hard_deletes = adapter.get_hard_deletes_behavior(config) -%}
    {%- set told_by_time -%}
        {{ snapshotted_rel }}.dbt_valid_from < {{ current_rel }}.{{ updated_at }}
    {%- endset -%}
    {%- set told_by_hash -%}
        {{ snapshotted_rel }}._row_hash != {{ current_rel }}._row_hash
        or ({{ snapshotted_rel }}._row_hash is null and {{ told_by_time }})
    {%- endset -%}
    {%- set held = adapter.get_columns_in_relation(this) | map(attribute='name') | list if target_exists else [] -%}
    {{ return({
        'unique_key': key,
        'updated_at': updated_at,
        'row_changed': '(' ~ (told_by_hash if '_row_hash' in held else told_by_time) ~ ')',
        'scd_id': snapshot_hash_arguments([key, updated_at, '_source_position', '_source_sequence', '_row_hash']),
        'invalidate_hard_deletes': hard_deletes == 'invalidate',
        'hard_deletes': hard_deletes,
    }) }}
{%- endmacro %}


{#-
    What a snapshot merges, as dbt writes it, but that a deletion is known by the version it ends, and not by when it was
    noticed: two builds that notice it at once make one of it. dbt asks for this twice in every build, and each time has
    BigQuery tell the columns of the query; the strategy, which is one for the whole build of a snapshot, keeps it.
-#}
{% macro bigquery__snapshot_staging_table(strategy, source_sql, target_relation) -%}
    {%- if 'staging_sql' not in strategy -%}
        {%- set staging_sql = default__snapshot_staging_table(strategy, source_sql, target_relation) -%}
        {%- set by_time = snapshot_hash_arguments(['dbt_scd_id', snapshot_get_time()]) -%}
        {%- if strategy.hard_deletes == 'new_record' and staging_sql.count(by_time) != 1 -%}
            {{ exceptions.raise_compiler_error("dbt writes its snapshots in another way than this version of bigquery__snapshot_staging_table knows; review macros/cdc/snapshots.sql") }}
        {%- endif -%}
        {%- set by_version = snapshot_hash_arguments(['dbt_scd_id', "'deleted'"]) -%}
        {%- do strategy.update({'staging_sql': staging_sql | replace(by_time, by_version)}) -%}
    {%- endif -%}
    {{ return(strategy.staging_sql) }}
{%- endmacro %}


{#-
    dbt's check that times of a snapshot are of one type, a warning that takes two queries, one over all that the snapshot
    reads. The first build checks; then the table stands, and its columns have the types they have.
-#}
{% macro check_time_data_types(sql) -%}
    {%- if load_relation(this) is none -%}
        {{ dbt.check_time_data_types(sql) }}
    {%- endif -%}
{%- endmacro %}


{#-
    A hash over the columns of a source table, but for those that are null: so a column that comes to the table makes no
    new version of the rows that do not tell it.
-#}
{% macro cdc_row_hash(table) -%}
    to_hex(sha256(array_to_string([
        {%- for column in cdc_contract(table) %}
        if({{ column.name }} is null, null, concat('{{ column.name }}=', to_json_string({{ column.name }}))){{ ',' if not loop.last }}
        {%- else %}
        'parsed'
        {%- endfor %}
    ], '\n')))
{%- endmacro %}


{#-
    The versions of each key in a snapshot, without gaps and overlaps: `version_number` from 1, `effective_from` up to, not
    including, `effective_to`, `is_current` and `is_deleted`.

    They follow each other as in the source's log, whatever its clock says; a version holds from its own time, but not from
    before the one it follows. dbt dates a deletion by when it was noticed: who was back by then was never gone. Versions
    that held for no time at all are left out.

    `snapshot`: the relation. `key`: its unique key. `deletions`: a CTE of the key and `deleted_at`, when the source deleted
    what is gone now; it dates the deletion that holds better than dbt does, where it says anything. A truncate
    tells no time for it: a row it deleted keeps that of its last change.
-#}
{% macro scd2_versions(snapshot, key, deletions=none) -%}
    {%- set in_order = 'partition by ' ~ key ~ ' order by _source_position, ifnull(_source_sequence, 0), is_deleted, dated_at' -%}
    with

    stated as (

        select
            told.*,
            cast(told.dbt_is_deleted as bool) as is_deleted,
            {% if deletions -%}
            coalesce(deletions.deleted_at, told.dbt_valid_from) as dated_at
            {%- else -%}
            told.dbt_valid_from as dated_at
            {%- endif %}
        from {{ snapshot }} as told
        {%- if deletions %}
        left join {{ deletions }} as deletions
            on told.{{ key }} = deletions.{{ key }}
            and told.dbt_is_deleted = 'True'
            and told.dbt_valid_to = timestamp '9999-12-31 00:00:00+00:00'
        {%- endif %}

    ),

    dated as (

        select
            *,
            ifnull(lead(dated_at) over ({{ in_order }}), dated_at) as next_dated_at
        from stated

    ),

    begun as (

        select
            *,
            max(if(is_deleted, least(dated_at, next_dated_at), dated_at)) over (
                {{ in_order }}
                rows between unbounded preceding and current row
            ) as effective_from
        from dated

    ),

    chained as (

        select
            *,
            lead(effective_from, 1, timestamp '9999-12-31 00:00:00+00:00') over ({{ in_order }}) as effective_to
        from begun

    )

    select
        * except (dated_at, next_dated_at),
        row_number() over (partition by {{ key }} order by effective_from) as version_number,
        effective_to = timestamp '9999-12-31 00:00:00+00:00' as is_current
    from chained
    where effective_from < effective_to
{%- endmacro %}
