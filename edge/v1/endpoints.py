"""The inference endpoints of `/v1`: what each reads of its body, what bounds its cost, and how errors are told."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from edge.dialects.errors import anthropic_error_body, chat_failure, messages_failure, responses_failure
from edge.dialects.messages_native import check_messages
from edge.dialects.messages_request import messages_to_chat
from edge.dialects.responses_native import check_responses
from edge.dialects.responses_request import responses_to_chat
from edge.errors import EdgeError
from edge.lookup.catalogue import Model
from edge.upstream.candidates import Candidate
from edge.v1.bounds import Bounds, bound_chat, bound_completion, bound_embedding
from edge.v1.content import check_content
from edge.v1.denied import refuse_denied
from edge.v1.envelope import Envelope, read_request
from edge.v1.inputs import (
    ChatInputs,
    CompletionInputs,
    EmbeddingInputs,
    Inputs,
    check_tools,
    count_described_tools,
    decode,
)
from edge.v1.metadata import check_metadata
from edge.v1.values import check_values


class Question(msgspec.Struct, frozen=True):
    """A request as the hot path works with it: one for chat completions, completions or embeddings."""

    inputs: Inputs
    bound: Callable[[Model], Bounds]
    envelope: Envelope
    native: Envelope | None = None
    """As the client sent it, for upstreams that speak its dialect themselves. None: it was in no other dialect."""
    untranslated: EdgeError | None = None
    """Why chat completions can't say it: then `envelope` is `native`, and only upstreams of its dialect get it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """`name` stands on usage records, `path` follows `/v1`, `kind` is the kind of model that it takes.

    `read` gives a body's question: EdgeError `invalid_body` where it has none.
    """

    name: str
    path: str
    kind: str
    streams: bool
    read: Callable[[bytes], Question]
    dialect: str = ""
    """What an upstream must speak to get it as it came. Empty: every upstream does."""
    limit_field: str = ""
    """How that dialect names the limit of an answer."""
    forwards: str = ""
    """The path at upstreams that do not speak the dialect. Empty: the same."""
    error_body: Callable[[EdgeError], bytes] = EdgeError.body
    """An error in the place of an answer."""
    failure: Callable[[EdgeError], bytes] = chat_failure
    """An error in a stream of which nothing has come yet, with what ends it."""

    def able(self, question: Question, candidates: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
        """Those that can be asked it. EdgeError: why it can't be translated, where none speaks its dialect."""
        if question.untranslated is None:
            return candidates
        able = tuple(one for one in candidates if self.dialect in one.upstream.dialects)
        if not able:
            raise question.untranslated
        return able


_CHAT_ONLY: Final = frozenset({"tools", "tool_choice", "parallel_tool_calls", "functions", "function_call", "messages"})
_chat = msgspec.json.Decoder(ChatInputs)
_completion = msgspec.json.Decoder(CompletionInputs)
_embedding = msgspec.json.Decoder(EmbeddingInputs)


def _read_chat(body: bytes) -> Question:
    envelope = _envelope(body)
    inputs = decode(_chat, body)
    check_tools(inputs)
    check_content(inputs, body)
    return Question(inputs, lambda model: bound_chat(inputs, model, len(body)), envelope)


def _read_completion(body: bytes) -> Question:
    envelope = _envelope(body)
    _refuse_chat(envelope, "completions")
    inputs = decode(_completion, body)
    return Question(inputs, lambda model: bound_completion(inputs, model, len(body)), envelope)


def _read_embedding(body: bytes) -> Question:
    envelope = _envelope(body)
    _refuse_chat(envelope, "embeddings")
    inputs = decode(_embedding, body)
    return Question(inputs, lambda model: bound_embedding(inputs, model, len(body)), envelope)


def _envelope(body: bytes) -> Envelope:
    envelope = read_request(body)
    refuse_denied(envelope.raw)
    check_values(envelope.raw)
    check_metadata(envelope.raw)
    return envelope


def _refuse_chat(envelope: Envelope, endpoint: str) -> None:
    """LiteLLM fails on these where they have no meaning, which would count as the upstream's failure."""
    for name, raw in envelope.raw.items():
        if name in _CHAT_ONLY and bytes(raw) != b"null":
            raise EdgeError("invalid_body", f"{name!r} is a field of chat completions, not of {endpoint}.", param=name)


def _read_translated(
    body: bytes, *, check: Callable[[bytes], ChatInputs], translate: Callable[[bytes], bytes], limit: str
) -> Question:
    """A request of another dialect as one for chat completions; the longer of the two bounds the prompt.

    What can't be translated is bounded as it came: `check` has let nothing pass that costs more than it shows.
    """
    native = read_request(body)
    refuse_denied(name for name in native.raw if name != limit)
    check_values(native.raw)
    inputs = check(body)
    described = count_described_tools(inputs.tools)
    envelope, most_bytes, untranslated = native, len(body), None
    try:
        chat = translate(body)
    except EdgeError as error:
        untranslated = error
    else:
        envelope, inputs, most_bytes = _envelope(chat), decode(_chat, chat), max(len(body), len(chat))
    return Question(
        inputs=inputs,
        bound=lambda model: bound_chat(inputs, model, most_bytes, described_tools=described),
        envelope=envelope,
        native=native,
        untranslated=untranslated,
    )


def _read_responses(body: bytes) -> Question:
    return _read_translated(body, check=check_responses, translate=responses_to_chat, limit="max_output_tokens")


def _read_messages(body: bytes) -> Question:
    return _read_translated(body, check=check_messages, translate=messages_to_chat, limit="max_tokens")


CHAT: Final = Endpoint(name="chat.completions", path="/chat/completions", kind="chat", streams=True, read=_read_chat)
COMPLETIONS: Final = Endpoint(name="completions", path="/completions", kind="chat", streams=True, read=_read_completion)
EMBEDDINGS: Final = Endpoint(
    name="embeddings", path="/embeddings", kind="embedding", streams=False, read=_read_embedding
)
RESPONSES: Final = Endpoint(
    name="responses",
    path="/responses",
    kind="chat",
    streams=True,
    read=_read_responses,
    dialect="responses",
    limit_field="max_output_tokens",
    forwards=CHAT.path,
    failure=responses_failure,
)
MESSAGES: Final = Endpoint(
    name="messages",
    path="/messages",
    kind="chat",
    streams=True,
    read=_read_messages,
    dialect="messages",
    limit_field="max_tokens",
    forwards=CHAT.path,
    error_body=anthropic_error_body,
    failure=messages_failure,
)

ENDPOINTS: Final[Mapping[str, Endpoint]] = {
    f"/v1{endpoint.path}": endpoint for endpoint in (CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES, MESSAGES)
}
