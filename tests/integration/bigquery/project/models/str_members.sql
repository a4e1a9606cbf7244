{{
    config(
        materialized='incremental',
        incremental_strategy='merge',
        unique_key='member_id',
        partition_by={'field': 'updated_at', 'data_type': 'timestamp', 'granularity': 'day'},
        cluster_by=['member_id'],
        on_schema_change='append_new_columns',
        merge_exclude_columns=['created_at'],
        grants={'roles/bigquery.dataViewer': ['user:reader@example.com']},
    )
}}

with source as (
    select * from {{ source('raw', 'members') }}
    {% if is_incremental() %}
    where _ingestion_ts >= timestamp '{{ var("watermark", "2020-01-01 00:00:00") }}'
    {% endif %}
),

decoded as (
    select
        *,
        safe.parse_json(payload) as document
    from source
),

renamed as (
    select
        json_value(document, '$.member_id') as member_id,
        safe_cast(json_value(document, '$.tier_id') as int64) as tier_id,
        safe_cast(json_value(document, '$.balance') as numeric) as balance,
        safe_cast(json_value(document, '$.born_on') as date) as born_on,
        json_value_array(document, '$.tags') as tags,
        timestamp_micros(safe_cast(json_value(document, '$.updated_at') as int64)) as updated_at,
        _ingestion_ts as created_at,
        lpad(cast(_source_sequence as string), 20, '0') as _order_key
    from decoded
    where document is not null
)

select * from renamed
where member_id is not null
qualify row_number() over (partition by member_id order by _order_key desc) = 1
