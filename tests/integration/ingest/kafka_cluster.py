"""A Kafka cluster in this process: the mock cluster of librdkafka, which speaks the real protocol on real sockets.

It is librdkafka's own test double (`rdkafka_mock.h`), driven through its C interface: the Python client offers only its
creation, and here brokers must fail on command.
"""

import ctypes
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import confluent_kafka
from confluent_kafka import Consumer, Producer, TopicPartition

from ingest.kafka import KafkaSettings

# Numbers of the protocol: https://kafka.apache.org/protocol.html#protocol_api_keys
FETCH, OFFSET_COMMIT, JOIN_GROUP = 1, 8, 11


def _library() -> Any:
    folder = Path(confluent_kafka.__file__).parents[1] / "confluent_kafka.libs"
    [path] = folder.glob("librdkafka*")
    library = ctypes.CDLL(str(path))
    pointer, number, text = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
    signatures = {
        "rd_kafka_conf_new": (pointer, []),
        "rd_kafka_new": (pointer, [number, pointer, text, ctypes.c_size_t]),
        "rd_kafka_destroy": (None, [pointer]),
        "rd_kafka_mock_cluster_new": (pointer, [pointer, number]),
        "rd_kafka_mock_cluster_destroy": (None, [pointer]),
        "rd_kafka_mock_cluster_bootstraps": (text, [pointer]),
        "rd_kafka_mock_topic_create": (number, [pointer, text, number, number]),
        "rd_kafka_mock_group_initial_rebalance_delay_ms": (None, [pointer, ctypes.c_int32]),
        "rd_kafka_mock_push_request_errors_array": (None, [pointer, ctypes.c_int16, ctypes.c_size_t, pointer]),
        "rd_kafka_mock_broker_set_down": (number, [pointer, ctypes.c_int32]),
        "rd_kafka_mock_broker_set_up": (number, [pointer, ctypes.c_int32]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


@dataclass(frozen=True)
class KafkaCluster:
    """A running cluster.

    Attributes:
        bootstrap_servers: its brokers.
    """

    bootstrap_servers: str
    _library: Any
    _handle: int

    def create_topic(self, name: str, partitions: int = 1) -> None:
        assert self._library.rd_kafka_mock_topic_create(self._handle, name.encode(), partitions, 1) == 0

    def fail_next(self, request: int, *codes: int) -> None:
        """Answer the next requests of a kind with errors."""
        errors = (ctypes.c_int * len(codes))(*codes)
        self._library.rd_kafka_mock_push_request_errors_array(self._handle, request, len(codes), errors)

    def set_down(self) -> None:
        """Close all connections, and accept no new ones."""
        assert self._library.rd_kafka_mock_broker_set_down(self._handle, 1) == 0

    def set_up(self) -> None:
        assert self._library.rd_kafka_mock_broker_set_up(self._handle, 1) == 0

    def settings(self, **changes: object) -> KafkaSettings:
        """Settings of a quick member of a group.

        The mock lets members in a second before the session of the first ends: of one second nothing would be left.
        """
        defaults = {"bootstrap_servers": self.bootstrap_servers, "session_timeout_ms": 2_000, "commit_ms": 10}
        return KafkaSettings.model_validate(defaults | changes)

    def produce(self, topic: str, records: Iterable[Mapping[str, Any]]) -> None:
        """Produce records and return once the brokers have them."""
        producer = Producer({"bootstrap.servers": self.bootstrap_servers, "linger.ms": 1})
        failures: list[Any] = []
        for record in records:
            producer.produce(topic, on_delivery=lambda error, _: failures.append(error) if error else None, **record)
        assert producer.flush(30) == 0
        assert not failures

    def committed(self, topic: str, partitions: int = 1, group: str = "millrace-ingest") -> list[int]:
        """The offsets a group has committed; -1001 for none."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap_servers, "group.id": group})
        try:
            asked = [TopicPartition(topic, number) for number in range(partitions)]
            return [one.offset for one in consumer.committed(asked, timeout=10)]
        finally:
            consumer.close()

    def end(self, topic: str, partition: int) -> int:
        """The offset that the next record of a partition will have."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap_servers, "group.id": "looks-only"})
        try:
            _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
            return int(end)
        finally:
            consumer.close()


@contextmanager
def running_cluster() -> Iterator[KafkaCluster]:
    """Run a cluster of one broker."""
    library = _library()
    client = library.rd_kafka_new(0, library.rd_kafka_conf_new(), None, 0)
    cluster = library.rd_kafka_mock_cluster_new(client, 1)
    # Otherwise every group would wait three seconds for members that never come.
    library.rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, 0)
    try:
        yield KafkaCluster(library.rd_kafka_mock_cluster_bootstraps(cluster).decode(), library, cluster)
    finally:
        library.rd_kafka_mock_cluster_destroy(cluster)
        library.rd_kafka_destroy(client)
