{#-
    Aggregates: fails when the values of a column are spread otherwise in the last `recent_days` than before, that is,
    when the population stability index exceeds `max_psi`; below 0.1 is steady, above 0.25 a shift. Every value counts
    for half a row more than it has, so that one that is new or gone has a finite weight. Fewer than `min_rows` on
    either side are not judged.
-#}
{% test distribution_steady(model, column_name, at, recent_days=30, max_psi=0.25, min_rows=200) %}

{{ config(fail_calc=quality_fail_calc(), meta={'dimension': 'accuracy'}) }}
with

by_value as (

    select
        ifnull(cast({{ column_name }} as string), 'null') as value,
        countif({{ at }} >= timestamp_sub({{ as_of() }}, interval {{ recent_days }} day)) as recent_rows,
        countif({{ at }} < timestamp_sub({{ as_of() }}, interval {{ recent_days }} day)) as former_rows
    from {{ model }}
    group by value

),

shares as (

    select
        recent_rows,
        former_rows,
        (recent_rows + 0.5) / (sum(recent_rows) over () + 0.5 * count(*) over ()) as recent_share,
        (former_rows + 0.5) / (sum(former_rows) over () + 0.5 * count(*) over ()) as former_share
    from by_value

),

judged as (

    select
        ifnull(sum(recent_rows), 0) as recent_rows,
        ifnull(sum(former_rows), 0) as former_rows,
        sum((recent_share - former_share) * ln(recent_share / former_share)) as psi
    from shares

),

counted as (

    select
        if(
            psi > {{ max_psi }} and recent_rows >= {{ min_rows }} and former_rows >= {{ min_rows }}, recent_rows, 0
        ) as failing_rows,
        recent_rows as checked_rows,
        cast(round(psi, 3) as string) as psi
    from judged

)

{{ quality_verdict('counted') }},
    [concat('stability index ', ifnull(counted.psi, 'null'))] as failing_keys
from counted

{% endtest %}
