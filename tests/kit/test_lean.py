"""Modules that are hidden from what is imported, and only from that."""

import sys

import pytest

from kit.lean import without


def test_what_is_hidden_cannot_be_imported_inside_and_can_afterwards() -> None:
    sys.modules.pop("this", None)
    with without("this"), pytest.raises(ModuleNotFoundError):
        import this  # noqa: F401, PLC0415
    assert "this" not in sys.modules


def test_what_is_imported_already_stays() -> None:
    known = sys.modules["json"]
    with without("json"):
        assert sys.modules["json"] is known
    assert sys.modules["json"] is known
