"""Checks that several nouns share: numbers within bounds, texts of a form, field masks."""

import re
from collections.abc import Collection, Iterable

from services.catalog.errors import InvalidValue

PUBLIC_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*(/[A-Za-z0-9][A-Za-z0-9._:-]*)*")
SLUG = re.compile(r"[a-z0-9][a-z0-9._-]*")


def number(field: str, value: int, *, least: int, most: int) -> None:
    """Refuse a number outside [least, most] with InvalidValue."""
    if not least <= value <= most:
        raise InvalidValue(f"{field} must be between {least} and {most}, not {value}", field=field)


def text(field: str, value: str, *, most: int, least: int = 1, form: re.Pattern[str] | None = None) -> None:
    """Refuse a text that is too short, too long, has control characters, or is not of `form`, with InvalidValue."""
    if not least <= len(value) <= most:
        raise InvalidValue(f"{field} must have {least} to {most} characters", field=field)
    if not value.isprintable() or value != value.strip():
        raise InvalidValue(f"{field} has characters that cannot be shown, or blanks around it", field=field)
    if form and value and not form.fullmatch(value):
        raise InvalidValue(f"{field} is not of the form {form.pattern}", field=field)


def mask(paths: Iterable[str], *, allowed: Collection[str]) -> frozenset[str]:
    """The fields that an update names; an empty mask or an unknown field is InvalidValue."""
    named = frozenset(paths)
    if not named or not named <= frozenset(allowed):
        raise InvalidValue(f"update_mask must name some of: {', '.join(sorted(allowed))}", field="update_mask")
    return named
