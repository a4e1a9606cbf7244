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
    bounded_history,
    casts,
    catalog_types,
    column_options,
    contracts,
    created_tables,
    dataset_tables,
    decimal_literals,
    direct_routes,
    distinct_aggregates,
    dry_run_bytes,
    fast_failure,
    field_paths,
    functions,
    grants,
    held_instants,
    json_functions,
    kept_generators,
    kept_translations,
    merge_cardinality,
    needless_parses,
    no_snapshots,
    no_spatial,
    numeric_precision,
    parse_cache,
    query_route,
    range_partitions,
    row_counts,
    safe_functions,
    script_variables,
    statements,
    storage_server,
    system_views,
    table_patch,
    text_to_time,
    thread_cursors,
    time_differences,
    time_formats,
)

PINNED_VERSION = "1.4.0"

_PATCHES = (
    # start and storage
    no_spatial,
    thread_cursors,
    no_snapshots,
    held_instants,
    bounded_history,
    # Storage Write and Read
    storage_server,
    append_rows,
    # REST
    table_patch,
    range_partitions,
    row_counts,
    query_route,
    dry_run_bytes,
    fast_failure,
    direct_routes,  # after those that replace routes
    # statements, as a whole
    parse_cache,
    kept_generators,
    column_options,
    created_tables,
    needless_parses,
    script_variables,
    merge_cardinality,
    kept_translations,
    # functions and types
    catalog_types,
    numeric_precision,
    decimal_literals,
    safe_functions,
    distinct_aggregates,
    time_differences,
    time_formats,
)


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
        rules=(*casts.RULES, *json_functions.RULES, *text_to_time.RULES),
        macros=(*casts.MACROS, *json_functions.MACROS, *text_to_time.MACROS, *time_formats.MACROS),
    )
    statements.install(
        (
            contracts.MEND,
            alter_statements.MEND,
            held_instants.MEND,
            *grants.mends(),
            field_paths.mend(),
            dataset_tables.mend(),
            *system_views.mends(),
        )
    )
