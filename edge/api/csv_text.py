"""Rows as CSV that no spreadsheet runs, and the answer that streams them."""

import csv
import io
from collections.abc import AsyncIterator, Iterable

from fastapi.responses import StreamingResponse

FIRST = 100
"""Rows of the first page, which the headers wait for."""

NEWEST = "ffffffff-ffff-ffff-ffff-ffffffffffff"
"""Above every id: pages before an id are not counted, as a first page is."""


async def csv_answer(lines: AsyncIterator[str], *, filename: str) -> StreamingResponse:
    """An answer of these pieces. The first comes before the headers, so that a failure is still an answer."""
    first = await anext(lines)
    return StreamingResponse(
        _following(first, lines),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": f'attachment; filename="{filename}"'},
    )


def csv_text(header: tuple[str, ...] | None, rows: Iterable[tuple[object, ...]]) -> str:
    """The rows as text, with the header before them where there is one."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    if header:
        writer.writerow(header)
    for row in rows:
        writer.writerow([_harmless(value) for value in row])
    return out.getvalue()


async def _following(first: str, rest: AsyncIterator[str]) -> AsyncIterator[str]:
    yield first
    async for piece in rest:
        yield piece


def _harmless(value: object) -> object:
    """Texts that a spreadsheet would run as a formula get a quote in front; upstreams choose some of them.

    Amounts may begin with a minus, and are no formula.
    """
    if not isinstance(value, str) or value[:1] not in ("=", "+", "-", "@", "\t", "\r") or _is_amount(value):
        return value
    return f"'{value}"


def _is_amount(text: str) -> bool:
    return text[:1] == "-" and text[1:].replace(".", "", 1).isascii() and text[1:].replace(".", "", 1).isdigit()
