"""Turns a Responses request into the chat completion that answers it."""

from collections.abc import Sequence
from typing import Final

import msgspec

from edge.dialects.conversation import Talk
from edge.dialects.refusals import refused
from edge.dialects.responses_inputs import (
    Content,
    Format,
    Item,
    Request,
    Tool,
    contents,
    read_responses,
    unknown_choice,
    unknown_content,
    unknown_item,
    unreadable_choice,
)
from edge.dialects.responses_object import LOGPROBS

_encode = msgspec.json.Encoder().encode
_choice = msgspec.json.Decoder(dict[str, msgspec.Raw])
_names = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_text = msgspec.json.Decoder(str)

# Said in another way below, or only repeated in the response.
_HANDLED: Final = frozenset(
    {
        "background", "include", "input", "instructions", "max_output_tokens", "max_tool_calls", "metadata",
        "parallel_tool_calls", "reasoning", "store", "stream_options", "text", "tool_choice", "tools",
        "top_logprobs", "truncation",
    }
)  # fmt: skip
# What chat has no place for and a client loses nothing by.
_IGNORED_INCLUDES: Final = frozenset({"reasoning.encrypted_content", "message.input_image.image_url"})


def responses_to_chat(body: bytes) -> bytes:
    """The body of the chat completion. EdgeError `invalid_body` names what can't be had that way."""
    request, top = read_responses(body)
    _refuse_untranslated(request)
    chat: dict[str, object] = {"model": request.model, "messages": _messages(request)}
    chat |= {name: raw for name, raw in top.items() if name not in _HANDLED and name not in chat}
    if request.max_output_tokens is not None:
        chat["max_tokens"] = request.max_output_tokens
    if LOGPROBS in (request.include or ()):
        chat["logprobs"] = True
        if request.top_logprobs:
            chat["top_logprobs"] = request.top_logprobs
    if request.reasoning is not None and request.reasoning.effort is not None:
        chat["reasoning_effort"] = request.reasoning.effort
    if request.text is not None:
        if request.text.format is not None and request.text.format.type != "text":
            chat["response_format"] = _response_format(request.text.format)
        if request.text.verbosity is not None:
            chat["verbosity"] = request.text.verbosity
    chat |= _tools(request, top)
    return _encode(chat)


def _refuse_untranslated(request: Request) -> None:
    if request.truncation not in {None, "disabled"}:
        raise refused("truncation", "Nothing is cut off here. Leave 'truncation' out, or send 'disabled'.")
    for name in request.include or ():
        if name != LOGPROBS and name not in _IGNORED_INCLUDES:
            raise refused("include", f"{name[:64]!r} can't be included here. Leave it out.")


def _response_format(said: Format) -> dict[str, object]:
    if said.type == "json_object":
        return {"type": "json_object"}
    if said.type != "json_schema":
        raise refused("text.format.type", f"The format {said.type[:64]!r} is not supported here.")
    if said.name is None or bytes(said.schema) == b"null":
        raise refused("text.format", "A 'text.format' of the type 'json_schema' needs a 'name' and a 'schema'.")
    schema: dict[str, object] = {"name": said.name, "schema": said.schema}
    if said.description is not None:
        schema["description"] = said.description
    if said.strict is not None:
        schema["strict"] = said.strict
    return {"type": "json_schema", "json_schema": schema}


def _tools(request: Request, top: dict[str, msgspec.Raw]) -> dict[str, object]:
    """The tools, and what is said of their use; upstreams refuse the latter without the former."""
    allowed, choice = _tool_choice(top)
    tools = [_tool(tool, at) for at, tool in enumerate(request.tools or ()) if allowed is None or tool.name in allowed]
    if not tools:
        return {}
    chat: dict[str, object] = {"tools": tools}
    if choice is not None:
        chat["tool_choice"] = choice
    if "parallel_tool_calls" in top:
        chat["parallel_tool_calls"] = top["parallel_tool_calls"]
    return chat


