"""Derived keys and sealed values."""

import os

import pytest

from kit.secrets import BrokenSeal, Sealer, derive, sealer

SECRET = "a secret that only this test knows"


def test_keys_differ_by_purpose_and_by_secret_and_stay_the_same_otherwise() -> None:
    keys = {derive(SECRET, "one"), derive(SECRET, "two"), derive(SECRET + "!", "one"), derive(SECRET, "one")}
    assert len(keys) == 3
    assert {len(key) for key in keys} == {32}


def test_a_sealed_value_opens_with_its_key_and_its_row_only() -> None:
    one = Sealer(derive(SECRET, "seal"))
    sealed = one.seal(b"virtual key", b"row 1")
    assert b"virtual key" not in sealed
    assert one.open(sealed, b"row 1") == b"virtual key"
    with pytest.raises(BrokenSeal):
        one.open(sealed, b"row 2")
    with pytest.raises(BrokenSeal):
        Sealer(derive(SECRET, "other")).open(sealed, b"row 1")


def test_a_value_sealed_twice_looks_different() -> None:
    one = Sealer(derive(SECRET, "seal"))
    assert one.seal(b"x", b"") != one.seal(b"x", b"")


def test_a_value_that_was_cut_or_lengthened_does_not_open() -> None:
    one = Sealer(os.urandom(32))
    sealed = one.seal(b"value", b"row")
    for damaged in (b"", sealed[:5], sealed[:12], sealed[:-1], sealed + b"x"):
        with pytest.raises(BrokenSeal):
            one.open(damaged, b"row")


def test_every_flipped_bit_is_seen() -> None:
    one = Sealer(os.urandom(32))
    sealed = one.seal(b"value", b"row")
    for position in range(len(sealed)):
        flipped = bytearray(sealed)
        flipped[position] ^= 1
        with pytest.raises(BrokenSeal):
            one.open(bytes(flipped), b"row")


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Sealer(b"short")


def test_what_was_sealed_under_the_secret_before_opens_and_is_sealed_anew() -> None:
    old = sealer("the secret before", "seal")
    sealed = old.seal(b"value", b"row")
    new = sealer(SECRET, "seal", previous="the secret before")
    assert new.open(sealed, b"row") == b"value"
    renewed = new.renewed(sealed, b"row")
    assert renewed is not None
    assert sealer(SECRET, "seal").open(renewed, b"row") == b"value"
    assert new.renewed(renewed, b"row") is None
    with pytest.raises(BrokenSeal):
        old.open(renewed, b"row")
    with pytest.raises(BrokenSeal):
        new.renewed(sealed, b"another row")
