"""The snapshot and seek methods of `google.pubsub.v1.Subscriber`."""

from collections.abc import Mapping

from google.protobuf import empty_pb2
from google.pubsub_v1 import types

from devstack.pubsub import wire
from devstack.pubsub.broker import page
from devstack.pubsub.calls import Context, Method, unary
from devstack.pubsub.errors import invalid
from devstack.pubsub.runtime import Runtime
from devstack.pubsub.seek import Snapshots
from devstack.pubsub.wire import Proto


def snapshot_methods(runtime: Runtime) -> Mapping[str, Method]:
    """Returns the handlers of the snapshot methods and of Seek over a runtime."""
    api = _SnapshotMethods(runtime)
    snapshot, empty = types.Snapshot.pb(), empty_pb2.Empty
    return {
        "CreateSnapshot": unary(api.create, types.CreateSnapshotRequest.pb(), snapshot),
        "GetSnapshot": unary(api.get, types.GetSnapshotRequest.pb(), snapshot),
        "ListSnapshots": unary(api.list, types.ListSnapshotsRequest.pb(), types.ListSnapshotsResponse.pb()),
        "UpdateSnapshot": unary(api.update, types.UpdateSnapshotRequest.pb(), snapshot),
        "DeleteSnapshot": unary(api.delete, types.DeleteSnapshotRequest.pb(), empty),
        "Seek": unary(api.seek, types.SeekRequest.pb(), types.SeekResponse.pb()),
    }


class _SnapshotMethods:
    def __init__(self, runtime: Runtime) -> None:
        self._now = runtime.now
        self._snapshots = Snapshots(runtime.broker)

    async def create(self, request: Proto, _: Context) -> Proto:
        return self._snapshots.create(request, self._now())

    async def get(self, request: Proto, _: Context) -> Proto:
        return self._snapshots.get(request.snapshot, self._now())

    async def list(self, request: Proto, _: Context) -> Proto:
        found = self._snapshots.all(self._now())
        mine = (name for name in found if name.startswith(f"{request.project}/"))
        names, token = page(mine, request.page_size, request.page_token)
        return types.ListSnapshotsResponse.pb()(snapshots=[found[name] for name in names], next_page_token=token)

    async def update(self, request: Proto, _: Context) -> Proto:
        return self._snapshots.update(request, self._now())

    async def delete(self, request: Proto, _: Context) -> Proto:
        self._snapshots.delete(request.snapshot, self._now())
        return empty_pb2.Empty()

    async def seek(self, request: Proto, _: Context) -> Proto:
        target = request.WhichOneof("target")
        if target == "time":
            self._snapshots.seek_to_time(request.subscription, wire.nanoseconds(request.time), self._now())
        elif target == "snapshot":
            self._snapshots.seek_to_snapshot(request.subscription, request.snapshot, self._now())
        else:
            raise invalid("The seek has no target; set a time or a snapshot.")
        return types.SeekResponse.pb()()
