"""Opening push delivery: one transport a topic, and one endpoint for all of them."""

from collections.abc import Mapping
from contextlib import AsyncExitStack

from ingest.context import RunContext
from ingest.flow import FlowControl
from ingest.push.certificates import Certificates, certificates_client
from ingest.push.endpoint import PushEndpoint
from ingest.push.settings import PushSettings
from ingest.push.tokens import TokenVerifier
from ingest.push.transport import PushTransport
from ingest.transport import Deliver


async def open_push(
    settings: PushSettings,
    context: RunContext,
    flow: FlowControl,
    deliver: Mapping[tuple[str, str], Deliver],
    stack: AsyncExitStack,
) -> list[PushTransport]:
    """Prepare to take what is pushed, on a route of the run's HTTP server.

    Args:
        settings: who may push, and how much.
        context: the run; gets the route.
        flow: says whether there is room.
        deliver: takes the messages, by full name of the subscription and short name of its topic.
        stack: closes what was opened.

    Returns:
        A transport a subscription.
    """
    transports = [
        PushTransport(name, topic, context, flow=flow, deliver=take) for (name, topic), take in deliver.items()
    ]
    client = await stack.enter_async_context(certificates_client())
    verifier = TokenVerifier(settings, Certificates(settings.certificates_url, client))
    context.routes.append(PushEndpoint(transports, verifier, settings).route())
    return transports
