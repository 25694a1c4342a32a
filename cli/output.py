"""Answers on standard output: aligned columns for people, JSON for programs."""

import json
import sys
from collections.abc import Mapping, Sequence


def table(rows: Sequence[Mapping[str, str]], *, columns: Sequence[str]) -> str:
    """Rows as aligned columns under a heading; cut to nothing, so that it can be piped."""
    cells = [[column.upper() for column in columns], *([row[column] for column in columns] for row in rows)]
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    padded = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells)
    return "\n".join(padded)


def print_json(value: Mapping[str, object]) -> None:
    """One JSON document."""
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False)
    print()
