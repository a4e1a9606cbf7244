"""The ingester understands every good message and no poison: the two sides of the wire agree."""

from world_stories import Told

from core.contracts import Contracts
from core.errors import DecodeError
from devstack.world import Message
from devstack.world.world import TABLES
from ingest.decode import DIALECTS
from ingest.decode import notification as notifications
from ingest.message import Message as Delivered


def _outcome(decoders: dict[str, object], message: Message) -> str:
    delivered = Delivered(
        subscription="s",
        topic=message.topic,
        event_id="1",
        data=message.data,
        attributes=dict(message.attributes),
        ordering_key=message.ordering_key,
        publish_ts=1,
    )
    decode = decoders[message.topic]
    assert callable(decode)
    try:
        return "control" if decode(delivered) is None else "row"
    except DecodeError as error:
        return error.reason


def test_good_messages_are_rows_control_is_dropped_and_poison_is_refused(told: Told, contracts: Contracts) -> None:
    decoders: dict[str, object] = {
        contracts[table].topic: DIALECTS["debezium"](contracts[table], "load") for table in TABLES
    }
    for topic in contracts.notification_topics():
        decoders[topic] = notifications.decoder(contracts, topic)
    wrong = []
    for message in told.messages:
        outcome = _outcome(decoders, message)
        expected = {"control": outcome == "control", "poison": outcome not in ("row", "control")}
        if not expected.get(message.kind, outcome == "row"):
            wrong.append((message.kind, message.detail, outcome))
    assert wrong == []
