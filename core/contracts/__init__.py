"""Table contracts: each table declared once, as a dbt source, and read by every part.

A contract is a table of a dbt source YAML: its columns with data type, description and, under
`config: meta:`, key, nullability, PII class and allowed values; the table's own `config: meta:` holds its
topic, wire format, API path, owner and the layout of its raw table. See https://docs.getdbt.com/reference/source-properties.
"""

from core.contracts.files import load_contracts
from core.contracts.model import (
    ChangePattern,
    Column,
    Contracts,
    DataType,
    DriftMode,
    Encoding,
    PartitionUnit,
    TableContract,
    WireFormat,
)

__all__ = [
    "ChangePattern",
    "Column",
    "Contracts",
    "DataType",
    "DriftMode",
    "Encoding",
    "PartitionUnit",
    "TableContract",
    "WireFormat",
    "load_contracts",
]
