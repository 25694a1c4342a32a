"""Shows the public name of a model within what an upstream says in the client's own dialect."""

import json

from edge.v1.envelope import MalformedObject, locate, splice


def rename_within(data: bytes, field: str, public_name: str) -> bytes:
    """The JSON object with the public name as the `model` of the object in `field`; as it is where it has none."""
    try:
        outer = locate(data)
        inner = locate(bytes(outer.raw[field]))
        if "model" not in inner.raw:
            return data
        renamed = splice(inner, {"model": json.dumps(public_name).encode()})
        return splice(outer, {field: renamed})
    except (MalformedObject, KeyError):
        return data
