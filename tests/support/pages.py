"""Reads the project's own documentation: its tables and fenced blocks."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block: what it says it is written in, and its text."""

    language: str
    text: str


def read(page: str) -> str:
    """The text of a page, by its path in the project."""
    return (ROOT / page).read_text()


def blocks(text: str) -> list[Block]:
    """All fenced blocks in their order."""
    return [Block(*found.groups()) for found in _BLOCK.finditer(text)]


def tables(text: str) -> list[list[dict[str, str]]]:
    """All tables, each row by the names of its columns; code marks are taken off the cells."""
    found = re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE)
    return [_rows(lines.splitlines()) for lines in found]


def table(text: str, *columns: str) -> list[dict[str, str]]:
    """The one table with just these columns."""
    matching = [rows for rows in tables(text) if tuple(rows[0]) == columns]
    assert len(matching) == 1, f"{len(matching)} tables with the columns {columns}"
    return matching[0]


def _rows(lines: list[str]) -> list[dict[str, str]]:
    names, rule, *rows = [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]
    assert all(set(cell) <= set("-:") for cell in rule), lines[0]
    assert rows, lines[0]
    return [dict(zip(names, row, strict=True)) for row in rows]
