"""What decoding the events of one table takes, made once."""

from typing import NamedTuple

import msgspec

from core.contracts import TableContract
from ingest.decode.avro.registry import SchemaRegistry
from ingest.decode.avro.settings import load_avro_settings
from ingest.decode.avro.values import to_json
from ingest.decode.avro.wire import avro_reader, load_schema_folder
from ingest.decode.change import system_of
from ingest.decode.debezium.body import Body, ReadBody, read_json
from ingest.decode.debezium.envelope import NULL
from ingest.decode.debezium.images import RowImages
from ingest.decode.debezium.mongodb import Documents
from ingest.decode.debezium.record_keys import RecordKeys


class Table(NamedTuple):
    """A table and what reads its events.

    Attributes:
        contract: the table.
        system: the source system, for events that do not name it.
        qualified_name: the table with its schema, for such events.
        images: reads row images.
        documents: reads MongoDB's documents.
        keys: reads the keys of records.
    """

    contract: TableContract
    system: str
    qualified_name: str
    images: RowImages
    documents: Documents
    keys: RecordKeys

    @classmethod
    def of(cls, contract: TableContract) -> "Table":
        """Prepare to read the events of a table.

        Args:
            contract: the table; Debezium Server names its topic `<prefix>.<schema>.<table>`.
        """
        images, documents = RowImages(contract), Documents(contract)
        name = contract.topic.partition(".")[2] or contract.name
        return cls(contract, system_of(contract), name, images, documents, RecordKeys(contract, images, documents))


def body_reader(contract: TableContract) -> ReadBody:
    """Return what reads the messages of a table.

    Args:
        contract: the table; its encoding decides.

    Returns:
        The reader. That of Avro raises `UnavailableError` while the schema registry does not answer.

    Raises:
        ConfigurationError: when the settings of Avro are wrong.
    """
    if contract.encoding == "json":
        return read_json
    settings = load_avro_settings()
    read = avro_reader(SchemaRegistry(settings).schema, load_schema_folder(settings.avro_schemas_path))

    def read_avro(data: bytes) -> Body | None:
        if not data or data == NULL:
            return None
        record, schema = read(data)
        return Body(msgspec.json.encode(to_json(record, schema.connect)), schema.connect)

    return read_avro
