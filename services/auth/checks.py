"""Checks that several nouns share: texts that can be shown, times ahead, field masks."""

from collections.abc import Collection, Iterable
from datetime import datetime

from kit.errors import InvalidArgument

MAX_NAME_CHARS = 100


def text(field: str, value: str, *, least: int, most: int) -> None:
    """Refuses a text that is too short or too long, blank or not printable, with InvalidArgument."""
    if not least <= len(value) <= most:
        raise InvalidArgument(f"{field} must have {least} to {most} characters", field=field)
    if not value.isprintable() or (value and not value.strip()):
        raise InvalidArgument(f"{field} must consist of characters that can be shown", field=field)


def limit(field: str, value: int | None, *, most: int) -> None:
    """Refuses a limit below 1 or absurdly high, with InvalidArgument; None is no limit."""
    if value is not None and not 1 <= value <= most:
        raise InvalidArgument(f"{field} must be between 1 and {most}", field=field)


def future(field: str, time: datetime, *, now: datetime) -> None:
    """Refuses a time that has passed, with InvalidArgument."""
    if time <= now:
        raise InvalidArgument(f"{field} must be in the future", field=field)


def mask(paths: Iterable[str], *, allowed: Collection[str]) -> frozenset[str]:
    """The fields that an update names; an empty mask or an unknown field is InvalidArgument."""
    named = frozenset(paths)
    if not named or not named <= frozenset(allowed):
        raise InvalidArgument(f"update_mask must name some of: {', '.join(sorted(allowed))}", field="update_mask")
    return named
