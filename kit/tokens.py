"""Secrets with a prefix and a checksum, so that a wrong one is seen without asking a database.

A token is a prefix, 32 random characters and 6 characters of CRC-32 over all that stands before,
all in base 62: the prefix tells scanners what leaked, the checksum catches typing errors.
"""

import zlib
from collections.abc import Callable

RANDOM_CHARS = 32
CHECKSUM_CHARS = 6

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ALLOWED = frozenset(_ALPHABET)
# 62**32 is about 2**190: what is left over of 256 bits favours some values by less than 2**-65.
_RANDOM_BYTES = 32


def make_token(prefix: str, random_bytes: Callable[[int], bytes]) -> str:
    """A new secret with 190 bits of randomness; `random_bytes` is `os.urandom` outside of tests."""
    unsigned = prefix + _base62(int.from_bytes(random_bytes(_RANDOM_BYTES)), RANDOM_CHARS)
    return unsigned + _checksum(unsigned)


def has_valid_form(prefix: str, token: str) -> bool:
    """Whether `make_token` can have made it; takes a microsecond or two whatever is passed."""
    if len(token) != len(prefix) + RANDOM_CHARS + CHECKSUM_CHARS or not token.startswith(prefix):
        return False
    if not _ALLOWED.issuperset(token[len(prefix) :]):
        return False
    return _checksum(token[:-CHECKSUM_CHARS]) == token[-CHECKSUM_CHARS:]


def _checksum(text: str) -> str:
    return _base62(zlib.crc32(text.encode()), CHECKSUM_CHARS)


def _base62(number: int, digits: int) -> str:
    """The last `digits` digits of the number."""
    text = ""
    for _ in range(digits):
        number, digit = divmod(number, 62)
        text = _ALPHABET[digit] + text
    return text
