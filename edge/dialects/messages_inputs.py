"""What is read of an Anthropic Messages request, and the rules that hold whatever the upstream speaks."""

from collections.abc import Sequence
from typing import Final

import msgspec

from edge.dialects.refusals import by_reference, not_supported, refuse_foreign, refused
from edge.errors import EdgeError
from edge.v1.inputs import MAX_TOOLS, check_limit, check_many, check_parts, check_top_logprobs, decode_struct
from edge.v1.links import check_data, check_image

LIMIT: Final = "max_tokens"
"""How a Messages request names its output limit."""
_NULL: Final = msgspec.Raw(b"null")
# Tools that the client runs itself, by how the names of their types begin: a call costs its tokens and nothing else.
_CLIENT_TOOLS: Final = ("custom", "bash_", "text_editor_", "computer_", "memory_")
# What is kept, runs or has a price elsewhere.
_ELSEWHERE: Final = (
    "container", "context_management", "diagnostics", "inference_geo", "mcp_servers", "speed", "user_profile_id",
    "workspace_id",
)  # fmt: skip
# Blocks that say all there is to them, and where images and documents may be from.
_BLOCKS: Final = frozenset(
    {
        "text", "image", "document", "search_result", "tool_use", "tool_result", "thinking", "redacted_thinking",
    }
)  # fmt: skip
_SOURCES: Final = {"image": ("base64", "url"), "document": ("base64", "text")}
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
    top_logprobs: int | None = None
    """Not Anthropic's, but some servers read it."""


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
    check_top_logprobs(request.top_logprobs)
    for name in _ELSEWHERE:
        if name in top:
            raise not_supported(name)
    check_many(request.tools or (), "tools", most=MAX_TOOLS)
    _check_tools(request)
    if request.system:
        only_text(request.system, "system")
        if isinstance(request.system, list):
            check_many(request.system, "system")
    blocks = 0
    for at, turn in enumerate(request.messages):
        if isinstance(turn.content, list):
            blocks += _check_blocks(turn.content, f"messages[{at}].content")
    check_parts(blocks, "messages")
    return request, top


def _check_tools(request: Request) -> None:
    for at, tool in enumerate(request.tools or ()):
        if tool.type is not None and not tool.type.startswith(_CLIENT_TOOLS):
            raise refused(f"tools[{at}].type", f"The tool {tool.type[:64]!r} does not run here. Use tools of your own.")
        if tool.defer_loading or (tool.allowed_callers is not None and tool.allowed_callers != ["direct"]):
            # Both are for tools of the server's, which search or call these.
            name = "defer_loading" if tool.defer_loading else "allowed_callers"
            raise not_supported(f"tools[{at}].{name}")


def only_text(content: str | Sequence[Block], where: str) -> str:
    """The text of what can hold nothing else. EdgeError `invalid_body` where it does."""
    if isinstance(content, str):
        return content
    texts = []
    for at, block in enumerate(content):
        if block.type != "text" or block.text is None:
            raise refused(f"{where}[{at}]", "Only blocks of the type 'text' can be used here.")
        texts.append(block.text)
    return "\n\n".join(texts)


def unknown_block(block: Block, where: str) -> EdgeError:
    """The refusal of a block of a kind that can't be had."""
    return refused(f"{where}.type", f"Blocks of the type {block.type[:64]!r} can't be used here with this model.")


def _check_blocks(blocks: Sequence[Block], where: str, depth: int = 0) -> int:
    """How many blocks. What one costs is in its bytes, or it is an image: nothing else passes, at whatever depth."""
    count = len(blocks)
    if depth > _MAX_DEPTH:
        raise refused(where, "The blocks are nested too deeply.")
    for at, block in enumerate(blocks):
        place = f"{where}[{at}]"
        _check_source(block, place)
        if isinstance(block.citations, Citations) and block.citations.enabled:
            # The server numbers the sentences, and tells the model how to name them.
            raise not_supported(f"{place}.citations")
        if isinstance(block.content, list):
            count += _check_blocks(block.content, f"{place}.content", depth + 1)
        elif isinstance(block.content, dict):
            raise refused(f"{place}.content", "The content of a 'tool_result' must be a text or a list of blocks.")
    return count


def _check_source(block: Block, place: str) -> None:
    source = block.source
    if isinstance(source, Source) and (source.type == "file" or (source.type == "url" and block.type != "image")):
        raise by_reference(f"{place}.source")
    if block.type == "container_upload":
        raise by_reference(place)
    if block.type not in _BLOCKS or (block.type in _SOURCES and not isinstance(source, Source)):
        raise unknown_block(block, place)
    if not isinstance(source, Source):
        return
    if block.type in _SOURCES and source.type not in _SOURCES[block.type]:
        raise unknown_source(block, place)
    if source.type == "url":
        check_image(source.url or "", f"{place}.source.url")
    elif source.type == "base64":
        check_data(source.data or "", f"{place}.source.data")


def unknown_source(block: Block, where: str) -> EdgeError:
    """The refusal of an image or document from somewhere else."""
    what = "an image" if block.type == "image" else "a document"
    one, other = _SOURCES[block.type]
    return refused(f"{where}.source", f"The source of {what} must be '{one}' or '{other}'.")