def _tool(tool: Tool, at: int) -> dict[str, object]:
    if tool.type != "function":
        raise refused(f"tools[{at}].type", f"The tool {tool.type[:64]!r} can't be used with this model.")
    if not tool.name:
        raise refused(f"tools[{at}].name", "A function needs a 'name'.")
    function: dict[str, object] = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if bytes(tool.parameters) != b"null":
        function["parameters"] = tool.parameters
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _tool_choice(top: dict[str, msgspec.Raw]) -> tuple[set[str] | None, object]:
    """The names of the functions that may be called (None: all), and chat's `tool_choice`."""
    raw = top.get("tool_choice")
    if raw is None:
        return None, None
    try:
        if bytes(raw).lstrip().startswith(b'"'):
            return None, raw
        choice = _choice.decode(raw)
        kind = _text.decode(choice.get("type", b'""'))
        if kind == "function":
            return None, {"type": "function", "function": {"name": choice["name"]}}
        if kind == "allowed_tools":
            names = {_text.decode(tool["name"]) for tool in _names.decode(choice["tools"])}
            return names, choice["mode"]
    except (KeyError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise unreadable_choice() from None
    raise unknown_choice(kind)


def _messages(request: Request) -> list[dict[str, object]]:
    talk = Talk()
    if request.instructions:
        talk.system(request.instructions)
    if isinstance(request.input, str):
        talk.user([{"type": "text", "text": request.input}])
        return talk.messages()
    for at, item in enumerate(request.input):
        _say(talk, item, at)
    return talk.messages()


def _say(talk: Talk, item: Item, at: int) -> None:
    kind = item.type or "message"
    if kind == "reasoning":
        # What a model thought is its own: chat takes none of it back, and some servers refuse it.
        return
    if kind == "function_call":
        if not item.call_id or not item.name or not isinstance(item.arguments, str):
            raise refused(f"input[{at}]", "A function call needs 'call_id', 'name' and 'arguments'.")
        talk.call(item.call_id, item.name, item.arguments)
    elif kind == "function_call_output":
        if not item.call_id or item.output is None:
            raise refused(f"input[{at}]", "The output of a function call needs 'call_id' and 'output'.")
        talk.result(item.call_id, _parts(contents(item, at), at))
    elif kind != "message":
        raise unknown_item(kind, at)
    elif item.role == "user":
        talk.user(_parts(contents(item, at), at))
    elif item.role == "assistant":
        talk.assistant(_only_text(contents(item, at), at))
    elif item.role in {"system", "developer"}:
        talk.system(_only_text(contents(item, at), at))
    else:
        raise refused(f"input[{at}].role", "'role' must be 'user', 'assistant', 'system' or 'developer'.")


def _only_text(found: Sequence[Content], at: int) -> str:
    texts = [content.text if content.text is not None else content.refusal for content in found]
    if any(text is None for text in texts):
        raise refused(f"input[{at}].content", "Only users and functions can send anything but text.")
    return "".join(text for text in texts if text)


def _parts(found: Sequence[Content], at: int) -> list[dict[str, object]]:
    return [_part(content, f"input[{at}].content[{number}]") for number, content in enumerate(found)]


def _part(content: Content, where: str) -> dict[str, object]:
    if content.type in {"input_text", "output_text", "text"} and content.text is not None:
        return {"type": "text", "text": content.text}
    if content.type == "input_image" and content.image_url is not None:
        image = {"url": content.image_url}
        return {"type": "image_url", "image_url": image | ({"detail": content.detail} if content.detail else {})}
    if content.type == "input_file" and content.file_data is not None:
        name = content.filename or "file"
        return {"type": "file", "file": {"filename": name, "file_data": content.file_data}}
    if content.type == "input_audio" and bytes(content.input_audio) != b"null":
        return {"type": "input_audio", "input_audio": content.input_audio}
    raise unknown_content(content, where)
