"""What is read of a Responses request, and the rules that hold whatever the upstream speaks: nothing is stored here."""

from typing import Final

import msgspec

from edge.dialects.refusals import by_reference, not_supported, refuse_foreign, refused
from edge.errors import EdgeError
from edge.v1.inputs import MAX_TOOLS, Audio, check_limit, check_many, check_parts, check_top_logprobs, decode_struct
from edge.v1.links import check_data, check_image
from edge.v1.metadata import check_metadata

LIMIT: Final = "max_output_tokens"
"""How a Responses request names its output limit."""
_NULL: Final = msgspec.Raw(b"null")
# Tools that the client runs itself: a call costs its tokens and nothing else.
_CLIENT_TOOLS: Final = frozenset({"function", "custom", "local_shell", "apply_patch"})
_STORED: Final = {
    "previous_response_id": "Nothing is stored here: send the earlier items again, in 'input'.",
    "conversation": "Nothing is stored here: send the earlier items again, in 'input'.",
    "prompt": "Nothing is stored here: send the text of the prompt, in 'instructions' or 'input'.",
}
# What adds work or another model to an answer: what that costs can't be known beforehand.
_ELSEWHERE: Final = (
    "access_programs", "background_options", "context_management", "image", "moderation",
)  # fmt: skip
_OWN: Final = frozenset({LIMIT})
# Items and content that say all there is to them; of others some stand for what is kept at a server.
_ITEMS: Final = frozenset(
    {
        "message", "reasoning", "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output",
        "local_shell_call", "local_shell_call_output", "apply_patch_call", "apply_patch_call_output",
    }
)  # fmt: skip
_CONTENTS: Final = frozenset(
    {
        "", "text", "input_text", "output_text", "reasoning_text", "summary_text", "refusal", "input_image",
        "input_file", "input_audio",
    }
)  # fmt: skip


class Content(msgspec.Struct):
    """A part of an item's content."""

    type: str = ""
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    detail: str | None = None
    file_id: str | None = None
    file_url: str | None = None
    file_data: str | None = None
    filename: str | None = None
    input_audio: msgspec.Raw = _NULL


class Item(msgspec.Struct):
    """An item of `input`; those without a type are messages."""

    type: str | None = None
    role: str | None = None
    content: str | list[Content] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | dict[str, msgspec.Raw] | None = None
    output: str | list[Content] | dict[str, msgspec.Raw] | None = None


class Tool(msgspec.Struct):
    """A tool: for a function, what is asked of it; for others their type."""

    type: str
    name: str | None = None
    description: str | None = None
    parameters: msgspec.Raw = _NULL
    strict: bool | None = None
    defer_loading: bool | None = None
    allowed_callers: list[str] | None = None


class Choice(msgspec.Struct):
    """Which tool is to be called, where one is named."""

    type: str = ""


class Format(msgspec.Struct):
    """The form that the text is to have."""

    type: str
    name: str | None = None
    description: str | None = None
    schema: msgspec.Raw = _NULL
    strict: bool | None = None


class Text(msgspec.Struct):
    """`text` of a request."""

    format: Format | None = None
    verbosity: str | None = None


class Reasoning(msgspec.Struct):
    """`reasoning` of a request."""

    effort: str | None = None
    mode: str | None = None


class Request(msgspec.Struct):
    """`POST /v1/responses`."""

    model: str
    input: str | list[Item]
    instructions: str | None = None
    stream: bool | None = None
    store: bool | None = None
    background: bool | None = None
    max_output_tokens: int | None = None
    top_logprobs: int | None = None
    tools: list[Tool] | None = None
    tool_choice: msgspec.Raw = _NULL
    text: Text | None = None
    reasoning: Reasoning | None = None
    include: list[str] | None = None
    truncation: str | None = None
    metadata: dict[str, str] | None = None


_request = msgspec.json.Decoder(Request)
_choice = msgspec.json.Decoder(str | Choice)
_decode_audio = msgspec.json.Decoder(Audio | None).decode
_top = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_responses(body: bytes) -> tuple[Request, dict[str, msgspec.Raw]]:
    """The request, and all its fields that are not null.

    EdgeError `invalid_body` where it needs what is stored, or costs what its bytes and limits don't bound.
    """
    request = decode_struct(_request, body)
    top = {name: raw for name, raw in _top.decode(body).items() if bytes(raw) != b"null"}
    refuse_foreign(top, own=_OWN, dialect="responses")
    check_limit(LIMIT, request.max_output_tokens)
    check_top_logprobs(request.top_logprobs)
    check_metadata(top)
    if not request.input:
        raise refused("input", "'input' is empty. Give a text, or at least one item.")
    if isinstance(request.input, list):
        check_many(request.input, "input")
    _refuse_stored(request, top)
    for name in _ELSEWHERE:
        if name in top:
            raise not_supported(name)
    if request.reasoning is not None and request.reasoning.mode not in {None, "standard"}:
        raise not_supported("reasoning.mode")
    check_many(request.tools or (), "tools", most=MAX_TOOLS)
    _check_tools(request, top)
    items = request.input if isinstance(request.input, list) else []
    check_parts(sum(_check_item(item, at) for at, item in enumerate(items)), "input")
    return request, top


