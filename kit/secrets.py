"""Keys derived from the one application secret, and sealing of small values with them."""

import hashlib
import hmac
import os
from collections.abc import Callable
from contextlib import suppress

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12


class BrokenSeal(Exception):
    """A sealed value was changed, cut, bound to something else, or sealed with another key."""


def derive(app_secret: str, purpose: str) -> bytes:
    """32 bytes for one purpose; keys of different purposes tell nothing about each other."""
    return hmac.digest(app_secret.encode(), purpose.encode(), hashlib.sha256)


def sealer(app_secret: str, purpose: str, *, previous: str = "") -> "Sealer":
    """A sealer for one purpose, which also opens what was sealed under the application secret before this one."""
    return Sealer(derive(app_secret, purpose), previous=derive(previous, purpose) if previous else None)


class Sealer:
    """AES-256-GCM under one 32-byte key; a sealed value is nonce, ciphertext and tag. `previous` opens only."""

    def __init__(
        self, key: bytes, *, previous: bytes | None = None, random_bytes: Callable[[int], bytes] = os.urandom
    ) -> None:
        keys = [key] if previous is None else [key, previous]
        if any(len(one) != 32 for one in keys):
            raise ValueError("a key must have 32 bytes")
        self._ciphers = [AESGCM(one) for one in keys]
        self._random_bytes = random_bytes

    def seal(self, plaintext: bytes, associated: bytes) -> bytes:
        """The sealed value, bound to `associated` (such as the id of its row)."""
        nonce = self._random_bytes(_NONCE_BYTES)
        return nonce + self._ciphers[0].encrypt(nonce, plaintext, associated)

    def open(self, sealed: bytes, associated: bytes) -> bytes:
        """The plaintext; BrokenSeal when anything is not as it was sealed."""
        return self._opened(sealed, associated)[0]

    def renewed(self, sealed: bytes, associated: bytes) -> bytes | None:
        """The same value under the present key; None where it has that already. BrokenSeal as `open`."""
        plaintext, is_stale = self._opened(sealed, associated)
        return self.seal(plaintext, associated) if is_stale else None

    def _opened(self, sealed: bytes, associated: bytes) -> tuple[bytes, bool]:
        """The plaintext, and whether it was sealed under another key than the present one."""
        for cipher in self._ciphers:
            with suppress(InvalidTag, ValueError):
                return cipher.decrypt(
                    sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], associated
                ), cipher is not self._ciphers[0]
        raise BrokenSeal("the sealed value cannot be opened")
