"""Shows the public name of a model where an upstream shows its own; nothing else of an answer is touched."""

import json
import re

from edge.v1.answers import Chunk
from edge.v1.envelope import MalformedObject, locate, splice
from edge.v1.sse import Event, with_data

_MODEL = re.compile(rb'"model"\s*:\s*"(?:[^"\\]|\\.)*"')


def rename(data: bytes, chunk: Chunk, public_name: str) -> bytes:
    """The JSON object with the public name as its top-level `model`; as it is where it has none.

    A quote inside a JSON string is always escaped, so the bytes `"model"` are a name, or a whole string, by
    themselves. Where they stand once, before a colon, that is the place; else the top level is looked through.
    """
    if chunk.model is None or chunk.model == public_name:
        return data
    name = json.dumps(public_name).encode()
    if data.count(b'"model"') == 1:
        return _MODEL.sub(lambda _: b'"model":' + name, data, count=1)
    try:
        return splice(locate(data), {"model": name})
    except MalformedObject:
        return data


class EventRenamer:
    """Renames the events of one stream, which for the most part give the model in the same bytes."""

    __slots__ = ("_ours", "_public_name", "_theirs")

    def __init__(self, public_name: str) -> None:
        self._public_name = public_name
        self._ours = b'"model":' + json.dumps(public_name).encode()
        self._theirs = b""
        """The name and value that were replaced last. Empty: nothing yet."""

    def __call__(self, event: Event, chunk: Chunk) -> bytes:
        """The event with the public name in its data; its bytes as they came where nothing changes."""
        raw, data = event.raw, event.data
        if data is None or chunk.model is None or chunk.model == self._public_name:
            return raw
        if event.is_plain and self._theirs and raw.count(b'"model"') == 1 and self._theirs in raw:
            return raw.replace(self._theirs, self._ours)
        renamed = rename(data, chunk, self._public_name)
        if renamed is data:
            return raw
        given = _MODEL.search(data) if data.count(b'"model"') == 1 else None
        self._theirs = given[0] if given else b""
        return with_data(event, renamed if event.is_plain else renamed.replace(b"\n", b" "))
