"""Programs that a test starts, asks for their port, and ends."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx


@contextmanager
def fake_upstream() -> Iterator[str]:
    """A running `tests.support.fake_upstream`; its base URL."""
    with _server("tests.support.fake_upstream") as url:
        yield url


@contextmanager
def fake_ollama() -> Iterator[str]:
    """A running `tests.support.fake_ollama`; its base URL."""
    with _server("tests.support.fake_ollama") as url:
        yield url


@contextmanager
def scripted_upstream() -> Iterator[str]:
    """A running `tests.support.scripted_upstream`; its base URL."""
    with _server("tests.support.scripted_upstream") as url:
        yield url


@contextmanager
def collector(file: Path) -> Iterator[str]:
    """A running `tests.support.collector` that keeps spans in `file`; its address."""
    with _server("tests.support.collector", str(file)) as url:
        yield url


@contextmanager
def bare_server() -> Iterator[tuple[int, int]]:
    """A running `bench.bare`: its process and its port."""
    with _program("bench.bare") as process:
        assert process.stdout is not None
        yield process.pid, int(process.stdout.readline())


def renewed(ollama_url: str, **state: Any) -> None:
    """Makes a running fake Ollama a new one; `state` has fields of `tests.support.fake_ollama.State`."""
    httpx.post(f"{ollama_url}/fake", json=state).raise_for_status()


@contextmanager
def _server(module: str, *arguments: str) -> Iterator[str]:
    with _program(module, *arguments) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"


@contextmanager
def _program(module: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen([sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()
