{#-
    Consistency: fails for every key whose measures, summed, differ between this table and another by more than the
    tolerance; a key that one of them lacks has 0 there. `measure` and `of` are SQL expressions over this table and over
    the other.
-#}
{% test balances_with(model, key, measure, to, of, among='true', tolerance=0) %}

{{ config(fail_calc=quality_fail_calc(), meta={'dimension': 'consistency'}) }}
with

here as (

    select
        {{ key }} as balance_key,
        sum({{ measure }}) as measure
    from {{ model }}
    group by balance_key

),

there as (

    select
        {{ key }} as balance_key,
        sum({{ of }}) as measure
    from {{ to }}
    where {{ among }}
    group by balance_key

),

compared as (

    select
        balance_key,
        {{ quality_outside('abs(ifnull(here.measure, 0) - ifnull(there.measure, 0))', max=tolerance) }} as is_off
    from here
    full outer join there
        using (balance_key)

),

counted as (

    select
        countif(is_off) as failing_rows,
        count(*) as checked_rows
    from compared

)

{{ quality_verdict('counted') }},
    array(
        select {{ quality_shown('balance_key', key) }} from compared where is_off limit {{ quality_keys_kept() }}
    ) as failing_keys
from counted

{% endtest %}
