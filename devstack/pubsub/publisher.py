"""The service `google.pubsub.v1.Publisher`."""

from google.protobuf import empty_pb2
from google.pubsub_v1 import types

from devstack.pubsub import broker, limits
from devstack.pubsub.calls import Context, Service, service, unary
from devstack.pubsub.runtime import Runtime
from devstack.pubsub.wire import Proto


def publisher_service(runtime: Runtime) -> Service:
    """Returns the service's handlers over a runtime."""
    api = _Publisher(runtime)
    topic, empty = types.Topic.pb(), empty_pb2.Empty
    return service(
        "google.pubsub.v1.Publisher",
        {
            "CreateTopic": unary(api.create_topic, topic, topic),
            "UpdateTopic": unary(api.update_topic, types.UpdateTopicRequest.pb(), topic),
            "Publish": unary(api.publish, types.PublishRequest.pb(), types.PublishResponse.pb()),
            "GetTopic": unary(api.get_topic, types.GetTopicRequest.pb(), topic),
            "ListTopics": unary(api.list_topics, types.ListTopicsRequest.pb(), types.ListTopicsResponse.pb()),
            "ListTopicSubscriptions": unary(
                api.list_subscriptions,
                types.ListTopicSubscriptionsRequest.pb(),
                types.ListTopicSubscriptionsResponse.pb(),
            ),
            "ListTopicSnapshots": unary(
                api.list_snapshots, types.ListTopicSnapshotsRequest.pb(), types.ListTopicSnapshotsResponse.pb()
            ),
            "DeleteTopic": unary(api.delete_topic, types.DeleteTopicRequest.pb(), empty),
            "DetachSubscription": unary(
                api.detach_subscription, types.DetachSubscriptionRequest.pb(), types.DetachSubscriptionResponse.pb()
            ),
        },
    )


class _Publisher:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._broker = runtime.broker

    async def create_topic(self, request: Proto, _: Context) -> Proto:
        return self._broker.create_topic(request)

    async def update_topic(self, request: Proto, _: Context) -> Proto:
        return self._broker.update_topic(request.topic, request.update_mask.paths)

    async def publish(self, request: Proto, _: Context) -> Proto:
        limits.check_publish(request.messages, request.ByteSize())
        ids = self._broker.publish(request.topic, request.messages, self._runtime.now())
        return types.PublishResponse.pb()(message_ids=ids)

    async def get_topic(self, request: Proto, _: Context) -> Proto:
        return self._broker.topic(request.topic).resource

    async def list_topics(self, request: Proto, _: Context) -> Proto:
        mine = (name for name in self._broker.topics if name.startswith(f"{request.project}/"))
        names, token = broker.page(mine, request.page_size, request.page_token)
        found = [self._broker.topics[name].resource for name in names]
        return types.ListTopicsResponse.pb()(topics=found, next_page_token=token)

    async def list_subscriptions(self, request: Proto, _: Context) -> Proto:
        topic = self._broker.topic(request.topic)
        names, token = broker.page(topic.subscriptions, request.page_size, request.page_token)
        return types.ListTopicSubscriptionsResponse.pb()(subscriptions=names, next_page_token=token)

    async def list_snapshots(self, request: Proto, _: Context) -> Proto:
        topic = self._broker.topic(request.topic)
        names, token = broker.page(topic.recorders, request.page_size, request.page_token)
        return types.ListTopicSnapshotsResponse.pb()(snapshots=names, next_page_token=token)

    async def delete_topic(self, request: Proto, _: Context) -> Proto:
        self._broker.delete_topic(request.topic)
        return empty_pb2.Empty()

    async def detach_subscription(self, request: Proto, _: Context) -> Proto:
        self._broker.detach_subscription(request.subscription)
        return types.DetachSubscriptionResponse.pb()()
