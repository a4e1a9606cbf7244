"""How far the subscriptions of a running server are: see `fetch`."""

from devstack.pubsub.control import stats as fetch
from devstack.pubsub.model import SubscriptionStats

__all__ = ["SubscriptionStats", "fetch"]
