"""Reads the top level of a request body without building the rest of it, and knows where each value stands.

The body stays bytes: what must change is spliced in place, all else reaches the upstream as it came.
"""

import re

import msgspec

from edge.errors import EdgeError

_decode_top = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode
_KEY = re.compile(rb'[ \t\n\r]*("(?:[^"\\]|\\.)*")[ \t\n\r]*:[ \t\n\r]*', re.DOTALL)
_NEXT = re.compile(rb"[ \t\n\r]*[,}]")


class Envelope(msgspec.Struct, frozen=True):
    """A JSON object as bytes: `raw` has each top-level value, `spans` where it starts and ends in `body`."""

    body: bytes
    raw: dict[str, msgspec.Raw]
    spans: dict[str, tuple[int, int]]


class MalformedObject(ValueError):
    """Not JSON, no object, nested too deeply, or a field is given twice; the text says which."""


def locate(body: bytes) -> Envelope:
    """The top level of a JSON object. MalformedObject where it is none."""
    try:
        raw = _decode_top(body)
    except RecursionError:
        raise MalformedObject("it is nested too deeply") from None
    except msgspec.ValidationError:
        raise MalformedObject("it is not a JSON object") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedObject(f"it is not valid JSON ({error})") from None
    spans = _spans_without_gaps(body, raw)
    if spans is not None:
        return Envelope(body, raw, spans)
    spans = {}
    at = body.index(b"{") + 1
    while len(spans) < len(raw):
        at = _locate_one(body, at, raw, spans)
    if body.rstrip(b" \t\n\r")[-1:] != b"}" or body[at:].strip(b" \t\n\r") not in {b"", b"}"}:
        # All names are found and yet more follows: a name that was there before.
        raise MalformedObject("a field is given twice")
    return Envelope(body, raw, spans)


def _spans_without_gaps(body: bytes, raw: dict[str, msgspec.Raw]) -> dict[str, tuple[int, int]] | None:
    """The spans where the object is as short as its members can be written, as most clients do: their lengths tell.

    None where it is longer: there is white space, an escape in a name, or a name that comes again.
    """
    spans: dict[str, tuple[int, int]] = {}
    at = 1
    for name, value in raw.items():
        start = at + 3 + (len(name) if name.isascii() else len(name.encode()))
        end = start + memoryview(value).nbytes
        spans[name] = (start, end)
        at = end + 1
    return spans if spans and at == len(body) else None


def _locate_one(body: bytes, at: int, raw: dict[str, msgspec.Raw], spans: dict[str, tuple[int, int]]) -> int:
    """Notes the span of the member that starts at `at`; returns where the next one starts.

    The decoder kept the last value of a repeated name, so at an earlier one either the bytes differ, or what follows.
    """
    key = _KEY.match(body, at)
    if key is None:
        raise MalformedObject("a field is given twice")
    name = _decode_text(key[1])
    value = raw[name]
    start = key.end()
    end = start + memoryview(value).nbytes
    following = _NEXT.match(body, end)
    if name in spans or following is None or not body.startswith(value, start):
        raise MalformedObject(f"the field {name[:64]!r} is given twice")
    spans[name] = (start, end)
    return following.end()


def read_request(body: bytes) -> Envelope:
    """The envelope of a request body. EdgeError `invalid_body` where it is no JSON object in UTF-8."""
    try:
        if not body.isascii():
            # What is not read here passes through as it is, and another reader may see another text in it.
            body.decode()
        return locate(body)
    except UnicodeDecodeError:
        raise EdgeError(
            "invalid_body", "The request body can't be read: it is not UTF-8. Send one JSON object."
        ) from None
    except MalformedObject as error:
        raise EdgeError("invalid_body", f"The request body can't be read: {error}. Send one JSON object.") from None


def splice(envelope: Envelope, changes: dict[str, bytes]) -> bytes:
    """The body with the JSON values of `changes` in place of, or added to, those that it has."""
    pieces: list[bytes] = []
    at = 0
    added = {name: value for name, value in changes.items() if name not in envelope.spans}
    for name, (start, end) in envelope.spans.items():
        if name in changes:
            pieces += (envelope.body[at:start], changes[name])
            at = end
    close = envelope.body.rindex(b"}")
    pieces.append(envelope.body[at:close])
    for name, value in added.items():
        comma = b"," if envelope.spans or name != next(iter(added)) else b""
        pieces += (comma, b'"', name.encode(), b'":', value)
    pieces.append(envelope.body[close:])
    return b"".join(pieces)
