{#-
    The right to erasure (GDPR, article 17): https://eur-lex.europa.eu/eli/reg/2016/679/oj. Two operations:

        dbt run-operation erase_member --args '{member_id: 42, request: DSR-2026-0042}'
        dbt run-operation enforce_erasures

    The first notes the member and the keys of all their rows in `structure.erasures`, then does what the second does: take
    off the list what the source has given to another member, delete whatever is noted there from every zone, and say in
    `audit.erasures` how many rows that were. Both may be run again at any time, and delete what has landed since.
-#}

{% macro erase_member(member_id, request) -%}
    {%- if not modules.re.match('^[0-9]{1,18}$', member_id | string) -%}
        {{ exceptions.raise_compiler_error("member_id is '" ~ member_id ~ "'; give the number of one member") }}
    {%- endif -%}
    {%- if not modules.re.match('^[A-Za-z0-9._/-]{1,64}$', request | string) -%}
        {{ exceptions.raise_compiler_error("request is '" ~ request ~ "'; give the reference of the request, of letters, digits and . _ / -") }}
    {%- endif -%}
    {%- if execute -%}
        {%- for table in cdc_tables() -%}
            {%- do run_query(erasure_note(table, member_id | int, _erasure_is_built(table))) -%}
        {%- endfor -%}
        {%- do _erasure_delete(request) -%}
    {%- endif -%}
{%- endmacro %}


{% macro enforce_erasures() -%}
    {%- if execute -%}
        {%- do _erasure_delete(none) -%}
    {%- endif -%}
{%- endmacro %}


{#-
    The statement that notes a member's rows of one table. A row that is another member's by now, having moved, is not
    noted: only what it said while it was this one's goes. `is_built`: whether there is a structure table to look into.
-#}
{% macro erasure_note(table, member_id, is_built=true) -%}
    {%- set raw, held = _erasure_source(table), _erasure_node('str_' ~ table) -%}
    {%- set erasures = _erasure_node('str_erasures').relation_name -%}
    insert into {{ erasures }} (member_id, table_name, _key, erased_at)
    select
        {{ member_id }} as member_id,
        '{{ table }}' as table_name,
        found._key,
        current_timestamp() as erased_at
    from (
        select landed._key
        from {{ raw.relation_name }} as landed
        where
            landed._ingestion_ts >= timestamp '{{ cdc_beginning() }}'
            and (
                safe_cast(json_value({{ cdc_json_object('landed.payload') }}, '$.member_id') as int64) = {{ member_id }}
                or safe_cast(json_value({{ cdc_json_object('landed.before') }}, '$.member_id') as int64) = {{ member_id }}
            )
        {%- if is_built %}
        union distinct
        select kept._key
        from {{ held.relation_name }} as kept
        where kept.member_id = {{ member_id }}
        {%- endif %}
        {%- if table == 'members' %}
        union distinct
        select '{"member_id":{{ member_id }}}' as _key
        {%- endif %}
    ) as found
    left join {{ erasures }} as noted
        on found._key = noted._key and noted.member_id = {{ member_id }}
    {%- if is_built %}
    left join {{ held.relation_name }} as others
        on found._key = others._key and others.member_id != {{ member_id }}
    {%- endif %}
    where found._key is not null and noted._key is null{{ ' and others._key is null' if is_built }}
{%- endmacro %}


{#-
    The statement that takes keys off the list whose rows are another member's now, so that changes of them that state no
    member, such as deletes that tell the key alone, are that member's too. What states the erased one stays out.
-#}
{% macro erasure_release(table) -%}
    {%- set erasures = _erasure_node('str_erasures').relation_name -%}
    delete from {{ erasures }}
    where
        table_name = '{{ table }}'
        and _key in (
            select held._key
            from {{ _erasure_node('str_' ~ table).relation_name }} as held
            where held.member_id not in (select erased.member_id from {{ erasures }} as erased)
        )
{%- endmacro %}


{#-
    The statement that forgets what a row was while it was an erased member's, where it is another's now: the image before
    the change that gave it away. Nothing is made of that image, but of a delete's.
-#}
{% macro erasure_forget_before(table) -%}
    {%- set erasures = _erasure_node('str_erasures').relation_name -%}
    update {{ _erasure_source(table).relation_name }}
    set before = null
    where
        _ingestion_ts >= timestamp '{{ cdc_beginning() }}'
        and {{ _member_stated(cdc_json_object('before')) }} in (select erased.member_id from {{ erasures }} as erased)
        and {{ _member_stated(cdc_json_object('payload')) }} not in (select erased.member_id from {{ erasures }} as erased)
{%- endmacro %}


{% macro _erasure_is_built(table) -%}
    {%- set held = _erasure_node('str_' ~ table) -%}
    {{ return('member_id' in held.columns and adapter.get_relation(held.database, held.schema, held.alias) is not none) }}
{%- endmacro %}


{#- Delete what is noted from every table there is, and write down how much that was. -#}
{% macro _erasure_delete(request) -%}
    {%- for table in cdc_tables() -%}
        {%- if _erasure_is_built(table) -%}
            {%- do run_query(erasure_release(table)) -%}
        {%- endif -%}
        {%- do run_query(erasure_forget_before(table)) -%}
    {%- endfor -%}
    {%- set outcomes = [] -%}
    {%- for zone, relation, sql in erasure_deletes() -%}
        {%- if adapter.get_relation(relation.database, relation.schema, relation.identifier) -%}
            {%- call statement('erasure', fetch_result=false) -%}{{ sql }}{%- endcall -%}
            {%- do outcomes.append({
                'erasure_id': invocation_id,
                'request': request,
                'zone': zone,
                'table_name': relation.schema ~ '.' ~ relation.identifier,
                'rows_deleted': load_result('erasure').response.rows_affected,
                'members_noted': _erasure_members_noted() if loop.first else none,
                'erased_at': _audit_instant(modules.datetime.datetime.now(modules.pytz.utc)),
                'erased_by': target.get('impersonate_service_account') or target.name,
            }) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- set relation = audit_make_table('erasures') -%}
    {%- do run_query(audit_insert(relation, audit_tables()['erasures'], outcomes)) -%}
    {%- do log("Deleted " ~ outcomes | map(attribute='rows_deleted') | sum ~ " rows from " ~ outcomes | length ~ " tables", info=true) -%}
{%- endmacro %}


{#-
    The statements of an erasure, as (zone, relation, statement): of raw and of the dead letters by what the rows say,
    of every model and snapshot that has a `member_id` by that, and by its `_key` where that is null, for a row may not
    state its member any more. A model that comes to the project is in, once it is built.
-#}
{% macro erasure_deletes() -%}
    {%- set erasures = _erasure_node('str_erasures').relation_name -%}
    {%- set found = [] -%}
    {%- for table in cdc_tables() -%}
        {%- set raw = _erasure_source(table) -%}
        {%- do found.append((
            'raw',
            api.Relation.create(database=raw.database, schema=raw.schema, identifier=raw.identifier),
            "delete from " ~ raw.relation_name ~ "\nwhere _ingestion_ts >= timestamp '" ~ cdc_beginning() ~ "' and "
            ~ is_erased_as_landed("'" ~ table ~ "'", erasures)
        )) -%}
    {%- endfor -%}
    {%- set letters = audit_relation('dead_letters') -%}
    {%- do found.append(('audit', letters, _erasure_of_dead_letters(letters, erasures))) -%}
    {%- for node in graph.nodes.values() | sort(attribute='unique_id') -%}
        {%- if node.resource_type in ('model', 'snapshot') and node.name != 'str_erasures' and 'member_id' in node.columns
            and node.config.materialized not in ('view', 'ephemeral') -%}
            {%- set table = 'table_name' if 'table_name' in node.columns else "'" ~ node.alias ~ "'" -%}
            {%- do found.append((
                node.config.meta.get('zone', node.schema),
                api.Relation.create(database=node.database, schema=node.schema, identifier=node.alias),
                "delete from " ~ node.relation_name ~ "\nwhere member_id in (select erased.member_id from " ~ erasures ~ " as erased)"
                ~ (" or (member_id is null and " ~ _is_key_erased(table, '_key', erasures) ~ ")" if '_key' in node.columns else '')
            )) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{#-
    A letter may hold a row as it was and as it became, of two members: it goes when either is erased, since its text cannot be
    parted. It may not say which table it was for; then a key that is noted for any is enough. Letters are found again by
    what they hold, for nothing else of them is surely their own.
-#}
{% macro _erasure_of_dead_letters(letters, erasures) -%}
    {%- set text = 'safe_convert_bytes_to_string(data)' -%}
    delete from {{ letters }}
    where
        dead_lettered_at >= timestamp '{{ cdc_beginning() }}'
        and (
            ifnull(
                data in (
                    select letter.data
                    from {{ letters }} as letter
                    cross join unnest(regexp_extract_all({{ text }}, {{ _member_naming() }})) as stated
                    inner join {{ erasures }} as erased
                        on safe_cast(stated as int64) = erased.member_id
                    where letter.dead_lettered_at >= timestamp '{{ cdc_beginning() }}'
                ),
                false
            )
            or (
                {{ _member_named(text) }} is null
                and ifnull(
                    if(
                        table_name is null,
                        ordering_key in (select erased._key from {{ erasures }} as erased),
                        {{ _is_key_erased('table_name', 'ordering_key', erasures) }}
                    ),
                    false
                )
            )
        )
{%- endmacro %}


{% macro _erasure_members_noted() -%}
    {{ return(run_query(
        "select count(distinct member_id) from " ~ _erasure_node('str_erasures').relation_name
    ).columns[0].values()[0] | int) }}
{%- endmacro %}


{% macro _erasure_node(name) -%}
    {{ return(graph.nodes.values() | selectattr('resource_type', 'equalto', 'model') | selectattr('name', 'equalto', name) | first) }}
{%- endmacro %}


{% macro _erasure_source(table) -%}
    {{ return(graph.sources.values() | selectattr('source_name', 'equalto', 'member') | selectattr('name', 'equalto', table) | first) }}
{%- endmacro %}
