"""A Messages request becomes the chat completion that it means, or names the field that can't become one."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from edge.dialects.messages_native import check_messages
from edge.dialects.messages_request import count_tokens, messages_to_chat
from edge.errors import EdgeError
from edge.lookup.catalogue import Model, Price
from edge.v1.endpoints import MESSAGES
from edge.v1.inputs import count_images
from tests.edge.dialects.saying import dump

HI = {"role": "user", "content": "Hi"}
PNG = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
TOOL = {"name": "f", "description": "d", "input_schema": {"type": "object"}}
ASKED: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": [HI]}


def translated(**request: Any) -> Any:
    return json.loads(messages_to_chat(dump(ASKED | request)))


def messages(*turns: Any, **request: Any) -> Any:
    return translated(messages=list(turns), **request)["messages"]


def test_a_text_becomes_a_message_of_the_user() -> None:
    assert translated() == {"model": "m", "messages": [HI], "max_tokens": 9}


def test_all_that_chat_has_under_another_name_is_translated() -> None:
    assert translated(
        system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}, {"text": "Be kind."}],
        max_tokens=5000,
        stream=True,
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        stop_sequences=["END"],
        metadata={"user_id": "u1"},
        thinking={"type": "enabled", "budget_tokens": 4096},
        cache_control={"type": "ephemeral"},
        service_tier="auto",
        output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}},
        tools=[TOOL | {"cache_control": {"type": "ephemeral"}}, TOOL | {"name": "g", "type": "custom", "strict": True}],
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
        container=None,
    ) == {
        "model": "m",
        "messages": [{"role": "system", "content": "Be brief.\n\nBe kind."}, HI],
        "stream": True,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 40,
        "max_tokens": 5000,
        "stop": ["END"],
        "user": "u1",
        "reasoning_effort": "medium",
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": True},
        },
        "tools": [
            {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "description": "d"}},
            {
                "type": "function",
                "function": {"name": "g", "parameters": {"type": "object"}, "description": "d", "strict": True},
            },
        ],
        "parallel_tool_calls": False,
        "tool_choice": "required",
    }


def test_a_conversation_with_calls_keeps_its_order() -> None:
    assert messages(
        {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "redacted_thinking", "data": "x"},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
                {"type": "tool_use", "id": "t2", "name": "g", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "There."},
                {"type": "tool_result", "tool_use_id": "t1", "content": "sun"},
                {
                    "type": "tool_result",
                    "tool_use_id": "t2",
                    "is_error": True,
                    "content": [{"type": "text", "text": "no"}, PNG],
                },
            ],
        },
        {"role": "assistant", "content": "It is"},
    ) == [
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [
                {"id": "t1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
                {"id": "t2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "t1", "content": "sun"},
        {"role": "tool", "tool_call_id": "t2", "content": "Error:\nno"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What the call t2 returned beside text:"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            ],
        },
        {"role": "user", "content": "There."},
        {"role": "assistant", "content": "It is"},
    ]


def test_images_and_documents_are_sent_inline() -> None:
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "AA"}
    assert messages(
        {
            "role": "user",
            "content": [
                PNG,
                {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}},
                {"type": "document", "title": "a.pdf", "source": pdf, "citations": {"enabled": False}},
            ],
        }
    ) == [
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                {"type": "text", "text": "words"},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"}},
            ],
        }
    ]


@pytest.mark.parametrize(
    "said, meant",
    [
        ({"type": "auto"}, {"tool_choice": "auto"}),
        ({"type": "none"}, {"tool_choice": "none"}),
        ({"type": "tool", "name": "f"}, {"tool_choice": {"type": "function", "function": {"name": "f"}}}),
    ],
)
def test_the_choice_of_tools(said: Any, meant: Any) -> None:
    chat = translated(tools=[TOOL], tool_choice=said)
    assert {name: value for name, value in chat.items() if name in {"tool_choice", "parallel_tool_calls"}} == meant


@pytest.mark.parametrize(
    "said, effort",
    [
        ({"thinking": {"type": "disabled"}}, None),
        ({"thinking": {"type": "adaptive"}}, None),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "low"),
        ({"thinking": {"type": "enabled", "budget_tokens": 16384}}, "high"),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}, "high"),
        ({"output_config": {"effort": "low"}}, "low"),
    ],
)
def test_thinking_becomes_effort(said: dict[str, Any], effort: str | None) -> None:
    assert translated(max_tokens=20_000, **said).get("reasoning_effort") == effort


def turn(*blocks: Any, role: str = "user") -> dict[str, Any]:
    return {"messages": [{"role": role, "content": list(blocks)}]}


@pytest.mark.parametrize(
    "request_, param",
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "9"}, "max_tokens"),
        ({"model": None}, "model"),
        ({"stream": 1}, "stream"),
        ({"messages": []}, "messages"),
        ({"messages": None}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"container": "c"}, "container"),
        ({"mcp_servers": [{"type": "url", "url": "https://x", "name": "x"}]}, "mcp_servers"),
        ({"context_management": {"edits": []}}, "context_management"),
        ({"inference_geo": "eu"}, "inference_geo"),
        ({"speed": "fast"}, "speed"),
        ({"thinking": {"type": "enabled", "budget_tokens": 10}}, "thinking.budget_tokens"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "thinking.budget_tokens"),
        ({"thinking": {"type": "between_tools"}}, "thinking.type"),
        ({"output_config": {"effort": "huge"}}, "output_config.effort"),
        ({"output_config": {"format": {"type": "text"}}}, "output_config.format.type"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "code_execution_20250825", "name": "code_execution"}]}, "tools[0].type"),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "tools[0].type"),
        ({"tools": [{"name": "f"}]}, "tools[0]"),
        ({"tools": [TOOL | {"defer_loading": True}]}, "tools[0].defer_loading"),
        ({"tools": [TOOL | {"allowed_callers": ["code_execution_20250825"]}]}, "tools[0].allowed_callers"),
        ({"tools": [TOOL], "tool_choice": {"type": "some"}}, "tool_choice"),
        ({"system": [PNG]}, "system[0]"),
        (turn({"type": "image", "source": {"type": "file", "file_id": "f"}}), "messages[0].content[0].source"),
        (turn({"type": "document", "source": {"type": "url", "url": "https://x"}}), "messages[0].content[0].source"),
        (
            turn(
                {
                    "type": "document",
                    "source": {"type": "text", "data": "x"},
                    "citations": {"enabled": True},
                }
            ),
            "messages[0].content[0].citations",
        ),
        (turn({"type": "container_upload", "file_id": "f"}), "messages[0].content[0]"),
        (turn({"type": "search_result", "source": "s", "title": "t", "content": []}), "messages[0].content[0].type"),
        (turn({"type": "tool_result", "content": "x"}), "messages[0].content[0].tool_use_id"),
        (
            turn(
                {
                    "type": "tool_result",
                    "tool_use_id": "t",
                    "content": [{"type": "image", "source": {"type": "file", "file_id": "f"}}],
                }
            ),
            "messages[0].content[0].content[0].source",
        ),
        (turn({"type": "tool_use", "name": "f", "input": {}}, role="assistant"), "messages[0].content[0]"),
        (
            turn({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}, role="assistant"),
            "messages[0].content[0].type",
        ),
        ({"n": 2}, "n"),
        ({"stop": "x"}, "stop"),
        ({"max_completion_tokens": 9}, "max_completion_tokens"),
    ],
)
def test_what_cannot_be_translated_is_refused_by_name(request_: dict[str, Any], param: str) -> None:
    with pytest.raises(EdgeError) as caught:
        messages_to_chat(dump(ASKED | request_))
    assert (caught.value.code, caught.value.param) == ("invalid_body", param)


def test_an_upstream_that_speaks_messages_may_be_asked_for_what_chat_has_not() -> None:
    result = {"type": "tool_result", "tool_use_id": "t", "content": [PNG]}
    body = ASKED | turn(PNG, result) | {"tools": [{"type": "bash_20250124", "name": "bash"}], "output_format": {}}
    inputs = check_messages(dump(body))
    assert (inputs.model, inputs.max_tokens) == ("m", 9)
    assert count_images(inputs.messages) == (2, 2 * len("AAAA"))
    assert bytes(inputs.tools) != b"null"
    assert bytes(inputs.response_format) != b"null"


@pytest.mark.parametrize(
    "request_, param",
    [
        ({"mcp_servers": []}, "mcp_servers"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0].type"),
        (turn({"type": "document", "source": {"type": "file", "file_id": "f"}}), "messages[0].content[0].source"),
        ({"max_tokens": None}, "max_tokens"),
    ],
)
def test_what_is_stored_or_runs_elsewhere_is_refused_there_too(request_: dict[str, Any], param: str) -> None:
    with pytest.raises(EdgeError) as caught:
        check_messages(dump(ASKED | request_))
    assert caught.value.param == param


MODEL = Model(
    id="0",
    public_name="m",
    family="gemma",
    kind="chat",
    context_tokens=100_000,
    max_output_tokens=50,
    dimensions=0,
    template_tokens=10,
    tools_tokens=100,
    image_tokens=1000,
    price=Price("1", 1, 1, 1),
    routes=(),
    create_time=datetime(2026, 1, 1, tzinfo=UTC),
    upstream_model="hidden",
)


def test_tokens_are_counted_as_they_are_estimated_for_the_bill() -> None:
    model = replace(MODEL, context_tokens=50)
    plain = {"model": "m", "messages": [{"role": "user", "content": "x" * 500}]}
    chat = len(messages_to_chat(dump(plain | {"max_tokens": 9}))) - len(',"max_tokens":9')
    assert count_tokens(dump(plain), model) == chat // 5 + 10
    assert count_tokens(dump(plain | {"tools": [TOOL]}), model) > 110
    assert count_tokens(dump(plain | turn(PNG)), model) > 1010


def test_a_request_that_is_longer_than_its_translation_is_counted_as_the_bill_counts_it() -> None:
    blocks = [{"role": "user", "content": [{"type": "text", "text": "hello"}]} for _ in range(50)]
    asked = dump({"model": "m", "max_tokens": 5, "messages": blocks})
    assert len(asked) > len(messages_to_chat(asked))
    assert count_tokens(asked, MODEL) == MESSAGES.read(asked).bound(MODEL).prompt_estimate
