"""How a command fails: one clear line on standard error and exit status 1, or what the command says."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from deploy.local.process import StackError
from kit.errors import RemoteError


class CommandError(Exception):
    """A failure in words for the person who typed the command."""


@contextmanager
def told(*, status: int = 1) -> Iterator[None]:
    """Turn expected failures into their line and exit status; everything else is a bug and shows its trace."""
    try:
        yield
    except (CommandError, StackError) as error:
        _end(str(error), status)
    except RemoteError as error:
        _end(in_words(error), status)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        raise SystemExit(130) from None


def in_words(error: RemoteError) -> str:
    """What a service, or the way to it, said."""
    if not error.reason and error.code is grpc.StatusCode.UNAVAILABLE:
        return f"A service cannot be reached. Is the stack running? ({error.message})"
    if not error.reason and error.code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return "A service did not answer in time: it is not known whether the change was made."
    text = error.message or error.code.name
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def _end(text: str, status: int) -> None:
    print(text, file=sys.stderr)
    raise SystemExit(status) from None
