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


def rename_event(event: Event, chunk: Chunk, public_name: str) -> bytes:
    """The event with the public name in its data; its bytes as they came where nothing changes."""
    if event.data is None:
        return event.raw
    renamed = rename(event.data, chunk, public_name)
    if renamed is event.data:
        return event.raw
    return with_data(event, renamed.replace(b"\n", b" "))
