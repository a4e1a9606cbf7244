"""A push subscription as a transport: a request is held open until its message is safe."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence

from ingest.context import RunContext
from ingest.flow import FlowControl
from ingest.message import Message
from ingest.transport import Deliver


class PushTransport:
    """A push subscription: an `ingest.transport.Transport` whose acknowledgements are HTTP answers.

    The token of a delivery is its message id. A message that Pub/Sub sends again while it is on its way waits for the
    same row, and both requests get the same answer.

    Attributes:
        name: full name, `projects/<project>/subscriptions/<name>`.
        topic: short name of its topic.
        is_connected: whether requests are taken.
    """

    def __init__(self, name: str, topic: str, context: RunContext, *, flow: FlowControl, deliver: Deliver) -> None:
        """Prepare to take requests.

        Args:
            name: full name of the subscription.
            topic: short name of its topic.
            context: the run.
            flow: says whether there is room.
            deliver: takes the messages.
        """
        self.name = name
        self.topic = topic
        self.is_connected = False
        self._progress = context.progress
        self._flow = flow
        self._deliver = deliver
        self._waiting: defaultdict[str, list[asyncio.Future[bool]]] = defaultdict(list)

    @property
    def is_idle(self) -> bool:
        """Whether every request has its answer."""
        return not self._waiting

    def has_room(self, size: int) -> bool:
        """Tell whether a message may come in now.

        Args:
            size: its bytes.
        """
        return self.is_connected and self._flow.has_room(1, size)

    async def receive(self, message: Message) -> bool:
        """Take a message in, for which there is room, and wait until it is safe or given back.

        Args:
            message: what was pushed.

        Returns:
            Whether it is safe: landed, or dead-lettered.
        """
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        waiting = self._waiting[message.ack_id]
        waiting.append(answer)
        try:
            self._deliver([message])
            return await answer
        finally:
            if answer in waiting:
                waiting.remove(answer)
            if not self._waiting.get(message.ack_id, True):
                del self._waiting[message.ack_id]

    async def check(self) -> None:
        """Nothing to look up: whether anybody pushes is not for this side to see."""

    async def pull_forever(self) -> None:
        """Take requests until cancelled."""
        self.is_connected = True
        try:
            await asyncio.Event().wait()
        finally:
            self.is_connected = False

    def ack(self, ack_ids: Sequence[str]) -> None:
        """See `Transport.ack`."""
        self._progress.acked += self._answer(ack_ids, safe=True)

    def nack(self, ack_ids: Sequence[str]) -> None:
        """See `Transport.nack`."""
        self._progress.nacked += self._answer(ack_ids, safe=False)

    async def extend(self, ack_ids: Sequence[str]) -> None:
        """Nothing to do: the open request is the lease, and no more than its subscription's deadline."""

    async def drain(self) -> None:
        """See `Transport.drain`."""
        while self._waiting:
            # An answered request leaves once its task has run.
            await asyncio.sleep(0)
            left = [answer for answers in self._waiting.values() for answer in answers if not answer.done()]
            if left:
                await asyncio.wait(left)

    def _answer(self, ack_ids: Sequence[str], *, safe: bool) -> int:
        answered = 0
        for ack_id in ack_ids:
            for answer in self._waiting.get(ack_id, ()):
                if not answer.done():
                    answer.set_result(safe)
                    answered += 1
        return answered