def _check_tools(request: Request, top: dict[str, msgspec.Raw]) -> None:
    for at, tool in enumerate(request.tools or ()):
        if tool.type not in _CLIENT_TOOLS:
            raise refused(
                f"tools[{at}].type", f"The tool {tool.type[:64]!r} does not run here. Use tools of the type 'function'."
            )
        if tool.defer_loading or (tool.allowed_callers is not None and tool.allowed_callers != ["direct"]):
            # Both are for tools of the server's, which search or call these.
            name = "defer_loading" if tool.defer_loading else "allowed_callers"
            raise not_supported(f"tools[{at}].{name}")
    if "tool_choice" not in top:
        return
    try:
        choice = _choice.decode(top["tool_choice"])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise unreadable_choice() from None
    if isinstance(choice, Choice) and choice.type not in _CLIENT_TOOLS | {"allowed_tools"}:
        raise unknown_choice(choice.type)


def unreadable_choice() -> EdgeError:
    """The refusal of a `tool_choice` of another shape."""
    return refused("tool_choice", "'tool_choice' can't be read. Send 'auto', 'none', 'required' or a function.")


def unknown_choice(kind: str) -> EdgeError:
    """The refusal of a `tool_choice` of a kind that can't be had."""
    return refused("tool_choice", f"The tool choice {kind[:64]!r} is not supported here.")


def _check_item(item: Item, at: int) -> int:
    """How many parts its content has. EdgeError where one of them can't be had."""
    kind = item.type or "message"
    if kind not in _ITEMS:
        raise unknown_item(kind, at)
    if item.content is not None and item.output is not None:
        # Either is what an upstream may read, and only one of them is counted.
        raise refused(f"input[{at}]", "An item has a 'content' or an 'output'. Leave one of them out.")
    parts = contents(item, at)
    for number, content in enumerate(parts):
        if content.type not in _CONTENTS:
            raise unknown_content(content, f"input[{at}].content[{number}]")
    return len(parts)


def unknown_item(kind: str, at: int) -> EdgeError:
    """The refusal of an item of a kind that can't be had."""
    return refused(f"input[{at}].type", f"Items of the type {kind[:64]!r} can't be used with this model.")


def unknown_content(content: Content, where: str) -> EdgeError:
    """The refusal of a part of an item that can't be had."""
    return refused(where, f"Content of the type {content.type[:64]!r} without its text or data is not supported here.")


def _refuse_stored(request: Request, top: dict[str, msgspec.Raw]) -> None:
    if request.store:
        raise refused("store", "Nothing is stored here. Leave 'store' out, or send false.")
    if request.background:
        raise refused("background", "Nothing runs in the background here. Leave 'background' out, or send false.")
    for name, instead in _STORED.items():
        if name in top:
            raise not_supported(name, instead)
    for at, item in enumerate(request.input if isinstance(request.input, list) else ()):
        if item.type == "item_reference" or (item.type is None and item.role is None):
            raise refused(f"input[{at}]", "Nothing is stored here: send the item itself, with its type or role.")


def _audio(raw: msgspec.Raw) -> str:
    """The sound, in base64; none where it can't be read, which the upstream may say."""
    try:
        audio = _decode_audio(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    return (audio and audio.data) or ""


def contents(item: Item, at: int) -> list[Content]:
    """The content of a message, or what a function gave back. EdgeError where a part of it is only referred to."""
    name = "content" if item.output is None else "output"
    found = item.content if item.output is None else item.output
    if found is None:
        return []
    if isinstance(found, str):
        return [Content(type="input_text", text=found)]
    if isinstance(found, dict):
        raise refused(f"input[{at}].{name}", f"'input[{at}].{name}' must be a text or a list of parts.")
    for number, content in enumerate(found):
        if content.file_id is not None:
            raise by_reference(f"input[{at}].{name}[{number}].file_id")
        if content.file_url is not None:
            raise by_reference(f"input[{at}].{name}[{number}].file_url")
        if content.image_url is not None:
            check_image(content.image_url, f"input[{at}].{name}[{number}].image_url")
        check_data(content.file_data or "", f"input[{at}].{name}[{number}].file_data")
        check_data(_audio(content.input_audio), f"input[{at}].{name}[{number}].input_audio")
    return found
