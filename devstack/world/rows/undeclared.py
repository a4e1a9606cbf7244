"""Values for columns that a contract declares and no row factory knows yet.

A new column is a line of YAML and no Python: until a factory gives it meaning, it holds any value of its type.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final

from core.contracts import Column, DataType
from core.errors import ContractError
from devstack.world.changes import Value
from devstack.world.sampler import Sampler

_NULLS: Final = 0.2
_MOST: Final = 1_000_000


def undeclared_value(sampler: Sampler, column: Column, at: datetime) -> Value:
    """Return a value that a column may hold.

    Args:
        sampler: the source of randomness.
        column: the column.
        at: the present (UTC).

    Returns:
        A value of the column's type, or null now and then where that is allowed.

    Raises:
        ContractError: when the generator has no values of the column's type.
    """
    if column.is_nullable and sampler.chance(_NULLS):
        return None
    if column.allowed_values:
        return sampler.pick(column.allowed_values)
    make = _MAKERS.get(column.data_type)
    if make is None:
        raise ContractError(f"{column.name}: the generator makes no {column.data_type}; use {', '.join(_MAKERS)}")
    return make(sampler, at)


_MAKERS: Final[Mapping[DataType, Callable[[Sampler, datetime], Value]]] = {
    "int64": lambda sampler, _: sampler.between(0, _MOST),
    "numeric": lambda sampler, _: Decimal(sampler.between(0, _MOST)) / 100,
    "float64": lambda sampler, _: sampler.rng.random(),
    "bool": lambda sampler, _: sampler.chance(0.5),
    "string": lambda sampler, _: sampler.pick(sampler.country().sentences),
    "bytes": lambda sampler, _: sampler.rng.randbytes(8),
    "date": lambda _, at: at.date(),
    "timestamp": lambda sampler, at: sampler.before(at, 30),
    "json": lambda sampler, _: sampler.pick(sampler.pools.contexts),
    "array<string>": lambda sampler, _: tuple(sampler.rng.sample(sampler.pools.campaigns, sampler.between(0, 3))),
}
