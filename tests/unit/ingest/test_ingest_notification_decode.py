"""Notifications name a row; whatever does not is refused with a reason."""

import json
from pathlib import Path

import pytest

from core.contracts import load_contracts
from core.errors import DecodeError
from devstack.world import World
from devstack.world.poison import NOTIFICATION_POISON
from ingest.decode import notification
from ingest.message import Message

CONTRACTS = load_contracts(Path("dbt_project/models/raw"))
TOPIC = "loyalty.member.notifications"
decode = notification.decoder(CONTRACTS, TOPIC)


def message(data: bytes) -> Message:
    return Message("projects/p/subscriptions/s", TOPIC, "event-1", data)


def body(**fields: object) -> bytes:
    good = {"table": "member_emails", "key": {"email_id": 7}, "event": "changed", "version": 1234}
    return json.dumps(good | fields).encode()


def test_a_notification_names_the_row() -> None:
    read = decode(message(body(key={"email_id": "7"}, occurred_at="2026-01-02T03:04:05.678901Z")))
    assert (read.contract.name, read.key, read.version) == ("member_emails", b'{"email_id":7}', 1234)


def test_every_notification_of_a_world_is_read_and_its_poison_refused() -> None:
    world = World(5, 400, CONTRACTS)
    world.evolve(6_000)
    sent = [message for message in world.deliver(final=True) if message.topic == TOPIC]
    good = [one for one in sent if one.kind == "notification"]
    assert good
    for one in good:
        read = decode(message(one.data))
        assert read.contract.name == one.table
        assert read.version == one.position
    poison = [one for one in sent if one.kind == "poison"]
    assert {one.detail for one in poison} <= set(NOTIFICATION_POISON)
    assert poison
    for one in poison:
        with pytest.raises(DecodeError):
            decode(message(one.data))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (body(table="no_such_table"), "wrong_table"),
        (body(key={}), "missing_key"),
        (body(key={"email_id": "../../admin"}), "invalid_key"),
        (body(version=None), "invalid_notification"),
        (body(version=-1), "invalid_notification"),
        (b"[]", "invalid_notification"),
        (b"", "invalid_json"),
        (body()[:-2], "invalid_json"),
        (body(event="\x01").replace(b"\\u0001", b"\xff").replace(b'"table"', b'"ta\xffble"'), "invalid_notification"),
    ],
)
def test_a_fault_has_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(message(data))
    assert caught.value.reason == reason


def test_a_table_of_another_topic_is_refused() -> None:
    with pytest.raises(DecodeError, match="has no notifications"):
        notification.decoder(CONTRACTS, "other.notifications")(message(body()))
