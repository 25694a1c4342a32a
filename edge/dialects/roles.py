"""Says who speaks where an upstream does not: OpenAI's streams name the role with the first piece of each answer.

llama.cpp leaves it out of an answer that begins with a character of several tokens, and OpenAI's own client for Node.js
refuses a stream without it.
"""

from typing import Final

import msgspec

from edge.v1.answers import Chunk
from edge.v1.envelope import MalformedObject, locate, splice


class _Delta(msgspec.Struct):
    role: object = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None


_NULL: Final = b"null"
_ASSISTANT: Final = msgspec.Raw(b'"assistant"')
_decode = msgspec.json.Decoder(_Chunk).decode
_decode_choices = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode
_decode_delta = msgspec.json.Decoder(dict[str, msgspec.Raw] | None).decode


def add_roles(data: bytes, chunk: Chunk, begun: set[int]) -> bytes:
    """The chunk of a chat, with the role in the first delta of each answer; as it is where all have one or it is odd.

    `begun` has the indices of the answers whose first delta was seen, and learns those of this chunk.
    """
    try:
        if all(said.delta is not None and said.delta.role is not None for said in _decode(data).choices or ()):
            begun.update(of.index for of in chunk.choices or ())
            return data
        envelope = locate(data)
        choices = _decode_choices(envelope.raw["choices"])
        are_new = [_begin(choice, of.index, begun) for choice, of in zip(choices, chunk.choices or (), strict=False)]
    except (MalformedObject, msgspec.MsgspecError, KeyError, RecursionError):
        begun.update(of.index for of in chunk.choices or ())
        return data
    return splice(envelope, {"choices": msgspec.json.encode(choices)}) if any(are_new) else data


def _begin(choice: dict[str, msgspec.Raw], index: int, begun: set[int]) -> bool:
    """Whether it is the first piece of its answer and got a role."""
    delta = _decode_delta(choice.get("delta", _NULL))
    if delta is None or index in begun:
        return False
    begun.add(index)
    if bytes(delta.pop("role", _NULL)) != _NULL:
        return False
    choice["delta"] = msgspec.Raw(msgspec.json.encode({"role": _ASSISTANT} | delta))
    return True
