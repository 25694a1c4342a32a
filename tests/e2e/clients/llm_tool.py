"""The command-line tool `llm`: prompts whole and streamed, tools, schemas. Its embeddings go to OpenAI only."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.e2e.clients.seen import FACTS, FAST, HELLO, MAX_TOKENS, QUESTION, SCRIPTED, WEATHER, saw

LLM = Path(sys.executable).with_name("llm")
FUNCTIONS = f"""
def weather(city: str) -> str:
    "The weather in a city"
    return {WEATHER!r}
"""


def llm(*arguments: str) -> str:
    done = subprocess.run([LLM, *arguments], capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout


def logged() -> list[dict[str, Any]]:
    """What it noted of its calls, in their order."""
    found: list[dict[str, Any]] = json.loads(llm("logs", "--json", "-n", "0"))
    return found


def used(entry: dict[str, Any]) -> tuple[int, int]:
    return entry["input_tokens"], entry["output_tokens"]


def main() -> None:
    limit = ("-o", "max_tokens", str(MAX_TOKENS))
    whole = llm("-m", FAST, *limit, "--no-stream", HELLO)
    streamed = llm("-m", FAST, *limit, HELLO)
    told = llm("-m", SCRIPTED, "--functions", FUNCTIONS, QUESTION)
    structured = llm("-m", SCRIPTED, "--schema", json.dumps(FACTS), QUESTION)
    chat, stream, asking, telling, making = logged()
    saw("chat", whole.strip(), used(chat))
    saw("stream", [streamed.strip()], used(stream), streamed=True)
    (call,) = asking["tool_calls"]
    saw("tool call", [call["name"], call["arguments"]], used(asking), streamed=True)
    saw("tool result", told.strip(), used(telling), streamed=True)
    saw("structured", json.loads(structured), used(making), streamed=True)


if __name__ == "__main__":
    main()
