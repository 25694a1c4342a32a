"""The crash points: all that the source names, and how each is reached."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
_CALLS = {"fault", "fault_async"}

BUSY = (
    *("billing.acquire.before_commit", "billing.acquire.after_commit"),
    *("billing.renew.before_commit", "billing.renew.after_commit"),
    *("billing.settle.before_commit", "billing.settle.after_commit"),
    *("usage.record.before_commit", "usage.record.after_commit"),
    *("usage.relay.before_settle", "usage.relay.after_settle", "usage.relay.after_close"),
    *("edge.acquire.before_call", "edge.acquire.after_call", "edge.renew.before_call", "edge.renew.after_call"),
    *("edge.ship.before_call", "edge.ship.after_call"),
    *("edge.open.before_note", "edge.finish.after_commit", "edge.journal.before_write", "edge.journal.after_write"),
)
"""Passed again and again under load."""
IDLE = (
    *("billing.close.before_commit", "billing.close.after_commit"),
    *("edge.close.before_call", "edge.close.after_call"),
)
"""Passed when a key is not used for a while."""
SIGN_UP = ("billing.open_account.after_commit", "auth.outbox.before_tell", "auth.outbox.after_tell")
"""Passed when somebody signs up."""
ADOPT = ("edge.adopt.after_commit", "edge.adopt.after_close", "edge.adopt.after_ship")
"""Passed when an edge finds the journal of one that died."""
LOST = ("usage.lost.before_commit", "usage.lost.after_commit")
"""Passed when an edge died and nobody has its journal."""
ALL = (*BUSY, *IDLE, *SIGN_UP, *ADOPT, *LOST)


def process_of(point: str) -> str:
    """The process that a point kills."""
    part = point.partition(".")[0]
    return "edge-a" if part == "edge" else part


def in_the_source() -> set[str]:
    """All points that the product names."""
    files = [path for part in ("kit", "edge", "services") for path in (ROOT / part).rglob("*.py")]
    return {point for path in files for point in _points(ast.parse(path.read_text()))}


def _points(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CALLS:
            (argument,) = node.args
            assert isinstance(argument, ast.Constant), f"a point whose name is computed, in line {node.lineno}"
            assert isinstance(argument.value, str)
            yield argument.value
