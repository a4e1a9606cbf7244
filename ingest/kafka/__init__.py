"""Change events from Kafka: a consumer group whose offsets are committed only past what has landed."""

from ingest.kafka.settings import KafkaSettings, load_kafka_settings

__all__ = ["KafkaSettings", "load_kafka_settings"]
