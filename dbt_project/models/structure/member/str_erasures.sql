{#- Written to by `dbt run-operation erase_member` alone. A build makes the table and adds nothing; no full refresh empties it. -#}
{{
    config(
        unique_key=['member_id', '_key'],
        cluster_by=['member_id'],
        full_refresh=false,
        post_hook='{% do nobody_is_erased(this) %}',
    )
}}

select
    cast(null as int64) as member_id,
    cast(null as string) as table_name,
    cast(null as string) as _key,
    cast(null as timestamp) as erased_at
from (select 1 as one) as nothing
where false
