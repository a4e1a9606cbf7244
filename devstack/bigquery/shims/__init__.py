"""What this project mends in bqemulator 1.4.0, one fault per module.

Each module says what is wrong, and offers either `apply()`, which replaces the faulty part in this process, or
a mend of statements (see `statements`). They rely on the insides of one release: any other version is
refused, so that an upgrade starts with a reading of this folder and not with a puzzling failure.
"""

import functools
from importlib.metadata import version

from core.errors import ConfigurationError
from devstack.bigquery.shims import (
    alter_statements,
    append_rows,
    base64_texts,
    blanks,
    bounded_history,
    casts,
    catalog_types,
    column_options,
    contracts,
    created_tables,
    dataset_tables,
    date_truncations,
    decimal_literals,
    direct_routes,
    distinct_aggregates,
    dry_run_bytes,
    exact_microseconds,
    fast_failure,
    field_paths,
    functions,
    grants,
    held_instants,
    implicit_unnests,
    jobs_in_flight,
    json_functions,
    json_texts,
    kept_generators,
    kept_translations,
    merge_cardinality,
    merge_subqueries,
    missing_datasets,
    needless_parses,
    needless_questions,
    no_snapshots,
    no_spatial,
    numeric_precision,
    parse_cache,
    plain_nodes,
    query_route,
    range_partitions,
    row_counts,
    safe_functions,
    script_variables,
    statements,
    storage_server,
    storage_version,
    strict_json,
    system_views,
    table_patch,
    text_to_time,
    thread_cursors,
    threaded_statements,
    time_differences,
    time_formats,
    whole_seconds,
)

PINNED_VERSION = "1.4.0"

_PATCHES = (
    # start and storage
    no_spatial,
    storage_version,
    thread_cursors,
    no_snapshots,
    held_instants,
    bounded_history,
    # Storage Write and Read
    storage_server,
    append_rows,
    # REST
    table_patch,
    missing_datasets,
    range_partitions,
    row_counts,
    query_route,
    dry_run_bytes,
    fast_failure,
    jobs_in_flight,
    direct_routes,  # after those that replace routes
    # statements, as a whole
    implicit_unnests,
    parse_cache,
    kept_generators,
    plain_nodes,
    column_options,
    created_tables,
    needless_parses,
    needless_questions,
    script_variables,
    merge_cardinality,
    kept_translations,
    threaded_statements,
    # functions and types
    catalog_types,
    numeric_precision,
    decimal_literals,
    safe_functions,
    distinct_aggregates,
    time_differences,
    time_formats,
    whole_seconds,
)
# What is mended first goes first: of the rules for one node the first is used, and a macro calls those before it.
_CALLED = (casts, json_functions, text_to_time, json_texts, strict_json, base64_texts, blanks, date_truncations)
_FUNCTIONS = (json_texts, *(module for module in _CALLED if module is not json_texts), exact_microseconds)


def check_version(installed: str) -> None:
    """Refuse any bqemulator but the one these shims were written against.

    Args:
        installed: the version that was found.

    Raises:
        ConfigurationError: when it is another one.
    """
    if installed != PINNED_VERSION:
        raise ConfigurationError(
            f"bqemulator {installed} is installed, but devstack.bigquery mends {PINNED_VERSION}: "
            f"install bqemulator=={PINNED_VERSION}, or review devstack/bigquery/shims for the new release"
        )


@functools.cache
def apply_shims() -> None:
    """Mend the emulator in this process, once, before a server is built.

    Raises:
        ConfigurationError: when another version of bqemulator is installed.
    """
    check_version(version("bqemulator"))
    for patch in _PATCHES:
        patch.apply()
    functions.install(
        rules=tuple(rule for module in _FUNCTIONS for rule in module.RULES),
        macros=(*(macro for module in _CALLED for macro in module.MACROS), *time_formats.MACROS),
    )
    statements.install(
        (
            contracts.MEND,
            alter_statements.MEND,
            held_instants.MEND,
            merge_subqueries.MEND,
            *grants.mends(),
            field_paths.mend(),
            dataset_tables.mend(),
            *system_views.mends(),
        )
    )
