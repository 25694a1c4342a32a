"""Traces: nothing at all while they are off, and one trace from call to statement while they are on."""

import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator

import asyncpg
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from pydantic import SecretStr, ValidationError

from kit import spans, tracing
from kit.client import channel
from kit.errors import InvalidArgument, RemoteError
from kit.server import running
from kit.tracing import TracingSettings
from tests.support import echo
from tests.support.databases import Databases
from tests.support.waiting import eventually

UNREACHABLE = "http://127.0.0.1:9"


@pytest.fixture
def exported() -> Iterator[InMemorySpanExporter]:
    """Tracing is on for a test; the spans that have ended."""
    exporter = InMemorySpanExporter()
    provider = spans.provider("test", SimpleSpanProcessor(exporter), ALWAYS_ON)
    tracing.active = spans.Spans(provider)
    yield exporter
    tracing.active = None
    provider.shutdown()


def by_name(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in exporter.get_finished_spans()}


def python(program: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", program], env=os.environ | environment, capture_output=True, text=True, check=False
    )


def test_while_it_is_off_nothing_that_makes_spans_is_imported() -> None:
    """FastAPI brings the API, and redis-py looks for the SDK's metrics; both do nothing by themselves."""
    program = (
        "import sys, edge.__main__, services.auth.__main__\n"
        "from kit import tracing\n"
        "tracing.start('edge', tracing.TracingSettings(_env_file=None))\n"
        "assert tracing.active is None\n"
        "with tracing.calling('x', {}) as headers, tracing.working('y'): assert headers == {}\n"
        "wanted = 'opentelemetry.sdk.trace', 'opentelemetry.exporter', 'opentelemetry.proto', 'kit.spans'\n"
        "print([name for name in sys.modules if name.startswith(wanted)])"
    )
    done = python(program, OTEL_EXPORTER_OTLP_ENDPOINT="")
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_without_the_library_it_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from kit import tracing; tracing.start('edge', tracing.TracingSettings())"
    )
    done = python(program, OTEL_EXPORTER_OTLP_ENDPOINT=UNREACHABLE)
    assert done.returncode == 1
    assert done.stderr.startswith("OTEL_EXPORTER_OTLP_ENDPOINT: OpenTelemetry is not installed here")


def test_a_collector_that_is_away_holds_nobody_up() -> None:
    program = (
        "from kit import logs, tracing\n"
        "logs.configure('edge')\n"
        "tracing.start('edge', tracing.TracingSettings())\n"
        "with tracing.working('work'): logs.get_logger().info('done')"
    )
    began_s = time.monotonic()
    done = python(program, OTEL_EXPORTER_OTLP_ENDPOINT=UNREACHABLE)
    assert done.returncode == 0
    assert time.monotonic() - began_s < 20
    assert '"trace_id": "' in done.stderr.splitlines()[0]


@pytest.mark.parametrize("endpoint", ["collector:4317", "grpc://collector:4317", "http://"])
def test_an_address_that_is_none_is_refused(endpoint: str) -> None:
    with pytest.raises(ValidationError, match="must look like http://collector:4317"):
        TracingSettings.model_validate({"otel_exporter_otlp_endpoint": endpoint})


@pytest.mark.parametrize(
    "name,ratio,kind",
    [
        ("parentbased_traceidratio", 0.5, "ParentBased{root:TraceIdRatioBased{0.5}"),
        ("traceidratio", 0.25, "TraceIdRatioBased{0.25}"),
    ],
)
def test_the_sampler_is_the_one_that_is_asked_for(name: str, ratio: float, kind: str) -> None:
    settings = TracingSettings.model_validate({"otel_traces_sampler": name, "otel_traces_sampler_arg": ratio})
    assert spans.sampler(settings).get_description().startswith(kind)


def test_headers_for_the_collector_are_a_secret() -> None:
    settings = TracingSettings(otel_exporter_otlp_headers=SecretStr("authorization=hush"))
    assert "hush" not in repr(settings)


async def test_a_call_is_a_span_on_both_sides_and_failures_are_named(exported: InMemorySpanExporter) -> None:
    async def refuse_empty(request: bytes, _: object) -> bytes:
        if not request:
            raise InvalidArgument("what the caller said")
        return request

    async with (
        running(listen="127.0.0.1:0", register=echo.Echo(refuse_empty).register) as target,
        channel(target) as client,
    ):
        await echo.call(client, "Put", b"x")
        assert exported.get_finished_spans() == (), "outside a trace a call begins none"
        with tracing.working("work"):
            await echo.call(client, "Put", b"x")
            with pytest.raises(RemoteError):
                await echo.call(client, "Read")
    work, *_ = [span for span in exported.get_finished_spans() if span.name == "work"]
    calls = [span for span in exported.get_finished_spans() if span.name != "work"]
    assert {span.context.trace_id for span in calls} == {work.context.trace_id}
    # Which side ends first is nobody's business.
    assert {(span.name[-4:], span.kind.name, span.status.description) for span in calls} == {
        ("/Put", "SERVER", None),
        ("/Put", "CLIENT", None),
        ("Read", "SERVER", "AbortError"),
        ("Read", "CLIENT", "INVALID_ARGUMENT"),
    }
    assert len(calls) == 4
    assert "what the caller said" not in "".join(span.to_json() for span in calls)


async def test_statements_are_spans_without_their_values(exported: InMemorySpanExporter, databases: Databases) -> None:
    database = await databases.create("auth")

    def has_come(name: str) -> Callable[[], Awaitable[bool]]:
        async def ask() -> bool:
            return name in by_name(exported)

        return ask

    with tracing.working("work"):
        async with database.reader() as connection:
            await connection.fetchval("SELECT $1::text", "a value")
            with pytest.raises(asyncpg.InvalidTextRepresentationError):
                await connection.fetchval("WITH given AS (SELECT $1::text AS it) SELECT it::int FROM given", "a value")
        await eventually(has_come("COMMIT"), what="the last statement's span")
    named = by_name(exported)
    assert (named["SELECT"].attributes or {})["db.query.text"] == "SELECT $1::text"
    assert named["WITH"].status.description == "InvalidTextRepresentationError"
    assert "a value" not in "".join(span.to_json() for span in exported.get_finished_spans())
    assert {span.context.trace_id for span in named.values()} == {named["work"].context.trace_id}
