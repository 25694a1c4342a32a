"""The passwords that everybody tries first: common words with little around them, and runs on the keyboard."""

import re
from functools import cache
from importlib import resources

_RUNS = (
    "01234567890123456789",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm",
    "1q2w3e4r5t6y7u8i9o0p",
    "q1w2e3r4t5y6u7i8o9p0",
    "a1b2c3d4e5f6g7h8",
    "a1s2d3f4g5h6j7k8l9",
    "147258369",
    "159357456852",
)
_LEET = str.maketrans("013457@$!", "oleastasi")
# A common word is still one with up to four digits or signs on either side ("Password2024!" has five).
_AROUND = re.compile(r"^[\W\d_]{0,5}(.*?)[\W\d_]{0,5}$", re.DOTALL)
_REPEATED = re.compile(r"(.{1,4}?)\1+.{0,3}", re.DOTALL)
_SHORTEST_RUN = 4


def is_common(password: str) -> bool:
    """Whether guessing would begin with it: "Password1!", "p@ssw0rd", "qwertyuiop", "abab1212", "11111111"."""
    text = password.casefold()
    if _REPEATED.fullmatch(text) or _is_run(text):
        return True
    inner = _AROUND.sub(r"\1", text)
    forms = (text, inner, text.translate(_LEET), inner.translate(_LEET))
    return any(form in _words() or _is_run(form) for form in forms)


@cache
def _words() -> frozenset[str]:
    """Words that lists of leaked passwords have in common, in common_words.txt."""
    return frozenset(resources.files(__package__).joinpath("common_words.txt").read_text("utf-8").split())


def _is_run(text: str) -> bool:
    """Whether it consists of stretches of the keyboard or the alphabet, forwards or backwards."""
    while len(text) >= _SHORTEST_RUN:
        longest = max(_stretch(text), _stretch(text, backwards=True))
        if longest < _SHORTEST_RUN:
            return False
        text = text[longest:]
    return not text


def _stretch(text: str, *, backwards: bool = False) -> int:
    """How many of the first characters follow one another in some run, or are the same."""
    best = len(text) - len(text.lstrip(text[0]))
    for run in _RUNS:
        line = run[::-1] if backwards else run
        while best < len(text) and text[: best + 1] in line:
            best += 1
    return best
