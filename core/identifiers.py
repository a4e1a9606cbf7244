"""SQL identifiers that come from configuration, checked before they are put into a statement.

Values are always bound as parameters; identifiers cannot be, so these checks are what stands between a
configuration file and SQL injection.
"""

import re

from core.errors import ConfigurationError

_PROJECT = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
# https://cloud.google.com/bigquery/docs/schemas#column_names
_RESERVED_COLUMN = re.compile(r"_TABLE_|_FILE_|_PARTITION|_ROW_TIMESTAMP|__ROOT__|_COLIDENTIFIER", re.IGNORECASE)


def check_name(name: str) -> str:
    """Return `name` when it can stand unquoted as a dataset, table or column name.

    Args:
        name: the identifier to check.

    Returns:
        The same text.

    Raises:
        ConfigurationError: when it holds anything but letters, digits and underscores, starts with a
            digit, or is longer than 128 characters.
    """
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} is not a valid BigQuery name: use letters, digits and underscores, not starting with a digit"
        )
    return name


def check_column(name: str) -> str:
    """Return `name` when BigQuery lets a column have it.

    Args:
        name: the identifier to check.

    Returns:
        The same text.

    Raises:
        ConfigurationError: when `check_name` refuses it, or it begins as BigQuery's own columns do.
    """
    if _RESERVED_COLUMN.match(check_name(name)):
        raise ConfigurationError(f"{name!r} begins as BigQuery's own columns do, which it refuses: name it otherwise")
    return name


def check_project(project: str) -> str:
    """Return `project` when it is a valid Google Cloud project id.

    Args:
        project: the project id to check.

    Returns:
        The same text.

    Raises:
        ConfigurationError: when it is not 6 to 30 lower-case letters, digits and hyphens.
    """
    if not _PROJECT.fullmatch(project):
        raise ConfigurationError(
            f"{project!r} is not a valid Google Cloud project id: use 6 to 30 lower-case letters, digits and hyphens"
        )
    return project


def qualified(project: str, dataset: str, table: str) -> str:
    """Return the quoted `project.dataset.table`, each part checked.

    Args:
        project: Google Cloud project id.
        dataset: BigQuery dataset name.
        table: BigQuery table name.

    Returns:
        The name in backticks, ready to stand in a statement.

    Raises:
        ConfigurationError: when a part is not a valid identifier.

    Example:
        >>> qualified("my-project", "raw", "members")
        '`my-project.raw.members`'
    """
    return f"`{check_project(project)}.{check_name(dataset)}.{check_name(table)}`"
