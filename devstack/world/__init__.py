"""A seeded world of loyalty members: its history, its messages, its truth and its snapshots."""

from devstack.world.changes import Change, Key, Message, Row, Truth
from devstack.world.debezium import Connector, encode, encode_key
from devstack.world.ledger import Ledger, TopicLedger
from devstack.world.shares import ORDERLY, Shares
from devstack.world.world import World

__all__ = [
    "ORDERLY",
    "Change",
    "Connector",
    "Key",
    "Ledger",
    "Message",
    "Row",
    "Shares",
    "TopicLedger",
    "Truth",
    "World",
    "encode",
    "encode_key",
]
