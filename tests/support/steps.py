"""Counts the bytecode instructions that our own code takes for something, which nothing else on a machine changes.

What is kept of each work, for each Python, stands in steps.json: `STEPS_KEEP=1 make test PYTEST_FLAGS="-k steps -n 0"`
writes it anew.
"""

import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import FrameType
from typing import Any, Final

import pytest

KEPT: Final = Path(__file__).with_suffix(".json")
MOST: Final = 1.15
"""Beyond this many times what is kept, a work has become dearer."""
PYTHON: Final = f"{sys.version_info.major}.{sys.version_info.minor}"
WARM_UP, TIMES = 5, 8
_ROOT: Final = Path(__file__).parents[2]
_OURS: Final = tuple(f"{_ROOT / name}{os.sep}" for name in ("edge", "kit"))


async def steps(work: Callable[[], Awaitable[object]]) -> int:
    """The least number of instructions in edge/ and kit/ of some times, in this thread, whoever's task they are in."""
    for _ in range(WARM_UP):
        await work()
    counts = []
    for _ in range(TIMES):
        count = 0

        def trace(frame: FrameType, event: str, _: Any) -> Any:
            nonlocal count
            if event == "opcode":
                count += 1
            elif not frame.f_code.co_filename.startswith(_OURS):
                return None
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            await work()
        finally:
            sys.settrace(before)
        counts.append(count)
    return min(counts)


def hold_to_kept(name: str, found: int) -> None:
    """AssertionError where it takes many more steps than are kept of it; with STEPS_KEEP=1 they are kept instead."""
    kept: dict[str, dict[str, int]] = json.loads(KEPT.read_text())
    if os.environ.get("STEPS_KEEP"):
        kept.setdefault(PYTHON, {})[name] = found
        KEPT.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n")
        return
    if PYTHON not in kept:
        pytest.skip(f"nothing is kept for Python {PYTHON}: STEPS_KEEP=1 keeps it")
    assert found > 0
    assert found <= MOST * kept[PYTHON][name], (
        f"{name} takes {found} steps, and {kept[PYTHON][name]} are kept of it. Find out why, or keep it: STEPS_KEEP=1"
    )
