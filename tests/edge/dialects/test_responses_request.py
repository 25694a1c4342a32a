"""A Responses request becomes the chat completion that it means, or names the field that can't become one."""

import json
from typing import Any

import pytest

from edge.dialects.responses_native import check_responses
from edge.dialects.responses_request import responses_to_chat
from edge.errors import EdgeError
from edge.v1.inputs import ChatInputs, count_images
from tests.edge.dialects.saying import dump


def translated(**request: Any) -> Any:
    return json.loads(responses_to_chat(dump({"model": "m", "input": "Hi", **request})))


def refusal(**request: Any) -> EdgeError:
    with pytest.raises(EdgeError) as caught:
        responses_to_chat(dump({"model": "m", "input": "Hi", **request}))
    assert caught.value.code == "invalid_body"
    return caught.value


def messages(*items: Any, **request: Any) -> Any:
    return translated(input=list(items), **request)["messages"]


def test_a_text_becomes_a_message_of_the_user() -> None:
    assert translated() == {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


def test_all_that_chat_has_under_another_name_is_translated() -> None:
    schema = {"type": "object", "properties": {}}
    assert translated(
        instructions="Be brief.",
        stream=True,
        store=False,
        background=False,
        max_output_tokens=50,
        temperature=0.5,
        top_p=0.9,
        user="u1",
        metadata={"a": "b"},
        truncation="disabled",
        service_tier="auto",
        prompt_cache_key="k",
        max_tool_calls=3,
        reasoning={"effort": "low", "summary": "auto"},
        text={"format": {"type": "json_schema", "name": "n", "schema": schema, "strict": True}, "verbosity": "low"},
        include=["message.output_text.logprobs", "reasoning.encrypted_content"],
        top_logprobs=2,
        tools=[{"type": "function", "name": "f", "description": "d", "parameters": schema, "strict": False}],
        tool_choice={"type": "function", "name": "f"},
        parallel_tool_calls=False,
        stream_options={"include_obfuscation": False},
        previous_response_id=None,
    ) == {
        "model": "m",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
        "stream": True,
        "temperature": 0.5,
        "top_p": 0.9,
        "user": "u1",
        "service_tier": "auto",
        "prompt_cache_key": "k",
        "max_tokens": 50,
        "logprobs": True,
        "top_logprobs": 2,
        "reasoning_effort": "low",
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": True}},
        "verbosity": "low",
        "tools": [
            {"type": "function", "function": {"name": "f", "description": "d", "parameters": schema, "strict": False}}
        ],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": False,
    }


def test_a_conversation_with_calls_keeps_its_order() -> None:
    assert messages(
        {"role": "developer", "content": "Use tools."},
        {"role": "user", "content": [{"type": "input_text", "text": "Weather?"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]},
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "I look.", "annotations": []}],
        },
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": '{"a":1}'},
        {"type": "function_call", "call_id": "c2", "name": "g", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "sun"},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "rain"}]},
        {"role": "system", "content": "Now answer."},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        instructions="Be brief.",
    ) == [
        {"role": "system", "content": "Be brief.\n\nUse tools."},
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
                {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "sun"},
        {"role": "tool", "tool_call_id": "c2", "content": "rain"},
        {"role": "system", "content": "Now answer."},
        {"role": "assistant", "content": "No."},
    ]


def test_a_text_between_calls_and_their_results_joins_the_turn() -> None:
    assert messages(
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"role": "assistant", "content": "Wait."},
        {"type": "function_call_output", "call_id": "c1", "output": "x"},
    ) == [
        {
            "role": "assistant",
            "content": "Wait.",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "x"},
    ]


def test_images_files_and_sound_are_sent_inline() -> None:
    assert messages(
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "What is it?"},
                {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "low"},
                {"type": "input_image", "image_url": "https://example.com/a.png", "file_id": None},
                {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"},
                {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
            ],
        }
    ) == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is it?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"}},
                {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
            ],
        }
    ]


def test_an_image_that_a_function_returned_follows_the_results() -> None:
    image = {"type": "input_image", "image_url": "data:image/png;base64,AA"}
    assert messages(
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call", "call_id": "c2", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": [image]},
        {"type": "function_call_output", "call_id": "c2", "output": "x"},
        {"role": "user", "content": "Go on."},
    )[1:] == [
        {"role": "tool", "tool_call_id": "c1", "content": ""},
        {"role": "tool", "tool_call_id": "c2", "content": "x"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What the call c1 returned beside text:"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
            ],
        },
        {"role": "user", "content": "Go on."},
    ]


def test_only_allowed_tools_are_sent() -> None:
    tools: list[dict[str, Any]] = [{"type": "function", "name": name, "parameters": {}} for name in ("f", "g")]
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "g"}]}
    chat = translated(tools=tools, tool_choice=allowed)
    assert chat["tools"] == [{"type": "function", "function": {"name": "g", "parameters": {}}}]
    assert chat["tool_choice"] == "required"


