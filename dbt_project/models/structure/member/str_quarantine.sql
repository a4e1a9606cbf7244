{{ config(materialized='view', on_schema_change='ignore') }}

{#- The rows that structure models leave out, by the very expression by which they leave them out. -#}
{% for table in cdc_tables() -%}
select
    '{{ table }}' as table_name,
    {{ cdc_quarantine_reason(table) }} as reason,
    _op,
    _key,
    payload,
    before,
    _source_system,
    _source_table,
    _source_ts,
    _source_position,
    _event_id,
    _ingestion_ts,
    _load_id
from {{ source('member', table) }}
where {{ cdc_quarantine_reason(table) }} is not null
{% if not loop.last %}
union all
{% endif %}
{% endfor -%}
