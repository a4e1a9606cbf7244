"""Where a table's `files` pattern says which full dump an object belongs to.

The placeholder `{dump_id}` stands in the name of a folder, which holds the dump's objects, or in that of the object,
which is the dump by itself.
"""

from typing import Final

from core.contracts.model import TableContract

DUMP_PLACEHOLDER: Final = "{dump_id}"

_WILDCARDS: Final = frozenset("*?")


def dump_files_fault(contract: TableContract) -> str | None:
    """Return what is wrong with the placeholder of a table's `files` pattern.

    Args:
        contract: the table.

    Returns:
        The fault and its fix in words; None when there is none, or the table has no files.
    """
    files = contract.files
    if files is None:
        return None
    if contract.pattern != "full_dump":
        if DUMP_PLACEHOLDER not in files:
            return None
        return f"has {DUMP_PLACEHOLDER} in `files`, which only a table with `pattern: full_dump` may have"
    if files.count(DUMP_PLACEHOLDER) != 1:
        return (
            f"comes as full dumps: its `files` must say once where the dump's id stands, such as "
            f"{contract.name}/{DUMP_PLACEHOLDER}/*.parquet"
        )
    head, _, tail = files.partition(DUMP_PLACEHOLDER)
    if _WILDCARDS.intersection(head + tail.partition("/")[0]):
        return f"has a wildcard before {DUMP_PLACEHOLDER} in `files`, or beside it in the same name; write it out"
    return None
