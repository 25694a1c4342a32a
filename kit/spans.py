"""Spans by the OpenTelemetry SDK, sent by OTLP. Imported only where tracing is on: see tracing.py.

They carry names of our own, ids and numbers. Whatever a client or an upstream said stays out, the text of exceptions
included; so do keys and addresses of people. Statements are noted as they are written, with `$1` for each value.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import grpc
from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio, Sampler, TraceIdRatioBased
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from kit.tracing import TracingSettings

TRACEPARENT: Final = "traceparent"
NAMES: Final = (TRACEPARENT, "tracestate")
"""The W3C's headers; https://www.w3.org/TR/trace-context/. `baggage` is not among them: it may hold anything."""
_MOST_STATEMENT_CHARS = 1_000
_EXPORT_TIMEOUT_S = 2.0

Headers = Mapping[str, str]
Attributes = Mapping[str, str | int]

_propagator = TraceContextTextMapPropagator()


class Open:
    """A span that runs. `end` must follow; only the first call counts."""

    __slots__ = ("_ended", "_span", "_token")

    def __init__(self, span: trace.Span, *, current: bool) -> None:
        self._span = span
        self._ended = False
        self._token = context.attach(trace.set_span_in_context(span)) if current else None

    def headers(self) -> Headers:
        """What tells another program of this span."""
        return _headers(trace.set_span_in_context(self._span))

    def rename(self, name: str) -> None:
        """Gives it a better name."""
        self._span.update_name(name)

    def note(self, attributes: Attributes) -> None:
        """Adds attributes."""
        self._span.set_attributes(attributes)

    def event(self, name: str) -> None:
        """Notes that something happened now."""
        self._span.add_event(name)

    def end(self, error: str = "") -> None:
        """It is over; with an error's name where it failed."""
        if self._ended:
            return
        self._ended = True
        if self._token is not None:
            context.detach(self._token)
        if error:
            self._span.set_status(Status(StatusCode.ERROR, error))
        self._span.end()


class Spans:
    """Makes spans of one process."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("privaterouter")

    def begin_serving(self, name: str, headers: Headers) -> Open:
        """A request that came in, under the trace that its headers name, else under a new one."""
        parent = _propagator.extract(headers, context.Context())
        return Open(self._tracer.start_span(name, parent, SpanKind.SERVER), current=True)

    def begin_calling(self, name: str, attributes: Attributes) -> Open:
        """A call to another program, whose end somebody else sees; it is not the parent of what comes meanwhile."""
        return Open(self._tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes), current=False)

    @contextmanager
    def serving(self, name: str, metadata: Iterable[tuple[str, str | bytes]]) -> Iterator[None]:
        """A call that came in. One without a trace begins none: those are polls."""
        carrier = {key: value for key, value in metadata if key in NAMES and isinstance(value, str)}
        if TRACEPARENT not in carrier:
            yield
            return
        span = self.begin_serving(name, carrier)
        with _ending(span):
            yield

    @contextmanager
    def calling(self, name: str, attributes: Attributes) -> Iterator[Headers]:
        """A call to another program, with the headers that tell it of the trace. Outside a trace it begins none."""
        if not trace.get_current_span().get_span_context().is_valid:
            yield {}
            return
        span = self.begin_calling(name, attributes)
        with _ending(span):
            yield span.headers()

    @contextmanager
    def working(self, name: str) -> Iterator[None]:
        """Background work, as a trace of its own."""
        with _ending(Open(self._tracer.start_span(name, context.Context()), current=True)):
            yield

    def note(self, attributes: Attributes) -> None:
        """Adds attributes to the span of the present work."""
        trace.get_current_span().set_attributes(attributes)

    def trace_id(self) -> str:
        """The trace of the present work, in hexadecimal; empty outside of any."""
        known = trace.get_current_span().get_span_context()
        return trace.format_trace_id(known.trace_id) if known.is_valid else ""

    def note_statement(self, statement: Any) -> None:
        """A span for an SQL statement that has ended: asyncpg's LoggedQuery, whose arguments are left alone."""
        if not trace.get_current_span().get_span_context().is_valid:
            return
        text = " ".join(statement.query.split())
        end_ns = time.time_ns()
        span = self._tracer.start_span(
            text.partition(" ")[0].rstrip(";").upper(),
            kind=SpanKind.CLIENT,
            attributes={"db.system.name": "postgresql", "db.query.text": text[:_MOST_STATEMENT_CHARS]},
            start_time=end_ns - int(statement.elapsed * 1e9),
        )
        if statement.exception is not None:
            span.set_status(Status(StatusCode.ERROR, type(statement.exception).__name__))
        span.end(end_ns)


def begin(process: str, settings: TracingSettings) -> Spans:
    """Spans that go to the collector of the settings, from a thread of their own; what it does not take is dropped."""
    exporter = OTLPSpanExporter(
        endpoint=settings.otel_exporter_otlp_endpoint,
        insecure=settings.otel_exporter_otlp_endpoint.startswith("http://"),
        headers=settings.otel_exporter_otlp_headers.get_secret_value() or None,
        timeout=_EXPORT_TIMEOUT_S,
    )
    return Spans(provider(process, BatchSpanProcessor(exporter), sampler(settings)))


def provider(process: str, processor: SpanProcessor, kept: Sampler) -> TracerProvider:
    """What makes spans of this process and hands those that are kept to `processor`; it is closed as Python ends."""
    resource = Resource.create({"service.name": f"privaterouter-{process}"})
    made = TracerProvider(sampler=kept, resource=resource)
    made.add_span_processor(processor)
    return made


def sampler(settings: TracingSettings) -> Sampler:
    """Which traces are kept."""
    ratio = settings.otel_traces_sampler_arg
    is_parent_based = settings.otel_traces_sampler == "parentbased_traceidratio"
    return ParentBasedTraceIdRatio(ratio) if is_parent_based else TraceIdRatioBased(ratio)


@contextmanager
def _ending(span: Open) -> Iterator[None]:
    error = ""
    try:
        yield
    except BaseException as raised:
        error = _name_of(raised)
        raise
    finally:
        span.end(error)


def _name_of(error: BaseException) -> str:
    """What went wrong, in a name that we or gRPC have given it."""
    return error.code().name if isinstance(error, grpc.RpcError) and callable(error.code) else type(error).__name__


def _headers(of: context.Context) -> Headers:
    carrier: dict[str, str] = {}
    _propagator.inject(carrier, of)
    return carrier
