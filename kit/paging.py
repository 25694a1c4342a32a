"""Limits of list requests, the same for every list."""

from typing import NamedTuple

from kit.errors import InvalidArgument


class Page(NamedTuple):
    """Which rows of a list are asked for."""

    limit: int
    offset: int


def page(limit: int, offset: int, *, default: int = 20, maximum: int = 200) -> Page:
    """A checked page; a limit of 0 (unset in proto3) means `default`, bad ones raise InvalidArgument."""
    if not 0 <= limit <= maximum:
        raise InvalidArgument(f"limit must be between 1 and {maximum}", field="limit")
    if offset < 0:
        raise InvalidArgument("offset must not be negative", field="offset")
    return Page(limit or default, offset)
