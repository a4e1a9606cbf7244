"""Traces over real OTLP/HTTP: a publisher's trace goes on here, and nothing leaves the process unless asked."""

import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from otlp_collector import Collector, running_collector

from core.telemetry import UNTRACED, open_tracing

TRACE, OTHER = "0af7651916cd43dd8448eb211c80319c", "1bf7651916cd43dd8448eb211c80319c"
CANARY = "canary-4711"


def context(trace: str, *, sampled: bool = True) -> str:
    return f"00-{trace}-b7ad6b7169203331-{'01' if sampled else '00'}"


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with running_collector() as running:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", running.url)
        yield running


def exported(collector: Collector, *carriers: dict[str, str], **environ: str) -> list[Span]:
    """What a span over messages becomes."""
    tracing = open_tracing({"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url} | environ, "tested")
    with tracing.span("append", carriers, rows=len(carriers)):
        pass
    tracing.close()
    return collector.spans()


def test_a_batch_goes_on_with_the_trace_of_its_first_sampled_message_and_links_to_the_others(
    collector: Collector,
) -> None:
    (span,) = exported(
        collector,
        {},
        {"traceparent": context("2" * 32, sampled=False)},
        {"traceparent": context(TRACE)},
        {"googclient_traceparent": context(OTHER)},
        {"traceparent": context(TRACE)},
    )
    assert span.name == "append"
    assert span.trace_id.hex() == TRACE
    assert span.parent_span_id.hex() == "b7ad6b7169203331"
    assert [link.trace_id.hex() for link in span.links] == [OTHER]
    assert {one.key: one.value.int_value for one in span.attributes} == {"rows": 5}


def test_without_a_sampled_message_there_is_no_span(collector: Collector) -> None:
    carriers = [{}, {"traceparent": context(TRACE, sampled=False)}, {"traceparent": "rubbish"}, {"traceparent": ""}]
    assert exported(collector, *carriers) == []


def test_the_sampler_of_the_environment_goes_first(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "1.0")
    (span,) = exported(collector, {}, OTEL_TRACES_SAMPLER="parentbased_traceidratio")
    assert span.links == []


def test_links_are_bounded(collector: Collector) -> None:
    carriers = [{"traceparent": context(f"{number:032x}")} for number in range(1, 1_000)]
    (span,) = exported(collector, *carriers)
    assert len(span.links) == 128


def test_an_error_is_told_by_its_type_and_no_word_of_it(collector: Collector) -> None:
    tracing = open_tracing({"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}, "tested")
    carriers = [{"traceparent": context(TRACE), "secret": CANARY}]
    with pytest.raises(ValueError, match=CANARY), tracing.span("append", carriers):
        raise ValueError(CANARY)
    tracing.close()
    (span,) = collector.spans()
    assert {one.key: one.value.string_value for one in span.attributes} == {"error.type": "ValueError"}
    assert not any(CANARY.encode() in body for body in collector.bodies)


def test_a_collector_that_is_away_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    tracing = open_tracing({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, "tested")
    with tracing.span("append", [{"traceparent": context(TRACE)}]):
        pass
    done = threading.Thread(target=tracing.close, daemon=True)
    done.start()
    done.join(5)
    assert not done.is_alive()


@pytest.mark.parametrize(
    "environ",
    [{}, {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "x", "OTEL_SDK_DISABLED": "true"}],
)
def test_nothing_is_traced_unless_asked(environ: dict[str, str]) -> None:
    assert open_tracing(environ, "tested") is UNTRACED
    with UNTRACED.span("append", iter(()), rows=1):
        UNTRACED.close()


def test_without_a_collector_opentelemetry_is_not_even_imported() -> None:
    code = (
        "import sys, core.telemetry as t; t.open_tracing({}, 'x'); print([n for n in sys.modules if 'opentele' in n])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
