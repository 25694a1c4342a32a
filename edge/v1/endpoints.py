"""The inference endpoints of `/v1`: what each reads of its body, and what bounds its cost."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from edge.lookup.catalogue import Model
from edge.v1.bounds import Bounds, bound_chat, bound_completion, bound_embedding
from edge.v1.inputs import ChatInputs, CompletionInputs, EmbeddingInputs, Inputs, decode


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`name` stands on usage records, `path` follows `/v1`, `kind` is the kind of model that it takes.

    `read` gives a body's inputs and how to bound their cost for a model: EdgeError `invalid_body` where it can't.
    """

    name: str
    path: str
    kind: str
    streams: bool
    read: Callable[[bytes], tuple[Inputs, Callable[[Model], Bounds]]]


_chat = msgspec.json.Decoder(ChatInputs)
_completion = msgspec.json.Decoder(CompletionInputs)
_embedding = msgspec.json.Decoder(EmbeddingInputs)


def _read_chat(body: bytes) -> tuple[Inputs, Callable[[Model], Bounds]]:
    inputs = decode(_chat, body)
    return inputs, lambda model: bound_chat(inputs, model, len(body))


def _read_completion(body: bytes) -> tuple[Inputs, Callable[[Model], Bounds]]:
    inputs = decode(_completion, body)
    return inputs, lambda model: bound_completion(inputs, model, len(body))


def _read_embedding(body: bytes) -> tuple[Inputs, Callable[[Model], Bounds]]:
    inputs = decode(_embedding, body)
    return inputs, lambda model: bound_embedding(inputs, model, len(body))


CHAT: Final = Endpoint("chat.completions", "/chat/completions", "chat", streams=True, read=_read_chat)
COMPLETIONS: Final = Endpoint("completions", "/completions", "chat", streams=True, read=_read_completion)
EMBEDDINGS: Final = Endpoint("embeddings", "/embeddings", "embedding", streams=False, read=_read_embedding)

ENDPOINTS: Final[Mapping[str, Endpoint]] = {
    f"/v1{endpoint.path}": endpoint for endpoint in (CHAT, COMPLETIONS, EMBEDDINGS)
}
