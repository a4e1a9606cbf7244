{#- What the contracts (the sources' YAML) say, for the macros that treat every column of a table alike. -#}

{% macro cdc_contract_columns(table, keys=none) -%}
    {#- `keys`: true for the primary key only, false for all the others, none for both -#}
    {%- set columns = [] -%}
    {%- if execute -%}
        {%- for source in graph.sources.values() if source.source_name == 'member' and source.name == table -%}
            {%- for column in source.columns.values() -%}
                {%- set is_key = column.config.get('meta', {}).get('key', false) -%}
                {%- if keys is none or keys == is_key -%}
                    {%- do columns.append({'name': column.name, 'data_type': column.data_type}) -%}
                {%- endif -%}
            {%- endfor -%}
        {%- endfor -%}
        {%- if not columns -%}
            {{ exceptions.raise_compiler_error("no contract of the source member declares columns of " ~ table) }}
        {%- endif -%}
    {%- endif -%}
    {{ return(columns) }}
{%- endmacro %}


{% macro cdc_tables() -%}
    {{ return([
        'member_addresses',
        'member_cases',
        'member_consents',
        'member_emails',
        'member_identities',
        'member_interactions',
        'member_phones',
        'member_points',
        'member_preferences',
        'member_profiles',
        'member_tiers',
        'member_transactions',
        'members',
    ]) }}
{%- endmacro %}
