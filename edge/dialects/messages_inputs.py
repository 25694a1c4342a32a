"""What is read of an Anthropic Messages request, and the rules that hold whatever the upstream speaks."""

from collections.abc import Sequence
from typing import Final

import msgspec

from edge.dialects.refusals import by_reference, not_supported, refuse_foreign, refused
from edge.v1.inputs import check_limit, check_many, decode_struct

LIMIT: Final = "max_tokens"
"""How a Messages request names its output limit."""
_NULL: Final = msgspec.Raw(b"null")
# Tools that the client runs itself, by how the names of their types begin: a call costs its tokens and nothing else.
_CLIENT_TOOLS: Final = ("custom", "bash_", "text_editor_", "computer_", "memory_")
_STORED: Final = ("container", "mcp_servers")
_OWN: Final = frozenset({LIMIT, "messages"})
_MAX_DEPTH: Final = 8
"""Of blocks within the results of tools; Anthropic knows one level."""


class Source(msgspec.Struct):
    """Where an image or document is from."""

    type: str = ""
    media_type: str | None = None
    data: str | None = None
    url: str | None = None


class Citations(msgspec.Struct):
    """Whether a document is to be cited."""

    enabled: bool | None = None


class Block(msgspec.Struct):
    """A block of a message's content, or of what a tool gave back."""

    type: str = "text"
    text: str | None = None
    source: Source | str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = _NULL
    tool_use_id: str | None = None
    content: "str | list[Block] | dict[str, msgspec.Raw] | None" = None
    is_error: bool | None = None
    title: str | None = None
    citations: Citations | list[msgspec.Raw] | None = None


class Turn(msgspec.Struct):
    """A message."""

    role: str
    content: str | list[Block]


class Tool(msgspec.Struct):
    """A tool: of the client, or by its type."""

    name: str = ""
    type: str | None = None
    description: str | None = None
    input_schema: msgspec.Raw = _NULL
    strict: bool | None = None
    defer_loading: bool | None = None
    allowed_callers: list[str] | None = None


class ToolChoice(msgspec.Struct):
    """Which tools are to be used."""

    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Thinking(msgspec.Struct):
    """Whether the model is to think first."""

    type: str
    budget_tokens: int | None = None


class Format(msgspec.Struct):
    """The form that the text is to have."""

    type: str
    schema: msgspec.Raw = _NULL


class OutputConfig(msgspec.Struct):
    """How hard the model is to try, and in what form."""

    effort: str | None = None
    format: Format | None = None


class Metadata(msgspec.Struct, forbid_unknown_fields=True):
    """Who asks, and nothing else."""

    user_id: str | None = None


class Request(msgspec.Struct):
    """`POST /v1/messages`, or `/v1/messages/count_tokens`, which needs no `max_tokens`."""

    model: str
    messages: list[Turn]
    max_tokens: int | None = None
    system: str | list[Block] | None = None
    stream: bool | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    stop_sequences: list[str] | None = None
    metadata: Metadata | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None


_request = msgspec.json.Decoder(Request)
_top = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_messages(body: bytes, *, counts_only: bool = False) -> tuple[Request, dict[str, msgspec.Raw]]:
    """The request, and all its fields that are not null. EdgeError `invalid_body` where it needs what is not here.

    `counts_only`: nothing is to be generated, so that no `max_tokens` is needed.
    """
    request = decode_struct(_request, body)
    top = {name: raw for name, raw in _top.decode(body).items() if bytes(raw) != b"null"}
    refuse_foreign(top, own=_OWN, dialect="messages")
    if request.max_tokens is None and not counts_only:
        raise refused(LIMIT, f"The field {LIMIT!r} is missing. Add it to the request body.")
    check_limit(LIMIT, request.max_tokens)
    if not request.messages:
        raise refused("messages", "'messages' is empty. Give at least one message.")
    check_many(request.messages, "messages")
    for name in _STORED:
        if name in top:
            raise not_supported(name)
    for at, tool in enumerate(request.tools or ()):
        if tool.type is not None and not tool.type.startswith(_CLIENT_TOOLS):
            raise refused(f"tools[{at}].type", f"The tool {tool.type[:64]!r} does not run here. Use tools of your own.")
    for at, turn in enumerate(request.messages):
        if isinstance(turn.content, list):
            _refuse_references(turn.content, f"messages[{at}].content")
    return request, top


def _refuse_references(blocks: Sequence[Block], where: str, depth: int = 0) -> None:
    if depth > _MAX_DEPTH:
        raise refused(where, "The blocks are nested too deeply.")
    for at, block in enumerate(blocks):
        place = f"{where}[{at}]"
        source = block.source
        if isinstance(source, Source) and (source.type == "file" or (source.type == "url" and block.type != "image")):
            raise by_reference(f"{place}.source")
        if block.type == "container_upload":
            raise by_reference(place)
        if isinstance(block.content, list):
            _refuse_references(block.content, f"{place}.content", depth + 1)
