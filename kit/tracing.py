"""Whether this process makes traces: off, and free, unless the operator names a collector.

`active` is the switch: None while it is off, and what makes and sends spans is not imported then: it is in spans.py.
"""

import importlib
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from kit.settings import Settings

if TYPE_CHECKING:
    from kit.spans import Headers, Spans

active: "Spans | None" = None
"""Makes spans; None: nobody wants any."""

_NO_HEADERS: Final[dict[str, str]] = {}


def _is_address(value: str) -> str:
    if value and (urlsplit(value).scheme not in {"http", "https"} or not urlsplit(value).hostname):
        raise ValueError("must look like http://collector:4317")
    return value


class TracingSettings(Settings):
    """The base of the settings of every process that makes traces; the names are OpenTelemetry's own."""

    otel_exporter_otlp_endpoint: Annotated[str, AfterValidator(_is_address)] = ""
    """Where a collector takes OTLP over gRPC: `http://collector:4317`. Empty: no traces."""
    otel_exporter_otlp_headers: SecretStr = SecretStr("")
    """What the collector wants beside the spans, as `name=value,name=value`, the values percent-encoded."""
    otel_traces_sampler: Literal["parentbased_traceidratio", "traceidratio"] = "parentbased_traceidratio"
    """Whether the client's own decision counts (`traceparent`), or only the ratio."""
    otel_traces_sampler_arg: float = Field(default=1.0, ge=0, le=1)
    """The part of all traces that is kept."""


def start(process: str, settings: TracingSettings) -> None:
    """Makes spans from now on, if the settings name a collector; called once, in `__main__`, after the logs are set up.

    SystemExit with one line where OpenTelemetry is not installed.
    """
    global active  # noqa: PLW0603 (one switch for a process, as that of the logs)
    if settings.otel_exporter_otlp_endpoint:
        active = _spans().begin(process, settings)


def _spans() -> ModuleType:
    try:
        return importlib.import_module("kit.spans")
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("opentelemetry"):
            raise
        raise SystemExit(
            "OTEL_EXPORTER_OTLP_ENDPOINT: OpenTelemetry is not installed here: pip install 'privaterouter[tracing]'"
        ) from None


def calling(name: str, attributes: Mapping[str, str | int]) -> "AbstractContextManager[Headers]":
    """A span around a call to another program; gives the headers that tell it of the trace: none while it is off."""
    return nullcontext(_NO_HEADERS) if active is None else active.calling(name, attributes)


def working(name: str) -> AbstractContextManager[None]:
    """A trace of its own around a piece of background work."""
    return nullcontext() if active is None else active.working(name)


def note(attributes: Mapping[str, str | int]) -> None:
    """Adds attributes to the span of the present work."""
    if active is not None:
        active.note(attributes)
