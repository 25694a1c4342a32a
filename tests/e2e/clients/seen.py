"""What the script of a client is told and asks, and how it says what it saw; for any Python, with nothing installed."""

import json
import os
import sys
from collections.abc import Mapping
from typing import Any

ROOT = os.environ.get("PRIVATEROUTER_URL", "")
V1 = f"{ROOT}/v1"
KEY = os.environ.get("PRIVATEROUTER_KEY", "")

FAST = "privaterouter/fast"
EMBED = "privaterouter/embed"
SCRIPTED = "privaterouter/scripted"
HELLO = "Say hi in five words."
MAX_TOKENS = 16
QUESTION = "What is the weather in Paris?"
WEATHER = "21 degrees"
"""What the tool says."""
CITY: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
"""The arguments of the tool `weather`."""
FACTS: dict[str, Any] = {
    "title": "Facts",
    "type": "object",
    "properties": {"capital": {"type": "string"}, "districts": {"type": "integer"}},
    "required": ["capital", "districts"],
    "additionalProperties": False,
}
"""The schema of a structured answer."""
FUNCTION: dict[str, Any] = {
    "type": "function",
    "function": {"name": "weather", "description": "The weather in a city", "parameters": CITY},
}


def saw(
    what: str,
    answer: object,
    usage: "tuple[int, int] | None",
    *,
    endpoint: str = "chat.completions",
    streamed: bool = False,
) -> None:
    """Tell one call's answer and usage (tokens in and out); None: this client does not show it."""
    call: Mapping[str, object] = {
        "what": what,
        "answer": answer,
        "usage": usage,
        "endpoint": endpoint,
        "streamed": streamed,
    }
    sys.stdout.write(json.dumps(call) + "\n")
