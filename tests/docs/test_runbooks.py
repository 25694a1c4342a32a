"""docs/runbooks.md and docs/operations.md: the commands in them are there."""

import re
from typing import Any

import pytest
import typer

from cli.__main__ import build
from tests.support import pages

_TYPED = re.compile(r"\bprivaterouter ((?:[a-z][a-z-]*)(?: [a-z][a-z-]*)?)((?: --?[a-z-]+(?:[ =][^\s`]+)?)*)")


def typed(text: str) -> list[tuple[list[str], list[str]]]:
    """What follows `privaterouter` in blocks and in code marks: words, and options."""
    code = [block.text for block in pages.blocks(text)] + re.findall(r"`([^`\n]+)`", text)
    found = [match for piece in code for match in _TYPED.finditer(piece)]
    return [(words.split(), re.findall(r"--[a-z-]+", options)) for words, options in (one.groups() for one in found)]


@pytest.mark.parametrize("page", ["docs/runbooks.md", "docs/operations.md"])
def test_every_command_exists_with_its_options(page: str) -> None:
    commands = typed(pages.read(page))
    assert len(commands) > 3
    for words, options in commands:
        command: Any = typer.main.get_command(build())
        for word in words:
            if not hasattr(command, "commands"):
                break
            assert word in command.commands, f"privaterouter {' '.join(words)}"
            command = command.commands[word]
        known = {name for parameter in command.params for name in parameter.opts} | {"--help"}
        assert set(options) <= known, f"privaterouter {' '.join(words)} {options}"


def test_every_event_that_a_page_names_is_logged_somewhere() -> None:
    text = pages.read("docs/runbooks.md")
    named = set(re.findall(r"log lines? ((?:`[a-z_]+`(?:, | and )?)+)", re.sub(r"\s+", " ", text)))
    events = {event for names in named for event in re.findall(r"`([a-z_]+)`", names)}
    assert len(events) > 10
    code = "".join(
        path.read_text() for part in ("edge", "services", "kit") for path in (pages.ROOT / part).rglob("*.py")
    )
    assert {event for event in events if f'"{event}"' not in code} == set()
