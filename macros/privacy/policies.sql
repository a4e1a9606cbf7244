{#-
    What keeps people out on BigQuery: policy tags on columns of personal data, and row access policies. Both come from
    variables, by environment; the local stand-in has neither, so there nothing is done. A post-hook of every model.

        vars:
          privacy_policy_tags:      # class to policy tag; 'default' for classes without one of their own
            default: projects/p/locations/eu/taxonomies/1/policyTags/2
          privacy_row_access_all:   # who builds, tests and erases: whoever is in no policy of a table sees no row of it
            - serviceAccount:millrace-pipeline@p.iam.gserviceaccount.com
          privacy_row_access:       # model to its policies
            ref_member_profiles:
              - {name: germany, grantees: ['group:crm-de@example.com'], filter: "country_code = 'DE'"}

    https://cloud.google.com/bigquery/docs/column-level-security-intro and .../row-level-security-intro
-#}
{% macro privacy_protect() -%}
    {%- if execute and target.name != 'local' and model.config.materialized != 'view' -%}
        {%- set tagged = privacy_tagged_columns(model.columns, var('privacy_policy_tags')) -%}
        {%- if tagged -%}
            {%- do adapter.update_columns(this, tagged) -%}
        {%- endif -%}
        {%- for policy in privacy_row_access_policies(model.name) -%}
            {%- do run_query(privacy_row_access_policy(this, policy)) -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}


{#- The columns of personal data, each with the policy tag of its class. -#}
{% macro privacy_tagged_columns(columns, tags) -%}
    {%- set tagged = {} -%}
    {%- for column in columns.values() -%}
        {%- set pii = column.get('config', {}).get('meta', {}).get('pii') -%}
        {%- set tag = tags.get(pii, tags.get('default')) -%}
        {%- if pii and tag -%}
            {%- do tagged.update({column.name: {'name': column.name, 'description': column.description, 'policy_tags': [tag]}}) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(tagged) }}
{%- endmacro %}


{#- The policies of a model: first that of those who see every row, without whom the next build would see none. -#}
{% macro privacy_row_access_policies(name) -%}
    {%- set policies, everyone = var('privacy_row_access').get(name, []), var('privacy_row_access_all') -%}
    {%- if policies and not everyone -%}
        {{ exceptions.raise_compiler_error(
            "privacy_row_access: " ~ name ~ " has policies, and privacy_row_access_all names nobody who would see all its rows; "
            ~ "name the accounts that build, test and erase"
        ) }}
    {%- endif -%}
    {{ return([{'name': 'all_rows', 'grantees': everyone, 'filter': 'true'}] + policies if policies else []) }}
{%- endmacro %}


{#- The statement that makes a row access policy, or makes it anew. -#}
{% macro privacy_row_access_policy(relation, policy) -%}
    {%- if not modules.re.match('^[a-z][a-z0-9_]{0,62}$', policy.name) -%}
        {{ exceptions.raise_compiler_error("privacy_row_access: '" ~ policy.name ~ "' is no name of a policy; use a-z, 0-9 and _") }}
    {%- endif -%}
    {%- for grantee in policy.grantees if not modules.re.match('^[A-Za-z]+:[A-Za-z0-9@._+-]+$', grantee) -%}
        {{ exceptions.raise_compiler_error("privacy_row_access: '" ~ grantee ~ "' is nobody; write group:name@example.com") }}
    {%- endfor -%}
    create or replace row access policy {{ policy.name }}
    on {{ relation }}
    grant to ('{{ policy.grantees | join("', '") }}')
    filter using ({{ policy.filter }})
{%- endmacro %}
