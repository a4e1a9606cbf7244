"""What the zones above structure read, by dry run."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from google.cloud import bigquery
from layout_budget import bytes_of

_TABLE: Final = re.compile(r"`[\w-]+`\.`(\w+)`\.`(\w+)`")


@dataclass(frozen=True)
class Costs:
    """Bytes by model.

    Attributes:
        read: what each model reads.
        whole: what it would if it took every column of the tables it names.
    """

    read: Mapping[str, int]
    whole: Mapping[str, int]


def costs_of(client: bigquery.Client, compiled: Mapping[str, str]) -> Costs:
    """Ask for the cost of models that were just built.

    Args:
        client: the warehouse.
        compiled: SQL by model.

    Returns:
        What they cost.
    """
    read = {model: bytes_of(client, sql) for model, sql in compiled.items()}
    tables = {model: set(_TABLE.findall(sql)) for model, sql in compiled.items()}
    sizes = {name: bytes_of(client, "select * from {}.{}".format(*name)) for name in set().union(*tables.values())}
    return Costs(read, {model: sum(sizes[name] for name in named) for model, named in tables.items()})
