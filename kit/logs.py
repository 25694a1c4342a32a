"""Structured logs: events with fields, as JSON lines (key=value on a terminal), without secrets."""

import logging
import re
import sys
from collections.abc import MutableMapping
from contextvars import ContextVar
from typing import Any, cast

from kit import tracing
from kit.lean import without

with without("rich"):
    # Which structlog would draw tracebacks with on a terminal, and we never let it: a tenth of a service's start.
    import structlog
    from structlog.typing import FilteringBoundLogger, Processor

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""Id of the request being served; logged with every event, sent on with every call."""

_SECRETS = re.compile(
    r"\bsk-[\w-]{8,}"  # API keys, ours and those of upstreams
    r"|(?i:\bbearer\s+)[\w.~+/=-]+"
    r"|\beyJ[\w-]+\.[\w-]+\.[\w-]+"  # JSON Web Tokens
    r"|(?<=://)[^\s/@:]*:[^\s/@]+(?=@)"  # user:password of an address
)


def get_logger() -> FilteringBoundLogger:
    """A logger; usable at import time, since it reads the configuration at its first event."""
    return cast(FilteringBoundLogger, structlog.get_logger())


def configure(process: str, *, level: str = "info") -> None:
    """Sends our own and every library's logs to stderr in one form; called once, in `__main__`."""
    threshold = logging.getLevelNamesMapping()[level.upper()]

    def name_process(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["process"] = process
        if current := request_id.get():
            event["request_id"] = current
        if tracing.active is not None and (trace := tracing.active.trace_id()):
            event["trace_id"] = trace
        return event

    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        name_process,
        structlog.processors.format_exc_info,
        redact,
    ]
    render: Processor = structlog.processors.JSONRenderer(default=str)
    if sys.stderr.isatty():
        render = structlog.processors.LogfmtRenderer(
            key_order=["timestamp", "level", "process", "event"], bool_as_flag=False
        )
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(threshold, logging.INFO), force=True)


def redact(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Structlog processor: replaces what looks like a key, a token or a password in any value."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = _SECRETS.sub("[redacted]", value)
        elif isinstance(value, dict | list | tuple | set | bytes):
            event[name] = _SECRETS.sub("[redacted]", str(value))
    return event
