"""The description of the inference endpoints, which FastAPI never sees: their bodies pass through as they are."""

from collections.abc import Mapping

from edge.api import playground

Json = Mapping[str, object]

_MESSAGES = [{"role": "user", "content": "Say hi in five words."}]
_USAGE = {"prompt_tokens": 14, "completion_tokens": 9, "total_tokens": 23}
_BASE = {"id": "chatcmpl-1", "created": 1778826333, "model": "privaterouter/fast"}

CHAT_REQUEST = {"model": "privaterouter/fast", "messages": _MESSAGES}
CHAT_STREAM_REQUEST = {"model": "privaterouter/fast", "messages": _MESSAGES, "stream": True}
CHAT_ANSWER = {
    **_BASE,
    "object": "chat.completion",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hi there, nice meeting you!"},
            "finish_reason": "stop",
        }
    ],
    "usage": _USAGE,
}
CHAT_STREAM = (
    'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1778826333,"model":"privaterouter/fast",'
    '"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}\n\ndata: [DONE]\n\n'
)
COMPLETION_REQUEST = {"model": "privaterouter/fast", "prompt": "Once upon a time", "max_tokens": 16}
COMPLETION_ANSWER = {
    **_BASE,
    "object": "text_completion",
    "choices": [{"index": 0, "text": " there was a router.", "finish_reason": "stop"}],
    "usage": _USAGE,
}
EMBEDDING_REQUEST = {"model": "privaterouter/embed", "input": "Vectors are nice"}
EMBEDDING_ANSWER = {
    "object": "list",
    "model": "privaterouter/embed",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.0123, -0.0456]}],
    "usage": {"prompt_tokens": 4, "total_tokens": 4},
}
_COST = {
    "x-privaterouter-cost-usd": {
        "description": "What the call cost, where that is known before the headers go out (not when streaming).",
        "schema": {"type": "string", "examples": ["0.0000041"]},
    },
    "x-privaterouter-model": {
        "description": "The model that answered, and whose price counts, where it stands in for the one asked for.",
        "schema": {"type": "string", "examples": ["privaterouter/qwen-pro"]},
    },
}

_HEADERS = [
    {
        "name": "x-privaterouter-max-cost-usd",
        "in": "header",
        "description": "The most that the call may cost, in dollars. The limit of the answer is lowered to what that "
        "pays for (`x-privaterouter-max-tokens` in the answer says to what); too little for a useful one is a 400.",
        "schema": {"type": "string", "examples": ["0.05"]},
    },
    {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "A call that is repeated with the same key within a day runs and is paid once: the repeated one "
        "gets its receipt, or its answer where the API key keeps answers, with `x-privaterouter-replayed: true`.",
        "schema": {"type": "string", "maxLength": 255},
    },
]


_KEY_ID = {
    "name": "key_id",
    "in": "query",
    "required": True,
    "description": "Which of your API keys the call runs as.",
    "schema": {"type": "string", "format": "uuid"},
}


def paths() -> dict[str, Json]:
    """Path items of the inference endpoints."""
    chat = _post(
        "Chat completion",
        "OpenAI's chat completions. All of its fields pass through to the model's server: tools, response_format, "
        "images, logprobs, n and so on; fields that would redirect the call or carry credentials are refused. With "
        "`stream: true` the answer comes as server-sent events and ends in `data: [DONE]`, whatever happens.",
        required={"model": {"type": "string"}, "messages": {"type": "array", "items": {"type": "object"}}},
        requests={"answer": CHAT_REQUEST, "stream": CHAT_STREAM_REQUEST},
        answer=CHAT_ANSWER,
        stream=CHAT_STREAM,
    )
    return {
        "/v1/chat/completions": chat,
        playground.PATH: {
            "post": {
                **chat["post"],
                "tags": ["API keys"],
                "summary": "Chat completion as one of your API keys, without its secret",
                "description": "`POST /v1/chat/completions` for the dashboard's playground: the same request and "
                "answer, streamed or not. It runs as the key that `key_id` names, with the key's limits and models, "
                "and is billed and listed like every call of that key.",
                "parameters": [_KEY_ID, *_HEADERS],
            }
        },
        "/v1/completions": _post(
            "Text completion",
            "OpenAI's completions, by the same rules as chat completions.",
            required={"model": {"type": "string"}, "prompt": {}},
            requests={"answer": COMPLETION_REQUEST},
            answer=COMPLETION_ANSWER,
            stream=CHAT_STREAM.replace("chat.completion.chunk", "text_completion").replace(
                '"delta":{"content":"Hi"}', '"text":"Hi"'
            ),
        ),
        "/v1/embeddings": _post(
            "Embeddings",
            "OpenAI's embeddings of a string, a list of strings, or tokens.",
            required={"model": {"type": "string"}, "input": {}},
            requests={"answer": EMBEDDING_REQUEST},
            answer=EMBEDDING_ANSWER,
            stream=None,
        ),
    }


def _post(
    summary: str, description: str, *, required: Json, requests: Json, answer: Json, stream: str | None
) -> dict[str, Json]:
    content: dict[str, Json] = {"application/json": {"schema": {"type": "object"}, "example": answer}}
    if stream is not None:
        content["text/event-stream"] = {"schema": {"type": "string"}, "example": stream}
    return {
        "post": {
            "tags": ["Inference"],
            "summary": summary,
            "description": description,
            "parameters": _HEADERS,
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {
                        "schema": {
                            "type": "object",
                            "required": sorted(required),
                            "properties": required,
                            "additionalProperties": True,
                        },
                        "examples": {name: {"value": value} for name, value in requests.items()},
                    }
                },
            },
            "responses": {"200": {"description": "The model's answer.", "headers": _COST, "content": content}},
        }
    }
