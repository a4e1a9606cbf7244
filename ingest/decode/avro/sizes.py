"""Schemas by which a few bytes would stand for any number of items.

An array says how many items follow; where an item takes no bytes, such as `null`, nothing in the data bears that number
out, and twenty bytes make a list that fills the memory. See "Arrays" in
https://avro.apache.org/docs/1.12.0/specification/.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from core.errors import DecodeError

_RECORDS: Final = frozenset({"record", "error"})


def check_sizes(schema: Any, named: Mapping[str, Any], *, is_repeated: bool = False) -> None:
    """Make sure that the data bears out how much is made of it.

    Args:
        schema: a schema, as the Avro library has parsed it.
        named: the types it refers to, by their full names, parsed likewise.
        is_repeated: whether values follow one another as their number says, as those of a file do.

    Raises:
        DecodeError: `unsupported_schema`.
    """
    if is_repeated and takes_no_bytes(schema, named):
        raise DecodeError("unsupported_schema", "a record of the Avro schema takes no bytes: any number may be claimed")
    for part in (schema, *named.values()):
        for items in _items(part):
            if takes_no_bytes(items, named):
                raise DecodeError(
                    "unsupported_schema",
                    "the Avro schema has an array whose items take no bytes, such as `null`: any number may be claimed",
                )


def takes_no_bytes(schema: Any, named: Mapping[str, Any], within: frozenset[str] = frozenset()) -> bool:
    """Tell whether every value of a schema is written without a byte.

    Args:
        schema: as for `check_sizes`.
        named: likewise.
        within: names of the types it stands in, which are not looked at again.
    """
    if isinstance(schema, list):
        return False  # the number of the branch takes one
    if isinstance(schema, str):
        if schema in named and schema not in within:
            return takes_no_bytes(named[schema], named, within | {schema})
        return schema == "null"
    kind = schema["type"]
    if kind in _RECORDS:
        inner = within | {schema["name"]}
        return all(takes_no_bytes(field["type"], named, inner) for field in schema["fields"])
    if kind == "fixed":
        return bool(schema["size"] == 0)
    return takes_no_bytes(kind, named, within)


def _items(schema: Any) -> Iterator[Any]:
    """Yield the items of every array that is written out within a schema."""
    if isinstance(schema, list):
        for branch in schema:
            yield from _items(branch)
    elif isinstance(schema, dict):
        if schema["type"] == "array":
            yield schema["items"]
        for part in (schema.get("items"), schema.get("values"), *(one["type"] for one in schema.get("fields", ()))):
            yield from _items(part)
        if not isinstance(schema["type"], str):
            yield from _items(schema["type"])
