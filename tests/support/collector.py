"""A stand-in for an OpenTelemetry collector: keeps the spans that it is sent, as they came.

`python -m tests.support.collector FILE` prints its port, then serves until it is killed. Each export is a line of JSON
in FILE.
"""

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.json_format import MessageToJson, Parse
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc


@dataclass(frozen=True)
class Span:
    """What a test wants to know of a span."""

    name: str
    process: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, str | int]
    error: str


def spans(file: Path) -> list[Span]:
    """All spans that have come so far."""
    return [span for line in file.read_text().splitlines() for span in _unpack(line)]


def _unpack(line: str) -> Iterator[Span]:
    request = Parse(line, trace_service_pb2.ExportTraceServiceRequest())
    for resource in request.resource_spans:
        process = _values(resource.resource.attributes)["service.name"]
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Span(
                    name=span.name,
                    process=str(process),
                    kind=span.kind,
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    attributes=_values(span.attributes),
                    error=span.status.message,
                )


def _values(attributes: Any) -> dict[str, str | int]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Takes everything."""

    def __init__(self, file: Path) -> None:
        self._file = file

    async def Export(
        self, request: trace_service_pb2.ExportTraceServiceRequest, context: Any
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        with self._file.open("a") as file:
            file.write(MessageToJson(request, indent=None) + "\n")
        return trace_service_pb2.ExportTraceServiceResponse()


async def main(file: Path) -> None:
    file.touch()
    server = grpc.aio.server()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Collector(file), server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
