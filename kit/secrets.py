"""Keys derived from the one application secret, and sealing of small values with them."""

import hashlib
import hmac
import os
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12


class BrokenSeal(Exception):
    """A sealed value was changed, cut, bound to something else, or sealed with another key."""


def derive(app_secret: str, purpose: str) -> bytes:
    """32 bytes for one purpose; keys of different purposes tell nothing about each other."""
    return hmac.digest(app_secret.encode(), purpose.encode(), hashlib.sha256)


class Sealer:
    """AES-256-GCM under one 32-byte key; a sealed value is nonce, ciphertext and tag."""

    def __init__(self, key: bytes, *, random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        if len(key) != 32:
            raise ValueError("the key must have 32 bytes")
        self._cipher = AESGCM(key)
        self._random_bytes = random_bytes

    def seal(self, plaintext: bytes, associated: bytes) -> bytes:
        """The sealed value, bound to `associated` (such as the id of its row)."""
        nonce = self._random_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plaintext, associated)

    def open(self, sealed: bytes, associated: bytes) -> bytes:
        """The plaintext; BrokenSeal when anything is not as it was sealed."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], associated)
        except (InvalidTag, ValueError) as error:
            raise BrokenSeal("the sealed value cannot be opened") from error
