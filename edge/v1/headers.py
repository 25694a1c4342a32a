"""What the edge reads of a request's headers beside the key: each once, or not at all."""

from collections.abc import Iterable

from edge.errors import EdgeError

Headers = Iterable[tuple[bytes, bytes]]


def find(headers: Headers, name: bytes) -> str | None:
    """The value of a header (name in lower case), None where it is not there.

    EdgeError `invalid_parameter` where it is given twice: two readers might each believe another one.
    """
    found: str | None = None
    for each, value in headers:
        if each == name:
            if found is not None:
                raise invalid(name, "is given twice. Send it once.")
            found = value.decode("latin-1")
    return found


def invalid(name: bytes, why: str) -> EdgeError:
    """What is said of a header that can't be used."""
    text = name.decode()
    return EdgeError("invalid_parameter", f"The header {text} {why}", param=text)
