"""Passwords: which are accepted, and hashing them off the event loop without letting a queue grow.

Parameters of argon2id as OWASP's Password Storage Cheat Sheet recommends; rules as NIST SP 800-63B:
a least length, no rules about kinds of characters, no password that everybody tries first.
"""

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from services.auth.common_passwords import is_common
from services.auth.errors import InvalidPassword, TooBusy

MIN_CHARS = 8
MAX_CHARS = 128
_SALT_BYTES = 16

T = TypeVar("T")


def check(password: str, *, field: str = "password") -> None:
    """Refuses a password that may not be set, with InvalidPassword."""
    if len(password) < MIN_CHARS:
        raise InvalidPassword(f"use a password of at least {MIN_CHARS} characters", field=field)
    if len(password) > MAX_CHARS:
        raise InvalidPassword(f"use a password of at most {MAX_CHARS} characters", field=field)
    if is_common(password):
        raise InvalidPassword("this password is among the most common: use one that others don't", field=field)


class Passwords:
    """Hashes and verifies in `threads` threads; at most `queue` more calls wait, others are refused.

    One hash takes about 20 ms of a core and 19 MiB, so the defaults keep a caller waiting for half
    a second at most.
    """

    def __init__(self, random_bytes: Callable[[int], bytes], *, threads: int = 2, queue: int = 40) -> None:
        self._random_bytes = random_bytes
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="passwords")
        self._places = threads + queue
        # Nobody's password: what is verified where there is no user, so that it takes as long.
        self._nobody = self._hash(random_bytes(_SALT_BYTES).hex())

    async def hash(self, password: str) -> str:
        """The hash to store. TooBusy when the queue is full."""
        return await self._run(lambda: self._hash(password))

    async def is_right(self, password: str, password_hash: str | None) -> bool:
        """Whether the password is the hashed one; None takes as long and is never right. TooBusy as `hash`."""
        if len(password) > MAX_CHARS:
            password, password_hash = "", None
        return await self._run(lambda: self._verify(password, password_hash or self._nobody)) and (
            password_hash is not None
        )

    def close(self) -> None:
        """Ends the threads once they are idle; waiting calls are cancelled."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], T]) -> T:
        if self._places == 0:
            raise TooBusy("too many people are logging in at this moment: try again in a second")
        self._places -= 1
        try:
            # Cancelling the call takes waiting work out of the queue, so its place is free again.
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._places += 1

    def _hash(self, password: str) -> str:
        return self._hasher.hash(_normal(password), salt=self._random_bytes(_SALT_BYTES))

    def _verify(self, password: str, password_hash: str) -> bool:
        try:
            return self._hasher.verify(password_hash, _normal(password))
        except VerificationError:
            return False


def _normal(password: str) -> str:
    """One form for what keyboards and systems encode in several ways."""
    return unicodedata.normalize("NFKC", password)
