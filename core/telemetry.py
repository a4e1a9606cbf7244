"""Traces, exported by OTLP over HTTP when the environment names a collector, and otherwise not made at all.

The environment variables are OpenTelemetry's own: nothing is traced unless `OTEL_EXPORTER_OTLP_ENDPOINT` (or
`OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`) is set; `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG` choose what is. By
default only traces that a publisher began, and sampled, are continued: `parentbased_always_off`. The context of a
message is in its attributes, as https://www.w3.org/TR/trace-context/ writes it.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final, Protocol

ATTRIBUTES: Final = ("traceparent", "googclient_traceparent", "ce-traceparent", "ce_traceparent")
"""Where a message carries its context: the standard's name, that of Google's Pub/Sub clients, and those of CloudEvents
in Pub/Sub and Kafka (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/extensions/distributed-tracing.md).
"""

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_MOST_LINKS: Final = 128
_FLUSH_S: Final = 1.0

SpanValue = str | int | float | bool


class Tracing(Protocol):
    """Makes spans, or does nothing."""

    def span(
        self, name: str, carriers: Iterable[Mapping[str, str]], **attributes: SpanValue
    ) -> AbstractContextManager[None]:
        """Return a span that lasts as long as the context.

        Args:
            name: what is done.
            carriers: the attributes of the messages it is done with; not looked at when nothing is traced.
            **attributes: values of the span; never anything of a message's body.
        """

    def close(self) -> None:
        """Send what has not been sent yet, for at most a second."""


class _Untraced:
    """Makes no spans."""

    def __init__(self) -> None:
        self._nothing = nullcontext()

    def span(
        self,
        name: str,  # noqa: ARG002 - the protocol's
        carriers: Iterable[Mapping[str, str]],  # noqa: ARG002
        **attributes: SpanValue,  # noqa: ARG002
    ) -> AbstractContextManager[None]:
        return self._nothing

    def close(self) -> None:
        """Nothing was kept."""


UNTRACED: Final[Tracing] = _Untraced()


def open_tracing(environ: Mapping[str, str], service: str) -> Tracing:
    """Return what makes spans.

    Args:
        environ: the process's environment variables.
        service: name of this program, for `service.name`.

    Returns:
        Something that does nothing, unless a collector is named. OpenTelemetry is imported only then.
    """
    if not any(environ.get(name) for name in _ENDPOINTS) or environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return UNTRACED
    return _Traced(environ, service)


class _Traced:
    """Makes spans with OpenTelemetry's SDK, in a provider of its own: nothing global is set."""

    def __init__(self, environ: Mapping[str, str], service: str) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased

        # The SDK reads its own variables when no sampler is given.
        sampler = None if environ.get("OTEL_TRACES_SAMPLER") else ParentBased(ALWAYS_OFF)
        resource = Resource.create({"service.name": environ.get("OTEL_SERVICE_NAME") or service})
        self._provider = TracerProvider(sampler=sampler, resource=resource, shutdown_on_exit=False)
        self._exporter: Any = OTLPSpanExporter()
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("millrace")

    @contextmanager
    def span(self, name: str, carriers: Iterable[Mapping[str, str]], **attributes: SpanValue) -> Iterator[None]:
        """See `Tracing.span`.

        A span stands for a batch. It continues the trace of the first sampled message in it and links to the others, so
        that each trace leads to the append of its row without a span a message.
        """
        from opentelemetry.trace import Link, SpanKind

        parent, linked = None, []
        for context in _sampled(carriers):
            if parent is None:
                parent = _as_parent(context)
            else:
                linked.append(Link(context))
            if len(linked) == _MOST_LINKS:
                break
        with self._tracer.start_as_current_span(
            name,
            context=parent,
            kind=SpanKind.CONSUMER,
            links=linked,
            attributes=attributes,
            # An error's words may quote a value.
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            except Exception as error:
                span.set_attribute("error.type", type(error).__name__)
                raise

    def close(self) -> None:
        """See `Tracing.close`."""
        # The exporter tries for many seconds to reach a collector that is away; a run that drains has none to give.
        flushing = threading.Thread(target=self._provider.force_flush, daemon=True)
        flushing.start()
        flushing.join(_FLUSH_S)
        self._exporter.shutdown()


def _as_parent(context: Any) -> Any:
    from opentelemetry.context import Context
    from opentelemetry.trace import NonRecordingSpan, set_span_in_context

    return set_span_in_context(NonRecordingSpan(context), Context())


def _sampled(carriers: Iterable[Mapping[str, str]]) -> Iterator[Any]:
    """Yield the distinct contexts of messages whose publisher sampled their trace."""
    from opentelemetry.context import Context
    from opentelemetry.trace import get_current_span
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    propagator, seen = TraceContextTextMapPropagator(), set[str]()
    for carrier in carriers:
        text = next((carrier[name] for name in ATTRIBUTES if name in carrier), None)
        if text is None or text in seen:
            continue
        seen.add(text)
        context = get_current_span(propagator.extract({"traceparent": text}, Context())).get_span_context()
        if context.is_valid and context.trace_flags.sampled:
            yield context
