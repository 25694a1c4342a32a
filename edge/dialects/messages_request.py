"""Turns an Anthropic Messages request into the chat completion that answers it, and estimates its tokens."""

from typing import Final

import msgspec

from edge.dialects.conversation import Parts, Talk
from edge.dialects.messages_inputs import (
    Block,
    OutputConfig,
    Request,
    Source,
    Thinking,
    Tool,
    Turn,
    only_text,
    read_messages,
    unknown_block,
    unknown_source,
)
from edge.dialects.refusals import not_supported, refused
from edge.lookup.catalogue import Model
from edge.v1.bounds import estimate_chat
from edge.v1.inputs import ChatInputs, decode

_encode = msgspec.json.Encoder().encode
_chat = msgspec.json.Decoder(ChatInputs)
_HANDLED: Final = frozenset(
    {
        "cache_control", "max_tokens", "messages", "metadata", "output_config", "service_tier", "stop_sequences",
        "system", "thinking", "tool_choice", "tools",
    }
)  # fmt: skip
_TOOL_CHOICES: Final = {"auto": "auto", "any": "required", "none": "none"}
_EFFORTS: Final = {"low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}
LEAST_BUDGET: Final = 1024
"""The least `budget_tokens` that Anthropic takes."""


def messages_to_chat(body: bytes) -> bytes:
    """The body of the chat completion. EdgeError `invalid_body` names what can't be had that way."""
    return _encode(_translate(*read_messages(body)))


def count_tokens(body: bytes, model: Model) -> int:
    """Our estimate of the prompt's tokens: that by which it is charged where an upstream gives no usage.

    A fifth of the bytes of the request, as it came or as translated, whichever is longer, and the model's constants for
    template, tools and images; unlike Anthropic's count it knows nothing of the tokenizer. EdgeError `invalid_body`.
    """
    chat = _encode(_translate(*read_messages(body, counts_only=True)))
    return estimate_chat(decode(_chat, chat), model, max(len(body), len(chat)))


def _translate(request: Request, top: dict[str, msgspec.Raw]) -> dict[str, object]:
    if "output_format" in top:
        raise not_supported("output_format")
    chat: dict[str, object] = {"model": request.model, "messages": _messages(request)}
    chat |= {name: raw for name, raw in top.items() if name not in _HANDLED and name not in chat}
    if request.max_tokens is not None:
        chat["max_tokens"] = request.max_tokens
    if request.stop_sequences:
        chat["stop"] = request.stop_sequences
    if request.metadata is not None and request.metadata.user_id is not None:
        chat["user"] = request.metadata.user_id
    effort = _effort(request.thinking, request.output_config, request.max_tokens)
    if effort is not None:
        chat["reasoning_effort"] = effort
    if request.output_config is not None and request.output_config.format is not None:
        if request.output_config.format.type != "json_schema":
            raise not_supported("output_config.format.type", "Use 'json_schema'.")
        schema = {"name": "answer", "schema": request.output_config.format.schema, "strict": True}
        chat["response_format"] = {"type": "json_schema", "json_schema": schema}
    if request.tools:
        chat["tools"] = [_tool(tool, at) for at, tool in enumerate(request.tools)]
        chat |= _tool_choice(request)
    return chat


def _effort(thinking: Thinking | None, config: OutputConfig | None, max_tokens: int | None) -> str | None:
    """The effort of a model that reasons: as it is named, or else as the budget suggests."""
    effort = None
    if thinking is not None and thinking.type == "enabled":
        budget = thinking.budget_tokens
        if budget is None or budget < LEAST_BUDGET:
            raise refused("thinking.budget_tokens", f"'thinking.budget_tokens' must be at least {LEAST_BUDGET}.")
        if max_tokens is not None and budget >= max_tokens:
            raise refused("thinking.budget_tokens", "'thinking.budget_tokens' must be less than 'max_tokens'.")
        effort = "low" if budget < 4096 else "medium" if budget < 16384 else "high"
    elif thinking is not None and thinking.type not in {"adaptive", "disabled"}:
        raise not_supported("thinking.type", "Use 'enabled', 'adaptive' or 'disabled'.")
    if config is not None and config.effort is not None:
        if config.effort not in _EFFORTS:
            raise not_supported("output_config.effort", f"Use one of {', '.join(_EFFORTS)}.")
        effort = _EFFORTS[config.effort]
    return effort


def _tool(tool: Tool, at: int) -> dict[str, object]:
    if tool.type not in {None, "custom"}:
        raise refused(f"tools[{at}].type", f"The tool {(tool.type or '')[:64]!r} can't be used with this model.")
    if not tool.name or bytes(tool.input_schema) == b"null":
        raise refused(f"tools[{at}]", "A tool needs a 'name' and an 'input_schema'.")
    function: dict[str, object] = {"name": tool.name, "parameters": tool.input_schema}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _tool_choice(request: Request) -> dict[str, object]:
    choice = request.tool_choice
    if choice is None:
        return {}
    chat: dict[str, object] = {"parallel_tool_calls": False} if choice.disable_parallel_tool_use else {}
    if choice.type == "tool" and choice.name:
        return chat | {"tool_choice": {"type": "function", "function": {"name": choice.name}}}
    if choice.type not in _TOOL_CHOICES:
        raise refused("tool_choice", "'tool_choice' must be 'auto', 'any', 'none', or 'tool' with a 'name'.")
    return chat | {"tool_choice": _TOOL_CHOICES[choice.type]}


def _messages(request: Request) -> list[dict[str, object]]:
    talk = Talk()
    if request.system:
        talk.system(only_text(request.system, "system"))
    for at, turn in enumerate(request.messages):
        where = f"messages[{at}]"
        if turn.role == "user":
            _say_user(talk, turn, where)
        elif turn.role == "assistant":
            _say_assistant(talk, turn, where)
        elif turn.role == "system":
            talk.system(only_text(turn.content, f"{where}.content"))
        else:
            raise refused(f"{where}.role", "'role' must be 'user' or 'assistant'.")
    return talk.messages()


def _say_user(talk: Talk, turn: Turn, where: str) -> None:
    """Results go before the rest: in chat they follow the calls at once."""
    if isinstance(turn.content, str):
        talk.user([{"type": "text", "text": turn.content}])
        return
    rest: Parts = []
    for at, block in enumerate(turn.content):
        place = f"{where}.content[{at}]"
        if block.type != "tool_result":
            rest += _parts(block, place)
            continue
        if not block.tool_use_id:
            raise refused(f"{place}.tool_use_id", "A 'tool_result' needs the 'tool_use_id' that it belongs to.")
        parts = _result(block, place)
        talk.result(block.tool_use_id, [{"type": "text", "text": "Error:"}, *parts] if block.is_error else parts)
    if rest or not turn.content:
        talk.user(rest)


def _result(block: Block, where: str) -> Parts:
    if block.content is None:
        return []
    if isinstance(block.content, str):
        return [{"type": "text", "text": block.content}]
    found = block.content if isinstance(block.content, list) else ()
    return [part for at, inner in enumerate(found) for part in _parts(inner, f"{where}.content[{at}]")]


def _say_assistant(talk: Talk, turn: Turn, where: str) -> None:
    if isinstance(turn.content, str):
        talk.assistant(turn.content)
        return
    texts, calls = [], []
    for at, block in enumerate(turn.content):
        if block.type == "text" and block.text is not None:
            texts.append(block.text)
        elif block.type == "tool_use":
            if not block.id or not block.name:
                raise refused(f"{where}.content[{at}]", "A 'tool_use' needs an 'id' and a 'name'.")
            arguments = bytes(block.input).decode("utf-8", "replace")
            calls.append((block.id, block.name, "{}" if arguments == "null" else arguments))
        elif block.type not in {"thinking", "redacted_thinking"}:
            # What a model thought is its own: chat takes none of it back, and some servers refuse it.
            raise unknown_block(block, f"{where}.content[{at}]")
    talk.assistant("".join(texts))
    for call_id, name, arguments in calls:
        talk.call(call_id, name, arguments)


def _parts(block: Block, where: str) -> Parts:
    source = block.source
    if block.type == "text" and block.text is not None:
        return [{"type": "text", "text": block.text}]
    if block.type == "image" and isinstance(source, Source):
        if source.type == "url" and source.url is not None:
            return [{"type": "image_url", "image_url": {"url": source.url}}]
        if source.type == "base64" and source.data is not None:
            return [{"type": "image_url", "image_url": {"url": _data_url(source)}}]
        raise unknown_source(block, where)
    if block.type == "document" and isinstance(source, Source):
        if source.type == "text" and source.data is not None:
            return [{"type": "text", "text": source.data}]
        if source.type == "base64" and source.data is not None:
            name = block.title or "document.pdf"
            return [{"type": "file", "file": {"filename": name, "file_data": _data_url(source)}}]
        raise unknown_source(block, where)
    raise unknown_block(block, where)


def _data_url(source: Source) -> str:
    return f"data:{source.media_type or 'application/octet-stream'};base64,{source.data}"
