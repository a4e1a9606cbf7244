{#-
    What became of each raw row of a table, counted; nothing may be lost between raw and structure. A row is

    - quarantined: it cannot be read or ordered;
    - evidence: the tombstone after a delete, which tells nothing new;
    - a truncate: it goes to `str_truncates`;
    - applied: the change, or another delivery of it, that made the structure row what it is;
    - erased: it belongs to a member that was erased;
    - superseded: an older change of a key that structure holds;
    - lost: a change that structure should hold and does not.

    Judged are rows of the last `audit_conservation_days` that a run has answered for: all rows of an interval that holds
    exactly what `str_truncates` says was applied of it, whatever the structure table holds, so that one which is emptied,
    or takes nothing in any more, has lost them; and before a run has confirmed anything, rows that landed longer than the
    overlap before the newest row applied. Of others a later run may still have to apply some.
-#}
{% macro audit_row_fates(table) -%}
    {%- set key = _audit_key(table) -%}
    {%- set held = ref('str_' ~ table) -%}
    select
        '{{ table }}' as table_name,
        count(distinct _row) as raw_rows,
        countif(fate = 'quarantined') as quarantined,
        countif(fate = 'evidence') as evidence,
        countif(fate = 'truncate') as truncates,
        countif(fate = 'erased') as erased,
        countif(fate = 'applied') as applied,
        countif(fate = 'superseded') as superseded,
        countif(fate = 'lost') as lost
    from (
        select
            judged._row,
            case
                when judged.reason is not null then 'quarantined'
                when judged._op = 'TRUNCATE' then 'truncate'
                when judged._source_position is null then 'evidence'
                when judged.belongs_to_erased then 'erased'
                when held._event_id = judged._event_id then 'applied'
                when {{ cdc_order_key('judged', "judged._op = 'DELETE'") }} <= {{ cdc_order_key('held', "held._op = 'DELETE'") }}
                    then 'superseded'
                else 'lost'
            end as fate
        from (
            select
                {%- for column, data_type in key.items() %}
                {{ cdc_cast(column, data_type, image='_key_image') }} as {{ column }},
                {%- endfor %}
                {{ cdc_quarantine_reason('key_can_be_read') }} as reason,
                {{ is_erased("if(_op = 'DELETE', " ~ cdc_json_object('before') ~ ", " ~ cdc_json_object('payload') ~ ")", "'" ~ table ~ "'") }} as belongs_to_erased,
                _row,
                _op,
                _source_position,
                _source_sequence,
                _source_ts,
                _event_id
            from (
                select
                    {{ cdc_json_object('coalesce(_key, payload, before)') }} as _key_image,
                    {{ cdc_key_can_be_read(table) }} as key_can_be_read,
                    landed._row,
                    landed.payload,
                    landed.before,
                    landed._key,
                    landed._op,
                    landed._op_inferred,
                    landed._source_position,
                    landed._source_sequence,
                    landed._source_ts,
                    landed._event_id
                from (
                    select
                        row_number() over () as _row,
                        payload,
                        before,
                        _key,
                        _op,
                        _op_inferred,
                        _source_position,
                        _source_sequence,
                        _source_ts,
                        _event_id,
                        _ingestion_ts,
                        {{ cdc_interval('_ingestion_ts') }} as starts_at,
                        count(*) over (partition by {{ cdc_interval('_ingestion_ts') }}) as row_count,
                        sum(mod(unix_micros(_ingestion_ts), 600000000)) over (partition by {{ cdc_interval('_ingestion_ts') }}) as micros
                    from {{ source('member', table) }}
                    where
                        _ingestion_ts >= timestamp_sub({{ as_of() }}, interval {{ whole_number('audit_conservation_days', 1) }} day)
                ) as landed
                left join (
                    select
                        _ingestion_ts as starts_at,
                        applied_count,
                        applied_micros
                    from {{ ref('str_truncates') }}
                    where table_name = '{{ table }}' and _op = 'READ'
                ) as position
                    on landed.starts_at = position.starts_at
                where
                    (landed.row_count = position.applied_count and landed.micros = position.applied_micros)
                    or landed._ingestion_ts < (
                        select timestamp_sub(max(_ingestion_ts), interval {{ whole_number('cdc_overlap_minutes', 0) }} minute)
                        from {{ held }}
                    )
            )
        ) as judged
        left join {{ held }} as held
            on {% for column in key %}{{ ' and ' if not loop.first }}judged.{{ column }} = held.{{ column }}{% endfor %}
    )
{%- endmacro %}


{#- The key of a table with its types, as structure models declare it; a stand-in while dbt only parses. -#}
{% macro _audit_key(table) -%}
    {%- set key = {} -%}
    {%- for column in cdc_contract(table) if column.is_key -%}
        {%- do key.update({column.name: column.data_type}) -%}
    {%- endfor -%}
    {{ return(key or {'key': 'int64'}) }}
{%- endmacro %}


{#-
    The rest of a rule that says that two CTEs hold the same members: one row that measures, as every rule of ours does.
    The keys say on which side a member is missing.

    `given`: the CTE that the other is made of. `made`: the other; both have `member_id`.
-#}
{% macro audit_compared_members(given, made) -%}
compared as (

    select
        coalesce({{ given }}.member_id, {{ made }}.member_id) as member_id,
        {{ made }}.member_id is null as is_missing,
        {{ given }}.member_id is null as is_in_excess
    from {{ given }}
    full outer join {{ made }} on {{ given }}.member_id = {{ made }}.member_id

),

counted as (

    select
        countif(is_missing or is_in_excess) as failing_rows,
        count(*) as checked_rows
    from compared

)

{{ quality_verdict('counted') }},
    array(
        select concat(if(is_missing, 'missing ', 'in excess '), cast(member_id as string))
        from compared
        where is_missing or is_in_excess
        order by member_id
        limit {{ quality_keys_kept() }}
    ) as failing_keys
from counted
{%- endmacro %}
