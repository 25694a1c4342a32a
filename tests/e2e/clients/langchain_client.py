"""LangChain's langchain-openai: chat models over chat completions and Responses, embeddings."""

from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from tests.e2e.clients.seen import FACTS, FUNCTION, HELLO, KEY, MAX_TOKENS, QUESTION, SCRIPTED, V1, WEATHER, saw

chat = ChatOpenAI(model="privaterouter/fast", base_url=V1, api_key=KEY)
embeddings = OpenAIEmbeddings(model="privaterouter/embed", base_url=V1, api_key=KEY, check_embedding_ctx_length=False)


def used(usage: "dict[str, int] | None") -> tuple[int, int]:
    assert usage
    return usage["input_tokens"], usage["output_tokens"]


def ask() -> None:
    whole = chat.invoke(HELLO, max_tokens=MAX_TOKENS)
    saw("chat", whole.text, used(whole.usage_metadata))
    chunks = list(chat.stream(HELLO, max_tokens=MAX_TOKENS, stream_usage=True))
    final = sum(chunks[1:], chunks[0])
    saw("stream", [chunk.text for chunk in chunks if chunk.text], used(final.usage_metadata), streamed=True)
    responding = ChatOpenAI(model="privaterouter/fast", base_url=V1, api_key=KEY, use_responses_api=True)
    responded = responding.invoke(HELLO, max_tokens=MAX_TOKENS)
    saw("chat", responded.text, used(responded.usage_metadata), endpoint="responses")


def embed() -> None:
    # The vectors are all that it gives.
    saw("embeddings", len(embeddings.embed_query(HELLO)), None, endpoint="embeddings")


def tools() -> None:
    model = ChatOpenAI(model=SCRIPTED, base_url=V1, api_key=KEY).bind_tools([FUNCTION])
    chunks = list(model.stream(QUESTION, stream_usage=True))
    asked = sum(chunks[1:], chunks[0])
    (call,) = asked.tool_calls
    saw("tool call", [call["name"], call["args"]], used(asked.usage_metadata), streamed=True)
    result = {"role": "tool", "tool_call_id": call["id"], "content": WEATHER}
    told = model.invoke([{"role": "user", "content": QUESTION}, asked, result])
    saw("tool result", told.text, used(told.usage_metadata))


def structured() -> None:
    model = ChatOpenAI(model=SCRIPTED, base_url=V1, api_key=KEY).with_structured_output(FACTS, include_raw=True)
    made = model.invoke(QUESTION)
    saw("structured", made["parsed"], used(made["raw"].usage_metadata))


if __name__ == "__main__":
    ask()
    embed()
    tools()
    structured()