def test_nothing_is_said_of_tools_without_tools() -> None:
    chat = translated(tools=[], tool_choice="auto", parallel_tool_calls=True)
    assert set(chat) == {"model", "messages"}


@pytest.mark.parametrize("said, meant", [({"type": "text"}, None), ({"type": "json_object"}, {"type": "json_object"})])
def test_formats_without_a_schema(said: Any, meant: Any) -> None:
    assert translated(text={"format": said}).get("response_format") == meant


def test_fields_that_nobody_knows_pass_through() -> None:
    chat = translated(seed=7, top_k=40)
    assert (chat["seed"], chat["top_k"]) == (7, 40)


@pytest.mark.parametrize(
    "request_, param",
    [
        ({"store": True}, "store"),
        ({"background": True}, "background"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"truncation": "auto"}, "truncation"),
        ({"context_management": [{"type": "compaction"}]}, "context_management"),
        ({"moderation": {"model": "x"}}, "moderation"),
        ({"include": ["file_search_call.results"]}, "include"),
        ({"reasoning": {"mode": "pro"}}, "reasoning.mode"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"max_output_tokens": "7"}, "max_output_tokens"),
        ({"stream": "yes"}, "stream"),
        ({"model": None}, "model"),
        ({"input": []}, "input"),
        ({"input": ""}, "input"),
        ({"input": 3}, "input"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]"),
        ({"input": [{"id": "msg_1"}]}, "input[0]"),
        ({"input": [{"type": "computer_call_output", "call_id": "c", "output": {}}]}, "input[0].type"),
        ({"input": [{"type": "function_call", "call_id": "c", "name": "f"}]}, "input[0]"),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, "input[0]"),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": {}}]}, "input[0].output"),
        ({"input": [{"role": "tool", "content": "x"}]}, "input[0].role"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
            "input[0].content[0].file_id",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_url": "https://x"}]}]},
            "input[0].content[0].file_url",
        ),
        ({"input": [{"role": "user", "content": [{"type": "input_video"}]}]}, "input[0].content[0]"),
        (
            {"input": [{"role": "assistant", "content": [{"type": "input_image", "image_url": "data:image/,"}]}]},
            "input[0].content",
        ),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "file_search", "vector_store_ids": ["v"]}]}, "tools[0].type"),
        ({"tools": [{"type": "computer_use_preview"}]}, "tools[0].type"),
        ({"tools": [{"type": "mcp", "server_label": "x"}]}, "tools[0].type"),
        ({"tools": [{"type": "custom", "name": "x"}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [{"type": "function", "name": "f", "defer_loading": True}]}, "tools[0].defer_loading"),
        ({"tool_choice": {"type": "web_search"}}, "tool_choice"),
        ({"tool_choice": {"type": "function"}}, "tool_choice"),
        ({"tool_choice": 5}, "tool_choice"),
        ({"max_tokens": 5}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"n": 2}, "n"),
        ({"response_format": {}}, "response_format"),
    ],
)
def test_what_cannot_be_translated_is_refused_by_name(request_: dict[str, Any], param: str) -> None:
    assert refusal(**request_).param == param


@pytest.mark.parametrize("body", [b"", b"[]", b'{"model": "m"', b'{"model":"m","input":' + b"[" * 100_000])
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(EdgeError) as caught:
        responses_to_chat(body)
    assert caught.value.code == "invalid_body"


def test_an_upstream_that_speaks_responses_may_be_asked_for_what_chat_has_not() -> None:
    image = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}
    body = {
        "model": "m",
        "input": [
            {"role": "user", "content": [image]},
            {"type": "custom_tool_call_output", "call_id": "c", "output": [image]},
        ],
        "tools": [{"type": "custom", "name": "patch"}],
        "text": {"format": {"type": "json_object"}},
        "truncation": "auto",
        "max_output_tokens": 9,
        "stream": True,
    }
    inputs = check_responses(dump(body))
    assert isinstance(inputs, ChatInputs)
    assert (inputs.model, inputs.stream, inputs.max_tokens) == ("m", True, 9)
    assert count_images(inputs.messages) == (2, 2 * len("data:image/png;base64,AAAA"))
    assert bytes(inputs.tools) != b"null"
    assert bytes(inputs.response_format) != b"null"


@pytest.mark.parametrize(
    "request_, param",
    [
        ({"store": True}, "store"),
        ({"previous_response_id": "r"}, "previous_response_id"),
        ({"tools": [{"type": "code_interpreter"}]}, "tools[0].type"),
        ({"max_completion_tokens": 5}, "max_completion_tokens"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]},
            "input[0].content[0].file_id",
        ),
    ],
)
def test_what_is_stored_or_runs_elsewhere_is_refused_there_too(request_: dict[str, Any], param: str) -> None:
    with pytest.raises(EdgeError) as caught:
        check_responses(dump({"model": "m", "input": "Hi", **request_}))
    assert caught.value.param == param
