"""Which passwords are too common, and that checking them cannot pile up."""

import asyncio
import os
import threading

import pytest

from services.auth import passwords
from services.auth.common_passwords import is_common
from services.auth.errors import InvalidPassword, TooBusy
from services.auth.passwords import Passwords


@pytest.mark.parametrize(
    "password",
    [
        "password", "Password1", "P@ssw0rd!", "password123", "12345678", "123456789", "87654321", "qwertyuiop",
        "qwerty123", "1q2w3e4r", "1qaz2wsx", "asdfghjkl", "iloveyou", "iloveyou2", "sunshine", "princess1",
        "football", "baseball", "superman", "trustno1", "letmein!", "welcome1", "admin123", "administrator",
        "abcd1234", "abc12345", "11111111", "aaaaaaaa", "abcabcabc", "12121212", "11112222", "changeme",
        "Summer2024!", "qwer1234", "zaq12wsx", "passw0rd", "password!!!", "2024password",
    ],
)  # fmt: skip
def test_what_everybody_tries_first_is_common(password: str) -> None:
    assert is_common(password)


@pytest.mark.parametrize(
    "password",
    [
        "correct-horse-battery-staple", "tr0ub4dor&3", "ahxoh7Ae", "my password is long", "zwölf Boxkämpfer",
        "8f2b1c4e-1a3d", "monkey eats banana", "9f8e7d6c5b", "密码密码非常长密码", "0" * 4 + "kf83hs",
    ],
)  # fmt: skip
def test_what_others_would_not_think_of_is_not(password: str) -> None:
    assert not is_common(password)


def test_length_is_counted_in_characters_from_8_to_128() -> None:
    passwords.check("zwölf&ü8")
    passwords.check("x9k2pq7w" * 8 + "q8w7e6r5" * 8)
    for password in ("kf83hsz", "x9k2pq7w" * 8 + "q8w7e6r5" * 8 + "k"):
        with pytest.raises(InvalidPassword) as refused:
            passwords.check(password)
        assert refused.value.metadata == {"field": "password"}


def test_checking_a_huge_password_is_quick() -> None:
    with pytest.raises(InvalidPassword):
        passwords.check("ab" * 1_000_000)


async def test_beyond_its_places_a_call_is_refused_and_those_waiting_succeed() -> None:
    hashing = Passwords(os.urandom, threads=1, queue=2)
    gate = threading.Event()
    try:
        blocked = asyncio.create_task(hashing._run(gate.wait))
        waiting = [asyncio.create_task(hashing.hash("kf83hsz7")) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(TooBusy):
            await hashing.hash("kf83hsz7")
        with pytest.raises(TooBusy):
            await hashing.is_right("kf83hsz7", None)
        gate.set()
        first, second = await asyncio.gather(*waiting)
        await blocked
        assert first != second
        assert await hashing.is_right("kf83hsz7", first)
        assert not await hashing.is_right("kf83hsz8", first)
    finally:
        gate.set()
        hashing.close()


async def test_nobody_has_a_password() -> None:
    hashing = Passwords(bytes, threads=1)
    assert not await hashing.is_right(bytes(16).hex(), None)
    hashing.close()
