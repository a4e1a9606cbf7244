{#-
    What has been asked of BigQuery in this invocation of dbt and holds for all of it, by question: a mapping to look into
    and to add to, so that a question that each of many models has is asked by the first of them. Models that begin at once
    may each ask it, and get the same answer.

    dbt has no place for this. `graph` is one mapping, the same for all nodes of a project for as long as a process keeps it
    parsed; so the answers stand under a key that is none of dbt's, and those of another invocation are dropped. Should
    dbt hand out copies one day, each model asks for itself again.
-#}
{% macro answers_of_this_run() -%}
    {%- if graph.get('answers_of_run', {}).get('invocation_id') != invocation_id -%}
        {%- do graph.update({'answers_of_run': {'invocation_id': invocation_id}}) -%}
    {%- endif -%}
    {{ return(graph['answers_of_run']) }}
{%- endmacro %}
