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


def logged(last: int) -> list[dict[str, Any]]:
    """What it noted of its last calls, oldest first."""
    found: list[dict[str, Any]] = json.loads(llm("logs", "--json", "-n", str(last)))
    return found


def used(entry: dict[str, Any]) -> tuple[int, int]:
    return entry["input_tokens"], entry["output_tokens"]


def chat() -> None:
    limit = ("-o", "max_tokens", str(MAX_TOKENS))
    said = [llm("-m", FAST, *limit, "--no-stream", HELLO), llm("-m", FAST, *limit, HELLO)]
    whole, streamed = logged(2)
    saw("chat", said[0].strip(), used(whole))
    saw("stream", [said[1].strip()], used(streamed), streamed=True)


def tools() -> None:
    said = llm("-m", SCRIPTED, "--functions", FUNCTIONS, QUESTION)
    asked, told = logged(2)
    (call,) = asked["tool_calls"]
    saw("tool call", [call["name"], call["arguments"]], used(asked), streamed=True)
    saw("tool result", said.strip(), used(told), streamed=True)


def structured() -> None:
    said = llm("-m", SCRIPTED, "--schema", json.dumps(FACTS), QUESTION)
    (made,) = logged(1)
    saw("structured", json.loads(said), used(made), streamed=True)


if __name__ == "__main__":
    chat()
    tools()
    structured()
