"""Logs: one JSON line per event, and no secret in any of them."""

import json
import subprocess
import sys

import pytest

from kit.logs import redact

PROGRAM = """
import logging
from kit import logs
log = logs.get_logger()
logs.configure("edge", level="{level}")
logs.request_id.set("req-1")
log.info("lease_acquired", granted_nanos=5)
log.debug("detail")
logging.getLogger("library").warning("key %s", "sk-pr-live-abcdefghijk")
try:
    raise ValueError("postgresql://billing:hunter2@db/x")
except ValueError:
    log.exception("rpc_failed")
"""


def run(level: str) -> list[dict[str, object]]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(level=level)], capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_events_are_json_lines_with_their_fields() -> None:
    first, library, failed = run("info")
    assert first.pop("timestamp")
    assert first == {
        "event": "lease_acquired",
        "granted_nanos": 5,
        "level": "info",
        "process": "edge",
        "request_id": "req-1",
    }
    assert (library["logger"], library["level"], library["event"]) == ("library", "warning", "key [redacted]")
    assert "Traceback" in str(failed["exception"])
    assert "hunter2" not in str(failed)


def test_the_level_is_a_threshold() -> None:
    assert [line["event"] for line in run("warning")] == ["key [redacted]", "rpc_failed"]
    assert "detail" in [line["event"] for line in run("debug")]


@pytest.mark.parametrize(
    "value",
    [
        "got sk-pr-live-0123456789abcdefghij as key",
        "sk-proj-abc_DEF-123456",
        "Authorization: Bearer abc.def-ghi",
        {"authorization": "bearer secret-token"},
        ["eyJhbGciOi.eyJzdWIi.c2lnbmF0dXJl"],
        b"sk-pr-live-0123456789abcdefghij",
        "redis://:pass@host:6379",
    ],
)
def test_what_looks_like_a_secret_is_replaced(value: object) -> None:
    shown = str(redact(None, "", {"value": value})["value"])
    assert "[redacted]" in shown
    for secret in ("0123456789", "abc", "secret-token", "eyJ", "pass@"):
        assert secret not in shown


@pytest.mark.parametrize("value", ["a task-list", "http://host/path", "user@example.org", 5, None, "bearer"])
def test_what_is_no_secret_is_left_as_it_is(value: object) -> None:
    assert redact(None, "", {"value": value})["value"] == value
